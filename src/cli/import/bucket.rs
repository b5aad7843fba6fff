//! `stance import s3://…`: takes in the raw objects that are in the bucket already. What has a recording is passed over, so
//! that an import that was stopped goes on where it was.

use super::super::open;
use crate::actors::ServiceError;
use crate::actors::ingest::{Ingest, Landed, Landing};
use crate::actors::supervision::Handle;
use crate::actors::topology::{Ground, Topology};
use crate::config::{Config, seconds};
use crate::domain::bucket_event::RawKey;
use crate::domain::object_key::ObjectKey;
use crate::storage::database::{Database, JobKind, QueueDepth};
use anyhow::{Context, bail};
use comfy_table::Table;
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

/// Where raw objects are.
const RAW: &str = "recording_data/";
/// First pause when the program or a store is busy; doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Attempts for one object while something is busy or away: some minutes.
const ATTEMPTS: u32 = 30;

/// Runs the whole pipeline in this process, without a server, until everything is in and done with.
pub(super) fn run(file: Option<&Path>, url: &str, at_once: u16) -> anyhow::Result<()> {
    let config = Config::load(file, &[])?;
    let same = config.objects.url.trim_end_matches('/') == url.trim_end_matches('/');
    anyhow::ensure!(same, "{url} is not the bucket of this configuration (objects.url = {})", config.objects.url);
    let runtime = open::runtime(&config)?;
    actix_web::rt::System::with_tokio_rt(|| runtime).block_on(import(&config, at_once))
}

async fn import(config: &Config, at_once: u16) -> anyhow::Result<()> {
    let (ground, _lock) = open::ground(config).await?;
    let topology = Topology::start(config, &ground);
    let imported = async {
        let outcomes = take_in(&ground, &topology.ingest, at_once).await?;
        finish(&ground.database).await?;
        Ok(outcomes)
    };
    let outcomes: anyhow::Result<_> = tokio::select! {
        outcomes = imported => outcomes,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped; run it again to go on")),
    };
    topology.stop(seconds(config.http.drain_seconds)).await;
    ground.database.close().await;
    summarize(&outcomes?)
}

/// How many objects came to what.
type Outcomes = BTreeMap<&'static str, u64>;

async fn take_in(ground: &Ground, ingest: &Handle<Ingest>, at_once: u16) -> anyhow::Result<Outcomes> {
    let bar = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} objects, {per_sec}, {eta} left")?);
    let mut outcomes = Outcomes::new();
    let mut after: Option<ObjectKey> = None;
    loop {
        let page = ground.objects.list(RAW, after.as_ref()).await.context("the bucket cannot be listed")?;
        bar.inc_length(page.objects.len() as u64);
        let mut landings =
            stream::iter(page.objects).map(|object| land(ground, ingest, object.key)).buffer_unordered(at_once.into());
        while let Some(landed) = landings.next().await {
            *outcomes.entry(landed?).or_default() += 1;
            bar.inc(1);
        }
        drop(landings);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    bar.finish();
    Ok(outcomes)
}

async fn land(ground: &Ground, ingest: &Handle<Ingest>, key: ObjectKey) -> anyhow::Result<&'static str> {
    let Some(raw) = RawKey::read(key.as_str()) else { return Ok("of another layout, left alone") };
    let by = super::super::audit::operator("import");
    for attempt in 1..=ATTEMPTS {
        match ingest
            .ask(Landed { raw: raw.clone(), by: by.clone() })
            .await
            .map_err(ServiceError::from)
            .and_then(|landing| landing)
        {
            Ok(Landing::Accepted) => return Ok("taken in"),
            Ok(Landing::Known) => return Ok("there already"),
            Ok(Landing::Failed) => return Ok("against the rules, marked failed"),
            Ok(Landing::Gone) => return Ok("gone in the meantime"),
            Err(ServiceError::Busy { .. }) => {
                tokio::time::sleep(ground.entropy.backoff(PAUSE, LONGEST_PAUSE, attempt)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    bail!("the database or the bucket is away; run it again to go on")
}

/// Waits until the queue is empty, whoever empties it.
async fn finish(database: &Database) -> anyhow::Result<()> {
    let bar = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} conversions, trainings and scores")?);
    loop {
        let depths = database.queue_depths().await?;
        // A deletion may wait long for its last look, and is no work of an import.
        let waits = |depth: &&QueueDepth| depth.state != "dead" && depth.kind != JobKind::Delete;
        let left: i64 = depths.iter().filter(waits).map(|depth| depth.jobs).sum();
        let left = u64::try_from(left).unwrap_or_default();
        if left == 0 {
            break;
        }
        bar.set_length(bar.length().unwrap_or_default().max(bar.position() + left));
        bar.set_position(bar.length().unwrap_or_default() - left);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bar.set_position(bar.length().unwrap_or_default());
    bar.finish();
    Ok(())
}

fn summarize(outcomes: &Outcomes) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.set_header(["objects", "how many"]);
    for (outcome, count) in outcomes {
        table.add_row([(*outcome).to_owned(), count.to_string()]);
    }
    writeln!(std::io::stdout(), "{table}")?;
    Ok(())
}
