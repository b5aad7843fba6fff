//! The one source of time. Code that needs the time takes a [`Clock`], so that a test can hold it still.

use chrono::{DateTime, Utc};
use std::fmt::Debug;
use std::sync::Arc;

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// The time now, UTC.
    fn now(&self) -> DateTime<Utc>;
}

/// A clock that actors and handlers share.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}
