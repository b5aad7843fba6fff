//! An object on its way: a local file that has no key yet.

use super::folder::Staging;
use super::{Digest, ObjectError, on_disk};
use bytes::Bytes;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// An object under way. Dropped, it never was.
#[derive(Debug)]
pub struct Staged {
    spot: Spot,
    file: Option<Arc<File>>,
    hasher: blake3::Hasher,
    bytes: u64,
}

/// Where the file is made.
#[derive(Debug)]
pub(super) enum Spot {
    /// Under a name that a link makes the object's own. The staging folder stays as long as there is one.
    Named(#[expect(dead_code, reason = "held, not read")] Arc<Staging>, PathBuf),
    /// Without a name, in this folder: it is gone with its last handle, also when the process is killed.
    #[cfg(feature = "aws")]
    Nameless(Arc<std::path::Path>),
}

impl Staged {
    pub(super) fn new(spot: Spot) -> Self {
        Self { spot, file: None, hasher: blake3::Hasher::new(), bytes: 0 }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// When the disk does not take them; the object is gone then.
    pub async fn write(mut self, bytes: Vec<u8>) -> Result<Self, ObjectError> {
        on_disk(move || {
            self.append(&bytes)?;
            Ok(self)
        })
        .await
    }

    /// Adds bytes. Blocks.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), ObjectError> {
        let file = self.open()?;
        (&*file).write_all(bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.bytes
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The digest of what was written.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }

    /// Reads it back. Blocks.
    ///
    /// # Errors
    /// When the disk does not give it.
    pub fn read(&self) -> Result<Bytes, ObjectError> {
        let Some(file) = &self.file else { return Ok(Bytes::new()) };
        let mut bytes = vec![0; usize::try_from(self.bytes).unwrap_or_default()];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes.into())
    }

    /// Brings what was written to the disk beside other work, where that is where the object will be.
    #[must_use]
    pub fn sync(&self) -> Syncing {
        Syncing(match (&self.spot, &self.file) {
            (Spot::Named(..), Some(file)) => {
                let file = file.clone();
                Some(tokio::task::spawn_blocking(move || file.sync_data()))
            }
            (Spot::Named(..), None) => None,
            #[cfg(feature = "aws")]
            (Spot::Nameless(_), _) => None,
        })
    }

    pub(super) fn spot(&self) -> &Spot {
        &self.spot
    }

    /// The file; none where nothing was written.
    pub(super) fn file(&self) -> Option<Arc<File>> {
        self.file.clone()
    }

    fn open(&mut self) -> io::Result<Arc<File>> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let file = Arc::new(match &self.spot {
            Spot::Named(_, path) => File::options().read(true).write(true).create_new(true).open(path)?,
            #[cfg(feature = "aws")]
            Spot::Nameless(folder) => tempfile::tempfile_in(folder)?,
        });
        self.file = Some(file.clone());
        Ok(file)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        match (&self.spot, &self.file) {
            // Gone already where it was renamed; what cannot be removed goes with its staging folder.
            (Spot::Named(_, path), Some(_)) => drop(fs::remove_file(path)),
            (Spot::Named(..), None) => {}
            #[cfg(feature = "aws")]
            (Spot::Nameless(_), _) => {}
        }
    }
}

/// A staged object on its way to the disk.
#[derive(Debug)]
pub struct Syncing(Option<JoinHandle<io::Result<()>>>);

impl Syncing {
    /// Waits until it is there.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn done(self) -> Result<(), ObjectError> {
        match self.0 {
            None => Ok(()),
            Some(syncing) => match syncing.await {
                Ok(synced) => Ok(synced?),
                Err(_) => Err(ObjectError::Unavailable("the program is stopping")),
            },
        }
    }
}
