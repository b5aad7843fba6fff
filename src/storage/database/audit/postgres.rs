//! Adding to the record on PostgreSQL: a function of the schema links the rows, so that it is one statement.

use super::super::statement::statements;
use super::super::{Database, Result};
use super::{read_mark, to_json};
use crate::domain::audit::{Mark, Record};
use serde_json::Value;

statements! {
    CALL_APPEND_AUDIT = only_postgres("SELECT position, link FROM append_audit($1)");
}

pub(super) async fn append(database: &Database, records: &[Record]) -> Result<Mark> {
    let rows = records.iter().map(|record| {
        let mut row = to_json(record);
        row.insert("digest".into(), record.digest().to_string().into());
        Value::Object(row)
    });
    let rows = Value::from_iter(rows).to_string();
    let head = database.write(CALL_APPEND_AUDIT).bind(&rows).one().await?;
    read_mark(&head, "position", "link")
}
