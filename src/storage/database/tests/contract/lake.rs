//! What the lake is asked by, and what compaction keeps.

use super::*;
use crate::domain::access::LakeScope;

const ALL: LakeWindow = LakeWindow { movement: None, from_month: 0, to_month: i64::MAX };

async fn converted(database: &Database, n: u128, who: &str, clinic_score: Option<f64>) {
    database.accept_recording(&new(n, who, clinic_score), now()).await.unwrap();
    convert_next(database).await;
}

fn partition(who: &str) -> LakePartition {
    let (patient, movement) = (PatientId::new(who).unwrap(), Movement::new("sit-to-stand").unwrap());
    LakePartition { patient, movement, year: 2026, month: 1 }
}

async fn parts(database: &Database, who: &str) -> Vec<LakePart> {
    database.lake_parts(&[PatientId::new(who).unwrap()], &ALL, 100).await.unwrap()
}

/// The recordings that are read, each from its own file or a compacted one, sorted.
async fn read_from(database: &Database, who: &str) -> Vec<(TestEventId, Option<String>)> {
    let mut read = Vec::new();
    for part in parts(database, who).await {
        match part {
            LakePart::Recording { id, .. } => read.push((id, None)),
            LakePart::Compacted(file) => {
                let (_, all) = database.lake_partition(&partition(who)).await.unwrap();
                let inside =
                    all.iter().filter(|recording| recording.file.as_ref() == Some(&file.key)).map(|one| one.id);
                let remaining = file.remaining.unwrap_or_else(|| inside.collect());
                read.extend(remaining.into_iter().map(|id| (id, Some(file.key.as_str().to_owned()))));
            }
        }
    }
    read.sort();
    read
}

async fn lease_of(database: &Database, seconds: i64) -> CompactionLease {
    database.take_compaction("here", &time(seconds), true).await.unwrap().unwrap()
}

fn time(seconds: i64) -> CompactionTime {
    CompactionTime { now: later(seconds), until: later(seconds + 60), periodic: true, removable: now() }
}

/// Compacts everything of the partition into a file of that name.
async fn compact(database: &Database, lease: CompactionLease, who: &str, name: &str) -> Result<()> {
    let (files, recordings) = database.lake_partition(&partition(who)).await.unwrap();
    let key = ObjectKey::from_row(name.to_owned());
    database.begin_lake_file(&key, &partition(who), now()).await?;
    let file = NewFile { key, recordings, bytes: 10, samples: 20, taken: (1, 2) };
    let old: Vec<_> = files.into_iter().map(|file| file.key).collect();
    database.replace_lake_files(lease, &old, &[file], now(), later(60)).await
}

pub(super) async fn a_reader_of_the_lake_sees_the_patients_of_their_scope(database: &Database) {
    let clinic = CareProviderId::new("c-1").unwrap();
    database.create_care_provider(&CareProvider { id: clinic.clone(), email: None }, now()).await.unwrap();
    let (ann, bob) = (PatientId::new("p-1").unwrap(), PatientId::new("p-2").unwrap());
    let link = PatientLink { care_provider: clinic.clone(), patient: bob.clone() };
    database.link_patient(&link, now()).await.unwrap();
    let (all, some) = (LakeScope::Everyone, LakeScope::PatientsOf(clinic));
    assert_eq!(database.lake_patients(&all, "", 10).await.unwrap(), [ann.clone(), bob.clone()]);
    assert_eq!(database.lake_patients(&all, "", 1).await.unwrap(), std::slice::from_ref(&ann));
    assert_eq!(database.lake_patients(&all, "p-1", 10).await.unwrap(), std::slice::from_ref(&bob));
    assert_eq!(database.lake_patients(&some, "", 10).await.unwrap(), std::slice::from_ref(&bob));
    assert_eq!(database.lake_patients(&some, "p-2", 10).await.unwrap(), []);
    let asked = vec![ann.clone(), bob.clone(), PatientId::new("o'b\"r").unwrap()];
    assert_eq!(database.lake_patients_among(&all, asked.clone()).await.unwrap(), asked);
    assert_eq!(database.lake_patients_among(&some, asked).await.unwrap(), [bob]);
}

pub(super) async fn what_is_known_of_a_recording_is_told_beside_its_samples(database: &Database) {
    converted(database, 1, "p-1", Some(40.0)).await;
    database.accept_recording(&new(2, "p-1", None), now()).await.unwrap();
    let known = database.lake_recordings(&[PatientId::new("p-1").unwrap()], 10).await.unwrap();
    let of = |n| known.iter().find(|recording| recording.id == id(n)).unwrap();
    assert_eq!((of(1).status.as_str(), of(1).clinic_score, of(1).gaps), ("training", Some(40.0), Some(0)));
    assert_eq!((of(2).status.as_str(), of(2).clinic_score, of(2).gaps), ("received", None, None));
    assert_eq!(known.len(), 2);
    assert_eq!(database.lake_recordings(&[PatientId::new("p-1").unwrap()], 1).await.unwrap().len(), 1);
    let whose = database.patients_of_recordings(&[id(1), id(9)]).await.unwrap();
    assert_eq!(whose, [PatientId::new("p-1").unwrap()]);
    // One that is not converted has no file.
    assert_eq!(read_from(database, "p-1").await, [(id(1), None)]);
    let window = |movement: Option<&str>, from_month, to_month| LakeWindow {
        movement: movement.map(|name| Movement::new(name).unwrap()),
        from_month,
        to_month,
    };
    let month = 12 * 2026 + 1;
    for (window, found) in [
        (window(None, month, month), 1),
        (window(Some("sit-to-stand"), month, month), 1),
        (window(Some("gait"), month, month), 0),
        (window(None, month + 1, i64::MAX), 0),
        (window(None, 0, month - 1), 0),
    ] {
        let parts = database.lake_parts(&[PatientId::new("p-1").unwrap()], &window, 10).await.unwrap();
        assert_eq!(parts.len(), found, "{window:?}");
    }
}

pub(super) async fn one_at_a_time_compacts_when_it_is_time(database: &Database) {
    let take = async |seconds, at_once| database.take_compaction("here", &time(seconds), at_once).await.unwrap();
    let first = take(0, false).await.unwrap();
    assert!(first.due);
    assert_eq!(take(10, false).await, None);
    assert_eq!(take(10, true).await, None, "somebody has it");
    database.hold_compaction(first, later(100)).await.unwrap();
    assert_eq!(take(90, false).await, None);
    database.end_compaction(first, later(91), later(200), later(91)).await.unwrap();
    assert_eq!(take(92, false).await, None, "it is not time");
    let second = take(92, true).await.unwrap();
    // Its process dies. Another takes it, and what the dead one still sends is refused.
    let third = take(200, false).await.unwrap();
    for refused in [
        database.hold_compaction(second, later(300)).await,
        database.end_compaction(second, later(201), later(300), later(300)).await,
        database.replace_lake_files(second, &[], &[], now(), later(300)).await,
    ] {
        assert!(matches!(refused, Err(DatabaseError::Fenced)), "{refused:?}");
    }
    database.hold_compaction(third, later(300)).await.unwrap();
    database.release_compaction(later(210)).await.unwrap();
    assert!(matches!(database.hold_compaction(third, later(300)).await, Err(DatabaseError::Fenced)));
    assert!(take(210, false).await.is_some());
}

pub(super) async fn every_recording_is_read_once_through_compactions_and_deletions(database: &Database) {
    for n in 1..=3 {
        converted(database, n, "p-1", None).await;
    }
    converted(database, 9, "p-2", None).await;
    let patients = [PatientId::new("p-1").unwrap(), PatientId::new("p-2").unwrap()];
    assert_eq!(database.to_compact(&patients, 3, now()).await.unwrap(), [partition("p-1")]);
    assert_eq!(
        database.to_compact(&patients, 3, later(1)).await.unwrap().len(),
        2,
        "one that waited is compacted, too"
    );
    let old = lease_of(database, 0).await;
    compact(database, old, "p-1", "file-1").await.unwrap();
    let file = |name: &str| Some(name.to_owned());
    let first = file("file-1");
    assert_eq!(
        read_from(database, "p-1").await,
        [(id(1), first.clone()), (id(2), first.clone()), (id(3), first.clone())]
    );
    let LakePart::Compacted(kept) = parts(database, "p-1").await.remove(0) else { panic!("a compacted file") };
    assert_eq!((kept.bytes, kept.samples, kept.taken, kept.remaining), (10, 20, (1, 2), None));
    assert_eq!(read_from(database, "p-2").await, [(id(9), None)]);

    converted(database, 4, "p-1", None).await;
    assert_eq!(read_from(database, "p-1").await.last(), Some(&(id(4), None)));
    delete(database, id(2)).await;
    let left = [(id(1), first.clone()), (id(3), first.clone()), (id(4), None)];
    assert_eq!(read_from(database, "p-1").await, left, "what is deleted is gone at once");
    delete(database, id(3)).await;
    assert_eq!(read_from(database, "p-1").await, [(id(1), first), (id(4), None)]);
    assert_eq!(database.to_rewrite(10).await.unwrap(), [partition("p-1")]);
    let (files, _) = database.lake_partition(&partition("p-1")).await.unwrap();
    assert_eq!(files.iter().map(|file| (file.samples, file.gone)).collect::<Vec<_>>(), [(20, 2)]);

    // Between the listing of a compaction and its end, one of its recordings is deleted and another comes under its id.
    let (_, listed) = database.lake_partition(&partition("p-1")).await.unwrap();
    delete(database, id(4)).await;
    let other = NewRecording { digest: Digest::of(b"other"), ..new(4, "p-1", None) };
    database.accept_recording(&other, now()).await.unwrap();
    convert_next(database).await;
    let key = ObjectKey::from_row("file-2".to_owned());
    database.begin_lake_file(&key, &partition("p-1"), now()).await.unwrap();
    let second = NewFile { key: key.clone(), recordings: listed, bytes: 1, samples: 1, taken: (1, 2) };
    let replaced = [ObjectKey::from_row("file-1".to_owned())];
    let stale = CompactionLease::stale();
    let refused = database.replace_lake_files(stale, &replaced, std::slice::from_ref(&second), now(), later(60)).await;
    assert!(matches!(refused, Err(DatabaseError::Fenced)), "{refused:?}");
    assert_eq!(read_from(database, "p-1").await.len(), 2, "nothing of it happened");
    database.replace_lake_files(old, &replaced, &[second], now(), later(60)).await.unwrap();
    let second = file("file-2");
    assert_eq!(read_from(database, "p-1").await, [(id(1), second.clone()), (id(4), None)]);
    assert_eq!(database.to_rewrite(10).await.unwrap(), [partition("p-1")], "it holds the deleted one");

    // What is replaced or was never finished is removed after a while; what is live is not.
    assert!(matches!(database.begin_lake_file(&key, &partition("p-1"), now()).await, Err(DatabaseError::Fenced)));
    let dead = ObjectKey::from_row("file-3".to_owned());
    for _ in 0..2 {
        database.begin_lake_file(&dead, &partition("p-1"), later(1)).await.unwrap();
    }
    assert_eq!(database.lake_files_to_remove(now(), 10).await.unwrap(), []);
    assert_eq!(database.lake_files_to_remove(later(1), 10).await.unwrap(), replaced);
    assert_eq!(database.lake_files_to_remove(later(2), 10).await.unwrap(), [replaced[0].clone(), dead.clone()]);
    for key in [&replaced[0], &dead, &key] {
        database.forget_lake_file(key).await.unwrap();
    }
    assert_eq!(database.lake_files_to_remove(later(9), 10).await.unwrap(), []);
    assert_eq!(read_from(database, "p-1").await.len(), 2);
}

pub(super) async fn compaction_is_taken_for_what_is_deleted_whether_or_not_it_is_time(database: &Database) {
    converted(database, 1, "p-1", None).await;
    let lease = lease_of(database, 0).await;
    compact(database, lease, "p-1", "file-1").await.unwrap();
    database.end_compaction(lease, later(1), later(1_000), later(1)).await.unwrap();
    let take = async |seconds, periodic| {
        let time = CompactionTime { periodic, ..time(seconds) };
        database.take_compaction("here", &time, false).await.unwrap()
    };
    assert_eq!(take(2, true).await, None);
    delete(database, id(1)).await;
    let taken = take(3, true).await.unwrap();
    assert!(!taken.due);
    // It could not rewrite the file: it is tried again later, and what is new still waits for its time.
    database.end_compaction(taken, later(4), later(5), later(50)).await.unwrap();
    assert_eq!(take(49, true).await, None);
    let taken = take(50, false).await.unwrap();
    let old = [ObjectKey::from_row("file-1".to_owned())];
    database.replace_lake_files(taken, &old, &[], later(50), later(60)).await.unwrap();
    database.end_compaction(taken, later(51), later(51), later(51)).await.unwrap();
    assert_eq!(take(52, true).await, None, "the old file is read still");
    let removable = CompactionTime { removable: later(51), ..time(53) };
    let taken = database.take_compaction("here", &removable, false).await.unwrap().unwrap();
    database.forget_lake_file(&old[0]).await.unwrap();
    database.end_compaction(taken, later(54), later(54), later(54)).await.unwrap();
    let removable = CompactionTime { removable: later(2_000), ..time(999) };
    assert_eq!(database.take_compaction("here", &removable, false).await.unwrap(), None);
    assert_eq!(take(1_000, false).await, None, "never from time to time");
    assert!(take(1_000, true).await.unwrap().due);
}

/// As whoever deletes an event does it.
async fn delete(database: &Database, event: TestEventId) {
    const ROWS: [&str; 5] = ["axis_ranges", "quality_reports", "features", "scores", "recordings"];
    for table in ROWS.into_iter().chain(["test_events"]) {
        let event = event.to_string();
        match &database.backend {
            Backend::Sqlite { writer, .. } => {
                let text = format!("DELETE FROM {table} WHERE test_event_id = $1");
                sqlx::query(sqlx::AssertSqlSafe(text)).bind(event).execute(writer).await.unwrap();
            }
            Backend::Postgres(pools) => {
                let text = format!("DELETE FROM {table} WHERE test_event_id = $1::uuid");
                pools
                    .at_home(sqlx::query(sqlx::AssertSqlSafe(text)).bind(event).execute(&pools.requests))
                    .await
                    .unwrap();
            }
        }
    }
}
