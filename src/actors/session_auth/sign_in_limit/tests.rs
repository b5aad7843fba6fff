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

/// An account of `a@example.org` whose owner signed in at `home`.
async fn at_home(database: &Database, home: Option<IpAddr>) -> NewAccount {
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
    let session = NewSession {
        id: SessionId::from(uuid::Uuid::from_u128(2)),
        account: new.id,
        password_hash: "",
        refresh_hash: &[1; 32],
        address_hash: &address_hash(home),
        expires_at: at(10_000),
    };
    database.create_session(session, 10, at(0)).await.unwrap();
    new
}

#[tokio::test]
async fn guessing_from_many_addresses_is_bounded_and_does_not_keep_the_owner_out_where_they_signed_in_before() {
    let (_folder, database) = database().await;
    let home = peer("192.0.2.1");
    let new = at_home(&database, home).await;
    let claim = async |from: Option<IpAddr>, second| LIMIT.claim(&database, &new.email, from, at(second)).await;
    for stranger in 0..12 {
        claim(peer(&format!("10.0.{stranger}.1")), 1).await.unwrap();
    }
    assert!(claim(peer("10.0.99.1"), 2).await.is_err(), "one guesser with many addresses");
    let attempt = claim(home, 2).await.unwrap();
    LIMIT.succeeded(&database, &attempt).await.unwrap();
    assert!(claim(peer("10.0.99.1"), 3).await.is_err(), "the owner's success forgives no stranger");
    LIMIT.forgive(&database, &new.email, home).await.unwrap();
    claim(peer("10.0.99.1"), 4).await.unwrap();
}

#[tokio::test]
async fn a_guest_of_the_network_does_not_keep_out_who_signed_in_there_before() {
    let (_folder, database) = database().await;
    let home = peer("192.0.2.1");
    let new = at_home(&database, home).await;
    let code = async |email| LIMIT.claim_code(&database, (email, Purpose::Reset), home, at(1)).await;
    for n in 0..8 {
        LIMIT.claim(&database, &format!("{n}@example.org"), home, at(1)).await.unwrap();
        LIMIT.claim_new_password(&database, &format!("{n}@example.org"), home, at(1)).await.unwrap();
    }
    assert!(LIMIT.claim(&database, "x@example.org", home, at(1)).await.is_err());
    assert!(code("x@example.org").await.is_err());
    assert!(LIMIT.claim_new_password(&database, "x@example.org", home, at(1)).await.is_err());
    LIMIT.claim_new_password(&database, &new.email, home, at(1)).await.unwrap();
    code(&new.email).await.unwrap();
    for _ in 0..5 {
        LIMIT.claim(&database, &new.email, home, at(1)).await.unwrap();
    }
    assert!(LIMIT.claim(&database, &new.email, home, at(1)).await.is_err(), "they do not guess either");
}

#[tokio::test]
async fn mails_are_bounded_and_only_who_asks_too_often_is_told() {
    let (_folder, database) = database().await;
    let asker = Asker::new(&database);
    assert!(asker.ask("a@example.org", Purpose::Reset, "10.0.0.1").await.unwrap());
    assert!(asker.ask("a@example.org", Purpose::Reset, "10.0.0.2").await.unwrap());
    assert!(!asker.ask("a@example.org", Purpose::Reset, "10.0.0.3").await.unwrap(), "enough for that address");
    assert!(asker.ask("b@example.org", Purpose::Reset, "10.0.0.3").await.unwrap());
    assert!(asker.ask("c@example.org", Purpose::Reset, "10.0.0.3").await.unwrap());
    let refused = asker.ask("d@example.org", Purpose::Reset, "10.0.0.3").await;
    assert!(matches!(refused, Err(ServiceError::TooManyAttempts { .. })));
}

#[tokio::test]
async fn mails_for_one_purpose_or_asked_for_by_strangers_do_not_use_up_others() {
    let (_folder, database) = database().await;
    let new = at_home(&database, peer("192.0.2.1")).await;
    let asker = Asker::new(&database);
    for n in 0..4 {
        let sent = asker.ask(&new.email, Purpose::Confirm, &format!("10.0.0.{n}")).await.unwrap();
        assert_eq!(sent, n < 2);
    }
    for n in 0..3 {
        let sent = asker.ask(&new.email, Purpose::Reset, &format!("10.0.0.{n}")).await.unwrap();
        assert_eq!(sent, n < 2, "another purpose");
    }
    assert!(asker.ask(&new.email, Purpose::Reset, "192.0.2.1").await.unwrap(), "the owner");
    assert!(asker.ask(&new.email, Purpose::Confirm, "192.0.2.1").await.unwrap());
}

/// Asks for mails, each of which is sent at once.
struct Asker<'a> {
    database: &'a Database,
    asked: std::sync::atomic::AtomicU64,
}

impl<'a> Asker<'a> {
    fn new(database: &'a Database) -> Self {
        Self { database, asked: std::sync::atomic::AtomicU64::new(1) }
    }

    async fn ask(&self, recipient: &str, purpose: Purpose, from: &str) -> Result<bool, ServiceError> {
        let n = self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mail = NewMail { id: uuid::Uuid::from_u128(n.into()), recipient, purpose };
        let noted = LIMIT.ask_for_mail(self.database, mail, peer(from), at(0)).await?;
        self.database.end_mail(mail.id).await.unwrap();
        Ok(noted)
    }
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
