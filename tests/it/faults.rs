//! What a program depends on goes away, lies or forgets while phones upload, and comes back. Nothing is restarted.
//!
//! The faults last some seconds, so that all tests are soon done, and the bounds that they meet are shortened in the same
//! measure (`BOUNDS`); `STANCE_TEST_FAULT_SECONDS` makes them as long as in a bad night.

use crate::harness::{Answer, Backends, Client, Program, eventually, fresh_id, recording};
use futures_util::future::join_all;
use serde_json::Value;
use stance_testkit::faults::Mode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENT: &str = "patient-1";
/// How long a fault lasts: `STANCE_TEST_FAULT_SECONDS`, or a few seconds.
fn fault() -> Duration {
    let seconds = std::env::var("STANCE_TEST_FAULT_SECONDS").map_or(6, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}
/// Phones that upload at the same time, each this long after its last.
const PHONES: usize = 4;
const PAUSE: Duration = Duration::from_millis(400);
/// Shorter than a fault, so that it is met; the attempts are fewer than the looks for work in a fault, so that an outage
/// that counted as attempts would end jobs.
const BOUNDS: [(&str, &str); 5] = [
    ("database.acquire_timeout_seconds", "1"),
    ("objects.timeout_seconds", "3"),
    ("queue.max_attempts", "3"),
    ("queue.backoff_first_ms", "100"),
    ("queue.longest_rest_seconds", "1"),
];

/// Phones that upload to two programs, until they are told to stop.
struct Load {
    backends: Arc<Backends>,
    programs: Arc<[Program; 2]>,
    clinic: Client,
    samples: u32,
    acknowledged: Mutex<Vec<Value>>,
    begun: AtomicUsize,
    /// Answers 503, and connections that broke.
    refused: AtomicUsize,
    over: AtomicBool,
}

impl Load {
    /// There is a model already.
    async fn on(backends: Arc<Backends>, settings: &[(&str, &str)], samples: u32) -> Arc<Self> {
        let settings = [&BOUNDS, settings].concat();
        let programs = [Program::start_on(&backends, &settings), Program::start_on(&backends, &settings)];
        let clinic = programs[0].clinic_with(&[PATIENT]).await;
        let load = Self {
            backends,
            programs: Arc::new(programs),
            clinic,
            samples,
            acknowledged: Mutex::default(),
            begun: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        };
        join_all((0..10).map(|n| load.upload(n, true, 200))).await;
        let models = "SELECT count(*) FROM models";
        eventually("a model", || async { (load.programs[0].count(models).await == 1).then_some(()) }).await;
        Arc::new(load)
    }

    /// Phones upload before, in and after the fault; then everything is as if there had been none.
    async fn survives(self: Arc<Self>, fault: impl Future<Output = ()>) {
        let phones: Vec<_> = (0..PHONES).map(|_| tokio::spawn(self.clone().upload_on())).collect();
        self.acknowledges(8).await;
        let refused = self.refused.load(Ordering::Relaxed);
        assert_eq!(refused, 0, "before anything was wrong");
        fault.await;
        self.acknowledges(8).await;
        self.over.store(true, Ordering::Relaxed);
        for phone in phones {
            phone.await.unwrap();
        }
        println!("{} refused", self.refused.load(Ordering::Relaxed));
        self.all_is_there().await;
    }

    /// Waits for more acknowledgements.
    async fn acknowledges(&self, more: usize) {
        let there = || self.acknowledged.lock().unwrap().len();
        let wanted = there() + more;
        eventually("uploads are acknowledged", || async { (there() >= wanted).then_some(()) }).await;
    }

    async fn upload_on(self: Arc<Self>) {
        while !self.over.load(Ordering::Relaxed) {
            let n = self.begun.fetch_add(1, Ordering::Relaxed);
            // Every fourth trains.
            self.upload(n, n % 4 == 3, self.samples).await;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Uploads until it is acknowledged, to one program and the other.
    async fn upload(&self, n: usize, training: bool, samples: u32) {
        let quality = (n % 10) as f64 / 10.0;
        let document = recording(PATIENT, fresh_id(), quality, training.then_some(100.0 * quality), samples);
        for program in self.programs.iter().cycle().skip(n % 2) {
            let answer = self.clinic.at(program.url()).try_upload(document.to_string(), &[]).await;
            if answer.is_ok_and(|answer| is_acknowledged(&answer)) {
                break;
            }
            self.refused.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.acknowledged.lock().unwrap().push(document);
    }

    /// Every acknowledged recording is there, once, and in its final state.
    async fn all_is_there(&self) {
        let documents = self.acknowledged.lock().unwrap().clone();
        let training = documents.iter().filter(|document| document["training"] == true).count();
        let (all, scored, models) = (documents.len(), documents.len() - training, training / 10);
        let program = &self.programs[0];
        let left = "SELECT count(*) FROM jobs WHERE state <> 'dead'";
        eventually("nothing left to do", || async { (program.count(left).await == 0).then_some(()) }).await;
        let states = "SELECT status || coalesce(' ' || failure_code, '') || ' ' || count(*) FROM recordings
            GROUP BY status, failure_code ORDER BY status";
        let states = self.backends.postgres().psql(states);
        assert_eq!(states, format!("scored {scored}\ntraining {training}"));
        assert_eq!(self.backends.postgres().psql("SELECT kind, reason FROM jobs"), "", "a job was given up");
        for (sql, expected) in [
            ("SELECT count(*) FROM scores", scored),
            ("SELECT count(*) FROM models", models),
            ("SELECT count(DISTINCT training_ordinal) FROM recordings", training),
            ("SELECT CAST(sum(recordings) AS bigint) FROM training_counts", training),
        ] {
            assert_eq!(program.count(sql).await, expected as i64, "{sql}");
        }
        let keys = program.keys().await;
        assert_eq!(keys.len(), 3 * all + models);
        for document in &documents {
            let file = format!("test_event_id={}.json", document["testID"].as_str().unwrap());
            let raw = keys.iter().find(|key| key.ends_with(&file)).unwrap();
            assert!(program.object(raw).await == document.to_string().as_bytes(), "{raw} is another");
        }
        for program in self.programs.iter() {
            eventually("it is ready", || async {
                (Client::anonymous(program.url()).get("/readyz").await.status == 200).then_some(())
            })
            .await;
        }
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Whether an upload was acknowledged; if not, it must say when to come back.
fn is_acknowledged(answer: &Answer) -> bool {
    match answer.status {
        200 | 202 => true,
        503 => {
            let wait = answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
            assert!(wait > 0);
            false
        }
        other => panic!("an upload was answered {other}: {answer:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_cannot_be_reached_for_a_while() {
    let backends = Backends::production_with_queue(10).await;
    let load = Load::on(backends.clone(), &[], 200).await;
    load.clone()
        .survives(async {
            backends.roads().database.set(Mode::Refuse);
            tokio::time::sleep(fault()).await;
            backends.roads().database.set(Mode::Pass);
        })
        .await;
    assert!(load.refused() > 0, "nobody met the fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_crashes_and_is_started_again() {
    let backends = Backends::production_with_server().await;
    let load = Load::on(backends.clone(), &[], 200).await;
    load.clone()
        .survives(async {
            for _ in 0..2 {
                backends.postgres().crash();
                tokio::time::sleep(fault() / 2).await;
                backends.postgres().start();
                load.acknowledges(4).await;
            }
        })
        .await;
    assert!(load.refused() > 0, "nobody met the fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_end_in_the_middle_of_commits() {
    let backends = Backends::production_with_queue(10).await;
    let load = Load::on(backends.clone(), &[], 200).await;
    let road = &backends.roads().database;
    load.clone()
        .survives(async {
            // A step is one statement, which commits by itself: what is lost on the way there was not committed, what is
            // lost on the way back was. Acceptance is known by the raw key among its parameters, conversion by the
            // feature set.
            for step in ["recording_data/", stance_models::features::FEATURE_SET] {
                for mode in [Mode::lose_answers_to(&[step]), Mode::lose_requests(&[step])] {
                    let before = road.faults();
                    road.set(mode);
                    tokio::time::sleep(fault() / 2).await;
                    road.set(Mode::Pass);
                    assert!(road.faults() > before, "nothing of {step} was lost");
                    load.acknowledges(4).await;
                }
            }
        })
        .await;
    assert!(load.refused() > 0, "nobody met the fault");
}

/// The bucket does that for a while.
async fn the_bucket(mode: Mode, settings: &[(&str, &str)]) -> usize {
    let backends = Backends::production_with_queue(10).await;
    let load = Load::on(backends.clone(), settings, 200).await;
    let road = &backends.roads().bucket;
    load.clone()
        .survives(async {
            road.set(mode);
            tokio::time::sleep(fault()).await;
            road.set(Mode::Pass);
        })
        .await;
    assert!(road.faults() > 0, "nobody met the fault");
    load.refused()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_cannot_be_reached_for_a_while() {
    assert!(the_bucket(Mode::Refuse, &[]).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_asks_to_slow_down_for_a_while() {
    assert!(the_bucket(Mode::SlowDown, &[]).await > 0);
}

/// Recordings are read from the bucket, and none from memory.
const READING: [(&str, &str); 1] = [("ingest.handover_bytes", "0")];

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_s_answers_end_in_the_middle_for_a_while() {
    the_bucket(Mode::TruncateBody, &READING).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bucket_s_answers_are_lost_after_writing_for_a_while() {
    the_bucket(Mode::lose_answers_to(&["PUT "]), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_to_uploads_in_parts_are_lost_for_a_while() {
    // Over 8 MiB each.
    const LARGE: u32 = 45_000;
    let backends = Backends::production_with_queue(10).await;
    let patient = [("objects.timeout_seconds", "20")];
    let load = Load::on(backends.clone(), &patient, 200).await;
    let road = &backends.roads().bucket;
    road.set(Mode::lose_answers_to(&["POST ", "uploadId="]));
    join_all((0..4).map(|n| load.upload(4 * n, false, LARGE))).await;
    assert!(road.faults() >= 4, "{} answers were lost", road.faults());
    road.set(Mode::Pass);
    load.all_is_there().await;
    assert_eq!(load.refused(), 0, "what was done is acknowledged");
    eventually("no upload in parts is left", || async { (backends.bucket().open_uploads().await == 0).then_some(()) })
        .await;
}
