//! Reading from a bucket: whole and as it was kept, or an error.

use super::failure::{Failure, Kind};
use super::upload::DIGEST;
use super::{Bucket, too_slow};
use crate::domain::object_key::ObjectKey;
use crate::storage::objects::{Digest, ObjectError};
use aws_sdk_s3::primitives::ByteStreamError;
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// Why one attempt gave nothing.
enum Stop {
    /// The body ended early.
    Cut,
    /// The body's checksum is not the one that the store keeps.
    Checksum,
    Failed(ObjectError),
}

impl From<ObjectError> for Stop {
    fn from(error: ObjectError) -> Self {
        Self::Failed(error)
    }
}

impl Bucket {
    pub(in crate::storage::objects) async fn get(
        &self,
        key: &ObjectKey,
        digest: Option<Digest>,
    ) -> Result<Bytes, ObjectError> {
        let (bytes, kept) = Box::pin(self.read(key, None)).await?;
        if let Some(digest) = digest.or(kept) {
            digest.check(&bytes)?;
        }
        Ok(bytes)
    }

    pub(in crate::storage::objects) async fn get_range(
        &self,
        key: &ObjectKey,
        range: Range<u64>,
    ) -> Result<Bytes, ObjectError> {
        // HTTP has no empty range.
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        Ok(Box::pin(self.read(key, Some(range))).await?.0)
    }

    pub(in crate::storage::objects) async fn size(&self, key: &ObjectKey) -> Result<u64, ObjectError> {
        let request = self.0.client.head_object().bucket(&self.0.name).key(self.key(key)).send();
        match Box::pin(tokio::time::timeout(self.0.timeout, request)).await.map_err(too_slow)? {
            Ok(head) => head
                .content_length()
                .and_then(|length| u64::try_from(length).ok())
                .ok_or(ObjectError::Unavailable("it did not say how long an object is")),
            Err(error) => match Failure::of("HeadObject", &error) {
                Failure { kind: Kind::NotFound, .. } => Err(ObjectError::NotFound),
                failure => Err(failure.into()),
            },
        }
    }

    /// The bytes, and the digest that the object's metadata tells.
    async fn read(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<(Bytes, Option<Digest>), ObjectError> {
        for attempt in 0.. {
            let read = tokio::time::timeout(self.0.timeout * 2, self.read_once(key, range.as_ref()));
            let last = attempt + 1 >= self.0.max_attempts;
            match read.await.map_err(too_slow)? {
                Ok(read) => return Ok(read),
                Err(Stop::Failed(error)) => return Err(error),
                Err(Stop::Cut) if last => return Err(ObjectError::Unavailable("a body ended early, again and again")),
                Err(Stop::Checksum) if last => return Err(ObjectError::Corrupt),
                Err(Stop::Cut | Stop::Checksum) => self.pause(attempt).await,
            }
        }
        Err(ObjectError::Unavailable("it was tried too often"))
    }

    async fn read_once(&self, key: &ObjectKey, range: Option<&Range<u64>>) -> Result<(Bytes, Option<Digest>), Stop> {
        let request = self.0.client.get_object().bucket(&self.0.name).key(self.key(key));
        let asked = range.map(|range| format!("bytes={}-{}", range.start, range.end - 1));
        let mut answer = match request.set_range(asked).send().await {
            Ok(answer) => answer,
            Err(error) => match Failure::of("GetObject", &error) {
                Failure { kind: Kind::BadRange, .. } => return Ok((Bytes::new(), None)),
                failure => return Err(Stop::Failed(failure.into())),
            },
        };
        let length = answer.content_length().and_then(|length| u64::try_from(length).ok());
        let most = range.map_or(u64::MAX, |range| range.end - range.start).min(self.0.max_read);
        if length.is_some_and(|length| length > most) {
            return Err(Stop::Failed(ObjectError::TooLarge));
        }
        let mut bytes = BytesMut::with_capacity(length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0));
        while let Some(chunk) = answer.body.next().await {
            let chunk = chunk.map_err(|error| stop(&error))?;
            if (bytes.len() + chunk.len()) as u64 > most {
                return Err(Stop::Failed(ObjectError::TooLarge));
            }
            bytes.extend_from_slice(&chunk);
        }
        // A range has no checksum; but the answer says twice how long it is.
        let promised = match range {
            None => length,
            Some(range) => Some(answer.content_range().and_then(|text| length_of(text, range)).ok_or(Stop::Cut)?),
        };
        if promised.is_some_and(|promised| promised != bytes.len() as u64) {
            return Err(Stop::Cut);
        }
        let kept = answer.metadata().and_then(|metadata| metadata.get(DIGEST));
        let kept = kept.and_then(|text| blake3::Hash::from_hex(text).ok()).map(|hash| Digest(*hash.as_bytes()));
        Ok((bytes.freeze(), kept))
    }
}

/// The length of a `Content-Range` such as `bytes 0-9/100`, where it is that of the range that was asked for.
fn length_of(text: &str, asked: &Range<u64>) -> Option<u64> {
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, end, whole) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()? + 1, whole.parse::<u64>().ok()?);
    (first == asked.start && end == asked.end.min(whole)).then(|| end - first)
}

fn stop(error: &ByteStreamError) -> Stop {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<aws_smithy_checksums::body::validate::Error>() {
            return Stop::Checksum;
        }
        cause = error.source();
    }
    Stop::Cut
}
