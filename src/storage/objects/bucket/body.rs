//! A body on its way to a bucket: a staged file, of which a piece at a time is in memory, or bytes that are there.

use super::{Bucket, too_slow};
use crate::storage::objects::{Digest, ObjectError, Staged, on_disk};
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::sync::SemaphorePermit;

/// What is sent.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) digest: Digest,
    pub(super) len: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(Arc<File>),
    Memory(Bytes),
}

/// A piece in memory, and the place that it takes there.
pub(super) struct Piece<'a> {
    pub(super) stream: ByteStream,
    _place: Option<SemaphorePermit<'a>>,
}

impl Body {
    pub(super) fn staged(staged: &Staged) -> Self {
        let source = staged.file().map_or(Source::Memory(Bytes::new()), Source::File);
        Self { digest: staged.digest(), len: staged.len(), source }
    }

    pub(super) fn bytes(bytes: Bytes) -> Self {
        Self { digest: Digest::of(&bytes), len: bytes.len() as u64, source: Source::Memory(bytes) }
    }

    /// A piece of it. Waits for a place in memory, not for longer than a request may take.
    pub(super) async fn piece<'a>(&self, bucket: &'a Bucket, range: Range<u64>) -> Result<Piece<'a>, ObjectError> {
        let start = usize::try_from(range.start).map_err(|_| ObjectError::TooLarge)?;
        let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(|_| ObjectError::TooLarge)?;
        match &self.source {
            Source::Memory(bytes) => Ok(Piece { stream: bytes.slice(start..start + length).into(), _place: None }),
            Source::File(file) => {
                let place = bucket.place(length).await?;
                let (file, offset) = (file.clone(), range.start);
                let bytes = on_disk(move || {
                    let mut bytes = vec![0; length];
                    file.read_exact_at(&mut bytes, offset)?;
                    Ok(Bytes::from(bytes))
                });
                Ok(Piece { stream: bytes.await?.into(), _place: Some(place) })
            }
        }
    }
}

impl Bucket {
    async fn place(&self, bytes: usize) -> Result<SemaphorePermit<'_>, ObjectError> {
        let all = self.0.sizes.in_memory >> 10;
        let permits = u32::try_from((bytes as u64 >> 10).clamp(1, all.max(1))).unwrap_or(u32::MAX);
        let permit = tokio::time::timeout(self.0.timeout, self.0.memory.acquire_many(permits)).await;
        permit.map_err(too_slow)?.map_err(too_slow)
    }
}
