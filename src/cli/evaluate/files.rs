//! Recordings and manifests from files.

use crate::cli::files;
use crate::domain::recording::{Recording, parse};
use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use stance_models::evaluation::Observation;
use stance_models::features::extract_with;
use stance_models::recording::Samples;
use stance_models::signal::SignalPlans;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

/// Name of the manifests that are looked for.
const MANIFEST: &str = "manifest.csv";
/// Largest file that is read, bytes: a recording of 150 s at 100 Hz is 3 MB.
const MAX_FILE: u64 = 64 << 20;
/// Recordings that are read at most: their features are held in memory, some 9 kB each.
const MAX_RECORDINGS: usize = 100_000;

/// Recordings that are evaluated together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Series {
    /// The movement.
    pub(super) movement: String,
    /// The device, where the manifest names one; none where all are taken together.
    pub(super) device: Option<String>,
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.device {
            Some(device) => write!(f, "{}, {device}", self.movement),
            None => f.write_str(&self.movement),
        }
    }
}

/// A scored recording and where it belongs.
pub(super) struct Scored {
    movement: String,
    device: Option<String>,
    observation: Observation,
}

/// A row of a manifest. Other columns are not looked at.
#[derive(Debug, Deserialize)]
struct Row {
    #[serde(rename = "testID", alias = "test_event_id")]
    id: String,
    #[serde(rename = "true_score", alias = "score", alias = "clinic_score")]
    score: f64,
    user_id: Option<String>,
    movement: Option<String>,
    group: Option<String>,
    device: Option<String>,
}

/// Every scored recording below the paths.
pub(super) fn read(paths: &[PathBuf], manifest: Option<&Path>, device: Option<&str>) -> anyhow::Result<Vec<Scored>> {
    let found = files::below(paths, |path| files::is_recording(path) || is_manifest(path))?;
    let (mut manifests, files): (Vec<_>, Vec<_>) = found.into_iter().partition(|path| is_manifest(path));
    ensure!(!files.is_empty(), "there is no .json file in the paths");
    ensure!(files.len() <= MAX_RECORDINGS, "{} files are more than {MAX_RECORDINGS}", files.len());
    if let Some(manifest) = manifest {
        manifests = vec![manifest.to_owned()];
    }
    let mut rows = HashMap::new();
    for manifest in &manifests {
        read_manifest(manifest, &mut rows)?;
    }
    let bar = ProgressBar::new(files.len() as u64)
        .with_style(ProgressStyle::with_template("reading {bar:40} {pos}/{len} recordings, {eta} left")?);
    let mut plans = SignalPlans::new();
    let (mut found, mut seen) = (Vec::with_capacity(files.len()), HashMap::new());
    for file in files {
        if let Some(scored) = read_recording(&mut plans, &file, &rows)? {
            if let Some(first) = seen.insert(scored.observation.id.clone(), file.clone()) {
                bail!("{} and {} hold the same testID", first.display(), file.display());
            }
            found.push(scored);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let named: Vec<&str> = rows.keys().filter(|id| !seen.contains_key(*id)).map(String::as_str).take(1).collect();
    if let [first] = named.as_slice() {
        bail!("the manifest names recordings that are not in the paths, such as {first}");
    }
    if let Some(device) = device {
        found.retain(|scored| scored.device.as_deref() == Some(device));
        ensure!(!found.is_empty(), "--device: no recording is of the device {device:?}");
    }
    ensure!(!found.is_empty(), "no recording has a score: none is in a manifest, and none is a training recording");
    Ok(found)
}

/// Recordings a movement and device, and a movement with all devices where it has several.
pub(super) fn series(found: Vec<Scored>) -> BTreeMap<Series, Vec<Observation>> {
    let mut series: BTreeMap<Series, Vec<Observation>> = BTreeMap::new();
    for Scored { movement, device, observation } in found {
        if device.is_some() {
            let all = Series { movement: movement.clone(), device: None };
            series.entry(all).or_default().push(observation.clone());
        }
        series.entry(Series { movement, device }).or_default().push(observation);
    }
    let mut devices: BTreeMap<String, usize> = BTreeMap::new();
    for Series { movement, device } in series.keys() {
        *devices.entry(movement.clone()).or_default() += usize::from(device.is_some());
    }
    series.retain(|series, _| series.device.is_some() || devices.get(&series.movement) != Some(&1));
    series
}

fn read_manifest(path: &Path, rows: &mut HashMap<String, Row>) -> anyhow::Result<()> {
    let name = || format!("{} is not a manifest that can be read", path.display());
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).with_context(name)?;
    for (i, row) in reader.deserialize::<Row>().enumerate() {
        let row = row.with_context(name)?;
        ensure!(
            (0.0..=100.0).contains(&row.score),
            "{}: row {}: the score {} is not within 0 to 100",
            path.display(),
            i + 2,
            row.score
        );
        if let Some(twice) = rows.insert(row.id.clone(), row) {
            bail!("{}: row {}: testID {} is there twice", path.display(), i + 2, twice.id);
        }
    }
    Ok(())
}

/// The recording with its score, or none where it has no score.
fn read_recording(plans: &mut SignalPlans, file: &Path, rows: &HashMap<String, Row>) -> anyhow::Result<Option<Scored>> {
    let name = || format!("{} cannot be read", file.display());
    let length = std::fs::metadata(file).with_context(name)?.len();
    ensure!(length <= MAX_FILE, "{}: {length} bytes are more than a recording has", file.display());
    let document = std::fs::read(file).with_context(name)?;
    let recording = parse(document.into())
        .map_err(|refusal| anyhow::anyhow!("{}: {}: {}", file.display(), refusal.code, refusal.detail))?;
    let id = recording.id().to_string();
    let row = rows.get(&id);
    let Some(score) = row.map(|row| row.score).or(recording.clinic_score()) else { return Ok(None) };
    let told = |of: fn(&Row) -> &Option<String>| row.and_then(|row| of(row).clone()).filter(|text| !text.is_empty());
    let person = told(|row| &row.user_id).unwrap_or_else(|| recording.patient().to_string());
    let movement = told(|row| &row.movement).unwrap_or_else(|| recording.movement().to_string());
    let group = told(|row| &row.group).unwrap_or_else(|| id.clone());
    let device = told(|row| &row.device);
    let (features, extremes) = describe(plans, &recording).with_context(|| file.display().to_string())?;
    let observation = Observation { id, person, group, score, features, extremes };
    Ok(Some(Scored { movement, device, observation }))
}

fn describe(plans: &mut SignalPlans, recording: &Recording) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let seconds = recording.seconds();
    let samples = Samples::new(&seconds, recording.axes().each_ref().map(Vec::as_slice))?;
    let extremes = samples.axes().iter().flat_map(|axis| plans.spectrogram_extremes(axis)).collect();
    Ok((extract_with(plans, &samples).into_vec(), extremes))
}

fn is_manifest(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == MANIFEST)
}
