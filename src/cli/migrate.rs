//! `stance migrate`.

use crate::config::Config;
use crate::storage::database::Migrated;
use std::io::Write;
use std::path::Path;

/// Brings the database to this version's schema, and says what that took.
pub(super) fn run(file: Option<&Path>) -> anyhow::Result<()> {
    let config = Config::load(file, &[])?;
    actix_web::rt::System::new().block_on(async {
        let database = super::open::database(&config).await?;
        let Migrated { applied, present } = database.migrated();
        database.close().await;
        writeln!(std::io::stdout(), "{applied} migrations applied, {present} were there")?;
        Ok(())
    })
}
