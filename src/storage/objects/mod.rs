//! Objects: raw recordings, Parquet, CSV, models. Written whole or not at all, durable when acknowledged. In a folder or
//! in a bucket; one contract suite runs on both.

#[cfg(feature = "aws")]
mod bucket;
mod error;
mod folder;
mod staged;
#[cfg(test)]
pub(in crate::storage) mod tests;

#[cfg(feature = "aws")]
pub use bucket::{Bucket, BucketSettings, Encryption};
pub use error::ObjectError;
pub use folder::Folder;
pub use staged::{Staged, Syncing};

use crate::domain::object_key::ObjectKey;
use bytes::Bytes;
use std::ops::Range;
use std::time::Duration;

/// Objects that one page of a listing holds at most.
const PAGE: usize = 1_000;

/// A store of objects. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Objects {
    /// A folder of this machine.
    Folder(Folder),
    /// A bucket of Amazon S3, or of a server that speaks its language.
    #[cfg(feature = "aws")]
    Bucket(Bucket),
}

/// Objects in the order of their keys, as bytes.
#[derive(Debug)]
pub struct Page {
    /// At most 1,000.
    pub objects: Vec<Listed>,
    /// Where there are more: the key to ask for what comes after.
    pub next: Option<ObjectKey>,
}

/// An object as a listing tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: ObjectKey,
    /// Its length.
    pub bytes: u64,
}

/// How an object is answered to who follows a link.
#[derive(Debug, Clone)]
pub struct Shown {
    /// `Content-Type`.
    pub media_type: &'static str,
    /// `Content-Disposition`.
    pub disposition: String,
}

impl Objects {
    /// Starts a new object that has no key yet: a local file that is made with its first bytes.
    #[must_use]
    pub fn stage(&self) -> Staged {
        match self {
            Self::Folder(folder) => folder.stage(),
            #[cfg(feature = "aws")]
            Self::Bucket(bucket) => bucket.stage(),
        }
    }

    /// Gives a staged object its key, and keeps the one that is there already. Durable when it returns.
    ///
    /// # Errors
    /// [`ObjectError::Exists`] when there is one.
    pub async fn keep(&self, staged: &Staged, key: &ObjectKey) -> Result<(), ObjectError> {
        match self {
            Self::Folder(folder) => folder.keep(staged, key).await,
            #[cfg(feature = "aws")]
            Self::Bucket(bucket) => bucket.at_home(bucket.keep(staged, key)).await,
        }
    }

    /// Keeps an object of bytes that can be made again from something durable: a key that is there is replaced.
    ///
    /// # Errors
    /// When it cannot be written; then the key is as it was, or, when the store's answer was lost, the new one.
    pub async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), ObjectError> {
        match self {
            Self::Folder(folder) => folder.put(key, bytes).await,
            #[cfg(feature = "aws")]
            Self::Bucket(bucket) => bucket.at_home(bucket.put(key, bytes)).await,
        }
    }

    /// The whole object.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`]; [`ObjectError::Corrupt`] when it does not have the digest;
    /// [`ObjectError::TooLarge`].
    pub async fn get(&self, key: &ObjectKey, digest: Option<Digest>) -> Result<Bytes, ObjectError> {
        match self {
            Self::Folder(folder) => folder.get(key, digest).await,
            #[cfg(feature = "aws")]
            Self::Bucket(bucket) => bucket.at_home(bucket.get(key, digest)).await,
        }
    }

    /// The bytes of a range, cut at the object's end; nothing where it begins there or later. A part of an object has
    /// no digest: what is read is what the store gives.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`]; [`ObjectError::TooLarge`].
    pub async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes, ObjectError> {
        match self {
            Self::Folder(folder) => folder.get_range(key, range).await,
            #[cfg(feature = "aws")]
            Self::Bucket(bucket) => bucket.at_home(bucket.get_range(key, range)).await,
        }
    }

    /// The object's length, bytes.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`].
    pub async fn size(&self, key: &ObjectKey) -> Result<u64, ObjectError> {
        match self {
            Self::Folder(folder) => folder.size(key).await,
            #[cfg(feature = "aws")]
            Self::Bucket(bucket) => bucket.at_home(bucket.size(key)).await,
        }
    }

    /// The last `bytes` of an object, or all of it where it is shorter; and its length. No digest, as of a range.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`]; [`ObjectError::TooLarge`].
    pub async fn get_tail(&self, key: &ObjectKey, bytes: u64) -> Result<(Bytes, u64), ObjectError> {
        match self {
            Self::Folder(folder) => folder.get_tail(key, bytes).await,
            #[cfg(feature = "aws")]
            Self::Bucket(bucket) => bucket.at_home(bucket.get_tail(key, bytes)).await,
        }
    }

    /// Removes an object; one that is not there is removed already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        match self {
            Self::Folder(folder) => folder.delete(key).await,
            #[cfg(feature = "aws")]
            Self::Bucket(bucket) => bucket.at_home(bucket.delete(key)).await,
        }
    }

    /// Removes every one of them, such as all that was made from one test event.
    ///
    /// # Errors
    /// The first failure; the others were tried nevertheless.
    pub async fn delete_all(&self, keys: &[ObjectKey]) -> Result<(), ObjectError> {
        let mut outcome = Ok(());
        for key in keys {
            let deleted = self.delete(key).await;
            outcome = outcome.and(deleted);
        }
        outcome
    }

    /// The objects whose keys begin with `prefix`, in the order of their keys, from the first one after `after`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, prefix: &str, after: Option<&ObjectKey>) -> Result<Page, ObjectError> {
        match self {
            Self::Folder(folder) => folder.list(prefix, after).await,
            #[cfg(feature = "aws")]
            Self::Bucket(bucket) => bucket.at_home(bucket.list(prefix, after)).await,
        }
    }

    /// An address under which anybody may read the object for so long, answered as `shown` says; none where the store has
    /// no addresses. Whether the object is there is not looked at.
    ///
    /// # Errors
    /// When no address can be signed.
    pub async fn link(
        &self,
        key: &ObjectKey,
        valid_for: Duration,
        shown: &Shown,
    ) -> Result<Option<String>, ObjectError> {
        match self {
            Self::Folder(folder) => Ok(folder.link(key, valid_for, shown)),
            #[cfg(feature = "aws")]
            Self::Bucket(bucket) => bucket.at_home(bucket.link(key, valid_for, shown)).await.map(Some),
        }
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// When not.
    pub async fn ping(&self) -> Result<(), ObjectError> {
        match self {
            Self::Folder(folder) => folder.ping().await,
            #[cfg(feature = "aws")]
            Self::Bucket(bucket) => bucket.at_home(bucket.ping()).await,
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

    /// Whether bytes have it.
    fn check(self, bytes: &[u8]) -> Result<(), ObjectError> {
        if Self::of(bytes) == self { Ok(()) } else { Err(ObjectError::Corrupt) }
    }
}

/// Runs work that waits for a disk, where it may.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ObjectError> + Send + 'static,
) -> Result<T, ObjectError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => Err(ObjectError::Io(std::io::Error::other("the work panicked"))),
        Err(_) => Err(ObjectError::Unavailable("the program is stopping")),
    }
}
