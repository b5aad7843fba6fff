//! Opening the backends.

use crate::config::{Config, seconds};
use crate::storage::database::{Database, PostgresOptions};
use crate::storage::objects::Folder;
use anyhow::Context;
use fs4::fs_std::FileExt;
use std::fs::{self, File, OpenOptions};

/// Keeps the data folder for this process alone.
#[derive(Debug)]
pub(super) struct DataDirLock(#[expect(dead_code, reason = "held, not read")] File);

/// Opens the database; makes and migrates it where needed.
pub(super) async fn database(config: &Config) -> anyhow::Result<Database> {
    let acquire_timeout = seconds(config.database.acquire_timeout_seconds);
    let opened = match config.database_path() {
        Some(path) => {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)
                    .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
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

/// Opens the folder of objects.
pub(super) fn objects(config: &Config) -> anyhow::Result<Folder> {
    let path = config.objects_path();
    Folder::open(&path).with_context(|| format!("the object folder {} cannot be opened", path.display()))
}

/// Takes the data folder, or says that another process has it.
pub(super) fn lock(config: &Config) -> anyhow::Result<DataDirLock> {
    let folder = &config.data_dir;
    fs::create_dir_all(folder).with_context(|| format!("data_dir: the folder {} cannot be made", folder.display()))?;
    let path = folder.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.with_context(|| format!("data_dir: {} cannot be opened", path.display()))?;
    let taken =
        FileExt::try_lock_exclusive(&file).with_context(|| format!("data_dir: {} cannot be locked", path.display()))?;
    anyhow::ensure!(taken, "data_dir: {} is in use by another stance process", folder.display());
    Ok(DataDirLock(file))
}
