//! An artifact whose archive was taken apart, and back: some platforms unpack `model.tar.gz` before they give it to a program, and
//! pack what a program leaves. What the entries hold is judged by [`crate::artifact::unpack`] alone.

use std::io::Read;

use flate2::{Compression, GzBuilder, bufread::GzDecoder};
use tar::{Archive, Builder, EntryType, Header};

use crate::artifact::{ArtifactError, MAX_UNPACKED};

/// Entries of one artifact at most.
pub const MOST_ENTRIES: usize = 16;

/// A name and what it holds.
pub type Entry = (String, Vec<u8>);

/// The entries of an artifact, in their order.
///
/// # Errors
/// [`ArtifactError`] where it is no archive or larger than an artifact can be.
#[expect(clippy::disallowed_methods, reason = "cut off at MAX_UNPACKED + 1 bytes")]
pub fn split(artifact: &[u8]) -> Result<Vec<Entry>, ArtifactError> {
    let mut tar = Vec::new();
    GzDecoder::new(artifact).take(MAX_UNPACKED as u64 + 1).read_to_end(&mut tar)?;
    if tar.len() > MAX_UNPACKED {
        return Err(ArtifactError::TooLarge);
    }
    let mut entries = Vec::new();
    for entry in Archive::new(tar.as_slice()).entries()?.raw(true).take(MOST_ENTRIES) {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        entry.by_ref().take(MAX_UNPACKED as u64).read_to_end(&mut content)?;
        entries.push((name, content));
    }
    Ok(entries)
}

/// The artifact of these entries; stored, not compressed.
///
/// # Errors
/// [`ArtifactError`] where a name is none or all of them are larger than an artifact can be.
pub fn join(entries: &[Entry]) -> Result<Vec<u8>, ArtifactError> {
    let size: usize = entries.iter().map(|(_, content)| content.len()).sum();
    if size > MAX_UNPACKED || entries.len() > MOST_ENTRIES {
        return Err(ArtifactError::TooLarge);
    }
    let mut archive = Builder::new(GzBuilder::new().mtime(0).write(Vec::new(), Compression::none()));
    for (name, content) in entries {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, name, content.as_slice())?;
    }
    Ok(archive.into_inner()?.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifact::{pack, unpack};
    use crate::features::FEATURES;
    use crate::training::{TrainParams, TrainingSet, train};

    #[test]
    fn an_artifact_taken_apart_and_put_together_is_the_same_model() {
        let mut set = TrainingSet::default();
        for i in 0..12 {
            set.ids.push(i.to_string());
            set.features.push((0..FEATURES).map(|j| f64::from(i) * (j as f64 + 1.0)).collect());
            set.scores.push(f64::from(i));
        }
        let trained = train(&set, &TrainParams::default()).unwrap();
        let packed = pack(&trained.model, &trained.card).unwrap();
        let entries = split(&packed).unwrap();
        assert_eq!(unpack(&join(&entries).unwrap()).unwrap(), unpack(&packed).unwrap());
        assert!(split(b"no archive").is_err());
        assert!(join(&[("x".into(), vec![0; MAX_UNPACKED + 1])]).is_err());
    }
}
