//! Recordings to upload.

use serde_json::{Value, json};
use std::path::PathBuf;
use uuid::Uuid;

/// An id that no recording has yet.
#[expect(clippy::disallowed_methods, reason = "what an id is does not matter to a test, only that it is new")]
pub(crate) fn fresh_id() -> Uuid {
    Uuid::new_v4()
}

/// A small recording that follows the rules, as JSON to be bent.
pub(crate) fn document(patient: &str, id: Uuid) -> Value {
    recording(patient, id, 0.5, None, 64)
}

/// A recording whose movement is quicker the better it is; with a clinician's score it is a training recording.
pub(crate) fn recording(patient: &str, id: Uuid, quality: f64, score: Option<f64>, samples: u32) -> Value {
    let times: Vec<f64> = (0..samples).map(|sample| f64::from(sample) * 0.01).collect();
    let wave = |axis: f64, size: f64| -> Vec<f64> {
        let speed = (0.5 + quality) * std::f64::consts::TAU;
        times
            .iter()
            .map(|t| axis + size * (0.5 + quality) * (speed * t + axis).sin() + 0.01 * (97.0 * t + axis).cos())
            .collect()
    };
    let ts: Vec<String> =
        times.iter().map(|t| format!("2026-01-31 12:{:02}:{:09.6} +01:00", (t / 60.0) as u32, t % 60.0)).collect();
    let mut document = json!({
        "user_id": patient, "movement": "sit-to-stand", "testID": id, "training": score.is_some(),
        "start_date": "2026-1-31", "ts": ts,
        "ax": wave(0.1, 0.5), "ay": wave(9.6, 1.5), "az": wave(1.5, 2.0),
        "gx": wave(0.0, 0.8), "gy": wave(0.01, 0.1), "gz": wave(0.02, 0.1),
        "mx": wave(20.0, 5.0), "my": wave(-35.0, 5.0), "mz": wave(10.0, 5.0),
    });
    if let Some(score) = score {
        document["clinic_score"] = json!(score.to_string());
    }
    document
}

/// The real recordings beside the project, or `None`, said loudly, where they are not.
pub(crate) fn shared_data() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("THE REAL RECORDINGS ARE NOT BESIDE THE PROJECT: THIS TEST CHECKED NOTHING");
    None
}
