//! `stance model-server`: the container contract of Amazon SageMaker.

use super::train;
use crate::container::serving::{Serving, serve};
use crate::domain::clock::SystemClock;
use anyhow::Context;
use clap::{Args, ValueEnum};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stance model-server serve --root /opt/ml --memory-mib 2048")]
pub(super) struct Options {
    /// What the platform starts the image for.
    #[arg(value_enum, default_value = "serve")]
    what: What,
    /// Folder of the contract.
    #[arg(long, value_name = "FOLDER", default_value = "/opt/ml")]
    root: PathBuf,
    /// Port; 0 picks one.
    #[arg(long, value_name = "PORT", env = "SAGEMAKER_BIND_TO_PORT", default_value = "8080")]
    port: u16,
    /// MiB of loaded models; a load for which there is no room is answered 507.
    #[arg(long, value_name = "MIB", env = "STANCE_MODEL_SERVER_MEMORY_MIB", default_value = "1024")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    memory_mib: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Serves models.
    Serve,
    /// Trains one, as `stance train`.
    Train,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    if options.what == What::Train {
        return train::run(&train::Options { root: options.root.clone() });
    }
    let serving = Serving {
        bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, options.port)),
        root: options.root.clone(),
        memory_bytes: usize::try_from(options.memory_mib << 20)?,
        processors: std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
    };
    actix_web::rt::System::new().block_on(async {
        let (address, server) = serve(&serving, Arc::new(SystemClock)).await?;
        let handle = server.handle();
        let serving = tokio::task::spawn_local(server);
        let mut out = std::io::stdout();
        writeln!(out, "stance model-server is ready on http://{address}")?;
        out.flush()?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        handle.stop(true).await;
        serving.await?.context("the server failed")
    })
}
