//! Reading from a bucket: whole and as it was kept, or an error.

use super::failure::{Failure, Kind};
use super::upload::DIGEST;
use super::{Bucket, too_slow};
use crate::domain::object_key::ObjectKey;
use crate::storage::objects::{Digest, ObjectError};
use aws_sdk_s3::primitives::ByteStreamError;
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// Which bytes of an object.
enum Part {
    Whole,
    Range(Range<u64>),
    /// The last so many, or all of them where it has fewer.
    Tail(u64),
}

impl Part {
    fn header(&self) -> Option<String> {
        match self {
            Self::Whole => None,
            Self::Range(range) => Some(format!("bytes={}-{}", range.start, range.end - 1)),
            Self::Tail(bytes) => Some(format!("bytes=-{bytes}")),
        }
    }

    /// How many bytes it has at most.
    fn most(&self) -> u64 {
        match self {
            Self::Whole => u64::MAX,
            Self::Range(range) => range.end - range.start,
            Self::Tail(bytes) => *bytes,
        }
    }

    /// Which bytes it is of an object of that length.
    fn within(&self, whole: u64) -> Range<u64> {
        match self {
            Self::Whole => 0..whole,
            Self::Range(range) => range.start..range.end.min(whole),
            Self::Tail(bytes) => whole.saturating_sub(*bytes)..whole,
        }
    }
}

/// What was read.
struct Read {
    bytes: Bytes,
    /// The digest that the object's metadata tells.
    kept: Option<Digest>,
    /// The object's length, where a part of it was read.
    whole: u64,
}

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
        let Read { bytes, kept, .. } = Box::pin(self.read(key, &Part::Whole)).await?;
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
        Ok(Box::pin(self.read(key, &Part::Range(range))).await?.bytes)
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

    pub(in crate::storage::objects) async fn get_tail(
        &self,
        key: &ObjectKey,
        bytes: u64,
    ) -> Result<(Bytes, u64), ObjectError> {
        let read = Box::pin(self.read(key, &Part::Tail(bytes.max(1)))).await?;
        Ok((read.bytes, read.whole))
    }

    async fn read(&self, key: &ObjectKey, part: &Part) -> Result<Read, ObjectError> {
        for attempt in 0.. {
            let read = tokio::time::timeout(self.0.timeout * 2, self.read_once(key, part));
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

    async fn read_once(&self, key: &ObjectKey, part: &Part) -> Result<Read, Stop> {
        let request = self.0.client.get_object().bucket(&self.0.name).key(self.key(key));
        let mut answer = match request.set_range(part.header()).send().await {
            Ok(answer) => answer,
            Err(error) => match Failure::of("GetObject", &error) {
                // The object ends before the part begins.
                Failure { kind: Kind::BadRange, .. } => return Ok(Read { bytes: Bytes::new(), kept: None, whole: 0 }),
                failure => return Err(Stop::Failed(failure.into())),
            },
        };
        let length = answer.content_length().and_then(|length| u64::try_from(length).ok());
        let most = part.most().min(self.0.max_read);
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
        // A part has no checksum; but the answer says twice how long it is.
        let (promised, whole) = match part {
            Part::Whole => (length, bytes.len() as u64),
            Part::Range(_) | Part::Tail(_) => {
                let told = answer.content_range().and_then(|text| told_of(text, part)).ok_or(Stop::Cut)?;
                (Some(told.0), told.1)
            }
        };
        if promised.is_some_and(|promised| promised != bytes.len() as u64) {
            return Err(Stop::Cut);
        }
        let kept = answer.metadata().and_then(|metadata| metadata.get(DIGEST));
        let kept = kept.and_then(|text| blake3::Hash::from_hex(text).ok()).map(|hash| Digest(*hash.as_bytes()));
        Ok(Read { bytes: bytes.freeze(), kept, whole })
    }
}

/// The lengths of the part and of the object that a `Content-Range` such as `bytes 0-9/100` tells, where it is that of the
/// part that was asked for.
fn told_of(text: &str, asked: &Part) -> Option<(u64, u64)> {
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, end, whole) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()? + 1, whole.parse::<u64>().ok()?);
    (asked.within(whole) == (first..end)).then(|| (end - first, whole))
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
