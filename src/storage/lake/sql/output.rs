//! A result as a table, CSV, JSON or Arrow, a batch at a time.

use super::QueryError;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::JsonArray;
use arrow::json::{Writer as JsonWriter, WriterBuilder as JsonBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches_with_schema;
use std::fmt::Write as _;
use std::io::Write;
use std::str::FromStr;

/// Rows, and values, of the largest table that is drawn for somebody far away.
pub(super) const TABLE_ROWS: u64 = 10_000;
pub(super) const TABLE_VALUES: u64 = 200_000;

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

/// How much is written of a result.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    bytes: u64,
    table_rows: u64,
    table_values: u64,
}

impl Bounds {
    /// For a response: a table is drawn whole in memory, where others' are.
    #[must_use]
    pub fn of_a_body(bytes: u64) -> Self {
        Self { bytes, table_rows: TABLE_ROWS, table_values: TABLE_VALUES }
    }

    /// For a file or a terminal of whoever runs the program.
    #[must_use]
    pub fn of_a_file(bytes: u64) -> Self {
        Self { bytes, table_rows: u64::MAX, table_values: u64::MAX }
    }
}

/// Writes a result.
pub struct Encoder {
    kind: Kind,
    bounds: Bounds,
    /// Bytes that were given.
    written: u64,
}

enum Kind {
    Table(SchemaRef, Vec<RecordBatch>, Extent),
    Csv(SchemaRef, bool),
    Json(JsonWriter<Room, JsonArray>),
    Arrow(StreamWriter<Room>),
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
    pub fn new(format: Format, schema: &SchemaRef, bounds: Bounds) -> Result<Self, QueryError> {
        let room = Room::of(bounds.bytes);
        let kind = match format {
            Format::Table => Kind::Table(schema.clone(), Vec::new(), Extent::of(schema)),
            Format::Csv => Kind::Csv(schema.clone(), false),
            Format::Json => Kind::Json(JsonBuilder::new().with_explicit_nulls(true).build(room)),
            Format::Arrow => Kind::Arrow(StreamWriter::try_new(room, schema).map_err(no_form)?),
        };
        Ok(Self { kind, bounds, written: 0 })
    }

    /// The bytes of the next rows, or after the last of them the rest; and itself, where there may be more.
    ///
    /// # Errors
    /// When a value has no form in the format, or all of it is more than there may be.
    pub fn step(mut self, batch: Option<RecordBatch>) -> Result<(Option<Self>, Vec<u8>), QueryError> {
        match batch {
            Some(batch) => self.rows(batch).map(|bytes| (Some(self), bytes)),
            None => self.end().map(|bytes| (None, bytes)),
        }
    }

    /// The bytes of the next rows; a table has them all at its end.
    ///
    /// # Errors
    /// When a value has no form in the format, or all of it is more than there may be.
    pub fn rows(&mut self, batch: RecordBatch) -> Result<Vec<u8>, QueryError> {
        let left = self.left();
        let (written, bytes) = match &mut self.kind {
            Kind::Table(_, batches, extent) => {
                extent.add(&batch)?;
                self.bounds.check(extent)?;
                batches.push(batch);
                return Ok(Vec::new());
            }
            Kind::Csv(_, begun) => csv(&batch, !std::mem::replace(begun, true), left),
            Kind::Json(writer) => {
                let written = writer.write(&batch);
                (written, writer.get_mut().take(left))
            }
            Kind::Arrow(writer) => {
                let written = writer.write(&batch);
                (written, writer.get_mut().take(left))
            }
        };
        self.give(written, bytes)
    }

    /// The bytes after the last row.
    ///
    /// # Errors
    /// When a value has no form in the format, or all of it is more than there may be.
    pub fn end(mut self) -> Result<Vec<u8>, QueryError> {
        let left = self.left();
        let (written, bytes) = match &mut self.kind {
            Kind::Table(schema, batches, _) => {
                let table = pretty_format_batches_with_schema(schema.clone(), batches).map_err(no_form)?;
                (Ok(()), Some(format!("{table}\n").into_bytes()))
            }
            Kind::Csv(schema, false) => csv(&RecordBatch::new_empty(schema.clone()), true, left),
            Kind::Csv(_, true) => (Ok(()), Some(Vec::new())),
            Kind::Json(writer) => {
                let written = writer.finish();
                let mut bytes = writer.get_mut().take(left);
                bytes.iter_mut().for_each(|bytes| bytes.push(b'\n'));
                (written, bytes)
            }
            Kind::Arrow(writer) => {
                let written = writer.finish();
                (written, writer.get_mut().take(left))
            }
        };
        self.give(written, bytes)
    }

    fn left(&self) -> u64 {
        self.bounds.bytes.saturating_sub(self.written)
    }

    /// What was written, where it had room.
    fn give(&mut self, written: Result<(), ArrowError>, bytes: Option<Vec<u8>>) -> Result<Vec<u8>, QueryError> {
        let bytes = bytes.filter(|bytes| bytes.len() as u64 <= self.left());
        let bytes = bytes.ok_or(QueryError::Bytes(self.bounds.bytes))?;
        written.map_err(no_form)?;
        self.written += bytes.len() as u64;
        Ok(bytes)
    }
}

impl Bounds {
    fn check(&self, table: &Extent) -> Result<(), QueryError> {
        let values = table.rows.saturating_mul(table.widths.len() as u64);
        if table.rows > self.table_rows || values > self.table_values {
            return Err(QueryError::Table);
        }
        if table.bytes() > self.bytes { Err(QueryError::Bytes(self.bytes)) } else { Ok(()) }
    }
}

/// Bytes that are written, as long as there is room for them: a few texts may be repeated for many rows.
struct Room {
    bytes: Vec<u8>,
    left: u64,
    full: bool,
}

impl Room {
    fn of(left: u64) -> Self {
        Self { bytes: Vec::new(), left, full: false }
    }

    /// What was written; none where there was no room for it. From now on there is room for `left` bytes without it.
    fn take(&mut self, left: u64) -> Option<Vec<u8>> {
        let bytes = std::mem::take(&mut self.bytes);
        self.left = left.saturating_sub(bytes.len() as u64);
        (!self.full).then_some(bytes)
    }
}

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if (self.bytes.len() + bytes.len()) as u64 > self.left {
            self.full = true;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How large a table becomes: every cell is as wide as the widest of its column, and as high as the highest of its row.
struct Extent {
    widths: Vec<u64>,
    lines: u64,
    rows: u64,
}

impl Extent {
    fn of(schema: &SchemaRef) -> Self {
        // The frame, and the names.
        let widths = schema.fields().iter().map(|field| field.name().len() as u64).collect();
        Self { widths, lines: 4, rows: 0 }
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), QueryError> {
        let options = FormatOptions::default();
        let mut heights = vec![1; batch.num_rows()];
        for (column, width) in batch.columns().iter().zip(&mut self.widths) {
            let shown = ArrayFormatter::try_new(column.as_ref(), &options).map_err(no_form)?;
            for (row, height) in heights.iter_mut().enumerate() {
                let mut cell = Cell { bytes: 0, lines: 1 };
                // What cannot be shown is told when it is drawn.
                let _ = write!(cell, "{}", shown.value(row));
                *width = (*width).max(cell.bytes);
                *height = (*height).max(cell.lines);
            }
        }
        self.lines += heights.iter().sum::<u64>();
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// At most; letters of several bytes may be narrower.
    fn bytes(&self) -> u64 {
        let line = self.widths.iter().map(|width| width + 3).sum::<u64>() + 2;
        self.lines.saturating_mul(line)
    }
}

struct Cell {
    bytes: u64,
    lines: u64,
}

impl std::fmt::Write for Cell {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.bytes += text.len() as u64;
        self.lines += text.bytes().filter(|byte| *byte == b'\n').count() as u64;
        Ok(())
    }
}

fn csv(batch: &RecordBatch, header: bool, left: u64) -> (Result<(), ArrowError>, Option<Vec<u8>>) {
    let mut room = Room::of(left);
    let mut writer = arrow::csv::WriterBuilder::new().with_header(header).build(&mut room);
    let written = writer.write(batch);
    drop(writer);
    (written, room.take(left))
}

fn no_form(error: ArrowError) -> QueryError {
    QueryError::Internal(error.into())
}
