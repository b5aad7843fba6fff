//! Objects: raw recordings, Parquet, CSV, models. Written whole or not at all, durable when acknowledged.

mod folder;

pub use folder::{Folder, Staged};

/// Why an object could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// There is an object of that key already; it was left as it was.
    #[error("there is an object of that key already")]
    Exists,
    /// There is no object of that key.
    #[error("there is no object of that key")]
    NotFound,
    /// The object's bytes are not those that were kept.
    #[error("the object's bytes are not those that were kept")]
    Corrupt,
    /// The disk is full or a quota used up.
    #[error("no space is left for the object")]
    NoSpace,
    /// Anything else.
    #[error("the object store failed")]
    Io(#[source] std::io::Error),
}

impl From<std::io::Error> for ObjectError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        #[expect(clippy::wildcard_enum_match_arm, reason = "io::ErrorKind is open")]
        match error.kind() {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::AlreadyExists => Self::Exists,
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::NoSpace,
            _ => Self::Io(error),
        }
    }
}

/// The BLAKE3 digest of an object's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}
