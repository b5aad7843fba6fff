//! A recording as Parquet: `ts` in microseconds UTC, nine axes as doubles, `utc_offset_minutes`.

use crate::domain::recording::{AXES, Recording};
use arrow::array::{ArrayRef, Float64Array, Int16Array, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use std::sync::{Arc, LazyLock};

/// The lake could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// Columns that do not fit together.
    #[error("the columns do not fit together")]
    Columns(#[from] arrow::error::ArrowError),
    /// The writer failed.
    #[error("Parquet could not be written")]
    Write(#[from] parquet::errors::ParquetError),
}

/// What every file of samples has.
pub(super) static SAMPLE_FIELDS: LazyLock<Vec<FieldRef>> = LazyLock::new(|| {
    let utc: Arc<str> = "UTC".into();
    let mut fields = vec![Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, Some(utc)), false)];
    fields.extend(AXES.map(|axis| Field::new(axis, DataType::Float64, false)));
    fields.push(Field::new("utc_offset_minutes", DataType::Int16, true));
    fields.into_iter().map(Arc::new).collect()
});

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Arc::new(Schema::new(SAMPLE_FIELDS.clone())));

/// Timestamps grow by nearly equal steps: packed differences. Doubles of a sensor share their high bytes: split by byte,
/// which compresses better and faster than a dictionary of values that never repeat.
static PROPERTIES: LazyLock<WriterProperties> = LazyLock::new(|| {
    let mut properties = uncompressed()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for axis in AXES {
        properties = properties.set_column_encoding(ColumnPath::from(axis), Encoding::BYTE_STREAM_SPLIT);
    }
    properties.build()
});

/// Of a compacted file, which is read again and again: doubles as they are, a fifth more bytes than compressed and less than
/// half the work to read. What is known of each page says which pages a query reads.
#[cfg(feature = "lake")]
pub(super) fn compacted_properties() -> WriterProperties {
    let keys = ["day", "test_event_id"].map(ColumnPath::from);
    let properties = uncompressed()
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_max_row_group_row_count(Some(COMPACTED_ROWS));
    keys.into_iter().fold(properties, |properties, key| properties.set_column_dictionary_enabled(key, true)).build()
}

/// Samples of a row group of a compacted file: what is read at once of a column, and what is in memory while it is written.
#[cfg(feature = "lake")]
const COMPACTED_ROWS: usize = 128 << 10;

fn uncompressed() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_column_encoding(ColumnPath::from("ts"), Encoding::DELTA_BINARY_PACKED)
}

/// The recording as one Parquet file with one row group.
///
/// # Errors
/// When the writer fails, which it does not for a recording that was parsed.
pub fn to_parquet(recording: &Recording) -> Result<Vec<u8>, LakeError> {
    let times = recording.timestamps();
    let ts = TimestampMicrosecondArray::from_iter_values(times.iter().map(|t| t.utc_micros)).with_timezone("UTC");
    let mut columns: Vec<ArrayRef> = vec![Arc::new(ts)];
    columns.extend(
        recording.axes().iter().map(|axis| Arc::new(Float64Array::from_iter_values(axis.iter().copied())) as ArrayRef),
    );
    columns.push(Arc::new(Int16Array::from_iter(times.iter().map(|t| t.offset_minutes))));
    let batch = RecordBatch::try_new(SCHEMA.clone(), columns)?;
    let mut file = Vec::with_capacity(recording.raw().len() / 3);
    let mut writer = ArrowWriter::try_new(&mut file, SCHEMA.clone(), Some(PROPERTIES.clone()))?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(file)
}
