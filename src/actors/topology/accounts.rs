//! Those who know who somebody is: sessions, the keys of an identity provider, mails to the owners of accounts.

use super::Ground;
use crate::actors::auditor::Audit;
use crate::actors::mailer::{Mailer, MailerDeps};
use crate::actors::provider_keys::{ProviderKeys, ProviderKeysDeps};
use crate::actors::session_auth::{Provider, SessionAuth, SessionAuthConfig, SessionAuthDeps};
use crate::actors::supervision::{Handle, SupervisionPolicy, Supervisor};
use crate::config::Config;
use std::sync::Arc;
use tokio::sync::Notify;

/// Starts session auth and whom it leans on; in the order in which they stop.
pub(super) fn start(
    config: &Config,
    ground: &Ground,
    policy: &SupervisionPolicy,
    audit: &Audit,
) -> (Handle<SessionAuth>, Vec<Supervisor>) {
    let Ground { database, clock, entropy, metrics, .. } = ground;
    let (provider, keys_supervisor) = know_provider(config, ground, policy).unzip();
    let mail_waits = Arc::new(Notify::new());
    let mailer_supervisor = send_mails(config, ground, policy, &mail_waits);
    let deps = SessionAuthDeps {
        database: database.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        provider,
        mail_waits,
        audit: audit.clone(),
        config: SessionAuthConfig::from(&config.auth),
    };
    let (session_auth, supervisor) =
        Supervisor::start(policy, metrics, entropy, move || SessionAuth::new(deps.clone()));
    let supervisors = [Some(supervisor), keys_supervisor, mailer_supervisor];
    (session_auth, supervisors.into_iter().flatten().collect())
}

/// Starts keeping the keys of the identity provider, where there is one.
fn know_provider(config: &Config, ground: &Ground, policy: &SupervisionPolicy) -> Option<(Provider, Supervisor)> {
    let Ground { database, clock, entropy, metrics, .. } = ground;
    let deps = ProviderKeysDeps::new(&config.auth, database.clone(), clock.clone(), entropy.clone(), metrics.clone())?;
    let trusted = deps.trusted.clone();
    let (keys, supervisor) = Supervisor::start(policy, metrics, entropy, move || ProviderKeys::new(deps.clone()));
    Some((Provider::new(&config.auth, trusted, keys)?, supervisor))
}

/// Starts the mailer, where there are accounts that it may write to.
fn send_mails(config: &Config, ground: &Ground, policy: &SupervisionPolicy, wake: &Arc<Notify>) -> Option<Supervisor> {
    let Ground { database, clock, entropy, metrics, .. } = ground;
    if !config.auth.own_accounts {
        return None;
    }
    let deps = MailerDeps {
        database: database.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        metrics: metrics.clone(),
        hashes: SessionAuthConfig::from(&config.auth).passwords(),
        config: config.mail.clone(),
        code_minutes: config.auth.code_minutes,
        code_attempts: config.auth.max_code_attempts,
        wake: wake.clone(),
    };
    Some(Supervisor::start(policy, metrics, entropy, move || Mailer::new(deps.clone())).1)
}
