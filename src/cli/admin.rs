//! `stance admin`.

use crate::actors::session_auth::{SessionAuthConfig, create_account};
use crate::config::Config;
use crate::domain::access::Role;
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::entropy::Entropy;
use crate::domain::ids::{CareProviderId, PatientId};
use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use std::io::Write;
use std::path::Path;

#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Makes an account; the password is read from standard input.
    #[command(
        after_help = "Example:\n  printf %s \"$PASSWORD\" | stance admin create-account --email c@example.org --role care-provider --care-provider-id clinic-1"
    )]
    CreateAccount(NewAccount),
}

#[derive(Debug, Args)]
struct NewAccount {
    /// E-mail address to sign in with.
    #[arg(long)]
    email: String,
    /// What the account is.
    #[arg(long, value_enum)]
    role: RoleName,
    /// Whose recordings a patient's account carries; a new one where absent.
    #[arg(long)]
    patient_id: Option<String>,
    /// Which care provider the account is.
    #[arg(long)]
    care_provider_id: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleName {
    Patient,
    CareProvider,
    Admin,
}

pub(super) fn run(file: Option<&Path>, options: Options) -> anyhow::Result<()> {
    let Action::CreateAccount(new) = options.action;
    let config = Config::load(file, &[])?;
    let entropy = Entropy::from_system();
    let role = role(&new, &entropy)?;
    let password = super::password::read()?;
    let name = role.name();
    actix_web::rt::System::new().block_on(async {
        let database = super::open::database(&config).await?;
        let auth = SessionAuthConfig::from(&config.auth);
        let made = create_account(&database, &entropy, &auth, SystemClock.now(), &new.email, password, role).await;
        database.close().await;
        made?;
        writeln!(std::io::stdout(), "the {name} account was made")?;
        Ok(())
    })
}

fn role(new: &NewAccount, entropy: &Entropy) -> anyhow::Result<Role> {
    Ok(match (new.role, &new.patient_id, &new.care_provider_id) {
        (RoleName::Admin, None, None) => Role::Admin,
        (RoleName::Patient, Some(id), None) => Role::Patient(PatientId::new(id.clone()).context("--patient-id")?),
        (RoleName::Patient, None, None) => Role::Patient(PatientId::new(entropy.uuid().to_string())?),
        (RoleName::CareProvider, None, Some(id)) => {
            Role::CareProvider(CareProviderId::new(id.clone()).context("--care-provider-id")?)
        }
        (RoleName::CareProvider, None, None) => bail!("a care provider's account needs --care-provider-id"),
        (RoleName::Admin | RoleName::Patient | RoleName::CareProvider, _, _) => {
            bail!("--patient-id goes with a patient's account, --care-provider-id with a care provider's")
        }
    })
}
