//! Files that a command is given: by themselves, or in folders that are searched.

use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};

/// Whether a file is a recording, by its name.
pub(super) fn is_recording(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "json")
}

/// The paths that are files, and below those that are folders the files that are wanted, in the order of their names.
///
/// # Errors
/// When a path is not there or a folder cannot be read.
pub(super) fn below(paths: &[PathBuf], is_wanted: impl Fn(&Path) -> bool) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = paths.iter().rev().cloned().collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let mut inside = std::fs::read_dir(&path)
                .with_context(|| format!("{} cannot be read", path.display()))?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<Vec<_>, _>>()?;
            inside.retain(|path| path.is_dir() || is_wanted(path));
            inside.sort_by(|a, b| b.cmp(a));
            open.extend(inside);
        } else {
            ensure!(path.exists(), "{} is not there", path.display());
            files.push(path);
        }
    }
    Ok(files)
}
