//! Opening the backends.

use crate::actors::metrics::Metrics;
use crate::actors::topology::Ground;
use crate::config::{Config, seconds};
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::entropy::Entropy;
use crate::storage::database::{Database, PostgresOptions};
use crate::storage::objects::{Folder, Objects};
use anyhow::Context;
use fs4::fs_std::FileExt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

/// Keeps the data folder for this process alone.
#[derive(Debug)]
pub(super) struct DataDirLock(#[expect(dead_code, reason = "held, not read")] File);

/// Makes a folder that only this user may look into, where it is absent: what is in it is health data, and the key that signs
/// tokens.
fn private_folder(path: &Path) -> anyhow::Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("the folder {} cannot be made", path.display()))
}

/// What a process that does the work stands on, without a queue of the bucket's events; and the data folder, where that is
/// one process's.
pub(super) async fn ground(config: &Config) -> anyhow::Result<(Ground, Option<DataDirLock>)> {
    let embedded = config.database_path().is_some();
    let data_dir = if embedded { Some(lock(config)?) } else { None };
    let database = database(config).await?;
    if embedded {
        // Nobody else has the folder: what is leased was leased by a process that is gone.
        let resumed = database.release_all_leases().await?;
        database.release_compaction(SystemClock.now()).await?;
        if resumed > 0 {
            tracing::info!(resumed, "work that a stopped process had begun is resumed");
        }
    }
    let entropy = Entropy::from_system();
    let ground = Ground {
        database,
        objects: objects(config, &entropy).await?,
        clock: Arc::new(SystemClock),
        entropy,
        metrics: Metrics::new(),
        #[cfg(feature = "lake")]
        engine: None,
        #[cfg(feature = "aws")]
        notifications: None,
    };
    Ok((ground, data_dir))
}

/// What such a process runs on.
pub(super) fn runtime(config: &Config) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().max_blocking_threads(config.compute.threads).build()
}

/// Opens the database; makes and migrates it where needed.
pub(super) async fn database(config: &Config) -> anyhow::Result<Database> {
    let acquire_timeout = seconds(config.database.acquire_timeout_seconds);
    let opened = match config.database_path() {
        Some(path) => {
            if let Some(folder) = path.parent() {
                private_folder(folder)?;
            }
            Database::open_sqlite(&path, config.database.readers, acquire_timeout).await
        }
        None => {
            Database::open_postgres(&PostgresOptions {
                url: config.database.url.clone(),
                connections: config.database.connections,
                acquire_timeout,
                statement_timeout: seconds(config.database.statement_timeout_seconds),
            })
            .await
        }
    };
    opened.with_context(|| format!("the database {} cannot be opened", config.database_shown()))
}

/// Opens the folder of objects, or the bucket.
pub(super) async fn objects(config: &Config, entropy: &Entropy) -> anyhow::Result<Objects> {
    #[cfg(feature = "aws")]
    if let Some((bucket, prefix)) = config.objects.bucket() {
        return bucket_of(config, bucket, prefix, entropy).await;
    }
    let path = config.objects_path();
    private_folder(&path)?;
    let folder = Folder::open(&path, config.objects.max_read_bytes, entropy)
        .with_context(|| format!("the object folder {} cannot be opened", path.display()))?;
    Ok(Objects::Folder(folder))
}

/// A bucket that refuses the program stops the start; one that is away does not.
#[cfg(feature = "aws")]
async fn bucket_of(config: &Config, bucket: &str, prefix: &str, entropy: &Entropy) -> anyhow::Result<Objects> {
    use crate::config::ObjectsEncryption;
    use crate::storage::objects::{Bucket, BucketSettings, Encryption, ObjectError};
    private_folder(&config.data_dir)?;
    let objects = &config.objects;
    let settings = BucketSettings {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        endpoint: objects.endpoint.clone(),
        region: objects.region.clone(),
        path_style: objects.path_style,
        encryption: match objects.server_side_encryption {
            ObjectsEncryption::None => Encryption::Default,
            ObjectsEncryption::Aes256 => Encryption::Aes256,
            ObjectsEncryption::Kms => Encryption::Kms(objects.kms_key_id.clone()),
        },
        timeout: seconds(objects.timeout_seconds),
        max_attempts: objects.max_attempts,
        max_read: objects.max_read_bytes,
        spool: config.data_dir.join("spool"),
    };
    let name = || format!("objects.url: the bucket {bucket} cannot be used");
    let store = Objects::Bucket(Bucket::open(settings, entropy).await.with_context(name)?);
    match store.ping().await {
        Err(ObjectError::Unavailable(reason)) => tracing::warn!(reason, "the bucket is away"),
        answer => answer.with_context(name)?,
    }
    Ok(store)
}

/// Opens the queue that tells of the bucket, where there is one.
#[cfg(feature = "aws")]
pub(super) async fn notifications(
    config: &Config,
) -> anyhow::Result<Option<crate::storage::notifications::Notifications>> {
    let Some(url) = &config.ingest.sqs_url else { return Ok(None) };
    let (endpoint, region) = (config.ingest.sqs_endpoint.as_deref(), config.objects.region.as_deref());
    let queue = crate::storage::notifications::Notifications::connect(url, endpoint, region).await;
    queue.map(Some).context("ingest.sqs_url: the queue cannot be used")
}

/// Takes the data folder, or says that another process has it.
fn lock(config: &Config) -> anyhow::Result<DataDirLock> {
    let folder = &config.data_dir;
    private_folder(folder).context("data_dir")?;
    let path = folder.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("data_dir: {} cannot be opened", path.display()))?;
    let taken =
        FileExt::try_lock_exclusive(&file).with_context(|| format!("data_dir: {} cannot be locked", path.display()))?;
    anyhow::ensure!(taken, "data_dir: {} is in use by another stance process", folder.display());
    Ok(DataDirLock(file))
}
