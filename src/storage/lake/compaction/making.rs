//! A compacted file under way.

use super::super::LakeError;
use super::super::parquet::{SAMPLE_FIELDS, compacted_properties};
use super::CompactionError;
use crate::storage::database::ToCompact;
use crate::storage::objects::Staged;
use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::{ArrayRef, AsArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, TimestampMicrosecondType};
use bytes::Bytes;
use std::sync::{Arc, LazyLock};

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let mut fields = vec![
        Arc::new(Field::new("day", DataType::Int32, false)),
        Arc::new(Field::new("test_event_id", DataType::Utf8, false)),
    ];
    fields.extend(SAMPLE_FIELDS.iter().cloned());
    Arc::new(Schema::new(fields))
});

/// A file under way: in memory is a row group at most.
pub(super) struct Making {
    staged: Staged,
    writer: ArrowWriter<Vec<u8>>,
    samples: u64,
    taken: (i64, i64),
}

impl Making {
    pub(super) fn begin(staged: Staged) -> Result<Self, LakeError> {
        let writer = ArrowWriter::try_new(Vec::new(), SCHEMA.clone(), Some(compacted_properties()))?;
        Ok(Self { staged, writer, samples: 0, taken: (i64::MAX, i64::MIN) })
    }

    pub(super) async fn add(mut self, own: Bytes, recording: &ToCompact) -> Result<Self, CompactionError> {
        let (day, id) = (recording.day, recording.id.to_string());
        let (mut this, bytes) = on_a_thread(move || {
            for batch in ParquetRecordBatchReaderBuilder::try_new(own)?.build()? {
                self.write(&batch?, day, &id)?;
            }
            let bytes = std::mem::take(self.writer.inner_mut());
            Ok((self, bytes))
        })
        .await?;
        if !bytes.is_empty() {
            this.staged = this.staged.write(bytes).await?;
        }
        Ok(this)
    }

    fn write(&mut self, own: &RecordBatch, day: u32, id: &str) -> Result<(), LakeError> {
        let rows = own.num_rows();
        let day = i32::try_from(day).unwrap_or_default();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(Int32Array::from_value(day, rows)),
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(id, rows))),
        ];
        columns.extend(own.columns().iter().cloned());
        if let Some(ts) = own.column_by_name("ts").and_then(|ts| ts.as_primitive_opt::<TimestampMicrosecondType>()) {
            self.taken.0 = self.taken.0.min(arrow::compute::min(ts).unwrap_or(i64::MAX));
            self.taken.1 = self.taken.1.max(arrow::compute::max(ts).unwrap_or(i64::MIN));
        }
        self.writer.write(&RecordBatch::try_new(SCHEMA.clone(), columns)?)?;
        self.samples += rows as u64;
        Ok(())
    }

    pub(super) async fn end(self) -> Result<(Staged, u64, (i64, i64)), CompactionError> {
        let Self { staged, writer, samples, taken } = self;
        let bytes = on_a_thread(move || Ok(writer.into_inner()?)).await?;
        Ok((staged.write(bytes).await?, samples, taken))
    }
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
) -> Result<T, CompactionError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(stopped) if stopped.is_panic() => Err(CompactionError::Unreadable),
        Err(_) => Err(CompactionError::Stopped),
    }
}
