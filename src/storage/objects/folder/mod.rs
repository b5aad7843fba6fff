//! Objects in a folder: the key is the path. A write goes to a file of its own under `.staging`, is synced, gets its
//! name in one step, and the folder that holds the name is synced: after a crash there is the whole object or none.
//! Several processes may have one folder open.

mod listing;
mod staging;
#[cfg(test)]
mod tests;

pub(super) use staging::Staging;

use super::staged::Spot;
use super::{Digest, ObjectError, Page, Shown, Staged, on_disk};
use crate::domain::entropy::Entropy;
use crate::domain::object_key::ObjectKey;
use bytes::Bytes;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A folder of objects. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Folder {
    root: Arc<Path>,
    staging: Arc<Staging>,
    max_read: u64,
}

impl Folder {
    /// Opens the folder, makes it where it is absent, and removes what killed processes left half written. At most
    /// `max_read` bytes are read at once. Blocks.
    ///
    /// # Errors
    /// When the folder cannot be made or emptied.
    pub fn open(root: &Path, max_read: u64, entropy: &Entropy) -> Result<Self, ObjectError> {
        fs::create_dir_all(root)?;
        let staging = Arc::new(Staging::take(root, entropy)?);
        Ok(Self { root: root.into(), staging, max_read })
    }

    pub(super) fn stage(&self) -> Staged {
        Staged::new(Spot::Named(self.staging.clone(), self.staging.next_path()))
    }

    pub(super) async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), ObjectError> {
        let (mut staged, path) = (self.stage(), self.path(key));
        on_disk(move || {
            staged.append(&bytes)?;
            let from = name_of(&staged)?;
            sync(&staged)?;
            let made = make_parent(&path)?;
            fs::rename(from, &path)?;
            sync_upwards(&path, &made)
        })
        .await
    }

    pub(super) async fn keep(&self, staged: &Staged, key: &ObjectKey) -> Result<(), ObjectError> {
        let (from, file, path) = (name_of(staged)?, staged.file(), self.path(key));
        on_disk(move || {
            let made = make_parent(&path)?;
            match file {
                Some(file) => {
                    file.sync_data()?;
                    fs::hard_link(from, &path)?;
                }
                None => drop(File::create_new(&path)?),
            }
            sync_upwards(&path, &made)
        })
        .await
    }

    pub(super) async fn get(&self, key: &ObjectKey, digest: Option<Digest>) -> Result<Bytes, ObjectError> {
        let (path, max_read) = (self.path(key), self.max_read);
        on_disk(move || {
            let bytes = read(&File::open(path)?, 0..u64::MAX, max_read)?;
            digest.map_or(Ok(()), |digest| digest.check(&bytes))?;
            Ok(bytes)
        })
        .await
    }

    pub(super) async fn get_range(&self, key: &ObjectKey, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let (path, max_read) = (self.path(key), self.max_read);
        on_disk(move || read(&File::open(path)?, range, max_read)).await
    }

    pub(super) async fn get_tail(&self, key: &ObjectKey, bytes: u64) -> Result<(Bytes, u64), ObjectError> {
        let (path, max_read) = (self.path(key), self.max_read);
        on_disk(move || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok((read(&file, length.saturating_sub(bytes)..length, max_read)?, length))
        })
        .await
    }

    pub(super) async fn size(&self, key: &ObjectKey) -> Result<u64, ObjectError> {
        let path = self.path(key);
        on_disk(move || Ok(fs::metadata(path)?.len())).await
    }

    pub(super) async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        let path = self.path(key);
        on_disk(move || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        })
        .await
    }

    pub(super) async fn list(&self, prefix: &str, after: Option<&ObjectKey>) -> Result<Page, ObjectError> {
        let (root, prefix) = (self.root.clone(), prefix.to_owned());
        let after = after.map(|key| key.as_str().to_owned()).unwrap_or_default();
        on_disk(move || Ok(listing::page(&root, &prefix, &after)?)).await
    }

    /// A folder has no addresses.
    pub(super) fn link(&self, _: &ObjectKey, _: Duration, _: &Shown) -> Option<String> {
        None
    }

    /// Whether an object can be written.
    pub(super) async fn ping(&self) -> Result<(), ObjectError> {
        self.stage().write(Vec::new()).await.map(drop)
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }
}

/// The path of a staged file of a folder.
fn name_of(staged: &Staged) -> Result<PathBuf, ObjectError> {
    match staged.spot() {
        Spot::Named(_, path) => Ok(path.clone()),
        #[cfg(feature = "aws")]
        Spot::Nameless(_) => Err(ObjectError::Io(io::Error::other("the object was staged for another store"))),
    }
}

fn sync(staged: &Staged) -> io::Result<()> {
    staged.file().map_or(Ok(()), |file| file.sync_data())
}

fn read(file: &File, range: Range<u64>, max_read: u64) -> Result<Bytes, ObjectError> {
    let end = range.end.min(file.metadata()?.len());
    let length = end.saturating_sub(range.start);
    if length > max_read {
        return Err(ObjectError::TooLarge);
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| ObjectError::TooLarge)?];
    file.read_exact_at(&mut bytes, range.start)?;
    Ok(bytes.into())
}

/// Makes the folders above a path; gives the topmost one that was there before.
fn make_parent(path: &Path) -> Result<PathBuf, ObjectError> {
    let parent = path.parent().unwrap_or(path);
    let mut there = parent;
    while !there.is_dir() {
        let Some(above) = there.parent() else { break };
        there = above;
    }
    let there = there.to_path_buf();
    fs::create_dir_all(parent)?;
    Ok(there)
}

/// Syncs the folders from a path's own up to the one that was there before.
fn sync_upwards(path: &Path, topmost: &Path) -> Result<(), ObjectError> {
    let mut folder = path.parent();
    while let Some(current) = folder {
        File::open(current)?.sync_all()?;
        if current == topmost {
            break;
        }
        folder = current.parent();
    }
    Ok(())
}
