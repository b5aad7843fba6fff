//! What holds for every database that the program runs on, and what they are asked for.

mod contract;
pub(super) mod plans;
mod processes;
mod round_trips;

use super::*;
use crate::domain::ids::{ModelVersion, Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::{Day, Quality};
use crate::domain::score::{RecordingStatus, Score};
use crate::domain::verdict::Verdict;
use crate::storage::objects::Digest;
use chrono::TimeDelta;
use stance_testkit::Postgres;
use std::time::Duration;

const RULE: TrainingRule = TrainingRule { minimum: 2, every: 2, from_others: false };

/// A fresh database with the patients `p-1` and `p-2`.
struct Here {
    database: Database,
    folder: tempfile::TempDir,
    server: Option<Postgres>,
}

impl Here {
    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open_sqlite(&folder.path().join("rows.db"), 2, Duration::from_secs(5)).await.unwrap();
        Self { database, folder, server: None }.with_patients().await
    }

    async fn postgres() -> Self {
        let server = Postgres::database();
        let database = Database::open_postgres(&options(&server)).await.unwrap();
        Self { database, folder: tempfile::tempdir().unwrap(), server: Some(server) }.with_patients().await
    }

    async fn with_patients(self) -> Self {
        add_patient(&self.database, "p-1").await;
        add_patient(&self.database, "p-2").await;
        self
    }

    /// The database as another process has it.
    async fn another(&self) -> Database {
        Database::open_postgres(&options(self.server.as_ref().unwrap())).await.unwrap()
    }

    async fn sqlite_pool(&self) -> SqlitePool {
        SqlitePool::connect(self.folder.path().join("rows.db").to_str().unwrap()).await.unwrap()
    }
}

fn options(server: &Postgres) -> PostgresOptions {
    PostgresOptions {
        url: server.url(),
        connections: 8,
        acquire_timeout: Duration::from_secs(20),
        statement_timeout: Duration::from_secs(20),
    }
}

fn patient(id: &str) -> Patient {
    Patient {
        id: PatientId::new(id).unwrap(),
        email: None,
        first_name: None,
        last_name: None,
        privacy_consent_date: None,
    }
}

async fn add_patient(database: &Database, id: &str) {
    database.create_patient(&patient(id), now()).await.unwrap();
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

fn later(seconds: i64) -> DateTime<Utc> {
    now() + TimeDelta::seconds(seconds)
}

fn id(n: u128) -> TestEventId {
    uuid::Uuid::from_u128(n).into()
}

fn new(n: u128, patient: &str, clinic_score: Option<f64>) -> NewRecording {
    let (patient, movement) = (PatientId::new(patient).unwrap(), Movement::new("sit-to-stand").unwrap());
    let day = Day { year: 2026, month: 1, day: 31 };
    NewRecording {
        id: id(n),
        raw_key: ObjectKey::raw(&patient, &movement, day, clinic_score.is_some(), id(n)),
        patient,
        movement,
        digest: Digest::of(&n.to_le_bytes()),
        raw_bytes: 100,
        day,
        clinic_score,
        samples: 10,
        taken: (0, 1_000_000),
        deletions: 0,
    }
}

fn conversion() -> Conversion {
    let quality = Quality {
        samples: 10,
        duration_seconds: 1.0,
        effective_rate_hz: Some(9.0),
        gaps: 0,
        longest_gap_seconds: 0.1,
        jitter_seconds: 0.01,
        non_monotonic: 0,
        constant_axes: vec!["mx"],
        ranges: [(-1.0, 1.0); 9],
    };
    Conversion { quality, feature_set: "set-1", features: vec![1.5, -2.5] }
}

fn model(version: &str, patient: &str, training_recordings: i64) -> NewModel {
    let (patient, movement) = (PatientId::new(patient).unwrap(), Movement::new("sit-to-stand").unwrap());
    let version = ModelVersion::new(version).unwrap();
    NewModel {
        artifact_key: ObjectKey::model(&movement, &patient, &version),
        version,
        patient,
        movement,
        training_recordings,
        first_ordinal: 1,
        last_ordinal: training_recordings,
        generation: 0,
        artifact_digest: Digest::of(b"model"),
        feature_set: "set-1".into(),
        leave_one_out_error: 3.0,
        card: "{}".into(),
        verdict: Verdict::Serves,
        score_range: Some((20.0, 80.0)),
        sources: Vec::new(),
    }
}

/// A score by the model of that version.
fn score(value: f64, interval: Option<(f64, f64)>, version: &ModelVersion) -> Score {
    Score {
        value,
        lower: interval.map(|(lower, _)| lower),
        upper: interval.map(|(_, upper)| upper),
        provisional: false,
        unlike_training: false,
        novelty: Some(0.5),
        model_version: version.clone(),
        backend: "local",
    }
}

async fn lease(database: &Database, kind: JobKind, limit: u32) -> Vec<Job> {
    database.lease_jobs(kind, limit, "here", later(30)).await.unwrap()
}

async fn convert_next(database: &Database) -> AfterConversion {
    let job = lease(database, JobKind::Convert, 1).await.remove(0);
    database.finish_conversion(job.fence, job.subject, &conversion(), RULE, now()).await.unwrap()
}

#[tokio::test]
async fn a_disk_that_was_full_is_written_to_again_when_it_has_room() {
    // Of one row: SQLite ends the whole transaction then, and not the statement alone.
    const LARGE: &str =
        "INSERT INTO patients (patient_id, first_name, created_at) VALUES ('x', hex(zeroblob(100000)), 0)";
    let here = Here::sqlite().await;
    let Backend::Sqlite { writer, .. } = &here.database.backend else { unreachable!() };
    for _ in 0..3 {
        // The connection's file may not grow.
        sqlx::query("PRAGMA max_page_count = 1").execute(writer).await.unwrap();
        let mut transaction = here.database.begin().await.unwrap();
        let Begun::Sqlite(begun) = &mut transaction.begun else { unreachable!() };
        let full = sqlx::query(LARGE).execute(&mut **begun).await.map_err(DatabaseError::from);
        assert!(matches!(full, Err(DatabaseError::Full(_))), "{full:?}");
        drop(transaction);
        let again = here.database.begin().await;
        assert!(again.is_ok(), "{again:?}");
    }
    sqlx::query("PRAGMA max_page_count = 1000000").execute(writer).await.unwrap();
    let accepted = here.database.accept_recording(&new(1, "p-1", None), now()).await;
    assert!(matches!(accepted, Ok(Acceptance::Accepted)), "{accepted:?}");
}
