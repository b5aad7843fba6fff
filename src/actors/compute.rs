//! Work that keeps a processor or a disk busy: on threads where it may, as many at once as there are permits, and where
//! a panic becomes an error.

use std::sync::Arc;
use tokio::sync::Semaphore;

/// Why work gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    /// It panicked.
    #[error("the work panicked")]
    Panicked,
    /// The program is stopping.
    #[error("the program is stopping")]
    Stopping,
}

impl From<ComputeError> for super::ServiceError {
    fn from(error: ComputeError) -> Self {
        match error {
            ComputeError::Panicked => Self::Internal(error.into()),
            ComputeError::Stopping => Self::busy("stopping"),
        }
    }
}

/// Threads for such work. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Compute(Arc<Semaphore>);

impl Compute {
    /// At most so many at once.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Waits for a permit and runs the work. The permit is the work's own: it is free when the work ends, also when
    /// nobody waits for it any more.
    ///
    /// # Errors
    /// [`ComputeError`].
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ComputeError> {
        let permit = self.0.clone().acquire_owned().await.map_err(|_| ComputeError::Stopping)?;
        unmetered(move || {
            let _permit = permit;
            work()
        })
        .await
    }
}

/// Runs work that mostly waits for a disk, and that something else bounds.
///
/// # Errors
/// [`ComputeError`].
pub async fn unmetered<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ComputeError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| if error.is_panic() { ComputeError::Panicked } else { ComputeError::Stopping })
}
