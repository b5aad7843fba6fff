//! Bounds on attempts: to sign in, to guess a code, to make accounts, to have mails sent.
//!
//! An attempt is counted before the password is looked at and taken back when it was right: attempts at once cannot
//! get past the bound together. Counts are rows, so that a restart does not forget them; keys are hashes.
//!
//! Nobody is locked out of their account by others. Failures count for the account *from one address* and for the address; the
//! bound on an account as a whole, against who guesses from many addresses, does not hold where its owner signed in before.
//! Who wants to sign in from a new address meanwhile resets their password by mail, which lifts that bound.

use crate::actors::ServiceError;
use crate::domain::ids::AccountId;
use crate::storage::database::{Database, Purpose};
use chrono::{DateTime, TimeDelta, Utc};
use std::net::{IpAddr, Ipv6Addr};
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
    /// Mails to one address.
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
        let known = database.is_known_address(email, &address_hash(peer), now).await?;
        let strangers = (!known).then(|| (strangers(email), self.from_strangers));
        let account = key("account", &[&address(peer), email]);
        self.claim_both(database, strangers, account, peer, now).await
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
        self.claim_both(database, None, account, peer, now).await
    }

    /// Writes as much as who counts an attempt, and bounds nothing.
    pub(super) async fn claim_nothing(&self, database: &Database, now: DateTime<Utc>) -> Result<(), ServiceError> {
        self.count(database, &[(key("nothing", &[]), u32::MAX)], now).await
    }

    async fn claim_both(
        &self,
        database: &Database,
        strangers: Option<(Key, u32)>,
        account: Key,
        peer: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<Attempt, ServiceError> {
        let shared: Vec<_> =
            std::iter::once((key("address", &[&address(peer)]), self.for_address)).chain(strangers).collect();
        let bounds: Vec<_> = shared.iter().copied().chain([(account, self.for_account)]).collect();
        self.count(database, &bounds, now).await?;
        Ok(Attempt { account, shared: shared.into_iter().map(|(key, _)| key).collect() })
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

    /// Counts a mail that is asked for, or refuses it; whether it may be sent. Who asks is told of their own bound, never of
    /// that of the address that the mail is for.
    pub(super) async fn claim_mail(
        &self,
        database: &Database,
        email: &str,
        peer: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<bool, ServiceError> {
        self.count(database, &[(key("mail from", &[&address(peer)]), self.mails_for_address)], now).await?;
        match self.count(database, &[(key("mail to", &[email]), self.mails_for_account)], now).await {
            Ok(()) => Ok(true),
            Err(ServiceError::TooManyAttempts { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn count(
        &self,
        database: &Database,
        bounds: &[([u8; 32], u32)],
        now: DateTime<Utc>,
    ) -> Result<(), ServiceError> {
        let window = TimeDelta::from_std(self.window).unwrap_or(TimeDelta::MAX);
        let since = now.checked_sub_signed(window).unwrap_or(DateTime::<Utc>::MIN_UTC);
        match database.claim_sign_in(bounds, now, since).await? {
            None => Ok(()),
            Some(began) => Err(ServiceError::TooManyAttempts {
                retry_after: (began - since).to_std().unwrap_or_default().max(Duration::from_secs(1)),
            }),
        }
    }

    /// Takes an attempt back that was right: the account starts anew.
    pub(super) async fn succeeded(&self, database: &Database, attempt: &Attempt) -> Result<(), ServiceError> {
        Ok(database.release_sign_in(&attempt.shared, Some(&attempt.account)).await?)
    }

    /// Takes an attempt back that was not looked at.
    pub(super) async fn withdrawn(&self, database: &Database, attempt: &Attempt) -> Result<(), ServiceError> {
        let keys: Vec<_> = attempt.shared.iter().copied().chain([attempt.account]).collect();
        Ok(database.release_sign_in(&keys, None).await?)
    }

    /// Forgets the failures of strangers at an account whose owner has shown that its mail reaches them.
    pub(super) async fn forgive_strangers(&self, database: &Database, email: &str) -> Result<(), ServiceError> {
        Ok(database.release_sign_in(&[], Some(&strangers(email))).await?)
    }
}

/// What is kept of the address where a session was begun.
pub(super) fn address_hash(peer: Option<IpAddr>) -> Key {
    key("known address", &[&address(peer)])
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

/// An IPv6 client has a whole /64 to itself (RFC 6177): that counts as one address.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::Role;
    use crate::domain::ids::SessionId;
    use crate::storage::database::{Confirmation, NewAccount, NewSession};

    const LIMIT: SignInLimit = SignInLimit {
        for_account: 5,
        for_address: 8,
        from_strangers: 12,
        second_factors: 2,
        sign_ups: 3,
        mails_for_account: 2,
        mails_for_address: 3,
        window: Duration::from_secs(900),
    };

    async fn database() -> (tempfile::TempDir, Database) {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open_sqlite(&folder.path().join("rows.db"), 2, Duration::from_secs(5)).await.unwrap();
        (folder, database)
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    fn peer(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[tokio::test]
    async fn the_sixth_attempt_for_an_account_waits_for_the_window_to_end() {
        let (_folder, database) = database().await;
        for second in 0..5 {
            LIMIT.claim(&database, "a@example.org", peer("10.0.0.1"), at(second)).await.unwrap();
        }
        let refused = LIMIT.claim(&database, "a@example.org", peer("10.0.0.1"), at(100)).await;
        assert!(
            matches!(refused, Err(ServiceError::TooManyAttempts { retry_after }) if retry_after == Duration::from_secs(800))
        );
        LIMIT.claim(&database, "a@example.org", peer("10.0.0.2"), at(100)).await.unwrap();
        LIMIT.claim(&database, "a@example.org", peer("10.0.0.1"), at(900)).await.unwrap();
    }

    #[tokio::test]
    async fn an_address_is_bounded_over_all_accounts_and_a_refused_attempt_is_not_counted() {
        let (_folder, database) = database().await;
        for account in 0..8 {
            LIMIT.claim(&database, &format!("{account}@example.org"), peer("10.0.0.1"), at(0)).await.unwrap();
        }
        for _ in 0..20 {
            assert!(LIMIT.claim(&database, "x@example.org", peer("10.0.0.1"), at(1)).await.is_err());
        }
        LIMIT.claim(&database, "x@example.org", peer("10.0.0.1"), at(900)).await.unwrap();
    }

    #[tokio::test]
    async fn a_right_password_starts_anew() {
        let (_folder, database) = database().await;
        for _ in 0..20 {
            let attempt = LIMIT.claim(&database, "a@example.org", peer("10.0.0.1"), at(0)).await.unwrap();
            LIMIT.succeeded(&database, &attempt).await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_attempt_that_was_not_looked_at_does_not_count() {
        let (_folder, database) = database().await;
        for _ in 0..20 {
            let attempt = LIMIT.claim(&database, "a@example.org", peer("10.0.0.1"), at(0)).await.unwrap();
            LIMIT.withdrawn(&database, &attempt).await.unwrap();
        }
    }

    #[tokio::test]
    async fn accounts_made_from_one_address_are_bounded() {
        let (_folder, database) = database().await;
        for _ in 0..3 {
            LIMIT.claim_sign_up(&database, peer("10.0.0.1"), at(0)).await.unwrap();
        }
        let refused = LIMIT.claim_sign_up(&database, peer("10.0.0.1"), at(1)).await;
        assert!(matches!(refused, Err(ServiceError::TooManyAttempts { .. })));
        LIMIT.claim_sign_up(&database, peer("10.0.0.2"), at(1)).await.unwrap();
        LIMIT.claim(&database, "a@example.org", peer("10.0.0.1"), at(1)).await.unwrap();
    }

    #[tokio::test]
    async fn guessing_from_many_addresses_is_bounded_and_does_not_keep_the_owner_out_where_they_signed_in_before() {
        let (_folder, database) = database().await;
        let new = NewAccount {
            id: AccountId::from(uuid::Uuid::from_u128(1)),
            email: "a@example.org".into(),
            password_hash: String::new(),
            role: Role::Admin,
            first_name: None,
            last_name: None,
            confirmation: Confirmation::Vouched,
        };
        database.create_account(&new, at(0)).await.unwrap();
        let home = peer("192.0.2.1");
        let session = NewSession {
            id: SessionId::from(uuid::Uuid::from_u128(2)),
            account: new.id,
            password_hash: "",
            refresh_hash: &[1; 32],
            address_hash: &address_hash(home),
            expires_at: at(10_000),
        };
        database.create_session(session, at(0)).await.unwrap();
        let claim = async |from: Option<IpAddr>, second| LIMIT.claim(&database, &new.email, from, at(second)).await;
        for stranger in 0..12 {
            claim(peer(&format!("10.0.{stranger}.1")), 1).await.unwrap();
        }
        assert!(claim(peer("10.0.99.1"), 2).await.is_err(), "one guesser with many addresses");
        let attempt = claim(home, 2).await.unwrap();
        LIMIT.succeeded(&database, &attempt).await.unwrap();
        assert!(claim(peer("10.0.99.1"), 3).await.is_err(), "the owner's success forgives no stranger");
        LIMIT.forgive_strangers(&database, &new.email).await.unwrap();
        claim(peer("10.0.99.1"), 4).await.unwrap();
    }

    #[tokio::test]
    async fn mails_are_bounded_and_only_who_asks_too_often_is_told() {
        let (_folder, database) = database().await;
        let claim = async |to: &str, from: &str| LIMIT.claim_mail(&database, to, peer(from), at(0)).await;
        assert!(claim("a@example.org", "10.0.0.1").await.unwrap());
        assert!(claim("a@example.org", "10.0.0.2").await.unwrap());
        assert!(!claim("a@example.org", "10.0.0.3").await.unwrap(), "enough for that address");
        assert!(claim("b@example.org", "10.0.0.3").await.unwrap());
        assert!(claim("c@example.org", "10.0.0.3").await.unwrap());
        assert!(matches!(claim("d@example.org", "10.0.0.3").await, Err(ServiceError::TooManyAttempts { .. })));
    }

    #[tokio::test]
    async fn a_second_factor_is_bounded_for_its_account() {
        let (_folder, database) = database().await;
        let account = |n| AccountId::from(uuid::Uuid::from_u128(n));
        for _ in 0..2 {
            LIMIT.claim_second_factor(&database, account(1), at(0)).await.unwrap();
        }
        assert!(LIMIT.claim_second_factor(&database, account(1), at(0)).await.is_err());
        let attempt = LIMIT.claim_second_factor(&database, account(2), at(0)).await.unwrap();
        LIMIT.succeeded(&database, &attempt).await.unwrap();
    }

    #[test]
    fn an_ipv6_network_is_one_address() {
        assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(network("2001:db8::1".parse().unwrap()), network("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()).to_string(), "10.0.0.1");
    }
}
