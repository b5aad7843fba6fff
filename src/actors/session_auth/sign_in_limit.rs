//! The bound on failed attempts to sign in, for an account from one address and for an address as a whole.
//!
//! An attempt is counted before the password is looked at and taken back when it was right: attempts at once cannot
//! get past the bound together. Counts are rows, so that a restart does not forget them; keys are hashes.

use crate::actors::ServiceError;
use crate::storage::database::Database;
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
    /// Accounts made from one address.
    pub(super) sign_ups: u32,
    /// In this time.
    pub(super) window: Duration,
}

/// An attempt that was counted.
#[derive(Debug)]
pub(super) struct Attempt {
    account: [u8; 32],
    address: [u8; 32],
}

impl SignInLimit {
    /// Counts an attempt, or refuses it.
    pub(super) async fn claim(
        &self,
        database: &Database,
        email: &str,
        peer: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<Attempt, ServiceError> {
        let attempt = Attempt::new(email, peer);
        let bounds = [(attempt.address, self.for_address), (attempt.account, self.for_account)];
        self.count(database, &bounds, now).await?;
        Ok(attempt)
    }

    /// Counts an account that is to be made, or refuses it.
    pub(super) async fn claim_sign_up(
        &self,
        database: &Database,
        peer: Option<IpAddr>,
        now: DateTime<Utc>,
    ) -> Result<(), ServiceError> {
        let key = *blake3::hash(format!("sign-up\n{}", address(peer)).as_bytes()).as_bytes();
        self.count(database, &[(key, self.sign_ups)], now).await
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

    /// Takes an attempt back whose password was right: the account starts anew.
    pub(super) async fn succeeded(&self, database: &Database, attempt: &Attempt) -> Result<(), ServiceError> {
        Ok(database.release_sign_in(&[attempt.address], Some(&attempt.account)).await?)
    }

    /// Takes an attempt back whose password was not looked at.
    pub(super) async fn withdrawn(&self, database: &Database, attempt: &Attempt) -> Result<(), ServiceError> {
        Ok(database.release_sign_in(&[attempt.address, attempt.account], None).await?)
    }
}

impl Attempt {
    fn new(email: &str, peer: Option<IpAddr>) -> Self {
        let address = address(peer);
        let address_key = *blake3::hash(format!("address\n{address}").as_bytes()).as_bytes();
        Self {
            account: *blake3::hash(format!("account\n{address}\n{email}").as_bytes()).as_bytes(),
            address: address_key,
        }
    }
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

    const LIMIT: SignInLimit =
        SignInLimit { for_account: 5, for_address: 8, sign_ups: 3, window: Duration::from_secs(900) };

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

    #[test]
    fn an_ipv6_network_is_one_address() {
        assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(network("2001:db8::1".parse().unwrap()), network("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()).to_string(), "10.0.0.1");
    }
}
