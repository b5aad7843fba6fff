//! `stance admin pin-model`, `unpin-model` and `withdraw-model`: an operator's word on which model serves.

use super::audit;
use crate::config::Config;
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::ids::ModelVersion;
use crate::storage::database::{Decided, Decision};
use anyhow::{Context, bail};
use clap::Args;
use std::io::Write;

/// A version of a patient's model.
#[derive(Debug, Args)]
pub(super) struct Model {
    /// The version, as scores and model cards name it.
    #[arg(value_parser = |version: &str| ModelVersion::new(version).map_err(|error| error.to_string()))]
    version: ModelVersion,
}

pub(super) fn decide(config: &Config, model: &Model, decision: Decision) -> anyhow::Result<()> {
    let command = match decision {
        Decision::Pin => "admin pin-model",
        Decision::Unpin => "admin unpin-model",
        Decision::Withdraw => "admin withdraw-model",
    };
    let version = &model.version;
    actix_web::rt::System::new().block_on(async {
        let database = super::open::database(config).await?;
        let done = async {
            let known = database.known_model(version).await?;
            let (patient, _) = known.with_context(|| format!("there is no model of version {version}"))?;
            let entry = audit::operator(command).patients([patient]).detail(format!("model {version}"));
            audit::note(&database, entry).await?;
            match database.decide(version, decision, SystemClock.now()).await? {
                Decided::Serving(Some(serving)) => Ok(format!("{serving} serves now")),
                Decided::Serving(None) => Ok("no model serves now: recordings wait for the next".to_owned()),
                Decided::NoModel => bail!("there is no model of version {version} any more"),
                Decided::NotPinned => bail!("the model of version {version} is not pinned"),
                Decided::Retired => bail!("the model is retired: a recording that it learned from was deleted, or one of the patient's own came"),
            }
        };
        let done = done.await;
        database.close().await;
        writeln!(std::io::stdout(), "{}", done?)?;
        Ok(())
    })
}
