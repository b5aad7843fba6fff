//! A zip archive that is never whole anywhere: what is put in comes out compressed, and is sent before more is put in.
//! Sizes follow the files (data descriptors), and the directory at the end is zip64 where it must be.

use super::body::{NotTaken, Outlet};
use crate::actors::compute::{Compute, ComputeError};
use crate::storage::objects::Digest;
use bytes::Bytes;
use chrono::{DateTime, Datelike, Timelike, Utc};
use serde::Serialize;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

/// Largest file of an archive: larger ones would need sizes that are known before.
const LARGEST_FILE: u64 = (4 << 30) - 1;
/// zlib's level: a higher one takes twice the time for a few per cent.
const LEVEL: i64 = 4;

/// Bytes that are worth being sent before the end.
const SMALLEST_PIECE: usize = 32 << 10;

/// Why there is no more of an archive.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArchiveError {
    /// Nobody takes it any more.
    #[error("nobody takes the archive any more")]
    NotTaken,
    /// A piece before was not compressed.
    #[error("a piece before was not compressed")]
    Broken,
    /// The numbers could not be crunched.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// The archive cannot hold it.
    #[error("the archive cannot hold it")]
    Zip(#[from] zip::result::ZipError),
    /// It cannot be compressed.
    #[error("it cannot be compressed")]
    Io(#[from] io::Error),
}

impl From<NotTaken> for ArchiveError {
    fn from(_: NotTaken) -> Self {
        Self::NotTaken
    }
}

/// What the archive says of a file in it.
#[derive(Debug, Serialize)]
pub(super) struct FileEntry {
    path: String,
    bytes: u64,
    /// BLAKE3 of the file, hexadecimal.
    blake3: String,
}

/// An archive under way.
pub(super) struct Archive {
    /// On the heap, for it holds the compressor's state; absent while a piece is compressed.
    zip: Option<Box<Zip>>,
    made: Made,
    outlet: Outlet,
    compute: Compute,
    made_at: zip::DateTime,
}

type Zip = ZipWriter<StreamWriter<Made>>;

/// The compressed bytes that were not sent yet.
#[derive(Debug, Clone, Default)]
struct Made(Arc<Mutex<Vec<u8>>>);

impl Made {
    fn take(&self) -> Bytes {
        std::mem::take(&mut *self.bytes()).into()
    }

    fn len(&self) -> usize {
        self.bytes().len()
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Made {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How a file is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Compressed.
    Deflated,
    /// As it is: it is compressed already.
    Stored,
}

/// A file under way in its archive.
pub(super) struct OpenFile {
    path: String,
    bytes: u64,
    hasher: Box<blake3::Hasher>,
}

impl OpenFile {
    /// The digest of what was put in.
    pub(super) fn digest(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }
}

impl Archive {
    /// An empty one; its files are of that time, UTC.
    pub(super) fn new(outlet: Outlet, compute: Compute, made_at: DateTime<Utc>) -> Self {
        let made = Made::default();
        let zip = Some(Box::new(ZipWriter::new_stream(made.clone())));
        Self { zip, made, outlet, compute, made_at: in_zip(made_at) }
    }

    /// Begins a file; the one before is over then.
    pub(super) fn open(&mut self, path: String, packing: Packing) -> Result<OpenFile, ArchiveError> {
        let options = SimpleFileOptions::default().unix_permissions(0o600).last_modified_time(self.made_at);
        let options = match packing {
            Packing::Deflated => options.compression_method(CompressionMethod::Deflated).compression_level(Some(LEVEL)),
            Packing::Stored => options.compression_method(CompressionMethod::Stored),
        };
        self.zip.as_mut().ok_or(ArchiveError::Broken)?.start_file(path.as_str(), options)?;
        Ok(OpenFile { path, bytes: 0, hasher: Box::default() })
    }

    /// Adds to the file, and sends what came out of it.
    pub(super) async fn write(&mut self, file: &mut OpenFile, piece: Bytes) -> Result<(), ArchiveError> {
        file.bytes += piece.len() as u64;
        if file.bytes > LARGEST_FILE {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
        }
        let mut zip = self.zip.take().ok_or(ArchiveError::Broken)?;
        let mut hasher = std::mem::take(&mut file.hasher);
        let worked = self.compute.run(move || {
            hasher.update(&piece);
            zip.write_all(&piece).map(|()| (zip, hasher))
        });
        let (zip, hasher) = worked.await??;
        (self.zip, file.hasher) = (Some(zip), hasher);
        if self.made.len() < SMALLEST_PIECE {
            return Ok(());
        }
        Ok(self.outlet.send(self.made.take()).await?)
    }

    /// What is to be said of a file that is over.
    pub(super) fn entry(file: OpenFile) -> FileEntry {
        FileEntry { path: file.path, bytes: file.bytes, blake3: file.hasher.finalize().to_hex().to_string() }
    }

    /// Writes the directory and sends the rest.
    pub(super) async fn finish(self) -> Result<(), ArchiveError> {
        let Self { zip, made, outlet, compute, .. } = self;
        let zip = zip.ok_or(ArchiveError::Broken)?;
        compute.run(move || zip.finish().map(drop)).await??;
        outlet.send(made.take()).await?;
        Ok(outlet.end().await?)
    }
}

/// The time as an archive keeps it: from 1980 to 2107, in steps of two seconds.
fn in_zip(time: DateTime<Utc>) -> zip::DateTime {
    let small = |number: u32| u8::try_from(number).unwrap_or_default();
    let (date, clock) = (time.date_naive(), time.time());
    zip::DateTime::from_date_and_time(
        u16::try_from(date.year()).unwrap_or_default(),
        small(date.month()),
        small(date.day()),
        small(clock.hour()),
        small(clock.minute()),
        small(clock.second()),
    )
    .unwrap_or_default()
}
