//! `stance evaluate`: how good models would be on a folder of recordings, each predicted by a model that saw nothing of it.

mod files;
mod plot;
mod table;

use anyhow::Context;
use clap::Args;
use files::{Scored, Series};
use indicatif::{ProgressBar, ProgressStyle};
use stance_models::evaluation::{Outcome, leave_one_group_out};
use std::io::Write;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(
    after_help = "The manifest is CSV with a header: testID and true_score, and where there are any user_id, movement, group (recordings that
are never parted, such as two devices at one execution) and device. Without one, the clinicians' scores of training
recordings are taken for true. Each movement and device is evaluated apart, and all devices of a movement together.

Example:
  stance evaluate recordings/
  stance evaluate recordings/ --manifest scores.csv --device phone --json > evaluation.json"
)]
pub(super) struct Options {
    /// Folder that is searched for `*.json`, or a file.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Groups and true scores; every `manifest.csv` in the folders where this is not given.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Only recordings of this device.
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Print JSON, every prediction in it, rather than tables.
    #[arg(long)]
    json: bool,
    /// Where the plot goes, SVG: predictions with their intervals over true scores.
    #[arg(long, value_name = "FILE", default_value = "evaluation.svg")]
    plot: PathBuf,
}

/// What was found of a series.
struct Evaluation {
    series: Series,
    people: usize,
    outcomes: Vec<Outcome>,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    let found = files::read(&options.paths, options.manifest.as_deref(), options.device.as_deref())?;
    let evaluations = evaluate(found)?;
    anyhow::ensure!(
        !evaluations.is_empty(),
        "nothing to evaluate: no person has three scored recordings of one movement and device, in groups of their own"
    );
    let drawn = plot::draw(&evaluations)?;
    std::fs::write(&options.plot, drawn)
        .with_context(|| format!("--plot: {} cannot be written", options.plot.display()))?;
    let mut out = std::io::stdout().lock();
    if options.json {
        serde_json::to_writer_pretty(&mut out, &table::json(&evaluations))?;
        writeln!(out)?;
    } else {
        for evaluation in &evaluations {
            writeln!(out, "{}", table::table(evaluation))?;
        }
        writeln!(out, "{}\nPlot: {}", table::LEGEND, options.plot.display())?;
    }
    Ok(())
}

fn evaluate(found: Vec<Scored>) -> anyhow::Result<Vec<Evaluation>> {
    let mut evaluations = Vec::new();
    for (series, observations) in files::series(found) {
        let bar = ProgressBar::new(0)
            .with_style(ProgressStyle::with_template("{msg} {bar:40} {pos}/{len} groups left out, {eta} left")?)
            .with_message(series.to_string());
        let outcomes = leave_one_group_out(&observations, |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        });
        bar.finish_and_clear();
        if !outcomes.is_empty() {
            let people: std::collections::BTreeSet<&str> = observations.iter().map(|o| o.person.as_str()).collect();
            evaluations.push(Evaluation { series, people: people.len(), outcomes });
        }
    }
    Ok(evaluations)
}
