//! Adding to the record and taking from it on PostgreSQL: functions of the schema, so that each is one statement.

use super::super::statement::statements;
use super::super::{Database, Result};
use super::{read_mark, to_json};
use crate::domain::audit::{Mark, Record};
use serde_json::Value;

statements! {
    CALL_APPEND_AUDIT = only_postgres("SELECT position, link FROM append_audit($1)");
    CALL_PRUNE_AUDIT = only_postgres("SELECT prune_audit($1) AS deleted");
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

pub(super) async fn prune(database: &Database, limit: u32) -> Result<u64> {
    let deleted: i64 = database.write(CALL_PRUNE_AUDIT).bind(limit).one().await?.get("deleted")?;
    Ok(deleted.unsigned_abs())
}
