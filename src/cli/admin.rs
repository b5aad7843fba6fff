//! `stance admin`.

use super::{audit, models};
use crate::actors::session_auth::{SessionAuthConfig, create_account};
use crate::config::Config;
use crate::domain::access::Role;
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::entropy::Entropy;
use crate::domain::ids::{CareProviderId, PatientId};
use crate::storage::database::{Account, Database, Decision, RoleChange};
use anyhow::{Context, bail, ensure};
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
    CreateAccount(Subject),
    /// Makes another of an account; its sessions end.
    #[command(after_help = "Example:\n  stance admin set-role --email c@example.org --role admin")]
    SetRole(Subject),
    /// Removes the second factor of an account whose owner lost it.
    #[command(after_help = "Example:\n  stance admin remove-totp --email c@example.org")]
    RemoveTotp(RemoveTotp),
    /// Has jobs that were given up tried again, after what they failed of is mended; says how many.
    #[command(after_help = "Example:\n  stance admin requeue --limit 100")]
    Requeue(Requeue),
    /// Has a version of a patient's model serve from now on, whatever comes, until it is unpinned.
    #[command(after_help = "Example:\n  stance admin pin-model v20-0b51c2f0a1b24c6d-1234-1")]
    PinModel(models::Model),
    /// Lets what was found of the patient's models decide again which one serves.
    #[command(after_help = "Example:\n  stance admin unpin-model v20-0b51c2f0a1b24c6d-1234-1")]
    UnpinModel(models::Model),
    /// Takes a version back: it serves no more, and the one before does. Scores that it gave stay.
    #[command(after_help = "Example:\n  stance admin withdraw-model v20-0b51c2f0a1b24c6d-1234-1")]
    WithdrawModel(models::Model),
    /// Prints the audit record, the latest first.
    #[command(after_help = "Example:\n  stance admin audit --patient-id p-1 --from 2026-01-01T00:00:00Z")]
    Audit(audit::Print),
    /// Checks that no row of the audit record was changed, removed, moved or put there. Says where it ends, to be noted down
    /// elsewhere and asked for later.
    #[command(
        after_help = "Example:\n  stance admin verify-audit --expect 1234:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    )]
    VerifyAudit(audit::Verify),
    /// Takes rows of the audit record away that are older than they must be kept.
    #[command(after_help = "Example:\n  stance admin prune-audit --before 2020-01-01T00:00:00Z")]
    PruneAudit(audit::Prune),
}

#[derive(Debug, Args)]
struct Requeue {
    /// At most so many, those first that were queued first; all where absent.
    #[arg(long)]
    limit: Option<u64>,
}

#[derive(Debug, Args)]
struct RemoveTotp {
    /// The account's e-mail address.
    #[arg(long)]
    email: String,
}

/// An account, and what it is to be.
#[derive(Debug, Args)]
struct Subject {
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
    let config = Config::load(file, &[])?;
    match options.action {
        Action::CreateAccount(subject) => create(&config, &subject),
        Action::SetRole(subject) => set_role(&config, &subject),
        Action::RemoveTotp(options) => remove_totp(&config, &options.email),
        Action::Requeue(options) => requeue(&config, &options),
        Action::PinModel(model) => models::decide(&config, &model, Decision::Pin),
        Action::UnpinModel(model) => models::decide(&config, &model, Decision::Unpin),
        Action::WithdrawModel(model) => models::decide(&config, &model, Decision::Withdraw),
        Action::Audit(options) => audit::print(&config, &options),
        Action::VerifyAudit(options) => audit::verify(&config, options),
        Action::PruneAudit(options) => audit::prune(&config, &options),
    }
}

fn requeue(config: &Config, options: &Requeue) -> anyhow::Result<()> {
    const AT_ONCE: u64 = 1_000;
    let mut left = options.limit.unwrap_or(u64::MAX);
    actix_web::rt::System::new().block_on(async {
        let database = super::open::database(config).await?;
        audit::note(&database, audit::operator("admin requeue")).await?;
        // What dies again from now on stays dead.
        let (now, mut requeued) = (SystemClock.now(), 0);
        while left > 0 {
            let piece = left.min(AT_ONCE);
            let jobs = database.requeue_dead(now, u32::try_from(piece)?).await?;
            requeued += jobs;
            left -= piece;
            if jobs < piece {
                break;
            }
        }
        database.close().await;
        writeln!(std::io::stdout(), "{requeued} jobs were queued again")?;
        Ok(())
    })
}

fn create(config: &Config, new: &Subject) -> anyhow::Result<()> {
    ensure!(config.auth.own_accounts, "auth.own_accounts is false: accounts are the identity provider's");
    let entropy = Entropy::from_system();
    let role = role(new, &entropy)?;
    let password = super::password::read()?;
    let name = role.name();
    actix_web::rt::System::new().block_on(async {
        let database = super::open::database(config).await?;
        audit::note(&database, audit::operator("admin create-account").holder(&role)).await?;
        let auth = SessionAuthConfig::from(&config.auth);
        let made = create_account(&database, &entropy, &auth, SystemClock.now(), &new.email, password, role).await;
        database.close().await;
        made?;
        writeln!(std::io::stdout(), "the {name} account was made")?;
        Ok(())
    })
}

fn set_role(config: &Config, subject: &Subject) -> anyhow::Result<()> {
    let role = role(subject, &Entropy::from_system())?;
    let name = role.name();
    with_account(config, &subject.email, async |database, account| {
        let entry = audit::operator("admin set-role").holder(&role);
        audit::note(database, entry.detail(format!("account {}, role {name}", account.id))).await?;
        match database.set_role(&account, &role, SystemClock.now()).await? {
            RoleChange::Given => Ok(format!("the account is a {name} account now; its sessions have ended")),
            RoleChange::NoAccount => bail!("there is no such account any more"),
            RoleChange::LastAdmin => bail!("this is the last account of an admin: make another first"),
        }
    })
}

fn remove_totp(config: &Config, email: &str) -> anyhow::Result<()> {
    with_account(config, email, async |database, account| {
        audit::note(database, audit::operator("admin remove-totp").detail(format!("account {}", account.id))).await?;
        ensure!(database.delete_second_factor(account.id).await?, "the account has no second factor");
        Ok("the account's second factor was removed".to_owned())
    })
}

/// Does something with the account of that address, and says what.
fn with_account(
    config: &Config,
    email: &str,
    work: impl AsyncFnOnce(&Database, Account) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let database = super::open::database(config).await?;
        let done = async {
            let account = database.account_by_email(email.trim()).await?;
            work(&database, account.context("there is no account with this e-mail address")?).await
        };
        let done = done.await;
        database.close().await;
        writeln!(std::io::stdout(), "{}", done?)?;
        Ok(())
    })
}

fn role(new: &Subject, entropy: &Entropy) -> anyhow::Result<Role> {
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
