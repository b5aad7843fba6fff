//! `stance-loadtest generate`: recordings as files.

use crate::generator::{Exercise, Person};
use anyhow::Context;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::path::PathBuf;

/// What to make.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stance-loadtest generate --people 5 --recordings 20 --scored 0.8 recordings/")]
pub struct Options {
    /// Folder for the files, made where it is not there: a folder a person, a file a recording.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// How many people.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    people: u64,
    /// How many recordings of each.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    recordings: u64,
    /// Which share of them carries the clinician's score.
    #[arg(long, default_value_t = 1.0)]
    scored: f64,
    /// Samples of each.
    #[arg(long, default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    samples: u32,
    /// The same seed makes the same files.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Makes the files.
///
/// # Errors
/// The folder cannot be written.
pub fn run(options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!((0.0..=1.0).contains(&options.scored), "--scored is a share, 0 to 1");
    let bar = ProgressBar::new(options.people * options.recordings)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} recordings, {eta} left")?);
    let exercise = Exercise::sit_to_stand().samples(options.samples as usize);
    let mut random = StdRng::seed_from_u64(options.seed);
    for number in 0..options.people {
        let person = Person::from_seed(options.seed.wrapping_mul(1_000_003).wrapping_add(number));
        let folder = options.folder.join(person.patient_id());
        std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        for _ in 0..options.recordings {
            let mut recording = exercise.record(&person, random.random_range(0.1..0.95), random.random());
            if random.random_bool(options.scored) {
                recording = recording.scored_by_clinician();
            }
            let file = folder.join(format!("{}.json", recording.test_event_id()));
            std::fs::write(&file, recording.to_json())
                .with_context(|| format!("{} cannot be written", file.display()))?;
            bar.inc(1);
        }
    }
    bar.finish();
    Ok(())
}
