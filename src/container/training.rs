//! Training: recordings of one person under `input/data`, a model under `model`, and why there is none under `output/failure`.

use crate::domain::clock::Clock;
use crate::domain::recording::{Recording, parse};
use crate::scoring::input::features;
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use chrono::SecondsFormat;
use serde::de::DeserializeOwned;
use stance_models::training::{TrainParams, Trained, TrainingSet, train};
use stance_models::{artifact, entries};
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes of one recording at most.
const LARGEST_RECORDING: u64 = 64 << 20;
/// Bytes of a configuration file at most.
const LARGEST_CONFIGURATION: u64 = 1 << 20;
/// Files of the data at most.
const MOST_FILES: usize = 100_000;
/// Characters of a reason: what the platform shows of it.
const SHOWN: usize = 1_024;
/// What the platform itself adds to the hyperparameters begins so.
const OF_THE_PLATFORM: &str = "sagemaker_";

/// What the hyperparameters say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Hyperparameters {
    seed: u64,
}

/// A recording that was read: what training needs of it.
struct Learned {
    id: String,
    taken_at: i64,
    features: Vec<f64>,
    score: f64,
}

/// Trains a model from what is under `root`; its files. `stop` ends it early.
///
/// # Errors
/// Why there is no model; it holds nothing of a person.
pub fn make(root: &Path, clock: &dyn Clock, stop: &AtomicBool) -> anyhow::Result<Vec<entries::Entry>> {
    fail::fail_point!("train");
    let Hyperparameters { seed } = hyperparameters(root)?;
    let channel = channel(root)?;
    let mut learned = Vec::new();
    let mut whose = None;
    for path in files(&channel)? {
        ensure!(!stop.load(Ordering::Relaxed), "stopped");
        // Its folders may be named after a patient.
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let recording = read(&path).with_context(|| name.clone())?;
        let of = (recording.patient().clone(), recording.movement().clone());
        match &whose {
            None => whose = Some(of),
            Some(known) => ensure!(*known == of, "{name}: it is of another patient or movement than those before it"),
        }
        let score = recording.clinic_score();
        let score = score.with_context(|| format!("{name}: it has no clinician's score"))?;
        learned.push(Learned {
            id: recording.id().to_string(),
            taken_at: recording.timestamps().first().map_or(0, |time| time.utc_micros),
            features: features(&recording).with_context(|| name.clone())?,
            score,
        });
    }
    ensure!(!learned.is_empty(), "there are no recordings (*.json) in the channel");
    learned.sort_by(|a, b| (a.taken_at, &a.id).cmp(&(b.taken_at, &b.id)));
    let mut ids = HashSet::new();
    ensure!(learned.iter().all(|recording| ids.insert(&recording.id)), "a recording is there twice");
    let set = TrainingSet {
        ids: learned.iter().map(|recording| recording.id.clone()).collect(),
        scores: learned.iter().map(|recording| recording.score).collect(),
        features: learned.into_iter().map(|recording| recording.features).collect(),
    };
    let trained_at = Some(clock.now().to_rfc3339_opts(SecondsFormat::Secs, true));
    let Trained { model, card } = train(&set, &TrainParams { seed, trained_at })?;
    Ok(entries::split(&artifact::pack(&model, &card)?)?)
}

/// Puts a model's files under `model`: each whole or not at all.
///
/// # Errors
/// When they cannot be written.
pub fn keep(root: &Path, files: &[entries::Entry]) -> anyhow::Result<()> {
    let folder = root.join("model");
    std::fs::create_dir_all(&folder).context("the model's folder cannot be made")?;
    for (name, content) in files {
        let partial = folder.join(format!(".{name}.partial"));
        std::fs::write(&partial, content).context("the model cannot be written")?;
        std::fs::rename(&partial, folder.join(name)).context("the model cannot be written")?;
    }
    Ok(())
}

/// Tells the platform why there is no model.
///
/// # Errors
/// When it cannot be written.
pub fn tell_failure(root: &Path, reason: &anyhow::Error) -> std::io::Result<()> {
    let folder = root.join("output");
    std::fs::create_dir_all(&folder)?;
    let reason: String = format!("{reason:#}").chars().take(SHOWN).collect();
    std::fs::write(folder.join("failure"), reason)
}

fn hyperparameters(root: &Path) -> anyhow::Result<Hyperparameters> {
    let Some(given) = configuration::<BTreeMap<String, String>>(root, "hyperparameters.json")? else {
        return Ok(Hyperparameters::default());
    };
    let mut hyperparameters = Hyperparameters::default();
    for (name, value) in given {
        match name.as_str() {
            "seed" => {
                let seed = value.parse();
                hyperparameters.seed = seed.with_context(|| format!("hyperparameter seed: {value:?} is no number"))?;
            }
            _ if name.starts_with(OF_THE_PLATFORM) => {}
            _ => bail!("there is no hyperparameter {name:?}; there is seed"),
        }
    }
    Ok(hyperparameters)
}

/// The folder of the channel with the recordings: `training`, `train`, or the only one.
fn channel(root: &Path) -> anyhow::Result<PathBuf> {
    let named = configuration::<BTreeMap<String, serde_json::Value>>(root, "inputdataconfig.json")?;
    let names: Vec<_> = named.unwrap_or_default().into_keys().collect();
    let known =
        ["training", "train"].into_iter().find(|known| names.is_empty() || names.iter().any(|name| name == known));
    let data = root.join("input/data");
    let name = match (known, names.as_slice()) {
        (Some(known), [_, ..]) => known.to_owned(),
        (None, [only]) => only.clone(),
        (_, []) => {
            let there = ["training", "train"].into_iter().find(|name| data.join(name).is_dir());
            there.context("there is no channel: put recordings under input/data/training")?.to_owned()
        }
        (None, _) => bail!("none of the channels is called training"),
    };
    ensure!(!name.contains(['/', '\\']) && name != "..", "a channel's name cannot be a path");
    Ok(data.join(name))
}

fn configuration<T: DeserializeOwned>(root: &Path, name: &str) -> anyhow::Result<Option<T>> {
    let path = root.join("input/config").join(name);
    if !path.exists() {
        return Ok(None);
    }
    let text = content(&path, LARGEST_CONFIGURATION).with_context(|| name.to_owned())?;
    serde_json::from_slice(&text).map(Some).with_context(|| format!("{name} cannot be read"))
}

/// Every `*.json` below a folder, by path.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut open, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).context("the channel's folder cannot be read")? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
            ensure!(files.len() + open.len() <= MOST_FILES, "there are more than {MOST_FILES} files");
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<Recording> {
    let document = content(path, LARGEST_RECORDING)?;
    parse(Bytes::from(document)).map_err(|refusal| anyhow::anyhow!("{}", refusal.detail))
}

#[expect(clippy::disallowed_methods, reason = "cut off one byte after the limit")]
fn content(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    ensure!(path.is_file(), "it is no file");
    let mut content = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut content)?;
    ensure!(content.len() as u64 <= limit, "it is larger than {limit} bytes");
    Ok(content)
}
