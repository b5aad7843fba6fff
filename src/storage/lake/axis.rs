//! One axis of a recording out of its Parquet: the footer, `ts`, `utc_offset_minutes` and that column are read, and nothing
//! else of the file.

use crate::domain::object_key::ObjectKey;
use crate::domain::recording::{Axis, Timestamp};
use crate::storage::objects::{ObjectError, Objects};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int16Type, TimestampMicrosecondType};
use bytes::Bytes;
use futures_util::future::try_join_all;
use parquet::DecodeResult;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use parquet::arrow::push_decoder::ParquetPushDecoderBuilder;
use parquet::errors::ParquetError;
use parquet::file::FOOTER_SIZE;
use parquet::file::metadata::{FooterTail, ParquetMetaData, ParquetMetaDataReader};
use std::ops::Range;
use std::sync::Arc;

/// Bytes at the end of a file that are read at once: the footer of a file of ours, and its last column.
const TAIL: u64 = 16 << 10;

/// Why an axis could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LakeReadError {
    /// The object could not be read.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// It is no Parquet that can be read.
    #[error("the Parquet cannot be read")]
    Parquet(#[from] ParquetError),
    /// It ends before its footer begins.
    #[error("the file is no Parquet")]
    NoParquet,
    /// It has more samples than so many.
    #[error("the recording has more than {0} samples")]
    TooManySamples(u64),
    /// Its columns are not those of a recording.
    #[error("the columns are not those of a recording")]
    Columns,
}

/// The samples of one axis.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AxisSamples {
    /// When each was taken.
    pub times: Vec<Timestamp>,
    /// The values, in the axis's unit.
    pub values: Vec<f64>,
}

/// The bytes of an axis, fetched and not decoded yet.
#[derive(Debug)]
pub struct FetchedAxis {
    readers: Vec<ParquetRecordBatchReader>,
    samples: usize,
}

/// Fetches an axis of at most `most_samples` samples in three ranges: the end of the file, and two columns at once.
///
/// # Errors
/// [`LakeReadError`].
pub async fn open_axis(
    objects: &Objects,
    key: &ObjectKey,
    axis: Axis,
    most_samples: u64,
) -> Result<FetchedAxis, LakeReadError> {
    let (tail, length) = objects.get_tail(key, TAIL).await?;
    let file = File { objects, key, tail, length };
    let metadata = file.metadata().await?;
    let samples = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(u64::MAX);
    if samples > most_samples {
        return Err(LakeReadError::TooManySamples(most_samples));
    }
    let samples = usize::try_from(samples).map_err(|_| LakeReadError::TooManySamples(most_samples))?;
    let columns =
        ProjectionMask::columns(metadata.file_metadata().schema_descr(), ["ts", axis.name(), "utc_offset_minutes"]);
    let builder = ParquetPushDecoderBuilder::try_new_decoder(metadata)?.with_projection(columns);
    let mut decoder = builder.with_batch_size(samples.max(1)).build()?;
    let mut readers = Vec::new();
    loop {
        match decoder.try_next_reader()? {
            DecodeResult::NeedsData(ranges) => {
                let bytes = file.fetch(&ranges).await?;
                decoder.push_ranges(ranges, bytes)?;
            }
            DecodeResult::Data(reader) => readers.push(reader),
            DecodeResult::Finished => return Ok(FetchedAxis { readers, samples }),
        }
    }
}

impl FetchedAxis {
    /// Decodes it. Keeps a processor busy, about a microsecond for ten samples.
    ///
    /// # Errors
    /// [`LakeReadError::Parquet`] and [`LakeReadError::Columns`].
    pub fn read(self) -> Result<AxisSamples, LakeReadError> {
        let mut times = Vec::with_capacity(self.samples);
        let mut values = Vec::with_capacity(self.samples);
        for batch in self.readers.into_iter().flatten() {
            let batch = batch.map_err(|error| ParquetError::ArrowError(error.to_string()))?;
            // In the order of the file, whatever was asked for.
            let [ts, axis, offsets] = batch.columns() else { return Err(LakeReadError::Columns) };
            let ts = ts.as_primitive_opt::<TimestampMicrosecondType>().ok_or(LakeReadError::Columns)?;
            let axis = axis.as_primitive_opt::<Float64Type>().ok_or(LakeReadError::Columns)?;
            let offsets = offsets.as_primitive_opt::<Int16Type>().ok_or(LakeReadError::Columns)?;
            if ts.null_count() + axis.null_count() > 0 {
                return Err(LakeReadError::Columns);
            }
            let stamped = ts.values().iter().zip(offsets);
            times.extend(stamped.map(|(micros, offset)| Timestamp { utc_micros: *micros, offset_minutes: offset }));
            values.extend_from_slice(axis.values());
        }
        Ok(AxisSamples { times, values })
    }
}

/// A file of which the end is read.
struct File<'a> {
    objects: &'a Objects,
    key: &'a ObjectKey,
    tail: Bytes,
    length: u64,
}

impl File<'_> {
    async fn metadata(&self) -> Result<Arc<ParquetMetaData>, LakeReadError> {
        let Some((_, end)) = self.tail.split_last_chunk::<FOOTER_SIZE>() else { return Err(LakeReadError::NoParquet) };
        let footer = self.length - FOOTER_SIZE as u64;
        let begin = footer.checked_sub(FooterTail::try_new(end)?.metadata_length() as u64);
        let begin = begin.ok_or(LakeReadError::NoParquet)?;
        let bytes = self.part(&(begin..footer)).await?;
        Ok(Arc::new(ParquetMetaDataReader::decode_metadata(&bytes)?))
    }

    /// The bytes of ranges, all at once.
    async fn fetch(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, LakeReadError> {
        try_join_all(ranges.iter().map(|range| self.part(range))).await
    }

    /// The bytes of a range; what is in the tail is there.
    async fn part(&self, range: &Range<u64>) -> Result<Bytes, LakeReadError> {
        match self.in_tail(range) {
            Some(bytes) => Ok(bytes),
            None => Ok(self.objects.get_range(self.key, range.clone()).await?),
        }
    }

    fn in_tail(&self, range: &Range<u64>) -> Option<Bytes> {
        let begin = self.length.checked_sub(self.tail.len() as u64)?;
        let first = usize::try_from(range.start.checked_sub(begin)?).ok()?;
        let end = usize::try_from(range.end.checked_sub(begin)?).ok()?;
        (first <= end && end <= self.tail.len()).then(|| self.tail.slice(first..end))
    }
}

#[cfg(test)]
mod tests;
