//! The table `samples`: a row a sample, from the recordings' own files and from compacted ones.

use super::QueryError;
use super::parts::Reader;
use super::store::meta;
use super::wanted::Wanted;
use crate::domain::ids::TestEventId;
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::AXES;
use crate::storage::database::{CompactedFile, LakePart};
use crate::storage::objects::ObjectError;
use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, BooleanArray, Int32Array, RecordBatch, StringViewArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::{Column, in_list, lit};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExecBuilder;
use datafusion::physical_plan::union::UnionExec;
use datafusion::scalar::ScalarValue;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

/// Where the session finds the store.
pub(super) const STORE: &str = "lake://objects";
/// Objects whose length is asked for at once.
const SIZES_AT_ONCE: usize = 32;
/// Bytes at the end of a file that are read first: more than a footer of one row group has; of several, with its page index.
const OWN_FOOTER: usize = 8 << 10;
const COMPACTED_FOOTER: usize = 64 << 10;

/// What a sample is known by, in every file.
const KEYS: [&str; 6] = ["patient_id", "movement", "year", "month", "day", "test_event_id"];

/// Column by column.
pub(super) static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields: Vec<FieldRef> = KEYS.iter().map(|name| key_field(name)).collect();
    fields.extend(sample_fields());
    Arc::new(Schema::new(fields))
});

/// A recording's own file: the keys are in its path.
static OWN: LazyLock<TableSchema> = LazyLock::new(|| {
    let file = Arc::new(Schema::new(sample_fields()));
    let keys: Vec<FieldRef> = KEYS.iter().map(|name| key_field(name)).collect();
    TableSchema::builder(file).with_table_partition_cols(keys).build()
});

/// A compacted file: day and recording are columns of it.
static COMPACTED: LazyLock<TableSchema> = LazyLock::new(|| {
    let [outside @ .., day, event] = KEYS;
    let mut file = vec![key_field(day), key_field(event)];
    file.extend(sample_fields());
    let keys: Vec<FieldRef> = outside.iter().map(|name| key_field(name)).collect();
    TableSchema::builder(Arc::new(Schema::new(file))).with_table_partition_cols(keys).build()
});

fn key_field(name: &str) -> FieldRef {
    let kind = if matches!(name, "year" | "month" | "day") { DataType::Int32 } else { DataType::Utf8View };
    Arc::new(Field::new(name, kind, false))
}

fn sample_fields() -> Vec<FieldRef> {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![Arc::new(Field::new("ts", utc, false))];
    fields.extend(AXES.map(|axis| Arc::new(Field::new(axis, DataType::Float64, false))));
    fields.push(Arc::new(Field::new("utc_offset_minutes", DataType::Int16, true)));
    fields
}

/// The table, as one reader sees it.
#[derive(Debug)]
pub(super) struct Samples(pub(super) Reader);

#[async_trait]
impl TableProvider for Samples {
    fn schema(&self) -> SchemaRef {
        SCHEMA.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Conditions leave out files and parts of files; what of a file is left is looked at again.
    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let filters: Vec<Expr> = filters.iter().filter(|filter| !filter.is_volatile()).cloned().collect();
        let parts = self.0.parts(&Wanted::of(&filters)).await?;
        let parts = leave(state, parts, &filters)?;
        self.0.counts.reads(parts.iter().map(|part| match part {
            LakePart::Recording { patient, .. } | LakePart::Compacted(CompactedFile { patient, .. }) => patient.clone(),
        }));
        let (mut own, mut whole, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            match part {
                LakePart::Recording { patient, movement, day, id } => {
                    let key = ObjectKey::parquet(&patient, &movement, day, id);
                    let values = [patient.as_str(), movement.as_str()].map(text);
                    let day = [day.year, i32_of(day.month), i32_of(day.day)].map(ScalarValue::from);
                    own.push((key, [&values[..], &day[..], &[text(&id.to_string())]].concat()));
                }
                LakePart::Compacted(CompactedFile { remaining: Some(ids), .. }) if ids.is_empty() => {}
                LakePart::Compacted(mut file) => match file.remaining.take() {
                    Some(ids) => rest.push((file, ids)),
                    None => whole.push(file),
                },
            }
        }
        let scan = Scan { state, projection, filters: &filters };
        let mut plans = Vec::new();
        let own = self.sized(own).await?;
        let files = own.len() + whole.len() + rest.len();
        if !own.is_empty() {
            plans.push(scan.plan(&OWN, own)?);
        }
        if !whole.is_empty() {
            plans.push(scan.plan(&COMPACTED, whole.iter().map(compacted).collect())?);
        }
        for (file, ids) in rest {
            plans.push(scan.without_what_is_gone(&file, &ids)?);
        }
        self.0.counts.files.fetch_add(files as u64, Ordering::Relaxed);
        match plans.len() {
            0 => Ok(Arc::new(EmptyExec::new(scan.schema()?))),
            1 => Ok(plans.remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }
}

impl Samples {
    /// Recordings' own files with their lengths. One that is gone was deleted since it was listed.
    async fn sized(&self, own: Vec<(ObjectKey, Vec<ScalarValue>)>) -> Result<Vec<PartitionedFile>, QueryError> {
        let sizes = stream::iter(own).map(|(key, values)| async move {
            match self.0.objects.size(&key).await {
                Ok(size) => Ok(Some(file(&key, size, values).with_metadata_size_hint(OWN_FOOTER))),
                Err(ObjectError::NotFound) => Ok(None),
                Err(error) => Err(QueryError::from(error)),
            }
        });
        sizes.buffered(SIZES_AT_ONCE).try_filter_map(|sized| std::future::ready(Ok(sized))).try_collect().await
    }
}

fn file(key: &ObjectKey, size: u64, values: Vec<ScalarValue>) -> PartitionedFile {
    PartitionedFile::new_from_meta(meta(key, size)).with_partition_values(values)
}

/// A compacted file with what is known of it: by its times it may be left out unopened.
fn compacted(compacted: &CompactedFile) -> PartitionedFile {
    let values = [compacted.patient.as_str(), compacted.movement.as_str()].map(text);
    let month = [compacted.year, i32_of(compacted.month)].map(ScalarValue::from);
    let schema = COMPACTED.file_schema();
    let mut columns = vec![ColumnStatistics::new_unknown(); schema.fields().len()];
    if let Some(ts) = schema.index_of("ts").ok().and_then(|index| columns.get_mut(index)) {
        let time = |micros| Precision::Exact(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())));
        *ts = ColumnStatistics { min_value: time(compacted.taken.0), max_value: time(compacted.taken.1), ..ts.clone() };
    }
    let rows = usize::try_from(compacted.samples).map_or(Precision::Absent, Precision::Exact);
    let known = Statistics { num_rows: rows, total_byte_size: Precision::Absent, column_statistics: columns };
    file(&compacted.key, compacted.bytes, [&values[..], &month[..]].concat())
        .with_metadata_size_hint(COMPACTED_FOOTER)
        .with_statistics(Arc::new(known))
}

/// What is asked of every file.
struct Scan<'a> {
    state: &'a dyn Session,
    projection: Option<&'a Vec<usize>>,
    filters: &'a [Expr],
}

impl Scan<'_> {
    fn schema(&self) -> Result<SchemaRef> {
        Ok(match self.projection {
            None => SCHEMA.clone(),
            Some(columns) => Arc::new(SCHEMA.project(columns)?),
        })
    }

    /// Reads these files.
    fn plan(&self, table: &TableSchema, files: Vec<PartitionedFile>) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = self.schema()?;
        let columns: Result<Vec<usize>, _> =
            columns.fields().iter().map(|field| table.table_schema().index_of(field.name())).collect();
        self.read(table, files, columns?)
    }

    /// Reads a file in which there are recordings that are no more.
    fn without_what_is_gone(&self, file: &CompactedFile, ids: &[TestEventId]) -> Result<Arc<dyn ExecutionPlan>> {
        let table = &COMPACTED;
        let wanted = self.schema()?;
        let mut columns: Vec<usize> = wanted
            .fields()
            .iter()
            .map(|field| table.table_schema().index_of(field.name()))
            .collect::<Result<_, _>>()?;
        columns.push(table.table_schema().index_of("test_event_id")?);
        // Of a part of its rows nothing is known.
        let whole = compacted(file);
        let unknown = PartitionedFile { statistics: None, ..whole };
        let input = self.read(table, vec![unknown], columns)?;
        let event = wanted.fields().len();
        let ids = ids.iter().map(|id| lit(text(&id.to_string()))).collect();
        let predicate = in_list(Arc::new(Column::new("test_event_id", event)), ids, &false, &input.schema())?;
        let filter = FilterExecBuilder::new(predicate, input).apply_projection(Some((0..event).collect()))?;
        Ok(Arc::new(filter.build()?))
    }

    fn read(
        &self,
        table: &TableSchema,
        files: Vec<PartitionedFile>,
        columns: Vec<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut source =
            ParquetSource::new(table.clone()).with_table_parquet_options(self.state.table_options().parquet.clone());
        if let Some(condition) = conjunction(self.filters.iter().cloned()) {
            let schema = DFSchema::try_from(table.table_schema().clone())?;
            source = source.with_predicate(self.state.create_physical_expr(condition, &schema)?);
        }
        let groups = FileGroup::new(files).split_files(self.state.config().target_partitions());
        let scan = FileScanConfigBuilder::new(ObjectStoreUrl::parse(STORE)?, Arc::new(source))
            .with_file_groups(groups)
            .with_projection_indices(Some(columns))?
            .build();
        Ok(DataSourceExec::from_data_source(scan))
    }
}

/// Leaves out what the conditions leave out by keys alone, whatever they look like.
fn leave(state: &dyn Session, parts: Vec<LakePart>, filters: &[Expr]) -> Result<Vec<LakePart>> {
    let (compacted, own): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| matches!(part, LakePart::Compacted(_)));
    let [months @ .., _, _] = KEYS;
    let mut left = leave_by(state, own, filters, &KEYS)?;
    left.extend(leave_by(state, compacted, filters, &months)?);
    Ok(left)
}

fn leave_by(state: &dyn Session, parts: Vec<LakePart>, filters: &[Expr], keys: &[&str]) -> Result<Vec<LakePart>> {
    let about_keys = |filter: &&Expr| filter.column_refs().iter().all(|column| keys.contains(&column.name.as_str()));
    let Some(condition) = conjunction(filters.iter().filter(about_keys).cloned()) else { return Ok(parts) };
    if parts.is_empty() {
        return Ok(parts);
    }
    let fields: Vec<FieldRef> = keys.iter().map(|name| key_field(name)).collect();
    let schema = Arc::new(Schema::new(fields));
    let columns: Vec<ArrayRef> = keys.iter().map(|name| key_column(name, &parts)).collect();
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    let condition = state.create_physical_expr(condition, &DFSchema::try_from(schema)?)?;
    let holds = condition.evaluate(&batch)?.into_array(parts.len())?;
    let holds = holds
        .as_any()
        .downcast_ref::<BooleanArray>()
        .ok_or_else(|| DataFusionError::Internal("a condition that is neither true nor false".to_owned()))?;
    Ok(parts.into_iter().zip(holds).filter(|(_, holds)| *holds == Some(true)).map(|(part, _)| part).collect())
}

fn key_column(name: &str, parts: &[LakePart]) -> ArrayRef {
    let texts = |text: fn(&LakePart) -> String| -> ArrayRef {
        Arc::new(StringViewArray::from_iter_values(parts.iter().map(text)))
    };
    let numbers =
        |number: fn(&LakePart) -> i32| -> ArrayRef { Arc::new(Int32Array::from_iter_values(parts.iter().map(number))) };
    match name {
        "patient_id" => texts(|part| match part {
            LakePart::Recording { patient, .. } | LakePart::Compacted(CompactedFile { patient, .. }) => {
                patient.to_string()
            }
        }),
        "movement" => texts(|part| match part {
            LakePart::Recording { movement, .. } | LakePart::Compacted(CompactedFile { movement, .. }) => {
                movement.to_string()
            }
        }),
        "year" => numbers(|part| match part {
            LakePart::Recording { day, .. } => day.year,
            LakePart::Compacted(file) => file.year,
        }),
        "month" => numbers(|part| match part {
            LakePart::Recording { day, .. } => i32_of(day.month),
            LakePart::Compacted(file) => i32_of(file.month),
        }),
        "day" => numbers(|part| match part {
            LakePart::Recording { day, .. } => i32_of(day.day),
            LakePart::Compacted(_) => 0,
        }),
        _ => texts(|part| match part {
            LakePart::Recording { id, .. } => id.to_string(),
            LakePart::Compacted(_) => String::new(),
        }),
    }
}

fn text(value: &str) -> ScalarValue {
    ScalarValue::Utf8View(Some(value.to_owned()))
}

/// Of a month or a day.
fn i32_of(number: u32) -> i32 {
    i32::try_from(number).unwrap_or_default()
}
