//! The object store as DataFusion reads it: our own, for reading only. What is read is counted.

use super::parts::Counts;
use crate::domain::object_key::ObjectKey;
use crate::storage::objects::{ObjectError, Objects};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use datafusion::object_store::path::Path;
use datafusion::object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Our objects, for one query.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    objects: Objects,
    counts: Arc<Counts>,
}

impl Reading {
    pub(super) fn new(objects: Objects, counts: Arc<Counts>) -> Self {
        Self { objects, counts }
    }

    async fn read(&self, location: &Path, range: Range<u64>) -> Result<Bytes> {
        let bytes = self.objects.get_range(&key(location)?, range).await.map_err(|error| self.failed(error))?;
        self.counts.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

impl Reading {
    /// Without the object's key.
    fn failed(&self, error: ObjectError) -> Error {
        self.counts.failed(&error);
        Error::Generic { store: "lake", source: error.into() }
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lake")
    }
}

/// What a file is to DataFusion: its key, in which it escapes what a path of its own may not hold.
pub(super) fn meta(key: &ObjectKey, size: u64) -> ObjectMeta {
    ObjectMeta {
        location: Path::from(key.as_str()),
        last_modified: DateTime::<Utc>::UNIX_EPOCH,
        size,
        e_tag: None,
        version: None,
    }
}

fn key(location: &Path) -> Result<ObjectKey> {
    let text = percent_encoding::percent_decode_str(location.as_ref()).decode_utf8();
    Ok(ObjectKey::from_row(text.map_err(|error| Error::Generic { store: "lake", source: error.into() })?.into_owned()))
}

fn refused<T>(operation: &str) -> Result<T> {
    Err(Error::NotImplemented { operation: operation.to_owned(), implementer: "a lake that is only read".to_owned() })
}

#[async_trait]
impl ObjectStore for Reading {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let size = self.objects.size(&key(location)?).await.map_err(|error| self.failed(error))?;
        let meta = ObjectMeta { location: location.clone(), ..meta(&key(location)?, size) };
        let range = match &options.range {
            None => 0..size,
            Some(range) => {
                range.as_range(size).map_err(|error| Error::Generic { store: "lake", source: error.into() })?
            }
        };
        let bytes = if options.head { Bytes::new() } else { self.read(location, range.clone()).await? };
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::once(async move { Ok(bytes) }).boxed()),
            meta,
            range,
            attributes: Attributes::new(),
        })
    }

    /// Ranges that are near to one another are one read: a request to a bucket costs more than the bytes between.
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        const NEAR: u64 = 256 << 10;
        datafusion::object_store::coalesce_ranges(ranges, |range| self.read(location, range), NEAR).await
    }

    /// The database knows the files.
    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::once(async { refused("list") }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        refused("list_with_delimiter")
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        refused("put_opts")
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        refused("put_multipart_opts")
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::once(async { refused("delete_stream") }).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        refused("copy_opts")
    }
}
