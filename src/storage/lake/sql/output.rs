//! A result as a table, CSV, JSON or Arrow, a batch at a time.

use super::QueryError;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::JsonArray;
use arrow::json::{Writer as JsonWriter, WriterBuilder as JsonBuilder};
use arrow::util::pretty::pretty_format_batches_with_schema;
use std::str::FromStr;

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a person: a table of text.
    Table,
    /// Comma-separated, with a header.
    Csv,
    /// An array of objects, one a row.
    Json,
    /// A stream of Apache Arrow's.
    Arrow,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Table, Self::Csv, Self::Json, Self::Arrow];

    /// Its name in requests and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Arrow => "arrow",
        }
    }

    /// Its media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Table => "text/plain; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

impl FromStr for Format {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or(())
    }
}

/// Writes a result.
pub struct Encoder(Kind);

enum Kind {
    Table(SchemaRef, Vec<RecordBatch>),
    Csv(SchemaRef, bool),
    Json(JsonWriter<Vec<u8>, JsonArray>),
    Arrow(StreamWriter<Vec<u8>>),
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl Encoder {
    /// For rows of a schema.
    ///
    /// # Errors
    /// When the schema has no form in the format.
    pub fn new(format: Format, schema: &SchemaRef) -> Result<Self, QueryError> {
        Ok(Self(match format {
            Format::Table => Kind::Table(schema.clone(), Vec::new()),
            Format::Csv => Kind::Csv(schema.clone(), false),
            Format::Json => Kind::Json(JsonBuilder::new().with_explicit_nulls(true).build(Vec::new())),
            Format::Arrow => Kind::Arrow(StreamWriter::try_new(Vec::new(), schema).map_err(no_form)?),
        }))
    }

    /// The bytes of the next rows; a table has them all at its end.
    ///
    /// # Errors
    /// When a value has no form in the format.
    pub fn rows(&mut self, batch: RecordBatch) -> Result<Vec<u8>, QueryError> {
        match &mut self.0 {
            Kind::Table(_, batches) => batches.push(batch),
            Kind::Csv(_, begun) => {
                let header = !std::mem::replace(begun, true);
                return csv(&batch, header);
            }
            Kind::Json(writer) => {
                writer.write(&batch).map_err(no_form)?;
                return Ok(std::mem::take(writer.get_mut()));
            }
            Kind::Arrow(writer) => {
                writer.write(&batch).map_err(no_form)?;
                return Ok(std::mem::take(writer.get_mut()));
            }
        }
        Ok(Vec::new())
    }

    /// The bytes after the last row.
    ///
    /// # Errors
    /// When a value has no form in the format.
    pub fn end(self) -> Result<Vec<u8>, QueryError> {
        match self.0 {
            Kind::Table(schema, batches) => {
                let table = pretty_format_batches_with_schema(schema, &batches).map_err(no_form)?;
                Ok(format!("{table}\n").into_bytes())
            }
            Kind::Csv(schema, false) => csv(&RecordBatch::new_empty(schema), true),
            Kind::Csv(_, true) => Ok(Vec::new()),
            Kind::Json(mut writer) => {
                writer.finish().map_err(no_form)?;
                let mut bytes = std::mem::take(writer.get_mut());
                bytes.push(b'\n');
                Ok(bytes)
            }
            Kind::Arrow(mut writer) => {
                writer.finish().map_err(no_form)?;
                Ok(std::mem::take(writer.get_mut()))
            }
        }
    }
}

fn csv(batch: &RecordBatch, header: bool) -> Result<Vec<u8>, QueryError> {
    let mut bytes = Vec::new();
    let mut writer = arrow::csv::WriterBuilder::new().with_header(header).build(&mut bytes);
    writer.write(batch).map_err(no_form)?;
    drop(writer);
    Ok(bytes)
}

fn no_form(error: ArrowError) -> QueryError {
    QueryError::Internal(error.into())
}
