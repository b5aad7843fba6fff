//! A lake with recordings in it.

use super::*;
use crate::domain::ids::{CareProviderId, Movement, PatientId, TestEventId};
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::{Day, Quality, parse};
use crate::storage::database::{
    CareProvider, Conversion, Deleted, DeletionRequest, Grace, JobKind, NewRecording, PatientLink, TrainingRule,
};
use crate::storage::lake::to_parquet;
use crate::storage::objects::Digest;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tempfile::TempDir;

/// Samples of a recording of these tests.
pub(in crate::storage::lake) const SAMPLES: usize = 50;

/// A lake with recordings in it.
pub(in crate::storage::lake) struct Lake {
    pub(in crate::storage::lake) database: Database,
    pub(in crate::storage::lake) objects: Objects,
    _rows: TempDir,
    _store: Store,
}

pub(in crate::storage::lake) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

pub(in crate::storage::lake) fn id(n: u128) -> TestEventId {
    uuid::Uuid::from_u128(n).into()
}

pub(in crate::storage::lake) fn patient(id: &str) -> PatientId {
    PatientId::new(id).unwrap()
}

impl Lake {
    pub(in crate::storage::lake) async fn on(store: Store) -> Self {
        let rows = tempfile::tempdir().unwrap();
        let path = rows.path().join("rows.db");
        let database = Database::open_sqlite(&path, 2, Duration::from_secs(5)).await.unwrap();
        Self { database, objects: store.objects.clone(), _rows: rows, _store: store }
    }

    /// A converted recording of a day of 2026; `ax` is `n`, `ay` counts from 0, and every timestamp is of that day.
    pub(in crate::storage::lake) async fn add(&self, n: u128, who: &str, movement: &str, month: u32, day: u32) {
        let ts: Vec<String> =
            (0..SAMPLES).map(|i| format!("2026-{month:02}-{day:02} 12:00:{:09.6} +01:00", i as f64 * 0.01)).collect();
        let constant = vec![n as f64; SAMPLES];
        let counting: Vec<f64> = (0..SAMPLES).map(|i| i as f64).collect();
        let document = json!({
            "user_id": who, "movement": movement, "testID": id(n).to_string(), "training": false,
            "start_date": format!("2026-{month}-{day}"), "ts": ts, "ax": constant, "ay": counting, "az": counting,
            "gx": constant, "gy": constant, "gz": constant, "mx": constant, "my": constant, "mz": constant,
        });
        let raw = document.to_string().into_bytes();
        let digest = Digest::of(&raw);
        let recording = parse(raw.into()).unwrap();
        let (patient, movement) = (patient(who), Movement::new(movement).unwrap());
        let day = Day { year: 2026, month, day };
        let parquet = to_parquet(&recording).unwrap();
        self.objects.put(&ObjectKey::parquet(&patient, &movement, day, id(n)), parquet.into()).await.unwrap();
        let new = NewRecording {
            id: id(n),
            raw_key: ObjectKey::raw(&patient, &movement, day, false, id(n)),
            patient,
            movement,
            digest,
            raw_bytes: 1,
            day,
            clinic_score: None,
            samples: SAMPLES as i64,
            taken: (0, 1),
            deletions: 0,
        };
        self.database.accept_landed(&new, None, now()).await.unwrap();
        let job =
            self.database.lease_jobs(JobKind::Convert, 1, "here", now() + TimeDelta::hours(1)).await.unwrap().remove(0);
        let quality = Quality {
            samples: SAMPLES,
            duration_seconds: 0.5,
            effective_rate_hz: Some(100.0),
            gaps: 0,
            longest_gap_seconds: 0.01,
            jitter_seconds: 0.0,
            non_monotonic: 0,
            constant_axes: Vec::new(),
            ranges: [(0.0, 1.0); 9],
        };
        let conversion = Conversion { quality, feature_set: "set-1", features: vec![1.0] };
        let rule = TrainingRule { minimum: 10, every: 10, from_others: false };
        self.database.finish_conversion(job.fence, job.subject, &conversion, rule, now()).await.unwrap();
    }

    /// Deletes an event as the program does: its rows, and then its objects.
    pub(in crate::storage::lake) async fn delete(&self, n: u128, who: &str) {
        let none = TimeDelta::zero();
        let request = DeletionRequest {
            id: id(n),
            patient: patient(who),
            what: Deleted::Event,
            rule: TrainingRule { minimum: 10, every: 10, from_others: false },
            grace: Grace { conversion: none, training: none, report: none },
        };
        assert!(self.database.delete_event(&request, now()).await.unwrap());
        let deletion = self.database.pending_deletion(id(n)).await.unwrap().unwrap();
        self.objects.delete_all(&deletion.keys).await.unwrap();
    }

    /// Links patients to a care provider.
    pub(in crate::storage::lake) async fn link(&self, provider: &str, patients: &[&str]) -> LakeScope {
        let id = CareProviderId::new(provider).unwrap();
        self.database.create_care_provider(&CareProvider { id: id.clone(), email: None }, now()).await.unwrap();
        for who in patients {
            let link = PatientLink { care_provider: id.clone(), patient: patient(who) };
            self.database.link_patient(&link, now()).await.unwrap();
        }
        LakeScope::PatientsOf(id)
    }

    pub(in crate::storage::lake) fn engine(&self) -> DataFusion {
        self.engine_within(|_| {})
    }

    pub(super) fn engine_within(&self, change: impl FnOnce(&mut Limits)) -> DataFusion {
        let mut limits = Limits {
            memory_bytes: 64 << 20,
            deadline: Duration::from_secs(30),
            rows: 100_000,
            bytes: 64 << 20,
            files: 1_000,
            at_once: 4,
            threads: 2,
        };
        change(&mut limits);
        DataFusion::start(self.database.clone(), self.objects.clone(), limits).unwrap()
    }
}
