//! The audit record: rows that are added, never changed, and linked by hashes.
//!
//! Whoever adds holds the lock of the one row of `audit_head`, so that there is one chain however many processes there are. On
//! SQLite, which is here, that is a transaction; to PostgreSQL, which may be far away, it is one statement.

pub(super) mod postgres;
pub(super) mod sqlite;

use super::statement::Row;
use super::{Backend, Database, Result, statements};
use crate::domain::audit::{Kept, Link, Mark, Record};
use crate::domain::ids::{AccountId, PatientId};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// Where the record begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditBounds {
    /// The last row, as the head knows it.
    pub head: Mark,
    /// The last row that retention took away.
    pub pruned: Mark,
    /// The last row that is there; 0 where there is none.
    pub last: i64,
}

/// Which rows, the latest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only about this patient.
    pub patient: Option<PatientId>,
    /// Only by this account.
    pub account: Option<AccountId>,
    /// Only from then on.
    pub from: Option<DateTime<Utc>>,
    /// Only what is before this place.
    pub before: Option<AuditPlace>,
    /// At most so many.
    pub limit: u32,
}

/// A place in the order of time; positions order what has one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPlace {
    /// When.
    pub at: DateTime<Utc>,
    /// Which of those.
    pub position: i64,
}

statements! {
    AUDIT_BOUNDS = shared(
        "SELECT position, link, pruned_position, pruned_link,
                coalesce((SELECT max(position) FROM audit_records), 0) AS last
         FROM audit_head WHERE chain = 1",
    );
    AUDIT_FROM = shared(
        "SELECT position, at, role, account_id, acting_as, operation, patients, test_event_id, care_provider_id, address,
                request_id, result, detail, link
         FROM audit_records WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3",
    );
    AUDIT_BY_TIME = shared(
        "SELECT position, at, role, account_id, acting_as, operation, patients, test_event_id, care_provider_id, address,
                request_id, result, detail, link
         FROM audit_records WHERE at >= $1 AND (at, position) < ($2, $3) ORDER BY at DESC, position DESC LIMIT $4",
    );
    AUDIT_BY_ACCOUNT = shared(
        "SELECT position, at, role, account_id, acting_as, operation, patients, test_event_id, care_provider_id, address,
                request_id, result, detail, link
         FROM audit_records WHERE account_id = $1 AND at >= $2 AND (at, position) < ($3, $4)
         ORDER BY at DESC, position DESC LIMIT $5",
    );
    AUDIT_BY_PATIENT = shared(
        "SELECT audit_records.position, audit_records.at, role, account_id, acting_as, operation, patients, test_event_id,
                care_provider_id, address, request_id, result, detail, link
         FROM audit_patients AS about JOIN audit_records ON audit_records.position = about.position
         WHERE about.patient_id = $1 AND about.at >= $2 AND (about.at, about.position) < ($3, $4)
               AND ($5 IS NULL OR account_id = $5)
         ORDER BY about.at DESC, about.position DESC LIMIT $6",
    );
    /// Times may be out of order: none goes that is after a row from that time on.
    LAST_AUDIT_BEFORE = shared(
        "SELECT position, link FROM audit_records
         WHERE position < coalesce((
             SELECT position FROM audit_records
             WHERE position > (SELECT pruned_position FROM audit_head WHERE chain = 1) AND at >= $1
             ORDER BY position LIMIT 1), 9223372036854775807)
         ORDER BY position DESC LIMIT 1",
    );
    MARK_PRUNED = shared(
        "UPDATE audit_head SET pruned_position = $1, pruned_link = $2 WHERE chain = 1 AND pruned_position < $1",
    );
}

impl Database {
    /// Adds rows to the record, all or none, durably; where the record ends then.
    ///
    /// # Errors
    /// When the database cannot; with a lost connection it is not known whether they were added.
    pub async fn append_audit(&self, records: &[Record]) -> Result<Mark> {
        match self.backend {
            Backend::Sqlite { .. } => sqlite::append(self, records).await,
            Backend::Postgres(_) => postgres::append(self, records).await,
        }
    }

    /// Where the record begins and ends.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn audit_bounds(&self) -> Result<AuditBounds> {
        let row = self.read(AUDIT_BOUNDS).one().await?;
        Ok(AuditBounds {
            head: read_mark(&row, "position", "link")?,
            pruned: read_mark(&row, "pruned_position", "pruned_link")?,
            last: row.get("last")?,
        })
    }

    /// The rows after a position up to another, in their order, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn audit_from(&self, after: i64, until: i64, limit: u32) -> Result<Vec<Kept>> {
        let rows = self.read(AUDIT_FROM).bind(after).bind(until).bind(limit).all().await?;
        rows.iter().map(read_kept).collect()
    }

    /// The last row of those at the record's beginning that are all from before that time, where there is one. A row whose
    /// clock ran ahead keeps what comes after it.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn last_audit_before(&self, time: DateTime<Utc>) -> Result<Option<Mark>> {
        let row = self.read(LAST_AUDIT_BEFORE).bind(time).optional().await?;
        row.as_ref().map(|row| read_mark(row, "position", "link")).transpose()
    }

    /// Lets the chain begin after that row: those up to there may be deleted.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn mark_audit_pruned(&self, last: Mark) -> Result<()> {
        self.write(MARK_PRUNED).bind(last.position).bind(&last.link.0).execute().await?;
        Ok(())
    }

    /// Deletes rows before the chain's beginning, at most `limit`; how many.
    ///
    /// # Errors
    /// When the database cannot; then none was deleted.
    pub async fn prune_audit(&self, limit: u32) -> Result<u64> {
        match self.backend {
            Backend::Sqlite { .. } => sqlite::prune(self, limit).await,
            Backend::Postgres(_) => postgres::prune(self, limit).await,
        }
    }

    /// Rows of the record, the latest first.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn audit_records(&self, filter: &AuditFilter) -> Result<Vec<Kept>> {
        let from = filter.from.unwrap_or(DateTime::UNIX_EPOCH);
        let end = AuditPlace { at: DateTime::<Utc>::MAX_UTC, position: i64::MAX };
        let AuditPlace { at, position } = filter.before.unwrap_or(end);
        let at = at.min(latest());
        let account = filter.account.map(|id| id.to_string());
        let rows = match (&filter.patient, &account) {
            (Some(patient), account) => {
                let read = self.read(AUDIT_BY_PATIENT).bind(patient.as_str()).bind(from).bind(at).bind(position);
                read.bind(account).bind(filter.limit).all().await?
            }
            (None, Some(account)) => {
                let read = self.read(AUDIT_BY_ACCOUNT).bind(account).bind(from).bind(at).bind(position);
                read.bind(filter.limit).all().await?
            }
            (None, None) => {
                let read = self.read(AUDIT_BY_TIME).bind(from).bind(at).bind(position);
                read.bind(filter.limit).all().await?
            }
        };
        rows.iter().map(read_kept).collect()
    }
}

/// The end of the time that both databases know.
fn latest() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(DateTime::UNIX_EPOCH)
}

/// A record for the statement that adds it.
fn to_json(record: &Record) -> Map<String, Value> {
    let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::String);
    let patients = Value::from(record.patients.as_slice()).to_string();
    [
        ("at", Value::from(record.at.timestamp_micros())),
        ("role", Value::from(record.role.as_ref())),
        ("account_id", text(&record.account)),
        ("acting_as", text(&record.acting_as)),
        ("operation", Value::from(record.operation.as_ref())),
        ("patients", Value::from(patients)),
        ("test_event_id", text(&record.test_event)),
        ("care_provider_id", text(&record.care_provider)),
        ("address", text(&record.address)),
        ("request_id", text(&record.request_id)),
        ("result", Value::from(record.result.as_ref())),
        ("detail", text(&record.detail)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

fn read_mark(row: &Row, position: &'static str, link: &'static str) -> Result<Mark> {
    let link: Vec<u8> = row.get(link)?;
    // A link that was cut or filled up differs from every link.
    let link = Link(link.try_into().unwrap_or([0xff; 32]));
    Ok(Mark { position: row.get(position)?, link })
}

fn read_kept(row: &Row) -> Result<Kept> {
    let patients: String = row.get("patients")?;
    let record = Record {
        // What is no time, or below no list, was tampered with: it is read as what nobody writes, and does not fit its link.
        at: row.get("at").unwrap_or(DateTime::UNIX_EPOCH),
        role: row.get::<String>("role")?.into(),
        account: row.get("account_id")?,
        acting_as: row.get("acting_as")?,
        operation: row.get::<String>("operation")?.into(),
        patients: serde_json::from_str(&patients).unwrap_or_else(|_| vec![patients]),
        test_event: row.get("test_event_id")?,
        care_provider: row.get("care_provider_id")?,
        address: row.get("address")?,
        request_id: row.get("request_id")?,
        result: row.get::<String>("result")?.into(),
        detail: row.get("detail")?,
    };
    Ok(Kept { mark: read_mark(row, "position", "link")?, record })
}
