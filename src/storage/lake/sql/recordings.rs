//! The table `recordings`: a row a recording, from the database, beside the samples. No names, no notes.

use super::parts::Reader;
use super::wanted::Wanted;
use crate::storage::database::LakeRecording;
use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::sync::{Arc, LazyLock};

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let text = |name| Field::new(name, DataType::Utf8View, false);
    let number = |name| Field::new(name, DataType::Int32, false);
    let real = |name| Field::new(name, DataType::Float64, true);
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        text("patient_id"),
        text("movement"),
        number("year"),
        number("month"),
        number("day"),
        text("test_event_id"),
        text("status"),
        real("clinic_score"),
        real("score"),
        real("score_lower"),
        real("score_upper"),
        Field::new("model_version", DataType::Utf8View, true),
        Field::new("start_time", utc, true),
        Field::new("samples", DataType::Int64, false),
        real("duration_seconds"),
        real("sampling_rate_hz"),
        Field::new("gaps", DataType::Int64, true),
    ]))
});

/// The table, as one reader sees it.
#[derive(Debug)]
pub(super) struct Recordings(pub(super) Reader);

#[async_trait]
impl TableProvider for Recordings {
    fn schema(&self) -> SchemaRef {
        SCHEMA.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Conditions on patients and recordings say whose rows are read; they are looked at again.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.0.recordings(&Wanted::of(filters)).await?;
        let batch = RecordBatch::try_new(SCHEMA.clone(), columns(&rows))?;
        Ok(MemorySourceConfig::try_new_exec(&[vec![batch]], SCHEMA.clone(), projection.cloned())?)
    }
}

fn columns(rows: &[LakeRecording]) -> Vec<ArrayRef> {
    let texts = |of: fn(&LakeRecording) -> String| -> ArrayRef {
        Arc::new(StringViewArray::from_iter_values(rows.iter().map(of)))
    };
    let numbers = |of: fn(&LakeRecording) -> u32| -> ArrayRef {
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| i32::try_from(of(row)).unwrap_or_default())))
    };
    let reals =
        |of: fn(&LakeRecording) -> Option<f64>| -> ArrayRef { Arc::new(Float64Array::from_iter(rows.iter().map(of))) };
    let start = rows.iter().map(|row| row.start_time.map(|time| time.timestamp_micros()));
    vec![
        texts(|row| row.patient.to_string()),
        texts(|row| row.movement.to_string()),
        Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.day.year))),
        numbers(|row| row.day.month),
        numbers(|row| row.day.day),
        texts(|row| row.id.to_string()),
        texts(|row| row.status.clone()),
        reals(|row| row.clinic_score),
        reals(|row| row.score),
        reals(|row| row.score_lower),
        reals(|row| row.score_upper),
        Arc::new(StringViewArray::from_iter(rows.iter().map(|row| row.model_version.as_deref()))),
        Arc::new(TimestampMicrosecondArray::from_iter(start).with_timezone("UTC")),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.samples))),
        reals(|row| row.duration_seconds),
        reals(|row| row.sampling_rate_hz),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.gaps))),
    ]
}
