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
        confirmation: Confirmation::NotAsked,
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
        password_hash: "old".into(),
        role: Role::Admin,
        first_name: None,
        last_name: None,
        confirmation: Confirmation::Vouched,
    };
    database.create_account(&new, now()).await.unwrap();
    let session = SessionId::from(id_of(2));
    assert!(database.create_session(begun(session, account, &[1; 32]), now()).await.unwrap());
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
    database.create_session(begun(other, account, &[7; 32]), now()).await.unwrap();
    assert!(database.revoke_session(other, now()).await.unwrap());
    assert!(!database.revoke_session(other, now()).await.unwrap());
    assert!(database.is_session(other).await.unwrap(), "it ended");
    assert!(!database.is_session(SessionId::from(id_of(99))).await.unwrap());
    assert_eq!(database.delete_ended_sessions(later(60), now()).await.unwrap(), 1);
    assert_eq!(database.delete_ended_sessions(later(90), now()).await.unwrap(), 1);
}

/// A session for a minute.
fn begun(id: SessionId, account: AccountId, refresh_hash: &[u8; 32]) -> NewSession<'_> {
    NewSession { id, account, password_hash: "old", refresh_hash, address_hash: &[5; 32], expires_at: later(60) }
}

/// An account of that number without sessions.
async fn with_account(database: &Database, n: u128, confirmation: Confirmation) -> Account {
    let new = NewAccount {
        id: AccountId::from(id_of(n)),
        email: format!("{n}@example.org"),
        password_hash: "old".into(),
        role: Role::Admin,
        first_name: None,
        last_name: None,
        confirmation,
    };
    database.create_account(&new, now()).await.unwrap();
    database.account(new.id).await.unwrap().unwrap()
}

pub(super) async fn an_owner_sees_and_ends_their_sessions_and_no_others(database: &Database) {
    let (ann, bob) = (
        with_account(database, 1, Confirmation::Vouched).await,
        with_account(database, 2, Confirmation::Vouched).await,
    );
    for n in 3..6 {
        let owner = if n == 5 { bob.id } else { ann.id };
        database.create_session(begun(SessionId::from(id_of(n)), owner, &[n as u8; 32]), now()).await.unwrap();
    }
    let ids = async |account| {
        let open = database.sessions_of(account, later(1), 10).await.unwrap();
        let mut ids: Vec<_> = open.iter().map(|session| session.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(ann.id).await, [SessionId::from(id_of(3)), SessionId::from(id_of(4))]);
    assert_eq!(database.sessions_of(ann.id, later(1), 1).await.unwrap().len(), 1);
    assert!(!database.revoke_session_of(ann.id, SessionId::from(id_of(5)), now()).await.unwrap(), "another's");
    assert!(database.revoke_session_of(ann.id, SessionId::from(id_of(4)), now()).await.unwrap());
    assert_eq!(ids(ann.id).await, [SessionId::from(id_of(3))]);
    assert_eq!(database.sessions_of(ann.id, later(60), 10).await.unwrap(), []);

    let known = async |email: &str, address| database.is_known_address(email, &address, later(1)).await.unwrap();
    assert!(known(&ann.email, [5; 32]).await);
    assert!(!known(&ann.email, [6; 32]).await && !known("nobody@example.org", [5; 32]).await);
}

pub(super) async fn a_changed_password_or_role_ends_sessions(database: &Database) {
    let ann = with_account(database, 1, Confirmation::NotAsked).await;
    let (here, there) = (SessionId::from(id_of(2)), SessionId::from(id_of(3)));
    database.create_session(begun(here, ann.id, &[2; 32]), now()).await.unwrap();
    database.create_session(begun(there, ann.id, &[3; 32]), now()).await.unwrap();
    let live = async |id| database.live_session(id, later(1)).await.unwrap();
    assert!(database.change_password(&ann, "new", here, now()).await.unwrap());
    assert!(live(here).await.is_some() && live(there).await.is_none());
    assert!(!database.change_password(&ann, "newer", here, now()).await.unwrap(), "the old one is gone");
    assert_eq!(database.account(ann.id).await.unwrap().unwrap().password_hash, "new");

    let late = begun(SessionId::from(id_of(4)), ann.id, &[4; 32]);
    assert!(!database.create_session(late, now()).await.unwrap(), "the old password was verified before");

    let role = Role::CareProvider(CareProviderId::new("c-9").unwrap());
    assert!(database.set_role(&ann, &role, now()).await.unwrap());
    assert!(live(here).await.is_none());
    let changed = database.account(ann.id).await.unwrap().unwrap();
    assert!(changed.role == role);
    assert!(database.care_provider(&CareProviderId::new("c-9").unwrap()).await.unwrap().is_some());
    let ghost = Account { id: AccountId::from(id_of(9)), ..changed };
    assert!(!database.set_role(&ghost, &Role::Admin, now()).await.unwrap());

    with_account(database, 5, Confirmation::NotAsked).await;
    let page = async |after, limit| {
        let accounts = database.accounts_after(AccountId::from(id_of(after)), limit).await.unwrap();
        accounts.into_iter().map(|account| account.email).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 10).await, ["1@example.org", "5@example.org"]);
    assert_eq!(page(0, 1).await, ["1@example.org"]);
    assert_eq!(page(1, 1).await, ["5@example.org"]);
}

pub(super) async fn a_mail_waits_once_and_is_taken_by_one_until_it_is_done_with(database: &Database) {
    let ann = with_account(database, 1, Confirmation::Mailed(id_of(10))).await;
    assert!(!ann.confirmed);
    database.add_mail(id_of(11), &ann.email, Purpose::Confirm, now()).await.unwrap();
    database.add_mail(id_of(12), &ann.email, Purpose::Reset, later(1)).await.unwrap();
    let take = async |at: i64| {
        let taken = database.take_mails(later(at), later(at + 60), 10).await.unwrap();
        taken.into_iter().map(|mail| (mail.id, mail.purpose, mail.attempts)).collect::<Vec<_>>()
    };
    assert_eq!(take(0).await, [(id_of(10), Purpose::Confirm, 1)]);
    assert_eq!(take(1).await, [(id_of(12), Purpose::Reset, 1)], "the first is hidden");
    database.end_mail(id_of(10)).await.unwrap();
    database.postpone_mail(id_of(12), later(100)).await.unwrap();
    assert_eq!(take(99).await, []);
    assert_eq!(take(100).await, [(id_of(12), Purpose::Reset, 2)]);
}

pub(super) async fn a_code_holds_for_its_attempts_and_once(database: &Database) {
    let ann = with_account(database, 1, Confirmation::NotAsked).await;
    let session = SessionId::from(id_of(2));
    database.create_session(begun(session, ann.id, &[2; 32]), now()).await.unwrap();
    let put = async |purpose, hash: &str| database.put_code(ann.id, purpose, hash, 2, later(30)).await.unwrap();
    let claim = async |purpose, at| database.claim_code(ann.id, purpose, later(at)).await.unwrap();
    put(Purpose::Confirm, "a").await;
    assert_eq!(claim(Purpose::Reset, 1).await, None, "it is for something else");
    assert_eq!(claim(Purpose::Confirm, 30).await, None, "it has expired");
    for _ in 0..2 {
        assert_eq!(claim(Purpose::Confirm, 1).await, Some("a".into()));
    }
    assert_eq!(claim(Purpose::Confirm, 1).await, None, "it was tried too often");
    put(Purpose::Confirm, "b").await;
    assert_eq!(claim(Purpose::Confirm, 1).await, Some("b".into()));
    assert!(!database.confirm_account(ann.id, "a", now()).await.unwrap(), "the one before");
    assert!(database.confirm_account(ann.id, "b", now()).await.unwrap());
    assert!(!database.confirm_account(ann.id, "b", now()).await.unwrap(), "it was used");
    assert!(database.account(ann.id).await.unwrap().unwrap().confirmed);

    put(Purpose::Reset, "c").await;
    assert!(!database.reset_password(ann.id, "b", "new", now()).await.unwrap());
    assert!(database.live_session(session, later(1)).await.unwrap().is_some());
    assert!(database.reset_password(ann.id, "c", "new", now()).await.unwrap());
    assert!(!database.reset_password(ann.id, "c", "newer", now()).await.unwrap());
    assert_eq!(database.account(ann.id).await.unwrap().unwrap().password_hash, "new");
    assert!(database.live_session(session, later(1)).await.unwrap().is_none());
    put(Purpose::Reset, "d").await;
    assert_eq!(database.delete_old_codes(later(29)).await.unwrap(), 0);
    assert_eq!(database.delete_old_codes(later(30)).await.unwrap(), 1);
}

pub(super) async fn a_second_factor_counts_from_its_first_code_and_no_step_counts_twice(database: &Database) {
    let ann = with_account(database, 1, Confirmation::Vouched).await;
    assert!(database.second_factor(ann.id).await.unwrap().is_none());
    assert!(database.put_second_factor(ann.id, b"first").await.unwrap());
    assert!(database.put_second_factor(ann.id, b"second").await.unwrap(), "the first did not count yet");
    assert!(!database.use_step(ann.id, 5).await.unwrap());
    let needed = async || database.account(ann.id).await.unwrap().unwrap().second_factor;
    assert!(!needed().await);
    let confirm = async |secret: &[u8]| {
        database.confirm_second_factor(ann.id, secret, 10, &[[1; 32], [2; 32]], now()).await.unwrap()
    };
    assert!(!confirm(b"first").await);
    assert!(confirm(b"second").await);
    assert!(!confirm(b"second").await);
    assert!(needed().await);
    let kept = database.second_factor(ann.id).await.unwrap().unwrap();
    assert!(kept.confirmed && kept.secret == b"second");
    assert!(!database.put_second_factor(ann.id, b"third").await.unwrap());
    assert!(!database.use_step(ann.id, 10).await.unwrap(), "it confirmed the factor");
    assert!(database.use_step(ann.id, 11).await.unwrap());
    assert!(!database.use_step(ann.id, 11).await.unwrap());
    assert!(database.use_recovery_code(ann.id, &[1; 32]).await.unwrap());
    assert!(!database.use_recovery_code(ann.id, &[1; 32]).await.unwrap());
    assert!(database.delete_second_factor(ann.id).await.unwrap());
    assert!(!database.delete_second_factor(ann.id).await.unwrap());
    assert!(!database.use_recovery_code(ann.id, &[2; 32]).await.unwrap());
    assert!(!needed().await);
}

pub(super) async fn the_newest_key_set_of_an_issuer_is_kept(database: &Database) {
    assert_eq!(database.provider_keys("a").await.unwrap(), None);
    for (keys, at) in [("first", 1), ("third", 3), ("second", 2)] {
        database.put_provider_keys("a", keys.as_bytes(), later(at)).await.unwrap();
    }
    assert_eq!(database.provider_keys("a").await.unwrap(), Some((b"third".to_vec(), later(3))));
    assert_eq!(database.provider_keys("b").await.unwrap(), None);
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
