//! Where a process keeps its half written files: a subfolder of `.staging` that it holds a lock on. A subfolder whose
//! lock is free was left by a process that is gone.

use crate::domain::entropy::Entropy;
use fs4::fs_std::FileExt;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The folder of all subfolders, inside the folder of the objects.
pub(super) const STAGING: &str = ".staging";
/// Names tried before it is given up: another process may take a new subfolder, not locked yet, for one that was left.
const TRIES: u32 = 100;

/// A process's own subfolder. Dropped, it is removed.
#[derive(Debug)]
pub(in crate::storage::objects) struct Staging {
    path: PathBuf,
    next: AtomicU64,
    _lock: File,
}

impl Staging {
    /// Removes what processes left that are gone, and takes a new subfolder.
    pub(super) fn take(root: &Path, entropy: &Entropy) -> io::Result<Self> {
        let all = root.join(STAGING);
        fs::create_dir_all(&all)?;
        remove_abandoned(&all)?;
        for _ in 0..TRIES {
            let path = all.join(entropy.uuid().simple().to_string());
            fs::create_dir(&path)?;
            if let Some(lock) = lock(&path)?
                // Locked, and not removed before that.
                && path.is_dir()
            {
                return Ok(Self { path, next: AtomicU64::default(), _lock: lock });
            }
        }
        Err(io::Error::other("no staging folder could be taken"))
    }

    /// The path of a new file.
    pub(super) fn next_path(&self) -> PathBuf {
        self.path.join(format!("{}.part", self.next.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What is left goes at the next start.
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn remove_abandoned(all: &Path) -> io::Result<()> {
    for entry in fs::read_dir(all)? {
        let path = entry?.path();
        if !path.is_dir() {
            gone_is_good(fs::remove_file(&path))?;
        } else if let Some(_held) = lock(&path)? {
            gone_is_good(fs::remove_dir_all(&path))?;
        }
    }
    Ok(())
}

/// Locks a folder; none where another process has it, or where it is gone.
fn lock(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(folder) => Ok(FileExt::try_lock_exclusive(&folder)?.then_some(folder)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn gone_is_good(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
