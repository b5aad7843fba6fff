//! Supervised actors, one concern a file. What must survive is a row or an object; what an actor holds is a cache.

pub mod account_turns;
pub mod announcer;
pub mod auditor;
mod authorization;
#[cfg(feature = "aws")]
pub mod bucket_watch;
#[cfg(feature = "lake")]
pub mod compactor;
pub mod compute;
pub mod converter;
pub mod courier;
pub mod dispatcher;
pub mod eraser;
mod error;
pub mod handover;
pub mod inference;
pub mod ingest;
#[cfg(feature = "lake")]
pub mod lake;
pub mod links;
pub mod mailer;
pub mod metrics;
pub mod outbox;
pub mod provider_keys;
pub mod reporter;
pub mod resolver;
pub mod scorer;
pub mod session_auth;
pub mod supervision;
pub mod topology;
pub mod trainer;
pub mod updates;
pub mod watches;
pub mod wire;
pub mod work;

pub use error::ServiceError;
