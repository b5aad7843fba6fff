//! `stance compact`: compacts the lake now, beside servers that run.

use std::path::Path;

#[cfg(not(feature = "lake"))]
pub(super) fn run(_: Option<&Path>) -> anyhow::Result<()> {
    anyhow::bail!(
        "this program was built without SQL over the lake; build it with `cargo build --release --features lake`"
    )
}

#[cfg(feature = "lake")]
pub(super) fn run(file: Option<&Path>) -> anyhow::Result<()> {
    use crate::actors::lake::compaction;
    use crate::actors::metrics::Metrics;
    use crate::actors::topology::Ground;
    use crate::config::Config;
    use crate::domain::clock::SystemClock;
    use crate::domain::entropy::Entropy;
    use crate::storage::lake::compaction::When;
    use std::io::Write;
    use std::sync::Arc;

    let config = Config::load(file, &[])?;
    let runtime = super::open::runtime(&config)?;
    actix_web::rt::System::with_tokio_rt(|| runtime).block_on(async {
        let entropy = Entropy::from_system();
        let ground = Ground {
            database: super::open::database(&config).await?,
            objects: super::open::objects(&config, &entropy).await?,
            clock: Arc::new(SystemClock),
            metrics: Metrics::new(),
            engine: None,
            #[cfg(feature = "aws")]
            notifications: None,
            entropy,
        };
        let owner = ground.entropy.uuid().to_string().into();
        let done = compaction(&config.lake, &ground, owner, Arc::default()).run(When::Now).await?;
        ground.database.close().await;
        let done = done.ok_or_else(|| anyhow::anyhow!("another process compacts the lake"))?;
        writeln!(
            std::io::stdout(),
            "{} recordings were compacted into {} files; {} old files were removed",
            done.recordings,
            done.files,
            done.removed
        )?;
        anyhow::ensure!(done.failed == 0, "{} months were left as they are: see the warnings", done.failed);
        Ok(())
    })
}
