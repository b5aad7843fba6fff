//! Adding to the record and taking from it on SQLite: transactions, of which there is one at a time.

use super::super::statement::statements;
use super::super::{Database, Result};
use super::{read_mark, to_json};
use crate::domain::audit::{Mark, Record};
use serde_json::Value;

statements! {
    AUDIT_HEAD = only_sqlite("SELECT position, link FROM audit_head WHERE chain = 1");
    ADD_AUDIT_RECORDS = only_sqlite(
        "INSERT INTO audit_records (position, at, role, account_id, acting_as, operation, patients, test_event_id,
                                    care_provider_id, address, request_id, result, detail, link)
         SELECT value ->> 'position', value ->> 'at', value ->> 'role', value ->> 'account_id', value ->> 'acting_as',
                value ->> 'operation', value ->> 'patients', value ->> 'test_event_id', value ->> 'care_provider_id',
                value ->> 'address', value ->> 'request_id', value ->> 'result', value ->> 'detail', unhex(value ->> 'link')
         FROM json_each($1)",
    );
    ADD_AUDIT_PATIENTS = only_sqlite(
        "INSERT INTO audit_patients (patient_id, at, position)
         SELECT DISTINCT patient.value, added.value ->> 'at', added.value ->> 'position'
         FROM json_each($1) AS added, json_each(added.value ->> 'patients') AS patient",
    );
    SET_AUDIT_HEAD = only_sqlite("UPDATE audit_head SET position = $1, link = $2 WHERE chain = 1");
    PRUNE_AUDIT_PATIENTS = only_sqlite(
        "DELETE FROM audit_patients WHERE (patient_id, at, position) IN (
             SELECT patient.value, gone.at, gone.position
             FROM (SELECT position, at, patients FROM audit_records
                   WHERE position <= (SELECT pruned_position FROM audit_head WHERE chain = 1)
                   ORDER BY position LIMIT $1) AS gone,
                  json_each(gone.patients) AS patient)",
    );
    PRUNE_AUDIT_RECORDS = only_sqlite(
        "DELETE FROM audit_records WHERE position IN (
             SELECT position FROM audit_records
             WHERE position <= (SELECT pruned_position FROM audit_head WHERE chain = 1) ORDER BY position LIMIT $1)",
    );
}

pub(super) async fn append(database: &Database, records: &[Record]) -> Result<Mark> {
    let mut transaction = database.begin().await?;
    let mut head = read_mark(&transaction.statement(AUDIT_HEAD).one().await?, "position", "link")?;
    let rows = records.iter().map(|record| {
        let position = head.position + 1;
        head = Mark { position, link: head.link.next(position, record.digest()) };
        let mut row = to_json(record);
        row.insert("position".into(), position.into());
        row.insert("link".into(), head.link.to_string().into());
        Value::Object(row)
    });
    let rows = Value::from_iter(rows).to_string();
    transaction.statement(ADD_AUDIT_RECORDS).bind(&rows).execute().await?;
    if records.iter().any(|record| !record.patients.is_empty()) {
        transaction.statement(ADD_AUDIT_PATIENTS).bind(&rows).execute().await?;
    }
    transaction.statement(SET_AUDIT_HEAD).bind(head.position).bind(&head.link.0).execute().await?;
    transaction.commit().await?;
    Ok(head)
}

pub(super) async fn prune(database: &Database, limit: u32) -> Result<u64> {
    let mut transaction = database.begin().await?;
    transaction.statement(PRUNE_AUDIT_PATIENTS).bind(limit).execute().await?;
    let deleted = transaction.statement(PRUNE_AUDIT_RECORDS).bind(limit).execute().await?;
    transaction.commit().await?;
    Ok(deleted)
}
