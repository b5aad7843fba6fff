//! SIGKILL at random points, SIGTERM, and what is found afterwards.

use crate::harness::{Backends, Program, eventually, fresh_id, recording};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

const CLIENTS: usize = 16;
const KILLS: usize = 20;
const PATIENTS: [&str; 4] = ["p-1", "p-2", "p-3", "p-4"];
const SEED: u64 = 20_261_124;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed_again_and_again() {
    nothing_is_lost(vec![Program::start()], 500).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_when_one_of_two_processes_is_killed_again_and_again() {
    let backends = Backends::production().await;
    nothing_is_lost(vec![Program::start_on(&backends, &[]), Program::start_on(&backends, &[])], 320).await;
    assert_eq!(backends.bucket().open_uploads().await, 0, "an upload in parts is left");
}

/// The last of the programs is killed again and again while phones upload to all of them, each to one as long as that
/// answers.
async fn nothing_is_lost(mut programs: Vec<Program>, recordings: usize) {
    println!("seed {SEED}");
    let mut chance = StdRng::seed_from_u64(SEED);
    let clinic = programs[0].clinic_with(&PATIENTS).await;
    let documents: Arc<Vec<(Uuid, String)>> = Arc::new(
        (0..recordings)
            .map(|n| {
                let id = uuid::Builder::from_random_bytes(chance.random()).into_uuid();
                let quality = (n % 10) as f64 / 10.0;
                let score = trains(n).then_some(100.0 * quality);
                (id, recording(PATIENTS[n % PATIENTS.len()], id, quality, score, 200).to_string())
            })
            .collect(),
    );
    let next = Arc::new(AtomicUsize::new(0));
    let acknowledged: Arc<Mutex<BTreeMap<Uuid, usize>>> = Arc::default();
    let urls = |programs: &[Program]| programs.iter().map(|program| program.url().to_owned()).collect::<Vec<_>>();
    let (addresses, _) = tokio::sync::watch::channel(urls(&programs));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|first| {
            let (documents, next, acknowledged) = (documents.clone(), next.clone(), acknowledged.clone());
            let (clinic, addresses, mut road) = (clinic.clone(), addresses.subscribe(), first);
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some((id, body)) = documents.get(n) else { return };
                    // As a phone does: again, by another road, until it is acknowledged.
                    loop {
                        let urls = addresses.borrow().clone();
                        let answer = clinic.at(&urls[road % urls.len()]).try_upload(body.clone(), &[]).await;
                        match answer.map(|answer| answer.status) {
                            Ok(200 | 202) => break,
                            Ok(503) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                            Ok(other) => panic!("an upload was answered {other}"),
                        }
                        road += 1;
                    }
                    acknowledged.lock().unwrap().insert(*id, n);
                }
            })
        })
        .collect();

    for kill in 0..KILLS {
        // Spread over the uploads: the next kill comes when its share of them is done, and a random moment later.
        let share = recordings * kill / KILLS;
        while acknowledged.lock().unwrap().len() < share {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(chance.random_range(0..60))).await;
        let program = programs.last_mut().unwrap();
        program.kill();
        program.resume();
        addresses.send_replace(urls(&programs));
    }
    for client in clients {
        client.await.unwrap();
    }
    for (id, _) in documents.iter() {
        assert!(acknowledged.lock().unwrap().contains_key(id));
    }
    let pending = "SELECT count(*) FROM jobs WHERE state <> 'dead'";
    let program = &programs[0];
    eventually("nothing left to do", || async { (program.count(pending).await == 0).then_some(()) }).await;
    all_is_there(program, &documents).await;
    let staged: usize = programs.iter().map(|program| staged_in(program.folder())).sum();
    assert_eq!(staged, 0, "a temporary file is left");
}

/// A third of the recordings train; the rest wait, and are scored.
fn trains(n: usize) -> bool {
    n.is_multiple_of(3)
}

async fn all_is_there(program: &Program, documents: &[(Uuid, String)]) {
    let recordings = documents.len();
    let training = (0..recordings).filter(|n| trains(*n)).count();
    let unscored = (recordings - training) as i64;
    assert_eq!(program.count("SELECT count(*) FROM recordings").await, recordings as i64);
    assert_eq!(program.count("SELECT count(*) FROM jobs").await, 0, "a job was given up");
    assert_eq!(program.count("SELECT count(*) FROM recordings WHERE status = 'scored'").await, unscored);
    assert_eq!(program.count("SELECT count(*) FROM scores").await, unscored, "one score row each");
    assert_eq!(program.count("SELECT count(*) FROM recordings WHERE status = 'training'").await, training as i64);
    let counted = "SELECT CAST(sum(recordings) AS bigint) FROM training_counts";
    assert_eq!(program.count(counted).await, training as i64, "each counted once");
    // One with each tenth training recording of a patient, beside the provisional ones before the first.
    let of = |patient: usize| (0..recordings).filter(|n| trains(*n) && n % PATIENTS.len() == patient).count();
    let models: usize = (0..PATIENTS.len()).map(|patient| of(patient) / 10).sum();
    assert_eq!(program.count("SELECT count(*) FROM models WHERE verdict <> 'provisional'").await, models as i64);

    let (whole, text) = program.run(&["admin", "verify-audit"], "");
    assert!(whole, "the audit record: {text}");
    let noted = "SELECT count(DISTINCT test_event_id) FROM audit_records WHERE operation = 'upload_recording'";
    assert_eq!(program.count(noted).await, recordings as i64, "each upload is on the audit record");

    let keys = program.keys().await;
    let raw: BTreeMap<Uuid, &String> = keys
        .iter()
        .filter_map(|key| {
            let id = key.strip_prefix("recording_data/")?.rsplit_once("test_event_id=")?.1.strip_suffix(".json")?;
            Some((id.parse().unwrap(), key))
        })
        .collect();
    for (id, body) in documents {
        assert_eq!(program.object(raw[id]).await, body.as_bytes(), "byte for byte");
    }
    let models = usize::try_from(program.count("SELECT count(*) FROM models").await).unwrap();
    let count = |ending: &str| keys.iter().filter(|key| key.ends_with(ending)).count();
    assert_eq!((count(".csv"), count(".parquet"), count(".tar.gz")), (recordings, recordings, models));
    assert_eq!(keys.len(), 3 * recordings + models, "nothing else is there");
}

/// What is left of bodies that arrived or were on their way to a bucket.
fn staged_in(folder: &Path) -> usize {
    let staging = folder.join("objects/.staging");
    let open = [staging, folder.join("spool")].into_iter().filter_map(|folder| std::fs::read_dir(folder).ok());
    // The running program has a folder of its own there, empty.
    open.flatten().flatten().map(|entry| std::fs::read_dir(entry.path()).map_or(1, Iterator::count)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_what_is_under_way_and_loses_nothing() {
    let mut program = Program::start();
    let clinic = program.clinic_with(&["p-1"]).await;
    let uploads: Vec<_> = (0..40)
        .map(|_| {
            let clinic = clinic.clone();
            let body = recording("p-1", fresh_id(), 0.5, None, 2_000).to_string();
            tokio::spawn(async move { clinic.try_upload(body, &[]).await.map(|answer| answer.status) })
        })
        .collect();
    eventually("some are in", || async { (program.metric("stance_stage_in_flight").await > 0.0).then_some(()) }).await;
    let (well, took) = program.terminate();
    assert!(well, "it ended with an error");
    assert!(took < Duration::from_secs(30), "it took {took:?}");
    let mut acknowledged = 0;
    for upload in uploads {
        acknowledged += i64::from(matches!(upload.await.unwrap(), Ok(202)));
    }
    let leased = program.count("SELECT count(*) FROM jobs WHERE state = 'leased'").await;
    assert_eq!(leased, 0, "nothing is left under way");
    program.resume();
    eventually("all are converted", || async {
        let converted = program.count("SELECT count(*) FROM recordings WHERE status = 'awaiting_model'").await;
        (converted >= acknowledged).then_some(())
    })
    .await;
}
