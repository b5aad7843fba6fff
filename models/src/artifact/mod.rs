//! Model and card as one `.tar.gz`, and back again from bytes that anyone may have written.
//!
//! Entries: `model` ([`encoding`]) and `model_card.json`. The same model gives the same bytes. Artifacts of earlier formats are read
//! as what they would be today: the features of format 1 are the first of today's, and nothing else is used of a recording.

use std::io::{Read, Write};

use flate2::{Compression, GzBuilder, bufread::GzDecoder};
use tar::{Archive, Builder, EntryType, Header};
use thiserror::Error;

pub mod encoding;

use self::encoding::{Malformed, decode, encode};
use crate::card::{FORMAT_VERSION, ModelCard, OLDEST_VERSION};
use crate::features::{FEATURE_SET, FORMER_FEATURES, FORMER_SET, names};
use crate::model::{ModelError, TrainedModel};

/// Name of the entry with the numbers.
pub const MODEL_ENTRY: &str = "model";
/// Name of the entry with the card.
pub const CARD_ENTRY: &str = "model_card.json";
/// Largest compressed artifact that is looked at, in bytes.
pub const MAX_PACKED: usize = 1 << 20;
/// Largest artifact after decompression, in bytes.
pub const MAX_UNPACKED: usize = 4 << 20;

const OPERATING_SYSTEM_UNKNOWN: u8 = 255;

/// Why an artifact could not be packed or was refused.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// More than [`MAX_PACKED`] bytes, or more than [`MAX_UNPACKED`] after decompression.
    #[error("the artifact is larger than a model can be")]
    TooLarge,
    /// Not a gzip stream of a tar archive, or cut short.
    #[error("the artifact is not a readable .tar.gz: {0}")]
    Archive(#[from] std::io::Error),
    /// Bytes after the end of the gzip stream.
    #[error("the artifact has bytes after its end")]
    Trailing,
    /// An entry that does not belong, is no regular file, or is there twice.
    #[error("the artifact holds an unexpected entry `{0}`")]
    UnexpectedEntry(String),
    /// An entry is absent.
    #[error("the artifact has no entry `{0}`")]
    MissingEntry(&'static str),
    /// The card is no card.
    #[error("the model card cannot be read: {0}")]
    Card(#[from] serde_json::Error),
    /// The entry `model` is not in its format.
    #[error("the entry `model` is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// Written in another format.
    #[error("the artifact has format version {found}, this program reads {OLDEST_VERSION} to {FORMAT_VERSION}")]
    FormatVersion {
        /// Version in the card.
        found: u32,
    },
    /// Trained on other features.
    #[error("the model needs feature set `{found}`, this program computes `{FEATURE_SET}`")]
    FeatureSet {
        /// Feature set in the card.
        found: String,
    },
    /// Model and card, or card and feature set, disagree.
    #[error("model and card do not fit together: {0}")]
    Mismatch(&'static str),
    /// The numbers make no model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// Packs model and card; equal input gives equal bytes.
///
/// # Errors
/// [`ArtifactError::Mismatch`] and others of [`unpack`] where what was given could not be unpacked again.
pub fn pack(model: &TrainedModel, card: &ModelCard) -> Result<Vec<u8>, ArtifactError> {
    if card.format_version != FORMAT_VERSION {
        return Err(ArtifactError::FormatVersion { found: card.format_version });
    }
    agree(model, card)?;
    let gzip = GzBuilder::new().mtime(0).operating_system(OPERATING_SYSTEM_UNKNOWN);
    let mut archive = Builder::new(gzip.write(Vec::new(), Compression::default()));
    append(&mut archive, MODEL_ENTRY, &encode(model))?;
    append(&mut archive, CARD_ENTRY, &serde_json::to_vec_pretty(card)?)?;
    let packed = archive.into_inner()?.finish()?;
    if packed.len() > MAX_PACKED { Err(ArtifactError::TooLarge) } else { Ok(packed) }
}

/// Unpacks an artifact. Never panics, and reads no more than [`MAX_UNPACKED`] bytes whatever the input claims.
///
/// # Errors
/// [`ArtifactError`] says what was refused.
#[expect(clippy::disallowed_methods, reason = "an entry is a part of the decompressed bytes, and cut off besides")]
pub fn unpack(bytes: &[u8]) -> Result<(TrainedModel, ModelCard), ArtifactError> {
    if bytes.len() > MAX_PACKED {
        return Err(ArtifactError::TooLarge);
    }
    let tar = decompress(bytes)?;
    let (mut model, mut card) = (None, None);
    // Raw: entries that would rename or resize others are seen as entries themselves, and refused.
    for entry in Archive::new(tar.as_slice()).entries()?.raw(true) {
        let mut entry = entry?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let slot = match name.as_str() {
            MODEL_ENTRY => &mut model,
            CARD_ENTRY => &mut card,
            _ => return Err(ArtifactError::UnexpectedEntry(name)),
        };
        if entry.header().entry_type() != EntryType::Regular || slot.is_some() {
            return Err(ArtifactError::UnexpectedEntry(name));
        }
        let expected = entry.size();
        let mut content = Vec::new();
        entry.by_ref().take(MAX_UNPACKED as u64).read_to_end(&mut content)?;
        if content.len() as u64 != expected {
            return Err(ArtifactError::Archive(std::io::ErrorKind::UnexpectedEof.into()));
        }
        *slot = Some(content);
    }
    let card: ModelCard = serde_json::from_slice(&card.ok_or(ArtifactError::MissingEntry(CARD_ENTRY))?)?;
    if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&card.format_version) {
        return Err(ArtifactError::FormatVersion { found: card.format_version });
    }
    let parts = decode(&model.ok_or(ArtifactError::MissingEntry(MODEL_ENTRY))?, card.format_version)?;
    let model = TrainedModel::try_from(parts)?;
    agree(&model, &card)?;
    Ok((model, card))
}

fn agree(model: &TrainedModel, card: &ModelCard) -> Result<(), ArtifactError> {
    let (set, features) = match card.format_version {
        OLDEST_VERSION => (FORMER_SET, FORMER_FEATURES),
        2 | FORMAT_VERSION => (FEATURE_SET, names().len()),
        found => return Err(ArtifactError::FormatVersion { found }),
    };
    if card.feature_set != set {
        return Err(ArtifactError::FeatureSet { found: card.feature_set.clone() });
    }
    if names().get(..features) != Some(card.feature_names.as_slice()) {
        return Err(ArtifactError::Mismatch("names of the features"));
    }
    if model.linear().terms.len() != names().len() {
        return Err(ArtifactError::Mismatch("number of weights"));
    }
    if card.recordings != card.training_recordings.len() {
        return Err(ArtifactError::Mismatch("number of training recordings"));
    }
    Ok(())
}

fn append<W: Write>(archive: &mut Builder<W>, name: &str, content: &[u8]) -> Result<(), ArtifactError> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    archive.append_data(&mut header, name, content)?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "cut off at MAX_UNPACKED + 1 bytes")]
fn decompress(bytes: &[u8]) -> Result<Vec<u8>, ArtifactError> {
    let mut decoder = GzDecoder::new(bytes);
    let mut tar = Vec::new();
    decoder.by_ref().take(MAX_UNPACKED as u64 + 1).read_to_end(&mut tar)?;
    if tar.len() > MAX_UNPACKED {
        return Err(ArtifactError::TooLarge);
    }
    if decoder.into_inner().is_empty() { Ok(tar) } else { Err(ArtifactError::Trailing) }
}

#[cfg(test)]
mod tests;
