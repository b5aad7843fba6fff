//! `stance train`: the training half of the container contract of Amazon SageMaker.

use crate::container::training;
use crate::domain::clock::SystemClock;
use anyhow::Context;
use clap::Args;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Args)]
#[command(
    after_help = "Recordings (*.json) with a clinician's score stand under input/data/training; the model goes to model/, and why there is
none to output/failure.

Example:
  stance train --root /opt/ml"
)]
pub(super) struct Options {
    /// Folder of the contract.
    #[arg(long, value_name = "FOLDER", default_value = "/opt/ml")]
    pub(super) root: PathBuf,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    #[cfg(feature = "failpoints")]
    let _failpoints = fail::FailScenario::setup();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
    let made = runtime.block_on(make(options));
    // Training that was stopped is not waited for.
    runtime.shutdown_background();
    if let Err(reason) = &made
        && let Err(error) = training::tell_failure(&options.root, reason)
    {
        return Err(error).with_context(|| format!("output/failure cannot be written, which was to say: {reason:#}"));
    }
    made
}

async fn make(options: &Options) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = Arc::new(AtomicBool::new(false));
    let (root, stopped) = (options.root.clone(), stop.clone());
    let training = tokio::task::spawn_blocking(move || training::make(&root, &SystemClock, &stopped));
    let files = tokio::select! {
        made = training => made.context("training panicked")??,
        _ = terminate.recv() => {
            stop.store(true, Ordering::Relaxed);
            anyhow::bail!("stopped by the platform before there was a model");
        }
    };
    training::keep(&options.root, &files)
}
