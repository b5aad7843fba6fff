//! Bounds on attempts: to sign in, to guess a code, to make accounts, to have mails sent.
//!
//! An attempt is counted before the password is looked at and taken back when it was right: attempts at once cannot
//! get past the bound together. Counts are rows, so that a restart does not forget them; keys are hashes.
//!
//! Nobody is locked out of their account by others. Failures count for the account *from one address* and for the address; the
//! bound on an account as a whole, against who guesses from many addresses, does not hold where its owner signed in before, nor
//! does that on the address: who shares it with the owner uses up what is theirs alone. Who wants to sign in from a new address
//! meanwhile resets their password by mail, which lifts these bounds there.

use super::before;
use crate::actors::ServiceError;
use crate::domain::ids::AccountId;
use crate::domain::network::network;
use crate::storage::database::{Database, NewMail, Purpose};
use chrono::{DateTime, Utc};
use std::net::IpAddr;
use std::time::Duration;

/// The bounds.
#[derive(Debug, Clone)]
pub(super) struct SignInLimit {
    /// Failures for one account from one address.
    pub(super) for_account: u32,
    /// Failures from one address.
    pub(super) for_address: u32,
    /// Failures for one account from all addresses where nobody signed in to it before.
    pub(super) from_strangers: u32,
    /// Wrong second factors for one account.
    pub(super) second_factors: u32,
    /// Accounts made from one address.
    pub(super) sign_ups: u32,
    /// Mails to one address for one purpose.
    pub(super) mails_for_account: u32,
    /// Mails asked for from one address.
    pub(super) mails_for_address: u32,
    /// In this time.
    pub(super) window: Duration,
}

/// An attempt that was counted.
#[derive(Debug)]
pub(super) struct Attempt {
    /// Starts anew when the attempt was right.
    account: Key,
    /// Have one less then.
    shared: Vec<Key>,
}

type Key = [u8; 32];

impl SignInLimit {
    /// Counts an attempt at an account's password, or refuses it.
    pub(super) async fn claim(
        &self,
        database: &Database,
        email: &str,
        peer: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<Attempt, ServiceError> {
        let account = password_key(email, peer);
        let shared = match standing(database, email, peer, now).await? {
            Standing::Known => Vec::new(),
            Standing::Stranger => vec![self.of_address(peer), (strangers(email), self.from_strangers)],
        };
        self.claim_all(database, shared, account, now).await
    }

    /// Counts an attempt at a mailed code, or refuses it.
    pub(super) async fn claim_code(
        &self,
        database: &Database,
        (email, purpose): (&str, Purpose),
        peer: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<Attempt, ServiceError> {
        let account = key("code", &[purpose.name(), &address(peer), email]);
        let shared = match standing(database, email, peer, now).await? {
            Standing::Known => Vec::new(),
            Standing::Stranger => vec![self.of_address(peer)],
        };
        self.claim_all(database, shared, account, now).await
    }

    /// Counts a new password that somebody without a session wants looked at, or refuses it: that takes a while, and is no
    /// attempt at anything.
    pub(super) async fn claim_new_password(
        &self,
        database: &Database,
        email: &str,
        peer: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<(), ServiceError> {
        let key = standing(database, email, peer, now).await?.key("new password", email, peer);
        self.count(database, &[(key, self.for_address)], now).await
    }

    async fn claim_all(
        &self,
        database: &Database,
        shared: Vec<(Key, u32)>,
        account: Key,
        now: DateTime<Utc>,
    ) -> Result<Attempt, ServiceError> {
        let bounds: Vec<_> = shared.iter().copied().chain([(account, self.for_account)]).collect();
        self.count(database, &bounds, now).await?;
        Ok(Attempt { account, shared: shared.into_iter().map(|(key, _)| key).collect() })
    }

    fn of_address(&self, peer: Option<IpAddr>) -> (Key, u32) {
        (key("address", &[&address(peer)]), self.for_address)
    }

    /// Counts an attempt at an account's second factor by who knows its password, or refuses it.
    pub(super) async fn claim_second_factor(
        &self,
        database: &Database,
        account: AccountId,
        now: DateTime<Utc>,
    ) -> Result<Attempt, ServiceError> {
        let account = key("second factor", &[&account.to_string()]);
        self.count(database, &[(account, self.second_factors)], now).await?;
        Ok(Attempt { account, shared: Vec::new() })
    }

    /// Counts an account that is to be made, or refuses it.
    pub(super) async fn claim_sign_up(
        &self,
        database: &Database,
        peer: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<(), ServiceError> {
        self.count(database, &[(key("sign-up", &[&address(peer)]), self.sign_ups)], now).await
    }

    /// Notes a mail that is asked for, or refuses it; whether there is one to be sent. Who asks is told of their own bound, never
    /// of that of the address that the mail is for, against which only mails count that are sent. From where its owner signed in
    /// before, mails are counted apart: others do not use them up.
    pub(super) async fn ask_for_mail(
        &self,
        database: &Database,
        mail: NewMail<'_>,
        peer: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<bool, ServiceError> {
        let standing = standing(database, mail.recipient, peer, now).await?;
        let from = standing.key("mail from", mail.recipient, peer);
        self.count(database, &[(from, self.mails_for_address)], now).await?;
        let to = match standing {
            Standing::Known => key("mail to, from there", &[mail.purpose.name(), &address(peer), mail.recipient]),
            Standing::Stranger => key("mail to", &[mail.purpose.name(), mail.recipient]),
        };
        Ok(database.request_mail(mail, (to, self.mails_for_account), now, self.since(now)).await?)
    }

    async fn count(
        &self,
        database: &Database,
        bounds: &[([u8; 32], u32)],
        now: DateTime<Utc>,
    ) -> Result<(), ServiceError> {
        let since = self.since(now);
        match database.claim_sign_in(bounds, now, since).await? {
            None => Ok(()),
            Some(began) => Err(ServiceError::TooManyAttempts {
                retry_after: (began - since).to_std().unwrap_or_default().max(Duration::from_secs(1)),
            }),
        }
    }

    fn since(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        before(now, self.window)
    }

    /// Takes an attempt back that was right: the account starts anew.
    pub(super) async fn succeeded(&self, database: &Database, attempt: &Attempt) -> Result<(), ServiceError> {
        Ok(database.release_sign_in(&attempt.shared, &[attempt.account]).await?)
    }

    /// Takes an attempt back that was not looked at.
    pub(super) async fn withdrawn(&self, database: &Database, attempt: &Attempt) -> Result<(), ServiceError> {
        let keys: Vec<_> = attempt.shared.iter().copied().chain([attempt.account]).collect();
        Ok(database.release_sign_in(&keys, &[]).await?)
    }

    /// Forgets the failures at an account whose owner has shown that its mail reaches them: those of strangers, and those from
    /// where the owner is.
    pub(super) async fn forgive(
        &self,
        database: &Database,
        email: &str,
        peer: Option<IpAddr>,
    ) -> Result<(), ServiceError> {
        Ok(database.release_sign_in(&[], &[strangers(email), password_key(email, peer)]).await?)
    }
}

/// What an address is to an account.
#[derive(Debug, Clone, Copy)]
enum Standing {
    /// Its owner signed in from there before.
    Known,
    /// Any other.
    Stranger,
}

impl Standing {
    /// What counts for the address, or for this account alone where it is known there.
    fn key(self, what: &str, email: &str, peer: Option<IpAddr>) -> Key {
        match self {
            Self::Known => key(what, &[&address(peer), email]),
            Self::Stranger => key(what, &[&address(peer)]),
        }
    }
}

async fn standing(
    database: &Database,
    email: &str,
    peer: Option<IpAddr>,
    now: DateTime<Utc>,
) -> Result<Standing, ServiceError> {
    let known = database.is_known_address(email, &address_hash(peer), now).await?;
    Ok(if known { Standing::Known } else { Standing::Stranger })
}

/// What is written for each code that is tried for that e-mail address, whether it has an account.
pub(super) fn tried_code(email: &str) -> Key {
    key("tried code", &[email])
}

/// What is kept of the address where a session was begun.
pub(super) fn address_hash(peer: Option<IpAddr>) -> Key {
    key("known address", &[&address(peer)])
}

fn password_key(email: &str, peer: Option<IpAddr>) -> Key {
    key("account", &[&address(peer), email])
}

fn strangers(email: &str) -> Key {
    key("strangers", &[email])
}

/// None of the parts has a line feed in it.
fn key(what: &str, parts: &[&str]) -> Key {
    *blake3::hash(format!("{what}\n{}", parts.join("\n")).as_bytes()).as_bytes()
}

fn address(peer: Option<IpAddr>) -> String {
    peer.map_or_else(|| "unknown".to_owned(), |peer| network(peer).to_string())
}

#[cfg(test)]
mod tests;
