//! `stance migrate`.

use crate::config::Config;
use std::path::Path;

/// Brings the database to this version's schema.
pub(super) fn run(file: Option<&Path>) -> anyhow::Result<()> {
    let config = Config::load(file, &[])?;
    actix_web::rt::System::new().block_on(async {
        let database = super::open::database(&config).await?;
        database.close().await;
        Ok(())
    })
}
