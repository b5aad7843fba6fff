//! The mailer: sends the mails that rows ask for. What is acknowledged to a client is such a row.
//!
//! A mail's code is made here, when it is sent: its hash is kept first, so that no code is in a mail that does not hold. A mail
//! that may not have arrived is sent again with a new code; the newest holds. A row may name an address without an account:
//! whoever asks is not told, and nothing is sent.

mod post;

use super::ServiceError;
use super::metrics::Metrics;
use super::session_auth::Passwords;
use crate::config::MailConfig;
use crate::domain::clock::SharedClock;
use crate::domain::code;
use crate::domain::entropy::Entropy;
use crate::storage::database::{Database, DueMail, Purpose};
use crate::supervised;
use actix::prelude::*;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use post::{Letter, NotSent};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Groups of a code: 40 random bits, which hold for minutes and a bounded number of attempts.
pub const GROUPS: usize = 2;
/// First pause before a mail is tried again; doubles up to the longest.
const AGAIN: Duration = Duration::from_secs(2);
const LONGEST_AGAIN: Duration = Duration::from_secs(300);
/// Beyond the server's time: for making the code.
const MAKING: Duration = Duration::from_secs(60);

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct MailerDeps {
    /// Rows.
    pub database: Database,
    /// Time.
    pub clock: SharedClock,
    /// Codes, and jitter of pauses.
    pub entropy: Entropy,
    /// Counts mails.
    pub metrics: Metrics,
    /// Hashes codes.
    pub hashes: Passwords,
    /// How mails leave.
    pub config: MailConfig,
    /// Minutes that a code holds.
    pub code_minutes: u64,
    /// Attempts at a code.
    pub code_attempts: u32,
    /// Told when there is a new row.
    pub wake: Arc<Notify>,
}

/// The actor.
#[derive(Debug)]
pub struct Mailer(MailerDeps);

impl Mailer {
    /// A new one.
    #[must_use]
    pub fn new(deps: MailerDeps) -> Self {
        Self(deps)
    }
}

impl Actor for Mailer {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        let deps = self.0.clone();
        context.spawn(async move { deps.run().await }.into_actor(self));
    }
}

supervised!(Mailer, "mailer");

impl MailerDeps {
    async fn run(&self) {
        loop {
            fail::fail_point!("mailer");
            let now = self.clock.now();
            let hidden_until = later(now, Duration::from_secs(self.config.timeout_seconds) + MAKING);
            let due = match self.database.take_mails(now, hidden_until, self.config.at_once).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(%error, "mails cannot be looked for; they are later");
                    Vec::new()
                }
            };
            if due.is_empty() {
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = tokio::time::sleep(Duration::from_secs(self.config.tick_seconds)) => {}
                }
            }
            join_all(due.iter().map(|mail| self.deal_with(mail))).await;
        }
    }

    async fn deal_with(&self, mail: &DueMail) {
        // One that a process died of is not tried for ever.
        let sent = if mail.attempts > self.config.max_attempts {
            Err(NotSent::Refused(anyhow::anyhow!("it was tried too often")))
        } else {
            self.send(mail).await
        };
        let settled = match sent {
            Ok(outcome) => {
                self.metrics.mail(outcome);
                self.database.end_mail(mail.id).await
            }
            Err(error) if matches!(error, NotSent::Refused(_)) || mail.attempts >= self.config.max_attempts => {
                self.metrics.mail("given_up");
                tracing::error!(%error, attempts = mail.attempts, "a mail is given up");
                self.database.end_mail(mail.id).await
            }
            Err(error) => {
                self.metrics.mail("postponed");
                tracing::warn!(%error, attempts = mail.attempts, "a mail is tried again later");
                let attempts = u32::try_from(mail.attempts).unwrap_or(u32::MAX);
                let pause = self.entropy.backoff(AGAIN, LONGEST_AGAIN, attempts);
                self.database.postpone_mail(mail.id, later(self.clock.now(), pause)).await
            }
        };
        if let Err(error) = settled {
            tracing::warn!(%error, "what became of a mail could not be noted; it is sent again");
        }
    }

    /// Sends the mail, where there is somebody to get it; what became of it.
    async fn send(&self, mail: &DueMail) -> Result<&'static str, NotSent> {
        let away = |error: ServiceError| NotSent::Unavailable(error.into());
        let account = self.database.account_by_email(&mail.recipient).await.map_err(|error| away(error.into()))?;
        let Some(account) = account.filter(|account| mail.purpose != Purpose::Confirm || !account.confirmed) else {
            return Ok("to_nobody");
        };
        let code = code::new(&self.entropy, GROUPS);
        let hash = self.hashes.hash(code.replace('-', ""), self.entropy.bytes()).await.map_err(away)?;
        let now = self.clock.now();
        let expires_at = later(now, Duration::from_secs(self.code_minutes.saturating_mul(60)));
        let put = self.database.put_code(account.id, mail.purpose, &hash, self.code_attempts, expires_at);
        put.await.map_err(|error| away(error.into()))?;
        let letter = Letter {
            id: self.entropy.uuid(),
            recipient: &account.email,
            purpose: mail.purpose,
            code: &code,
            minutes: self.code_minutes,
            at: now,
        };
        post::send(&self.config, &letter).await?;
        Ok("sent")
    }
}

fn later(now: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(duration)
        .ok()
        .and_then(|delta| now.checked_add_signed(delta))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
