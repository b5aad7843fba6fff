//! Objects in a folder: the key is the path. A write goes to a file of its own under `.staging`, is synced, gets its
//! name in one step, and the folder that holds the name is synced: after a crash there is the whole object or none.

use super::{Digest, ObjectError};
use crate::domain::object_key::ObjectKey;
use bytes::Bytes;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const STAGING: &str = ".staging";

/// A folder of objects. Cheap to clone. Its functions block: call them where that is allowed.
#[derive(Debug, Clone)]
pub struct Folder {
    root: Arc<Path>,
    next: Arc<AtomicU64>,
}

impl Folder {
    /// Opens the folder, makes it where it is absent, and removes what a killed process left half written. Only one
    /// process may have it open.
    ///
    /// # Errors
    /// When the folder cannot be made or emptied.
    pub fn open(root: &Path) -> Result<Self, ObjectError> {
        let staging = root.join(STAGING);
        fs::create_dir_all(&staging)?;
        for left in fs::read_dir(&staging)? {
            fs::remove_file(left?.path())?;
        }
        Ok(Self { root: root.into(), next: Arc::default() })
    }

    /// Starts a new object that has no key yet.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn stage(&self) -> Result<Staged, ObjectError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = self.root.join(STAGING).join(format!("{number}.part"));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(Staged { file, hasher: blake3::Hasher::new(), bytes: 0, path })
    }

    /// Keeps an object of bytes that can be made again from something durable: a key that is there is replaced.
    ///
    /// # Errors
    /// When it cannot be written; then the key is as it was.
    pub fn put(&self, key: &ObjectKey, bytes: &[u8]) -> Result<(), ObjectError> {
        let mut staged = self.stage()?;
        staged.file.write_all(bytes)?;
        staged.file.sync_data()?;
        let path = self.path(key);
        let made = make_parent(&path)?;
        fs::rename(&staged.path, &path)?;
        sync_upwards(&path, made)
    }

    /// Gives a staged object its key, and keeps the one that is there already.
    ///
    /// # Errors
    /// [`ObjectError::Exists`] when there is one.
    pub fn keep(&self, staged: &Staged, key: &ObjectKey) -> Result<(), ObjectError> {
        staged.file.sync_data()?;
        let path = self.path(key);
        let made = make_parent(&path)?;
        fs::hard_link(&staged.path, &path)?;
        sync_upwards(&path, made)
    }

    /// The whole object.
    ///
    /// # Errors
    /// [`ObjectError::NotFound`]; [`ObjectError::Corrupt`] when it does not have the digest.
    pub fn get(&self, key: &ObjectKey, digest: Option<Digest>) -> Result<Bytes, ObjectError> {
        let mut file = File::open(self.path(key))?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        #[expect(clippy::disallowed_methods, reason = "bounded by the length of what was kept")]
        (&mut file).take(length).read_to_end(&mut bytes)?;
        match digest {
            Some(digest) if Digest::of(&bytes) != digest => Err(ObjectError::Corrupt),
            _ => Ok(bytes.into()),
        }
    }

    /// Removes an object; one that is not there is removed already.
    ///
    /// # Errors
    /// When the store fails.
    pub fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        match fs::remove_file(self.path(key)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Whether an object can be written.
    ///
    /// # Errors
    /// When not.
    pub fn ping(&self) -> Result<(), ObjectError> {
        self.stage().map(drop)
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }
}

/// An object under way. Dropped, it never was.
#[derive(Debug)]
pub struct Staged {
    file: File,
    hasher: blake3::Hasher,
    bytes: u64,
    path: PathBuf,
}

impl Staged {
    /// Adds bytes.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), ObjectError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes)?;
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

    /// Reads it back.
    ///
    /// # Errors
    /// When the disk does not give it.
    pub fn read(&self) -> Result<Bytes, ObjectError> {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; usize::try_from(self.bytes).unwrap_or_default()];
        self.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes.into())
    }

    /// A second handle to the file, to sync it beside other work.
    ///
    /// # Errors
    /// When the process has no handle left.
    pub fn sync_handle(&self) -> Result<File, ObjectError> {
        Ok(self.file.try_clone()?)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone already where it was renamed; what cannot be removed goes at the next start.
        let _ = fs::remove_file(&self.path);
    }
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
fn sync_upwards(path: &Path, topmost: PathBuf) -> Result<(), ObjectError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::from_row(format!("a=b/c={name}"))
    }

    #[test]
    fn a_staged_object_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::open(folder.path()).unwrap();
        let mut staged = store.stage().unwrap();
        staged.write(b"half").unwrap();
        drop(staged);
        assert!(matches!(store.get(&key("1"), None), Err(ObjectError::NotFound)));

        let mut staged = store.stage().unwrap();
        staged.write(b"whole").unwrap();
        let digest = staged.digest();
        store.keep(&staged, &key("1")).unwrap();
        drop(staged);
        assert_eq!(store.get(&key("1"), Some(digest)).unwrap(), "whole");
        assert_eq!(fs::read_dir(folder.path().join(STAGING)).unwrap().count(), 0);
    }

    #[test]
    fn a_kept_object_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::open(folder.path()).unwrap();
        for text in ["first", "second"] {
            let mut staged = store.stage().unwrap();
            staged.write(text.as_bytes()).unwrap();
            assert_eq!(store.keep(&staged, &key("1")).is_ok(), text == "first");
        }
        assert_eq!(store.get(&key("1"), None).unwrap(), "first");
    }

    #[test]
    fn a_changed_object_is_noticed_and_a_killed_writers_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::open(folder.path()).unwrap();
        store.put(&key("1"), b"bytes").unwrap();
        fs::write(folder.path().join("a=b/c=1"), b"bitez").unwrap();
        assert!(matches!(store.get(&key("1"), Some(Digest::of(b"bytes"))), Err(ObjectError::Corrupt)));

        std::mem::forget(store.stage().unwrap());
        Folder::open(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path().join(STAGING)).unwrap().count(), 0);
    }
}
