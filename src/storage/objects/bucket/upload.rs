//! Writing to a bucket. An answer may be lost: each write carries a mark of its own in the object's metadata, by which
//! it is told afterwards whether it, or another, made the object that is there.

use super::body::Body;
use super::failure::{Failure, Kind};
use super::{Bucket, Encryption, too_slow};
use crate::domain::object_key::ObjectKey;
use crate::storage::objects::{ObjectError, Staged};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ServerSideEncryption};
use bytes::Bytes;
use std::time::Duration;

/// Metadata: the BLAKE3 digest of the object, hexadecimal.
pub(super) const DIGEST: &str = "stance-blake3";
/// Metadata: the mark of the write that made it.
const WRITE: &str = "stance-write";
/// The request that makes an object of parts.
const COMPLETE: &str = "CompleteMultipartUpload";
/// Longest time to look whether a write was done whose answer was lost.
const LOOK: Duration = Duration::from_secs(5);

/// Whether a key that is there is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Keep,
    Replace,
}

impl Rule {
    fn if_none_match(self) -> Option<String> {
        match self {
            Self::Keep => Some("*".to_owned()),
            Self::Replace => None,
        }
    }
}

/// One write.
struct Write<'a> {
    bucket: &'a Bucket,
    key: String,
    body: Body,
    rule: Rule,
    mark: String,
}

/// Why a write did not come to its end.
enum Stop {
    Failed(Failure),
    /// Of our own doing, before the store was asked.
    Local(ObjectError),
}

impl From<ObjectError> for Stop {
    fn from(error: ObjectError) -> Self {
        Self::Local(error)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Bucket {
    pub(in crate::storage::objects) async fn keep(&self, staged: &Staged, key: &ObjectKey) -> Result<(), ObjectError> {
        self.write(key, Body::staged(staged), Rule::Keep).await
    }

    pub(in crate::storage::objects) async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), ObjectError> {
        self.write(key, Body::bytes(bytes), Rule::Replace).await
    }

    async fn write(&self, key: &ObjectKey, body: Body, rule: Rule) -> Result<(), ObjectError> {
        let mark = self.0.entropy.uuid().simple().to_string();
        let write = Write { bucket: self, key: self.key(key), body, rule, mark };
        Box::pin(write.perform()).await
    }
}

impl Write<'_> {
    async fn perform(&self) -> Result<(), ObjectError> {
        let attempts = self.bucket.0.max_attempts;
        for attempt in 0.. {
            let stop = if self.body.len > self.bucket.0.sizes.in_parts_over {
                self.in_parts().await
            } else {
                self.at_once().await
            };
            let failure = match stop {
                Ok(()) => return Ok(()),
                Err(Stop::Local(error)) => return Err(error),
                Err(Stop::Failed(failure)) => failure,
            };
            let again = match failure.kind {
                Kind::Conflict => true,
                // There is an object: that of an earlier attempt, whose answer was lost, or another's.
                Kind::Precondition => match self.is_there().await? {
                    Some(true) => return Ok(()),
                    Some(false) => return Err(ObjectError::Exists),
                    // Deleted since.
                    None => true,
                },
                Kind::Away(_) | Kind::NoSuchUpload if self.is_done().await => return Ok(()),
                // What was completed already is refused in many ways when its answer was lost and it is asked again.
                Kind::Refused if failure.operation == COMPLETE && self.is_done().await => return Ok(()),
                Kind::Away(_) | Kind::NoSuchUpload | Kind::NotFound | Kind::BadRange | Kind::Full | Kind::Refused => {
                    false
                }
            };
            if !again || attempt + 1 >= attempts {
                return Err(match failure.kind {
                    Kind::Precondition => ObjectError::Unavailable("another write to the key is under way"),
                    // Nothing that is written is looked for.
                    Kind::NotFound => ObjectError::Refused("the key is not accepted".into()),
                    Kind::Conflict
                    | Kind::NoSuchUpload
                    | Kind::BadRange
                    | Kind::Full
                    | Kind::Away(_)
                    | Kind::Refused => failure.into(),
                });
            }
            self.bucket.pause(attempt).await;
        }
        Err(ObjectError::Unavailable("it was tried too often"))
    }

    async fn at_once(&self) -> Result<(), Stop> {
        let piece = self.body.piece(self.bucket, 0..self.body.len).await?;
        let inner = &self.bucket.0;
        let request = inner.client.put_object().bucket(&inner.name).key(&self.key).body(piece.stream);
        let (encryption, kms_key) = self.encryption();
        let request = request
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .metadata(DIGEST, self.digest())
            .metadata(WRITE, &self.mark)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key)
            .set_if_none_match(self.rule.if_none_match());
        request.send().await.map_err(|error| Failure::of("PutObject", &error))?;
        Ok(())
    }

    async fn in_parts(&self) -> Result<(), Stop> {
        let inner = &self.bucket.0;
        let mut upload = self.begin().await?;
        let mut parts = Vec::new();
        let mut start = 0;
        while start < self.body.len {
            let end = self.body.len.min(start + inner.sizes.part);
            let number = i32::try_from(parts.len() + 1).map_err(|_| ObjectError::TooLarge)?;
            parts.push(self.send_part(&upload.id, number, start..end).await?);
            start = end;
        }
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = inner.client.complete_multipart_upload().bucket(&inner.name).key(&self.key);
        let request = request.upload_id(&upload.id).multipart_upload(parts);
        let request = request.set_if_none_match(self.rule.if_none_match());
        request.send().await.map_err(|error| Failure::of(COMPLETE, &error))?;
        upload.is_over = true;
        Ok(())
    }

    async fn begin(&self) -> Result<Upload, Stop> {
        let inner = &self.bucket.0;
        let (encryption, kms_key) = self.encryption();
        let request = inner.client.create_multipart_upload().bucket(&inner.name).key(&self.key);
        let request = request
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .metadata(DIGEST, self.digest())
            .metadata(WRITE, &self.mark)
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key);
        let begun = request.send().await.map_err(|error| Failure::of("CreateMultipartUpload", &error))?;
        let id = begun.upload_id.ok_or(ObjectError::Unavailable("its answer was broken"))?;
        Ok(Upload { bucket: self.bucket.clone(), key: self.key.clone(), id, is_over: false })
    }

    async fn send_part(&self, id: &str, number: i32, range: std::ops::Range<u64>) -> Result<CompletedPart, Stop> {
        let inner = &self.bucket.0;
        let piece = self.body.piece(self.bucket, range).await?;
        let request = inner.client.upload_part().bucket(&inner.name).key(&self.key).upload_id(id).part_number(number);
        let request = request.checksum_algorithm(ChecksumAlgorithm::Crc32).body(piece.stream);
        let sent = request.send().await.map_err(|error| Failure::of("UploadPart", &error))?;
        let part = CompletedPart::builder().part_number(number);
        Ok(part.set_e_tag(sent.e_tag).set_checksum_crc32(sent.checksum_crc32).build())
    }

    /// Whether it was done, although its answer was lost.
    async fn is_done(&self) -> bool {
        matches!(self.is_there().await, Ok(Some(true)))
    }

    /// Whether this write made the object that is there; none where there is no object.
    async fn is_there(&self) -> Result<Option<bool>, ObjectError> {
        let inner = &self.bucket.0;
        let request = inner.client.head_object().bucket(&inner.name).key(&self.key);
        match tokio::time::timeout(LOOK.min(inner.timeout), request.send()).await.map_err(too_slow)? {
            Ok(head) => {
                let says = |name: &str, value: &str| head.metadata()?.get(name).map(|found| found == value);
                let length = u64::try_from(head.content_length().unwrap_or_default()).unwrap_or_default();
                let ours = says(WRITE, &self.mark) == Some(true) && says(DIGEST, &self.digest()) == Some(true);
                Ok(Some(ours && length == self.body.len))
            }
            Err(error) => match Failure::of("HeadObject", &error) {
                Failure { kind: Kind::NotFound, .. } => Ok(None),
                failure => Err(failure.into()),
            },
        }
    }

    fn digest(&self) -> String {
        blake3::Hash::from_bytes(self.body.digest.0).to_hex().to_string()
    }

    fn encryption(&self) -> (Option<ServerSideEncryption>, Option<String>) {
        match &self.bucket.0.encryption {
            Encryption::Default => (None, None),
            Encryption::Aes256 => (Some(ServerSideEncryption::Aes256), None),
            Encryption::Kms(key) => (Some(ServerSideEncryption::AwsKms), key.clone()),
        }
    }
}

/// An upload in parts. Dropped before it is over, also because nobody waits for it any more, it is aborted, so that the
/// bucket does not keep its parts.
struct Upload {
    bucket: Bucket,
    key: String,
    id: String,
    is_over: bool,
}

impl Drop for Upload {
    fn drop(&mut self) {
        let (false, Ok(runtime)) = (self.is_over, tokio::runtime::Handle::try_current()) else { return };
        let inner = &self.bucket.0;
        let request = inner.client.abort_multipart_upload().bucket(&inner.name).key(&self.key).upload_id(&self.id);
        runtime.spawn(async move {
            if let Err(error) = request.send().await {
                match Failure::of("AbortMultipartUpload", &error) {
                    // Completed, and only the answer was lost.
                    Failure { kind: Kind::NoSuchUpload | Kind::NotFound, .. } => {}
                    failure => {
                        tracing::warn!(error = %ObjectError::from(failure), "an upload in parts was left in the bucket")
                    }
                }
            }
        });
    }
}
