//! `stance serve`.

use super::open;
use crate::actors::topology::Topology;
use crate::config::{Config, LogConfig, LogFormat, MailDelivery, seconds};
use crate::web::{Services, server};
use anyhow::Context;
use clap::Args;
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stance serve --bind 127.0.0.1:8080 --data-dir ./stance-data")]
pub(super) struct Options {
    /// Address and port; overrides `http.bind`.
    #[arg(long, value_name = "ADDRESS")]
    bind: Option<String>,
    /// Data folder; overrides `data_dir`.
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
}

pub(super) fn run(file: Option<&Path>, options: &Options) -> anyhow::Result<()> {
    let overrides: Vec<_> = [("http.bind", &options.bind), ("data_dir", &options.data_dir)]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.clone()?)))
        .collect();
    let config = Config::load(file, &overrides)?;
    start_log(&config.log)?;
    #[cfg(feature = "failpoints")]
    let _failpoints = fail::FailScenario::setup();
    // An open upload has a socket and may have a file.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
    let runtime = open::runtime(&config)?;
    actix_web::rt::System::with_tokio_rt(|| runtime).block_on(serve(&config))
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let (ground, _lock) = open::ground(config).await?;
    #[cfg(feature = "aws")]
    let ground = crate::actors::topology::Ground { notifications: open::notifications(config).await?, ..ground };
    #[cfg(feature = "lake")]
    let ground = {
        let engine =
            crate::actors::lake::engine(&config.lake, &ground.database, &ground.objects, &ground.entropy).await?;
        crate::actors::topology::Ground { engine: Some(engine), ..ground }
    };
    if config.auth.confirm_email && config.mail.delivery == MailDelivery::Print {
        tracing::warn!("mails are printed here and reach nobody: set mail.delivery");
    }
    let topology = Topology::start(config, &ground);
    let services = Services::new(config, &ground, &topology)?;
    let (address, server) = server::serve(&config.http, &services)
        .with_context(|| format!("http.bind: {} cannot be bound", config.http.bind))?;
    let handle = server.handle();
    let serving = tokio::task::spawn_local(server);
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "ready");
    announce(address)?;

    wait_for_signal().await?;
    tracing::info!("stopping: requests and work under way are finished first");
    services.live.close();
    handle.stop(true).await;
    serving.await??;
    let left = topology.stop(seconds(config.http.drain_seconds)).await;
    for actor in &left {
        tracing::warn!(actor, "an actor did not stop");
    }
    ground.database.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// On standard output, for whoever started the program with port 0.
fn announce(address: std::net::SocketAddr) -> anyhow::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout();
    writeln!(out, "stance is ready on http://{address}")?;
    out.flush()?;
    Ok(())
}

async fn wait_for_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn start_log(config: &LogConfig) -> anyhow::Result<()> {
    // Their lines name objects, and objects are named after patients.
    let level = ["aws", "h2", "hyper"].iter().fold(config.level.clone(), |level, name| format!("{level},{name}=warn"));
    let filter = EnvFilter::try_new(level).with_context(|| format!("log.level: {:?} is no filter", config.level))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
