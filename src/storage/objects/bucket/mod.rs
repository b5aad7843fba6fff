//! Objects in a bucket: Amazon S3, or a server that speaks its language. What is staged is a nameless local file, so a
//! killed process leaves nothing.

mod body;
mod connect;
mod failure;
mod read;
mod upload;

pub use connect::{BucketSettings, Encryption};

use super::staged::Spot;
use super::{Listed, ObjectError, PAGE, Page, Shown, Staged};
use crate::domain::entropy::Entropy;
use crate::domain::object_key::ObjectKey;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::presigning::PresigningConfig;
use failure::{Failure, Kind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::context::TokioContext;

/// Pause before the second try of a read or write; it doubles with each, up to the longest. A request's own attempts are
/// the client's.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(3_200);

/// A bucket, or what is below a prefix in one. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bucket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    name: String,
    /// Nothing, or with a `/` at its end.
    prefix: String,
    encryption: Encryption,
    timeout: Duration,
    max_attempts: u32,
    max_read: u64,
    spool: Arc<Path>,
    sizes: Sizes,
    /// A permit for each KiB of a staged object that is in memory on its way to the bucket.
    memory: Semaphore,
    entropy: Entropy,
    /// The runtime that drives the connections: they are everybody's, and outlive the actor that opened one.
    home: Handle,
}

/// How bodies are cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// A longer body is sent in parts.
    pub(super) in_parts_over: u64,
    /// Bytes of a part; S3 takes none under 5 MiB but the last.
    pub(super) part: u64,
    /// Bytes of staged objects in memory at once.
    pub(super) in_memory: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { in_parts_over: 8 << 20, part: 8 << 20, in_memory: 64 << 20 }
    }
}

impl Bucket {
    /// Runs what may open a connection where no actor that hangs can hold it up.
    pub(super) fn at_home<F: Future>(&self, work: F) -> TokioContext<F> {
        TokioContext::new(work, self.0.home.clone())
    }

    pub(super) fn stage(&self) -> Staged {
        Staged::new(Spot::Nameless(self.0.spool.clone()))
    }

    pub(super) async fn delete(&self, key: &ObjectKey) -> Result<(), ObjectError> {
        let request = self.0.client.delete_object().bucket(&self.0.name).key(self.key(key));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match Failure::of("DeleteObject", &error) {
                Failure { kind: Kind::NotFound, .. } => Ok(()),
                failure => Err(failure.into()),
            },
        }
    }

    pub(super) async fn list(&self, prefix: &str, after: Option<&ObjectKey>) -> Result<Page, ObjectError> {
        let mut continued: Option<String> = None;
        loop {
            let page = self.list_once(prefix, after, continued).await?;
            let more = page.is_truncated().unwrap_or_default();
            let objects: Vec<_> = page
                .contents()
                .iter()
                .filter_map(|object| {
                    let key = object.key()?.strip_prefix(&self.0.prefix)?.to_owned();
                    let bytes = u64::try_from(object.size().unwrap_or_default()).unwrap_or_default();
                    Some(Listed { key: ObjectKey::from_row(key), bytes })
                })
                .collect();
            let last = objects.last().map(|last| last.key.clone());
            continued = page.next_continuation_token;
            // A page may be empty and yet not the last.
            if !more || last.is_some() || continued.is_none() {
                return Ok(Page { objects, next: last.filter(|_| more) });
            }
        }
    }

    async fn list_once(
        &self,
        prefix: &str,
        after: Option<&ObjectKey>,
        continued: Option<String>,
    ) -> Result<ListObjectsV2Output, ObjectError> {
        let request = self.0.client.list_objects_v2().bucket(&self.0.name).prefix(format!("{}{prefix}", self.0.prefix));
        let request = request.max_keys(i32::try_from(PAGE).unwrap_or(i32::MAX)).set_continuation_token(continued);
        let request = request.set_start_after(after.map(|key| self.key(key)));
        request.send().await.map_err(|error| Failure::of("ListObjectsV2", &error).into())
    }

    pub(super) async fn link(
        &self,
        key: &ObjectKey,
        valid_for: Duration,
        shown: &Shown,
    ) -> Result<String, ObjectError> {
        let validity = PresigningConfig::expires_in(valid_for)
            .map_err(|_| ObjectError::Refused("a link cannot be valid for so long".into()))?;
        let request = self.0.client.get_object().bucket(&self.0.name).key(self.key(key));
        let request = request.response_content_type(shown.media_type).response_cache_control("no-store");
        let request = request.response_content_disposition(&shown.disposition);
        let signed = request.presigned(validity).await.map_err(|error| Failure::of("GetObject", &error))?;
        Ok(signed.uri().to_owned())
    }

    /// Asks for a listing of one key: that says more than `HeadBucket`, whose refusals have no code.
    pub(super) async fn ping(&self) -> Result<(), ObjectError> {
        let request = self.0.client.list_objects_v2().bucket(&self.0.name).prefix(&self.0.prefix).max_keys(1);
        request.send().await.map(drop).map_err(|error| Failure::of("ListObjectsV2", &error).into())
    }

    fn key(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.0.prefix)
    }

    /// Waits before the attempt that follows this one, counted from 0.
    async fn pause(&self, attempt: u32) {
        tokio::time::sleep(self.0.entropy.backoff(PAUSE, LONGEST_PAUSE, attempt + 1)).await;
    }
}

/// The error when a time limit is over.
fn too_slow<E>(_: E) -> ObjectError {
    ObjectError::Unavailable("it did not answer in time")
}
