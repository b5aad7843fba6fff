//! Agreement with SciPy on real recordings (`shared/tools/reference_features.py`).
#![expect(clippy::print_stdout, reason = "says loudly that nothing was checked")]

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::SignalPlans;

const AXES: [&str; 9] = ["ax", "ay", "az", "gx", "gy", "gz", "mx", "my", "mz"];

#[test]
fn spectra_agree_with_scipy() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let Ok(golden) = std::fs::read(data.join("golden/features.json")) else {
        println!("SKIPPED, NOTHING CHECKED: no reference values under {}", data.display());
        return;
    };
    let golden: Value = serde_json::from_slice(&golden).unwrap();
    let mut plans = SignalPlans::new();
    let mut checked = 0;
    for (id, reference) in golden.as_object().unwrap() {
        let file = find(&data, &format!("{id}.json")).unwrap();
        let recording: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for axis in AXES {
            let x = numbers(&recording[axis]);
            compare(id, axis, &plans.spectrogram_extremes(&x), &numbers(&reference["spectrogram_extremes"][axis]));
            compare(id, axis, &plans.welch_psd(&x, 100.0, 256), &numbers(&reference["welch_psd_100hz"][axis]));
            checked += 1;
        }
    }
    assert_eq!(checked, 4 * 9);
}

/// 1e-9 relative, or 1e-12 of the largest value of the axis, where rounding is all there is.
fn compare(id: &str, axis: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{id} {axis}");
    let largest = want.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let error = (g - w).abs();
        assert!(error <= 1e-9 * w.abs() || error <= 1e-12 * largest, "{id} {axis}[{i}]: {g} is not {w}");
    }
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if let Some(found) = find(&path, name) {
                return Some(found);
            }
        } else if path.file_name().is_some_and(|f| f == name) {
            return Some(path);
        }
    }
    None
}
