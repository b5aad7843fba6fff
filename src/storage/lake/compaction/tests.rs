//! That a query reads the same before, while and after the lake is compacted, and less.

use super::*;
use crate::domain::clock::SystemClock;
use crate::domain::ids::Movement;
use crate::storage::lake::sql::tests::{Lake, SAMPLES, id, patient, rows};
use crate::storage::objects::tests::stores::{self, Store};

impl Lake {
    fn compaction(&self, change: impl FnOnce(&mut CompactionRule)) -> Compaction {
        let mut rule = CompactionRule {
            recordings: 2,
            samples: 1_000_000,
            every: Some(TimeDelta::hours(1)),
            grace: TimeDelta::zero(),
            lease: TimeDelta::minutes(1),
        };
        change(&mut rule);
        Compaction {
            database: self.database.clone(),
            objects: self.objects.clone(),
            clock: Arc::new(SystemClock),
            rule,
            owner: "here".into(),
            ends: Arc::default(),
        }
    }

    /// Every key below the compacted files' folder.
    async fn compacted(&self) -> Vec<ObjectKey> {
        let page = self.objects.list("parquet_data/compacted_tests/", None).await.unwrap();
        page.objects.into_iter().map(|object| object.key).collect()
    }

    /// Where one of the recordings of [`filled`] has its own file.
    fn own_file(&self, n: u128, who: &str) -> ObjectKey {
        let day = Day { year: 2026, month: 1 + n as u32 % 2, day: 1 + n as u32 };
        ObjectKey::parquet(&patient(who), &Movement::new("sit-to-stand").unwrap(), day, id(n))
    }

    async fn files(&self) -> u64 {
        let mut answer = self
            .engine()
            .query(
                "SELECT sum(ax) FROM samples".to_owned(),
                LakeScope::Everyone,
                crate::storage::lake::sql::Allowed::Select,
            )
            .await
            .unwrap();
        while answer.next().await.unwrap().is_some() {}
        answer.cost().files
    }
}

/// All that a query can see of every sample.
async fn everything(lake: &Lake) -> String {
    rows(&lake.engine(), "SELECT * FROM samples ORDER BY test_event_id, ts").await
}

async fn filled(store: Store) -> Lake {
    let lake = Lake::on(store).await;
    for n in 1..=12 {
        let who = if n % 3 == 0 { "p: 2%" } else { "p-1" };
        lake.add(n, who, if n == 12 { "gait" } else { "sit-to-stand" }, 1 + n as u32 % 2, 1 + n as u32).await;
    }
    lake
}

async fn a_query_reads_the_same_after_a_compaction_and_less(store: Store) {
    let lake = filled(store).await;
    let (before, files) = (everything(&lake).await, lake.files().await);
    assert_eq!((before.lines().count(), files), (12 * SAMPLES, 12));
    let compaction = lake.compaction(|_| {});
    let done = compaction.run(When::Now).await.unwrap().unwrap();
    assert_eq!((done.recordings, done.files, done.removed), (12, 5, 0), "{done:?}");
    assert_eq!(everything(&lake).await, before);
    assert_eq!(lake.files().await, 5);
    assert_eq!(compaction.run(When::Due).await.unwrap(), None, "it is not time");
    let again = compaction.run(When::Now).await.unwrap().unwrap();
    assert_eq!(again, Compacted::default(), "there is nothing to do");

    // By day and recording, which are columns of a compacted file; by time, by which a whole file is left out.
    let engine = lake.engine();
    for (condition, samples) in [
        ("patient_id = 'p-1' AND month = 2 AND day = 2", SAMPLES),
        ("month = 1 AND day BETWEEN 5 AND 9", 3 * SAMPLES),
        ("test_event_id = '00000000-0000-0000-0000-000000000007'", SAMPLES),
        ("ts >= '2026-02-01T00:00:00Z' AND movement = 'sit-to-stand'", 6 * SAMPLES),
        ("ts < '2020-01-01T00:00:00Z'", 0),
    ] {
        let count = rows(&engine, &format!("SELECT count(*) FROM samples WHERE {condition}")).await;
        assert_eq!(count, format!("{samples}\n"), "{condition}");
    }
    // What comes later is read from its own file until the next compaction puts it into a new file of its month.
    lake.add(13, "p-1", "sit-to-stand", 2, 20).await;
    assert_eq!(lake.files().await, 6);
    let before = everything(&lake).await;
    let done = compaction.run(When::Now).await.unwrap().unwrap();
    assert_eq!((done.recordings, done.files), (5, 1), "{done:?}");
    assert_eq!(everything(&lake).await, before);
    assert_eq!((lake.files().await, lake.compacted().await.len()), (5, 6), "the old file is there still");
    assert_eq!(compaction.run(When::Now).await.unwrap().unwrap().removed, 1);
    assert_eq!(lake.compacted().await.len(), 5);
    assert_eq!(everything(&lake).await, before);
}

async fn what_is_deleted_leaves_the_query_at_once_and_the_file_with_the_next_compaction(store: Store) {
    let lake = filled(store).await;
    let compaction = lake.compaction(|_| {});
    compaction.run(When::Now).await.unwrap();
    let before = everything(&lake).await;
    let without = |gone: &[u128]| -> String {
        let gone: Vec<String> = gone.iter().map(|n| id(*n).to_string()).collect();
        before.lines().filter(|line| !gone.iter().any(|id| line.contains(id))).map(|line| format!("{line}\n")).collect()
    };
    // Of a month with others, and one that is alone in its month.
    lake.delete(4, "p-1").await;
    lake.delete(6, "p: 2%").await;
    assert_eq!(everything(&lake).await, without(&[4, 6]));
    let engine = lake.engine();
    assert_eq!(
        rows(&engine, "SELECT count(ay) FROM samples WHERE test_event_id = '00000000-0000-0000-0000-000000000004'")
            .await,
        "0\n"
    );
    assert_eq!(
        rows(&engine, "SELECT count(*) FROM samples WHERE patient_id = 'p-1' AND month = 1").await,
        format!("{}\n", 3 * SAMPLES)
    );

    // It is not time, and what is new is left alone: but what is deleted does not wait for that.
    lake.add(13, "p-1", "sit-to-stand", 3, 20).await;
    let with_the_new = everything(&lake).await;
    let old = lake.compacted().await;
    let done = compaction.run(When::Due).await.unwrap().unwrap();
    assert_eq!((done.recordings, done.files), (3, 1), "{done:?}");
    assert_eq!(everything(&lake).await, with_the_new);
    assert_eq!(compaction.run(When::Due).await.unwrap().unwrap().removed, 2);
    let new = lake.compacted().await;
    assert_eq!(new.iter().filter(|key| !old.contains(key)).count(), 1, "{old:?} {new:?}");
    for key in &new {
        let bytes = lake.objects.get(key, None).await.unwrap();
        for gone in [4, 6].map(|n| id(n).to_string()) {
            assert!(!bytes.windows(gone.len()).any(|window| window == gone.as_bytes()), "its samples are in no file");
        }
    }
    assert_eq!(compaction.run(When::Due).await.unwrap(), None, "and that is the end of it");
}

stores::on_each_store! {
    a_query_reads_the_same_after_a_compaction_and_less
    what_is_deleted_leaves_the_query_at_once_and_the_file_with_the_next_compaction
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_no_more_samples_than_it_may_and_a_full_one_is_left_as_it_is() {
    let lake = filled(stores::folder()).await;
    let most = 3 * SAMPLES as u64;
    let compaction = lake.compaction(|rule| rule.samples = most);
    let before = everything(&lake).await;
    let done = compaction.run(When::Now).await.unwrap().unwrap();
    // Four of p-1 a month, two of the other and one of another movement.
    assert_eq!((done.recordings, done.files), (12, 7), "{done:?}");
    lake.add(14, "p-1", "sit-to-stand", 1, 25).await;
    let done = compaction.run(When::Now).await.unwrap().unwrap();
    assert_eq!((done.recordings, done.files), (2, 1), "the small file of that month and what is new: {done:?}");
    let after = everything(&lake).await;
    assert_eq!(after.lines().count(), before.lines().count() + SAMPLES);
    assert!(before.lines().all(|line| after.contains(line)));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_compactions_make_one_object_and_what_a_dead_one_left_is_removed() {
    let lake = filled(stores::folder()).await;
    let before = everything(&lake).await;
    let compaction = lake.compaction(|_| {});
    // It dies after it made a file and before it said so.
    let now = compaction.clock.now();
    let time = CompactionTime { now, until: now, periodic: true, removable: now };
    let lease = lake.database.take_compaction("dead", &time, true).await.unwrap().unwrap();
    let partition = lake.database.to_compact(&[patient("p-1")], 1, now).await.unwrap().remove(0);
    let (_, recordings) = lake.database.lake_partition(&partition).await.unwrap();
    let left = compaction.make(lease, &partition, &[], recordings.clone()).await.unwrap().unwrap();
    assert_eq!((lake.compacted().await.len(), lake.files().await), (1, 12));
    assert_eq!(everything(&lake).await, before);
    // Another makes a file of the same recordings, while the dead one is still on its way with its own.
    let other = lake.database.take_compaction("quick", &time, true).await.unwrap().unwrap();
    let quick = compaction.make(other, &partition, &[], recordings.clone()).await.unwrap().unwrap();
    assert_ne!(quick.key, left.key);
    lake.database.replace_lake_files(other, &[], std::slice::from_ref(&quick), now, now).await.unwrap();
    let late = compaction.objects.put(&left.key, "late".into()).await;
    assert!(late.is_ok(), "{late:?}");
    assert_eq!(everything(&lake).await, before);
    let refused = lake.database.replace_lake_files(lease, &[], std::slice::from_ref(&left), now, now).await;
    assert!(matches!(refused, Err(DatabaseError::Fenced)), "{refused:?}");

    compaction.run(When::Now).await.unwrap().unwrap();
    assert_eq!(everything(&lake).await, before);
    let compacted = lake.compacted().await;
    assert!(!compacted.contains(&left.key) && compacted.contains(&quick.key), "{compacted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_compacted_from_time_to_time_what_is_deleted_leaves_the_files_all_the_same() {
    let lake = filled(stores::folder()).await;
    lake.compaction(|_| {}).run(When::Now).await.unwrap();
    let never = lake.compaction(|rule| rule.every = None);
    assert_eq!(never.run(When::Due).await.unwrap(), None);
    lake.delete(6, "p: 2%").await;
    assert_eq!(never.run(When::Due).await.unwrap().unwrap().partitions, 1);
    assert_eq!(never.run(When::Due).await.unwrap().unwrap().removed, 1);
    assert_eq!(never.run(When::Due).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_cannot_be_read_holds_up_its_month_alone() {
    let lake = filled(stores::folder()).await;
    let compaction = lake.compaction(|_| {});
    lake.objects.put(&lake.own_file(5, "p-1"), "no Parquet".into()).await.unwrap();
    let done = compaction.run(When::Now).await.unwrap().unwrap();
    // Of the five months that of the fifth recording is left, with four recordings in it.
    assert_eq!((done.partitions, done.recordings, done.failed), (4, 8, 1), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_copy_of_samples_stays() {
    let lake = filled(stores::folder()).await;
    let compaction = lake.compaction(|_| {});
    compaction.run(When::Now).await.unwrap();
    lake.objects.delete(&lake.own_file(2, "p-1")).await.unwrap();
    lake.delete(4, "p-1").await;
    let before = everything(&lake).await;
    assert!(before.contains(&id(2).to_string()), "it is in the compacted file");
    for _ in 0..2 {
        assert_eq!(compaction.run(When::Now).await.unwrap().unwrap().failed, 1);
        assert_eq!(everything(&lake).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_began_before_a_compaction_reads_on() {
    let lake = filled(stores::folder()).await;
    let compaction = lake.compaction(|rule| rule.grace = TimeDelta::minutes(10));
    compaction.run(When::Now).await.unwrap();
    let everything = "SELECT a.ay FROM samples a, samples b WHERE a.patient_id = 'p-1' AND b.patient_id = 'p-1'";
    let engine = lake.engine();
    let mut answer = engine
        .query(everything.to_owned(), LakeScope::Everyone, crate::storage::lake::sql::Allowed::Select)
        .await
        .unwrap();
    lake.delete(1, "p-1").await;
    compaction.run(When::Now).await.unwrap();
    compaction.run(When::Now).await.unwrap();
    let mut count = 0;
    while let Some(batch) = answer.next().await.unwrap() {
        count += batch.num_rows();
        if count > 50_000 {
            break;
        }
    }
    assert!(count > 50_000);
}
