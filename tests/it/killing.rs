//! SIGKILL at random points, SIGTERM, and what is found afterwards.

use crate::harness::{Program, eventually, fresh_id, recording};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

const RECORDINGS: usize = 500;
const CLIENTS: usize = 16;
const KILLS: usize = 20;
const PATIENTS: [&str; 4] = ["p-1", "p-2", "p-3", "p-4"];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_acknowledged_is_lost_when_the_process_is_killed_again_and_again() {
    let seed = 20_261_124;
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut program = Program::start();
    let clinic = program.clinic_with(&PATIENTS).await;
    let documents: Arc<Vec<(Uuid, String)>> = Arc::new(
        (0..RECORDINGS)
            .map(|n| {
                let id = uuid::Builder::from_random_bytes(chance.random()).into_uuid();
                let quality = (n % 10) as f64 / 10.0;
                // A third of them train; the rest wait, and are scored.
                let score = (n % 3 == 0).then_some(100.0 * quality);
                (id, recording(PATIENTS[n % 4], id, quality, score, 200).to_string())
            })
            .collect(),
    );
    let next = Arc::new(AtomicUsize::new(0));
    let acknowledged: Arc<Mutex<BTreeMap<Uuid, usize>>> = Arc::default();
    let (address, _) = tokio::sync::watch::channel(program.url().to_owned());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (documents, next, acknowledged) = (documents.clone(), next.clone(), acknowledged.clone());
            let (clinic, address) = (clinic.clone(), address.subscribe());
            tokio::spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some((id, body)) = documents.get(n) else { return };
                    // As a phone does: again until it is acknowledged.
                    loop {
                        let url = address.borrow().clone();
                        let answer = clinic.at(&url).try_upload(body.clone(), &[]).await;
                        match answer.map(|answer| answer.status) {
                            Ok(200 | 202) => break,
                            Ok(503) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                            Ok(other) => panic!("an upload was answered {other}"),
                        }
                    }
                    acknowledged.lock().unwrap().insert(*id, n);
                }
            })
        })
        .collect();

    for kill in 0..KILLS {
        // Spread over the uploads: the next kill comes when its share of them is done, and a random moment later.
        let share = RECORDINGS * kill / KILLS;
        while acknowledged.lock().unwrap().len() < share {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(chance.random_range(0..60))).await;
        program.kill();
        program.resume();
        address.send_replace(program.url().to_owned());
    }
    for client in clients {
        client.await.unwrap();
    }
    let pending = "SELECT count(*) FROM jobs WHERE state <> 'dead'";
    eventually("nothing left to do", || async { (program.count(pending).await == 0).then_some(()) }).await;

    assert_eq!(program.count("SELECT count(*) FROM recordings").await, RECORDINGS as i64);
    assert_eq!(program.count("SELECT count(*) FROM jobs").await, 0, "a job was given up");
    let unscored = documents.iter().enumerate().filter(|(n, _)| n % 3 != 0).count() as i64;
    assert_eq!(program.count("SELECT count(*) FROM recordings WHERE status = 'scored'").await, unscored);
    assert_eq!(program.count("SELECT count(*) FROM scores").await, unscored, "one score row each");
    assert_eq!(
        program.count("SELECT count(*) FROM recordings WHERE status = 'training'").await,
        RECORDINGS as i64 - unscored
    );
    let counted = "SELECT sum(recordings) FROM training_counts";
    assert_eq!(program.count(counted).await, RECORDINGS as i64 - unscored, "each counted once");
    // 167 training recordings of four patients: models at 10, 20, 30 and 40 of each.
    assert_eq!(program.count("SELECT count(*) FROM models").await, 16);

    let objects = program.objects();
    let raw: BTreeMap<Uuid, &std::path::PathBuf> = objects
        .iter()
        .filter_map(|(key, path)| {
            let id = key.strip_prefix("recording_data/")?.rsplit_once("test_event_id=")?.1.strip_suffix(".json")?;
            Some((id.parse().unwrap(), path))
        })
        .collect();
    for (id, body) in documents.iter() {
        assert!(acknowledged.lock().unwrap().contains_key(id));
        assert_eq!(std::fs::read_to_string(raw[id]).unwrap(), *body, "byte for byte");
    }
    let count = |ending: &str| objects.iter().filter(|(key, _)| key.ends_with(ending)).count();
    assert_eq!((count(".csv"), count(".parquet"), count(".tar.gz")), (RECORDINGS, RECORDINGS, 16));
    assert!(objects.iter().all(|(key, _)| !key.starts_with(".staging")), "no temporary file is left");
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
