//! Accounts, what is mailed to their owners, keys and attempts to sign in.

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

pub(super) async fn one_admin_is_left_when_two_take_each_others_role_away(database: &Database) {
    let (ann, bob) = (
        with_account(database, 1, Confirmation::NotAsked).await,
        with_account(database, 2, Confirmation::NotAsked).await,
    );
    let patient = Role::Patient(PatientId::new("p-1").unwrap());
    let demote = async |account: &Account| database.set_role(account, &patient, now()).await.unwrap();
    let (one, other) = tokio::join!(demote(&ann), demote(&bob));
    assert!(matches!(
        (one, other),
        (RoleChange::Given, RoleChange::LastAdmin) | (RoleChange::LastAdmin, RoleChange::Given)
    ));
    let last = if one == RoleChange::LastAdmin { &ann } else { &bob };
    assert_eq!(database.set_role(last, &Role::Admin, now()).await.unwrap(), RoleChange::Given);
    assert_eq!(demote(last).await, RoleChange::LastAdmin);
}

pub(super) async fn a_mail_waits_once_and_is_taken_by_one_until_it_is_done_with(database: &Database) {
    let ann = with_account(database, 1, Confirmation::Mailed(id_of(10))).await;
    assert!(!ann.confirmed);
    let ask = async |n, purpose, at| {
        let mail = NewMail { id: id_of(n), recipient: &ann.email, purpose };
        database.request_mail(mail, ([8; 32], 2), at, DateTime::<Utc>::MIN_UTC).await.unwrap()
    };
    assert!(!ask(11, Purpose::Confirm, now()).await);
    assert!(ask(12, Purpose::Reset, later(1)).await);
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
    assert!(!ask(13, Purpose::Reset, later(100)).await, "it waits still");
    assert!(ask(14, Purpose::Confirm, later(100)).await, "what was not noted did not count");
    database.end_mail(id_of(12)).await.unwrap();
    assert!(!ask(15, Purpose::Reset, later(100)).await, "the bound is used up");
    assert_eq!(take(200).await, [(id_of(14), Purpose::Confirm, 1)]);
}

pub(super) async fn a_code_holds_for_its_attempts_and_once(database: &Database) {
    let ann = with_account(database, 1, Confirmation::NotAsked).await;
    let session = SessionId::from(id_of(2));
    database.create_session(begun(session, ann.id, &[2; 32]), MOST, now()).await.unwrap();
    let put = async |purpose, hash: &str| database.put_code(ann.id, purpose, hash, 2, later(30)).await.unwrap();
    let claim = async |purpose, at| database.claim_code(Some(ann.id), purpose, [9; 32], later(at)).await.unwrap();
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
    let reset = async |code_hash: &str, password_hash: &str| {
        let new = NewPassword { code_hash, password_hash, address_hash: &[6; 32], address_until: later(60) };
        database.reset_password(ann.id, new, now()).await.unwrap()
    };
    assert!(!reset("b", "new").await);
    assert!(database.live_session(session, later(1)).await.unwrap().is_some());
    assert!(reset("c", "new").await);
    assert!(!reset("c", "newer").await);
    assert_eq!(database.account(ann.id).await.unwrap().unwrap().password_hash, "new");
    assert!(database.live_session(session, later(1)).await.unwrap().is_none());
    put(Purpose::Reset, "d").await;
    assert_eq!(database.delete_old_codes(later(29)).await.unwrap(), 0);
    // Nobody who measures learns whether there is an account, or a code.
    let effort = async |account, attempt: u8| {
        let before = database.statements();
        let code = database.claim_code(account, Purpose::Reset, [attempt; 32], later(1)).await.unwrap();
        (code.is_some(), database.statements() - before)
    };
    let with_code = effort(Some(ann.id), 10).await;
    assert_eq!(database.delete_old_codes(later(30)).await.unwrap(), 1);
    let (without_code, without_account) = (effort(Some(ann.id), 11).await, effort(None, 12).await);
    assert_eq!((with_code.0, without_code.0, without_account.0), (true, false, false));
    assert_eq!((without_code.1, without_account.1), (with_code.1, with_code.1));
    assert_eq!(database.delete_old_attempts(later(30)).await.unwrap(), 4, "each wrote something");
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
    database.release_sign_in(&[address], &[account]).await.unwrap();
    assert_eq!(claim(later(3), ever).await, None, "the account starts anew");
    assert_eq!(claim(later(4), ever).await, None, "what was refused was not counted");
    assert_eq!(claim(later(5), ever).await, Some(now()), "the address's bound");
    assert_eq!(claim(later(1_000), later(900)).await, None, "a new window");
    assert_eq!(database.delete_old_attempts(later(1_000)).await.unwrap(), 2);
}
