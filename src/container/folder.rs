//! Artifacts in folders: unpacked, as the platform leaves them, or as one file.

use crate::scoring::engine::LoadError;
use bytes::Bytes;
use stance_models::artifact::{MAX_PACKED, MAX_UNPACKED};
use stance_models::entries::{self, MOST_ENTRIES};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The artifact that a folder holds.
///
/// # Errors
/// [`LoadError`], where there is none that can be read. What it holds is judged by whoever unpacks it.
pub(super) fn read(folder: &Path) -> Result<Bytes, LoadError> {
    let listed = std::fs::read_dir(folder).map_err(|_| LoadError::Missing)?;
    let mut files = Vec::new();
    for entry in listed.take(MOST_ENTRIES + 1) {
        let path = entry.map_err(|_| LoadError::Failed("the model's folder cannot be read"))?.path();
        // What begins with a point is the platform's.
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if path.is_file() && !name.starts_with('.') {
            files.push((name, path));
        }
    }
    if files.is_empty() {
        return Err(LoadError::Missing);
    }
    if files.len() > MOST_ENTRIES {
        return Err(LoadError::Refused("its folder holds too many files".to_owned()));
    }
    if let [(name, path)] = files.as_slice()
        && name.ends_with(".tar.gz")
    {
        return Ok(content(path, MAX_PACKED)?.into());
    }
    files.sort();
    let read = |(name, path): (String, std::path::PathBuf)| Ok((name, content(&path, MAX_UNPACKED)?));
    let entries: Vec<_> = files.into_iter().map(read).collect::<Result<_, LoadError>>()?;
    let joined = entries::join(&entries).map_err(|error| LoadError::Refused(error.to_string()))?;
    Ok(joined.into())
}

#[expect(clippy::disallowed_methods, reason = "cut off one byte after the limit")]
fn content(path: &Path, limit: usize) -> Result<Vec<u8>, LoadError> {
    let failed = |_| LoadError::Failed("the model's files cannot be read");
    let mut content = Vec::new();
    File::open(path).map_err(failed)?.take(limit as u64 + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() > limit {
        return Err(LoadError::Refused("it is larger than a model can be".to_owned()));
    }
    Ok(content)
}
