//! Why an object could not be kept or read.

/// Why an object could not be kept or read. Nothing in it names an object's key.
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
    /// The object is larger than what is read into memory at once.
    #[error("the object is larger than objects.max_read_bytes")]
    TooLarge,
    /// The disk is full or a quota used up.
    #[error("no space is left for the object")]
    NoSpace,
    /// The store is away, overloaded or too slow. The same again, later, may succeed.
    #[error("the object store is away: {0}")]
    Unavailable(&'static str),
    /// The store does not do this for the program: no such bucket, credentials that it does not accept, a policy.
    #[error("the object store refused: {0}")]
    Refused(String),
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
