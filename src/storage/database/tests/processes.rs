//! Several processes on one PostgreSQL database: each has a [`Database`] of its own.

use super::*;
use crate::domain::audit::{Entry, Verifier};
use crate::domain::score::Failure;

/// Several handles on one fresh database.
async fn processes<const N: usize>() -> ([Database; N], Here) {
    let here = Here::postgres().await;
    let mut handles = Vec::new();
    for _ in 0..N {
        handles.push(here.another().await);
    }
    (handles.try_into().unwrap(), here)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_uploads_of_one_id_at_once_are_one_recording() {
    let ([a, b], here) = processes().await;
    for n in 0..30 {
        let other = NewRecording { digest: Digest::of(b"other"), ..new(n, "p-1", None) };
        let (first, second) = (new(n, "p-1", None), if n % 2 == 0 { new(n, "p-1", None) } else { other });
        let (x, y) = tokio::join!(a.accept_recording(&first, now()), b.accept_recording(&second, now()));
        let (x, y) = (x.unwrap(), y.unwrap());
        let loser = if n % 2 == 0 { Acceptance::Replayed } else { Acceptance::Conflicting };
        assert!([(Acceptance::Accepted, loser), (loser, Acceptance::Accepted)].contains(&(x, y)), "{x:?} {y:?}");
    }
    assert_eq!(lease(&here.database, JobKind::Convert, 100).await.len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_recording_by_both_roads_at_once_is_one_recording() {
    let ([a, b, c], here) = processes().await;
    for n in 0..30_u128 {
        // Every third patient is there already.
        let recording = new(n, &format!("{}-{n}", if n % 3 == 0 { "known" } else { "stranger" }), None);
        if n % 3 == 0 {
            add_patient(&here.database, recording.patient.as_str()).await;
        }
        let (x, y, z) = tokio::join!(
            a.accept_landed(&recording, None, now()),
            b.accept_recording(&recording, now()),
            c.accept_landed(&recording, None, now()),
        );
        let upload = match y {
            Err(DatabaseError::MissingReference(_)) if n % 3 != 0 => None,
            other => Some(other.unwrap()),
        };
        let all: Vec<_> = [x.unwrap(), z.unwrap()].into_iter().chain(upload).collect();
        assert_eq!(all.iter().filter(|one| **one == Acceptance::Accepted).count(), 1, "{all:?}");
        assert_eq!(all.iter().filter(|one| **one == Acceptance::Replayed).count(), all.len() - 1, "{all:?}");
    }
    assert_eq!(lease(&here.database, JobKind::Convert, 100).await.len(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_count_that_ten_conversions_cross_at_once_starts_one_training() {
    let (handles, here) = processes::<5>().await;
    let rule = TrainingRule { minimum: 10, every: 10, from_others: false };
    for n in 0..10 {
        here.database.accept_recording(&new(n, "p-1", Some(50.0)), now()).await.unwrap();
    }
    let jobs = lease(&here.database, JobKind::Convert, 10).await;
    assert_eq!(jobs.len(), 10);
    let conversions = jobs.into_iter().enumerate().map(|(n, job)| {
        let database = handles[n % handles.len()].clone();
        tokio::spawn(
            async move { database.finish_conversion(job.fence, job.subject, &conversion(), rule, now()).await },
        )
    });
    let mut queued = 0;
    for task in conversions.collect::<Vec<_>>() {
        queued += i32::from(task.await.unwrap().unwrap() == AfterConversion::TrainingQueued);
    }
    assert_eq!((queued, lease(&here.database, JobKind::Train, 10).await.len()), (1, 1));
    let server = here.server.as_ref().unwrap();
    let ordinals = "SELECT string_agg(training_ordinal::text, ',' ORDER BY training_ordinal) FROM recordings";
    assert_eq!(server.psql(ordinals), "1,2,3,4,5,6,7,8,9,10");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversion_and_a_training_that_end_at_once_leave_nothing_waiting() {
    let ([a, b], here) = processes().await;
    let database = &here.database;
    for n in 0..40_u32 {
        let patient = format!("race-{n}");
        add_patient(database, &patient).await;
        for m in 0..3 {
            let recording = new(u128::from(n * 10 + m), &patient, (m < 2).then_some(50.0));
            database.accept_recording(&recording, now()).await.unwrap();
        }
        let mut jobs = lease(database, JobKind::Convert, 3).await;
        let last = jobs.iter().position(|job| job.subject == id(u128::from(n * 10 + 2))).unwrap();
        let scored_later = jobs.remove(last);
        for job in jobs {
            database.finish_conversion(job.fence, job.subject, &conversion(), RULE, now()).await.unwrap();
        }
        let training = lease(database, JobKind::Train, 1).await.remove(0);
        let model = model(&format!("race-{n}"), &patient, 2);
        let (result, waited) = (conversion(), std::time::Duration::from_micros(u64::from(n) * 50));
        let (converted, trained) =
            tokio::join!(a.finish_conversion(scored_later.fence, scored_later.subject, &result, RULE, now()), async {
                tokio::time::sleep(waited).await;
                b.finish_training(training.fence, &model, now()).await
            });
        converted.unwrap();
        trained.unwrap();
        let state = database.recording_state(scored_later.subject).await.unwrap().unwrap();
        assert_eq!(state.status, RecordingStatus::Converted, "round {n}");
        assert_eq!(lease(database, JobKind::Score, 10).await.len(), 1, "round {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_job_is_leased_twice() {
    let (handles, here) = processes::<4>().await;
    for n in 0..200 {
        here.database.accept_recording(&new(n, "p-1", None), now()).await.unwrap();
    }
    let tasks: Vec<_> = handles
        .into_iter()
        .map(|database| {
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let jobs = lease(&database, JobKind::Convert, 3).await;
                    if jobs.is_empty() {
                        return mine;
                    }
                    mine.extend(jobs.into_iter().map(|job| (job.subject, job.attempt)));
                }
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort_unstable();
    assert_eq!(all, (0..200).map(|n| (id(n), 1)).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_record_of_all_processes_is_one_chain() {
    let (handles, here) = processes::<4>().await;
    let tasks: Vec<_> = handles
        .into_iter()
        .map(|database| {
            tokio::spawn(async move {
                for n in 0..50 {
                    let entries = (0..=n % 3).flat_map(|_| Entry::by_bucket("read").into_records(now()));
                    database.append_audit(&entries.collect::<Vec<_>>()).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let bounds = here.database.audit_bounds().await.unwrap();
    let (mut verifier, mut faults) = (Verifier::new(bounds.pruned, Vec::new()), Vec::new());
    let rows = here.database.audit_from(0, bounds.last, 1_000).await.unwrap();
    rows.iter().for_each(|row| verifier.next(row, &mut faults));
    verifier.end(bounds.head, &mut faults);
    assert_eq!((faults, rows.len()), (vec![], 396));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_is_migrated_once_by_all_who_start() {
    let server = Postgres::database();
    let options = options(&server);
    let opened = tokio::join!(
        Database::open_postgres(&options),
        Database::open_postgres(&options),
        Database::open_postgres(&options)
    );
    let all = [opened.0.unwrap(), opened.1.unwrap(), opened.2.unwrap()];
    let applied: Vec<_> = all.iter().map(|database| database.migrated().applied).collect();
    assert_eq!(applied.iter().filter(|applied| **applied > 0).count(), 1, "{applied:?}");

    let keys = [1_u8, 2, 3].map(|n| (format!("key-{n}"), vec![n]));
    let (x, y, z) = tokio::join!(
        all[0].signing_keys_or(&keys[0].0, &keys[0].1, now()),
        all[1].signing_keys_or(&keys[1].0, &keys[1].1, now()),
        all[2].signing_keys_or(&keys[2].0, &keys[2].1, now()),
    );
    let x = x.unwrap();
    assert_eq!(x.len(), 1, "one first key");
    assert!(x == y.unwrap() && x == z.unwrap());
    for database in all {
        database.close().await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_not_available() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options = PostgresOptions {
        url: format!("postgres://stance:secret@127.0.0.1:{port}/stance"),
        connections: 2,
        acquire_timeout: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(5),
    };
    let error = Database::open_postgres(&options).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Unavailable(_)), "{error:?}");
    assert!(!format!("{options:?} {error:?}").contains("secret"));
}

#[tokio::test]
async fn a_statement_that_waits_too_long_and_a_killed_connection_are_not_available_for_the_moment() {
    let here = Here::postgres().await;
    let server = here.server.as_ref().unwrap();
    let options = PostgresOptions { statement_timeout: Duration::from_millis(300), ..options(server) };
    let hurried = Database::open_postgres(&options).await.unwrap();
    here.database.accept_recording(&new(1, "p-1", None), now()).await.unwrap();
    let failure = Failure { code: "broken".into(), message: "cannot be read".into() };
    let mut held = here.database.begin().await.unwrap();
    held.mark_failed(id(1), &failure, now()).await.unwrap();
    let mut waiting = hurried.begin().await.unwrap();
    let waited = waiting.mark_failed(id(1), &failure, now()).await;
    assert!(matches!(waited, Err(DatabaseError::Unavailable(_))), "{waited:?}");
    drop((held, waiting));

    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
    server.psql(kill);
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(here.database.ping().await);
    }
    assert!(answers.iter().flatten().count() > 0, "it connects anew");
    let failed = answers.into_iter().filter_map(std::result::Result::err);
    assert!(failed.into_iter().all(|error| matches!(error, DatabaseError::Unavailable(_))));
}

/// A round of two things at once, the second a little later each time.
fn a_little(round: u32) -> Duration {
    Duration::from_micros(u64::from(round) * 60)
}

fn deletion(n: u128, patient: &str) -> DeletionRequest {
    let second = TimeDelta::seconds(1);
    DeletionRequest {
        id: id(n),
        patient: PatientId::new(patient).unwrap(),
        what: Deleted::Event,
        rule: RULE,
        grace: Grace { conversion: second, training: second, report: TimeDelta::zero() },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversion_that_ends_while_its_recording_is_deleted_leaves_nothing() {
    let ([a, b], here) = processes().await;
    let database = &here.database;
    for n in 0..60_u32 {
        let (patient, other) = (format!("race-{n}"), u128::from(n) * 10);
        add_patient(database, &patient).await;
        for m in 0..2 {
            database.accept_recording(&new(other + m, &patient, Some(50.0)), now()).await.unwrap();
        }
        // Of the two together a training is queued: with the one that is deleted, or with the other.
        let jobs = lease(database, JobKind::Convert, 2).await;
        let (result, request) = (conversion(), deletion(other, &patient));
        let convert = async {
            for job in &jobs {
                match a.finish_conversion(job.fence, job.subject, &result, RULE, now()).await {
                    Ok(_) | Err(DatabaseError::Fenced) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        };
        let delete = async {
            tokio::time::sleep(a_little(n)).await;
            b.delete_event(&request, now()).await.unwrap()
        };
        let ((), deleted) = tokio::join!(convert, delete);
        assert!(deleted);
        let found = database.training_recordings(&request.patient, &new(0, "p", None).movement, 10, 10).await.unwrap();
        assert_eq!(found.newest.iter().map(|one| one.id).collect::<Vec<_>>(), [id(other + 1)], "round {n}");
        assert_eq!(found.count, 1);
    }
    let server = here.server.as_ref().unwrap();
    let orphans =
        "SELECT count(*) FROM jobs WHERE kind <> 'delete' AND subject NOT IN (SELECT test_event_id FROM recordings)";
    assert_eq!(server.psql(orphans), "0");
    assert_eq!(server.psql("SELECT string_agg(DISTINCT recordings::text, ',') FROM training_counts"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_while_its_event_is_deleted_is_refused_or_deleted_or_comes_after_it() {
    let ([a, b], here) = processes().await;
    let database = &here.database;
    let mut outcomes = std::collections::BTreeMap::<_, u32>::new();
    for n in 0..60_u32 {
        let recording = new(n.into(), "p-1", None);
        let result = TestResult {
            id: recording.id,
            patient: recording.patient.clone(),
            test_type: recording.movement.clone(),
            doctor_score: None,
            notes: None,
            start_time: now(),
            end_time: now(),
        };
        database.put_test_result(&result, now()).await.unwrap();
        let request = deletion(n.into(), "p-1");
        // Now one of the two is a little later, now the other.
        let late = a_little(n % 20 * 3);
        let (accept_after, delete_after) = if n % 2 == 0 { (late, Duration::ZERO) } else { (Duration::ZERO, late) };
        let (accepted, deleted) = tokio::join!(
            async {
                tokio::time::sleep(accept_after).await;
                a.accept_recording(&recording, now()).await
            },
            async {
                tokio::time::sleep(delete_after).await;
                b.delete_event(&request, now()).await
            }
        );
        assert!(deleted.unwrap());
        let accepted = accepted.unwrap();
        assert!([Acceptance::Accepted, Acceptance::Deleted].contains(&accepted), "{accepted:?}");
        assert!(database.recording(recording.id).await.unwrap().is_none(), "round {n}");
        let pending = database.pending_deletion(recording.id).await.unwrap().unwrap();
        let day = ObjectKey::csv(&recording.patient, &recording.movement, recording.day, recording.id);
        assert_eq!(pending.keys.contains(&day), accepted == Acceptance::Accepted, "round {n}");
        *outcomes.entry(format!("{accepted:?}")).or_default() += 1;
    }
    assert_eq!(lease(database, JobKind::Convert, 100).await, []);
    assert!(outcomes.len() == 2, "both orders were tried: {outcomes:?}");
}
