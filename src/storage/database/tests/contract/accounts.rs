//! Accounts, sessions, keys and attempts to sign in.

use super::*;

pub(super) async fn an_account_has_one_address_and_its_patient(database: &Database) {
    let new = |email: &str, role| NewAccount {
        id: AccountId::from(uuid::Uuid::from_u128(email.len() as u128)),
        email: email.into(),
        password_hash: "$argon2id$".into(),
        role,
        first_name: Some("Ann".into()),
        last_name: None,
    };
    let ann = new("Ann@example.org", Role::Patient(PatientId::new("ann").unwrap()));
    database.create_account(&ann, now()).await.unwrap();
    let again = database.create_account(&NewAccount { id: AccountId::from(id_of(7)), ..ann.clone() }, now()).await;
    assert!(matches!(again, Err(DatabaseError::Duplicate(_))), "{again:?}");
    let clinic = new("c@example.org", Role::CareProvider(CareProviderId::new("c-1").unwrap()));
    database.create_account(&clinic, now()).await.unwrap();
    let found = database.account_by_email("ann@EXAMPLE.org").await.unwrap().unwrap();
    assert!(found.id == ann.id && found.role == ann.role && found.email == "ann@example.org");
    assert!(database.account(clinic.id).await.unwrap().unwrap().role == clinic.role);
    assert!(database.account(AccountId::from(id_of(99))).await.unwrap().is_none());
    assert_eq!(
        database.patient(&PatientId::new("ann").unwrap()).await.unwrap().unwrap().first_name,
        Some("Ann".into())
    );
}

pub(super) async fn a_refresh_token_holds_once_and_used_again_ends_its_session(database: &Database) {
    let account = AccountId::from(id_of(1));
    let new = NewAccount {
        id: account,
        email: "c@example.org".into(),
        password_hash: String::new(),
        role: Role::Admin,
        first_name: None,
        last_name: None,
    };
    database.create_account(&new, now()).await.unwrap();
    let session = SessionId::from(id_of(2));
    database.create_session(session, account, &[1; 32], now(), later(60)).await.unwrap();
    let rotate = async |old: u8, new: u8| {
        database.rotate_refresh_token(&[old; 32], &[new; 32], later(1), later(90)).await.unwrap()
    };
    assert!(matches!(rotate(1, 2).await, Refreshed::Rotated(row) if row.id == session && row.account == account));
    assert!(database.live_session(session, later(80)).await.unwrap().is_some());
    assert!(rotate(9, 3).await == Refreshed::Unknown);
    for n in 2..6 {
        assert!(matches!(rotate(n, n + 1).await, Refreshed::Rotated(_)));
    }
    assert!(rotate(1, 3).await == Refreshed::Reused, "several rotations ago");
    assert!(database.live_session(session, later(2)).await.unwrap().is_none());
    assert!(rotate(6, 7).await == Refreshed::Unknown, "it is revoked");

    let other = SessionId::from(id_of(3));
    database.create_session(other, account, &[7; 32], now(), later(60)).await.unwrap();
    assert!(database.revoke_session(other, now()).await.unwrap());
    assert!(!database.revoke_session(other, now()).await.unwrap());
    assert_eq!(database.delete_ended_sessions(later(60), now()).await.unwrap(), 1);
    assert_eq!(database.delete_ended_sessions(later(90), now()).await.unwrap(), 1);
}

pub(super) async fn the_first_signing_key_stays(database: &Database) {
    let first = database.signing_keys_or("a", b"one", now()).await.unwrap();
    assert_eq!(first, [("a".to_owned(), b"one".to_vec())]);
    assert_eq!(database.signing_keys_or("b", b"two", later(1)).await.unwrap(), first);
    assert_eq!(database.signing_keys().await.unwrap(), first);
}

pub(super) async fn attempts_to_sign_in_are_counted_in_their_window(database: &Database) {
    let (address, account) = ([1; 32], [2; 32]);
    let bounds = [(address, 3), (account, 2)];
    let claim = async |at, since| database.claim_sign_in(&bounds, at, since).await.unwrap();
    let ever = DateTime::<Utc>::MIN_UTC;
    assert_eq!(claim(now(), ever).await, None);
    assert_eq!(claim(later(1), ever).await, None);
    assert_eq!(claim(later(2), ever).await, Some(now()), "the account's bound");
    database.release_sign_in(&[address], Some(&account)).await.unwrap();
    assert_eq!(claim(later(3), ever).await, None, "the account starts anew");
    assert_eq!(claim(later(4), ever).await, None, "what was refused was not counted");
    assert_eq!(claim(later(5), ever).await, Some(now()), "the address's bound");
    assert_eq!(claim(later(1_000), later(900)).await, None, "a new window");
    assert_eq!(database.delete_ended_sessions(now(), later(1_000)).await.unwrap(), 2);
}
