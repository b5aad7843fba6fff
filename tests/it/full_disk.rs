//! The disk that SQLite and the objects are on has no room left, and gets some.
//!
//! It is a small file system in memory, which only root may mount; elsewhere these tests say so and check nothing.

use crate::harness::{Backends, Client, Program, eventually, fresh_id, recording};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENT: &str = "patient-1";
const MIB: usize = 1 << 20;

/// A file system of 48 MiB with the program's data folder. Dropped, it is unmounted.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// None, said loudly, where it cannot be mounted.
    fn mounted_at(folder: &TempDir) -> Option<Self> {
        let folder = folder.path().to_owned();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"]).arg(&folder).output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self { folder });
        }
        println!("A SMALL FILE SYSTEM CANNOT BE MOUNTED HERE (ONLY ROOT MAY): THIS TEST CHECKED NOTHING");
        None
    }

    fn ballast(&self) -> PathBuf {
        self.folder.join("ballast")
    }

    /// Leaves so many bytes, less than a page of which are lost to rounding.
    fn leave(&self, bytes: usize) {
        self.make_room();
        let mut ballast = File::create(self.ballast()).unwrap();
        let piece = vec![1; MIB / 16];
        while ballast.write_all(&piece).is_ok() {}
        let full = ballast.metadata().unwrap().len();
        ballast.set_len(full.saturating_sub(bytes as u64)).unwrap();
    }

    fn make_room(&self) {
        drop(fs::remove_file(self.ballast()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the program may not have ended yet.
        drop(Command::new("umount").arg("--lazy").arg(&self.folder).output());
    }
}

/// A program on a small disk with a model, and its care provider.
struct Scene {
    program: Program,
    disk: SmallDisk,
    clinic: Client,
    acknowledged: Vec<Value>,
}

impl Scene {
    async fn set() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let disk = SmallDisk::mounted_at(&folder)?;
        // An outage that counted as attempts would end a job.
        let settings = [
            ("queue.max_attempts", "3"),
            ("queue.backoff_first_ms", "50"),
            ("queue.tick_ms", "100"),
            ("queue.longest_rest_seconds", "1"),
        ];
        let mut program = Program::stopped_in(folder, &Backends::embedded(), &settings);
        program.resume();
        let clinic = program.clinic_with(&[PATIENT]).await;
        let mut scene = Self { program, disk, clinic, acknowledged: Vec::new() };
        for n in 0..10_u32 {
            let quality = f64::from(n) / 10.0;
            assert_eq!(scene.upload(recording(PATIENT, fresh_id(), quality, Some(100.0 * quality), 200)).await, 202);
        }
        scene.is_settled().await;
        Some(scene)
    }

    /// The status of the answer, which is an acknowledgement, or says that there is no room or when to come back.
    async fn upload(&mut self, document: Value) -> u16 {
        let answer = self.clinic.upload(document.to_string()).await;
        match answer.status {
            200 | 202 => self.acknowledged.push(document),
            503 => assert!(answer.headers.contains_key("retry-after"), "{answer:?}"),
            507 => assert_eq!(answer.code(), "no_space"),
            other => panic!("an upload was answered {other}: {answer:?}"),
        }
        answer.status
    }

    /// Everything acknowledged is in its final state, and nothing else is there.
    async fn is_settled(&self) {
        let (program, all) = (&self.program, self.acknowledged.len());
        let scored = all - 10;
        let left = "SELECT count(*) FROM jobs WHERE state <> 'dead'";
        eventually("nothing left to do", || async { (program.count(left).await == 0).then_some(()) }).await;
        for (sql, expected) in [
            ("SELECT count(*) FROM jobs", 0),
            ("SELECT count(*) FROM recordings", all),
            ("SELECT count(*) FROM recordings WHERE status = 'scored'", scored),
            ("SELECT count(*) FROM scores", scored),
            ("SELECT count(*) FROM models", 1),
        ] {
            assert_eq!(program.count(sql).await, expected as i64, "{sql}");
        }
        let objects = program.objects();
        let visible: Vec<_> = objects.iter().filter(|(key, _)| !key.starts_with(".staging")).collect();
        assert_eq!(visible.len(), 3 * all + 1, "{visible:?}");
        for document in &self.acknowledged {
            let file = format!("test_event_id={}.json", document["testID"].as_str().unwrap());
            let (_, raw) = visible.iter().find(|(key, _)| key.ends_with(&file)).unwrap();
            assert!(fs::read(raw).unwrap() == document.to_string().as_bytes(), "byte for byte");
        }
        self.nothing_is_half_written();
        let ready = Client::anonymous(program.url()).get("/readyz").await;
        assert_eq!(ready.status, 200, "{ready:?}");
    }

    /// What can be seen under a key is whole.
    fn nothing_is_half_written(&self) {
        for (key, path) in self.program.objects() {
            if key.starts_with(".staging") {
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            let whole = match path.extension().unwrap().to_str().unwrap() {
                "json" => serde_json::from_slice::<Value>(&bytes).is_ok(),
                "csv" => bytes.starts_with(b"ts,") && bytes.ends_with(b"\n"),
                "parquet" => bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"),
                "gz" => bytes.starts_with(&[0x1f, 0x8b]),
                other => panic!("an object ends with .{other}"),
            };
            assert!(whole, "{key} is not whole");
        }
    }
}

fn of_samples(samples: u32) -> Value {
    recording(PATIENT, fresh_id(), 0.5, None, samples)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_fills_up_in_the_middle_of_an_upload() {
    let Some(mut scene) = Scene::set().await else { return };
    let large = of_samples(20_000);
    assert!(large.to_string().len() > 2 * MIB);
    // SQLite's journal has the room that it needs; the body has not.
    scene.disk.leave(MIB);
    assert_eq!(scene.upload(large.clone()).await, 507);
    scene.nothing_is_half_written();
    let staging = scene.program.folder().join("objects/.staging");
    eventually("what had arrived is gone", || async { (bytes_below(&staging) == 0).then_some(()) }).await;
    assert_eq!(scene.upload(of_samples(200)).await, 202, "what has room is taken");
    scene.disk.make_room();
    assert_eq!(scene.upload(large).await, 202);
    scene.is_settled().await;
}

fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => bytes_below(&entry.path()),
            Ok(about) => about.len(),
            // Gone since.
            Err(_) => 0,
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_fills_up_before_a_conversion() {
    let Some(mut scene) = Scene::set().await else { return };
    scene.program.kill();
    // Long enough for the disk to be filled after the acknowledgement.
    scene.program.resume_with_failpoints("converter=1*sleep(1500)");
    scene.clinic = scene.clinic.at(scene.program.url());
    assert_eq!(scene.upload(of_samples(5_000)).await, 202);
    scene.disk.leave(256 << 10);
    let away = "stance_stage_duration_seconds_count{stage=\"convert\",outcome=\"away\"}";
    eventually("it has no room", || async { (scene.program.metric(away).await >= 1.0).then_some(()) }).await;
    scene.nothing_is_half_written();
    scene.disk.make_room();
    scene.is_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_fills_up_when_rows_are_committed() {
    let Some(mut scene) = Scene::set().await else { return };
    let mut refused = Vec::new();
    // From hardly any room to enough: whatever is written finds none in its turn.
    for kib in [0, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192] {
        scene.disk.leave(kib << 10);
        for _ in 0..3 {
            let document = of_samples(64);
            if ![200, 202].contains(&scene.upload(document.clone()).await) {
                refused.push(document);
            }
        }
        scene.nothing_is_half_written();
    }
    println!("{} of 36 refused", refused.len());
    assert!(refused.len() >= 3);
    scene.disk.make_room();
    // A raw object may have had room, and its rows none: whole, it waits for the phone to come again.
    for document in refused {
        let begun = Instant::now();
        while ![200, 202].contains(&scene.upload(document.clone()).await) {
            assert!(begun.elapsed() < Duration::from_secs(20), "there is room, and it is not used");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    scene.is_settled().await;
}
