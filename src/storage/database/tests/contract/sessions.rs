//! Sessions, and from where they were begun.

use super::*;

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
    assert!(database.create_session(begun(session, account, &[1; 32]), MOST, now()).await.unwrap());
    let rotate = async |old: u8, new: u8| {
        database.rotate_refresh_token(&[old; 32], &[new; 32], later(1), ROTATION).await.unwrap()
    };
    assert!(matches!(rotate(1, 2).await, Refreshed::Rotated(row) if row.id == session && row.account == account));
    assert!(database.live_session(session, later(80)).await.unwrap().is_some());
    assert!(rotate(9, 3).await == Refreshed::Unknown);
    for n in 2..6 {
        assert!(matches!(rotate(n, n + 1).await, Refreshed::Rotated(_)));
    }
    assert!(matches!(rotate(1, 3).await, Refreshed::Reused(row) if row.id == session), "several rotations ago");
    assert!(database.live_session(session, later(2)).await.unwrap().is_none());
    assert!(rotate(6, 7).await == Refreshed::Unknown, "it is revoked");

    let other = SessionId::from(id_of(3));
    database.create_session(begun(other, account, &[7; 32]), MOST, now()).await.unwrap();
    assert!(database.revoke_session(other, now()).await.unwrap());
    assert!(!database.revoke_session(other, now()).await.unwrap());
    assert!(database.is_session(other).await.unwrap(), "it ended");
    assert!(!database.is_session(SessionId::from(id_of(99))).await.unwrap());
    assert_eq!(database.delete_ended_sessions(later(60)).await.unwrap(), 1);
    assert_eq!(database.delete_ended_sessions(later(90)).await.unwrap(), 1);
}

pub(super) async fn a_session_ends_after_its_longest_life_and_leaves_a_bounded_number_of_tokens(database: &Database) {
    let ann = with_account(database, 1, Confirmation::NotAsked).await;
    let session = SessionId::from(id_of(2));
    database.create_session(begun(session, ann.id, &[0; 32]), MOST, now()).await.unwrap();
    let rotate = async |old: u8, at: i64, rotation| {
        database.rotate_refresh_token(&[old; 32], &[old + 1; 32], later(at), rotation).await.unwrap()
    };
    // 100 seconds at most, three used tokens.
    let at = |at: i64| Rotation {
        expires_at: later(at + 60),
        began_after: later(at - 100),
        confirmed_only: false,
        used_tokens: 3,
    };
    for n in 0..5 {
        assert!(matches!(rotate(n, 50, at(50)).await, Refreshed::Rotated(_)));
    }
    let open = database.sessions_of(ann.id, later(50), 10).await.unwrap();
    assert_eq!(open.iter().map(|session| session.expires_at).collect::<Vec<_>>(), [later(100)], "not 110");
    assert!(rotate(5, 100, at(100)).await == Refreshed::Unknown, "it has had its time");
    assert!(rotate(1, 50, at(50)).await == Refreshed::Unknown, "forgotten");
    assert!(database.live_session(session, later(50)).await.unwrap().is_some());
    assert!(matches!(rotate(2, 50, at(50)).await, Refreshed::Reused(_)), "the third from the end");
}

pub(super) async fn an_account_has_a_bounded_number_of_sessions_and_the_best_are_left(database: &Database) {
    let ann = with_account(database, 1, Confirmation::NotAsked).await;
    let bob = with_account(database, 9, Confirmation::NotAsked).await;
    database.create_session(begun(SessionId::from(id_of(90)), bob.id, &[90; 32]), 3, now()).await.unwrap();
    let begin = async |n: u8| {
        let hash = [n; 32];
        let new = NewSession { expires_at: later(60 + i64::from(n)), ..begun(session(n), ann.id, &hash) };
        assert!(database.create_session(new, 3, now()).await.unwrap());
    };
    let ids = async || {
        let open = database.sessions_of(ann.id, later(1), 10).await.unwrap();
        open.into_iter().map(|session| session.id).collect::<Vec<_>>()
    };
    for n in 1..=3 {
        begin(n).await;
    }
    assert!(database.revoke_session(session(3), now()).await.unwrap());
    begin(4).await;
    assert_eq!(ids().await, [4, 2, 1].map(session), "the one that ended made room");
    assert!(!database.is_session(session(3)).await.unwrap());
    begin(5).await;
    assert_eq!(ids().await, [5, 4, 2].map(session));
    assert!(database.is_session(SessionId::from(id_of(90))).await.unwrap(), "another's");
}

pub(super) async fn sessions_of_accounts_that_are_not_confirmed_go_on_where_nobody_must_be(database: &Database) {
    let ann = with_account(database, 1, Confirmation::NotAsked).await;
    let bob = with_account(database, 2, Confirmation::Vouched).await;
    for (n, account) in [(1, ann.id), (2, bob.id)] {
        database.create_session(begun(session(n), account, &[n; 32]), MOST, now()).await.unwrap();
    }
    let strict = Rotation { confirmed_only: true, ..ROTATION };
    let rotate = async |n: u8, rotation| {
        let rotated = database.rotate_refresh_token(&[n; 32], &[n + 10; 32], later(1), rotation).await.unwrap();
        matches!(rotated, Refreshed::Rotated(_))
    };
    assert!(!rotate(1, strict).await);
    assert!(rotate(2, strict).await);
    assert!(rotate(1, ROTATION).await);
}

pub(super) async fn addresses_are_known_of_who_signed_in_until_somebody_else_may_have(database: &Database) {
    let ann = with_account(database, 1, Confirmation::NotAsked).await;
    let begin = async |n: u8, password_hash: &str| {
        let hash = [n; 32];
        let new = NewSession { password_hash, address_hash: &hash, ..begun(session(n), ann.id, &hash) };
        assert!(database.create_session(new, MOST, now()).await.unwrap());
    };
    let known = async |n: u8| database.is_known_address(&ann.email, &[n; 32], later(1)).await.unwrap();
    begin(1, "old").await;
    database.revoke_session(session(1), now()).await.unwrap();
    assert!(known(1).await, "signing out is no sign of a thief");
    begin(2, "old").await;
    let rotate =
        async |old: u8| database.rotate_refresh_token(&[old; 32], &[old + 1; 32], later(1), ROTATION).await.unwrap();
    rotate(2).await;
    assert!(matches!(rotate(2).await, Refreshed::Reused(_)));
    assert!(known(1).await && !known(2).await, "a stolen session's");

    begin(4, "old").await;
    database.put_code(ann.id, Purpose::Reset, "code", 2, later(30)).await.unwrap();
    assert!(database.change_password(&ann, "new", session(4), now()).await.unwrap());
    assert!(known(4).await && !known(1).await, "from where it was changed");
    let reset =
        NewPassword { code_hash: "code", password_hash: "newer", address_hash: &[5; 32], address_until: later(60) };
    assert!(!database.reset_password(ann.id, reset, now()).await.unwrap(), "the code ended with the password");
    assert!(!known(5).await);
    database.put_code(ann.id, Purpose::Reset, "code", 2, later(30)).await.unwrap();
    assert!(database.reset_password(ann.id, reset, now()).await.unwrap());
    assert!(known(5).await && !known(4).await, "from where it was reset");
    assert!(!database.is_known_address(&ann.email, &[5; 32], later(60)).await.unwrap());
}

/// Sessions of an account in these tests, and how they go on.
pub(super) const MOST: u32 = 10;
pub(super) const ROTATION: Rotation = Rotation {
    expires_at: DateTime::from_timestamp(1_767_225_690, 0).unwrap(),
    began_after: DateTime::from_timestamp(1_600_000_000, 0).unwrap(),
    confirmed_only: false,
    used_tokens: 10,
};

pub(super) fn session(n: u8) -> SessionId {
    SessionId::from(id_of(n.into()))
}

/// A session for a minute.
pub(super) fn begun(id: SessionId, account: AccountId, refresh_hash: &[u8; 32]) -> NewSession<'_> {
    NewSession { id, account, password_hash: "old", refresh_hash, address_hash: &[5; 32], expires_at: later(60) }
}

/// An account of that number without sessions.
pub(super) async fn with_account(database: &Database, n: u128, confirmation: Confirmation) -> Account {
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
        database.create_session(begun(SessionId::from(id_of(n)), owner, &[n as u8; 32]), MOST, now()).await.unwrap();
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
    database.create_session(begun(here, ann.id, &[2; 32]), MOST, now()).await.unwrap();
    database.create_session(begun(there, ann.id, &[3; 32]), MOST, now()).await.unwrap();
    let live = async |id| database.live_session(id, later(1)).await.unwrap();
    assert!(database.change_password(&ann, "new", here, now()).await.unwrap());
    assert!(live(here).await.is_some() && live(there).await.is_none());
    assert!(!database.change_password(&ann, "newer", here, now()).await.unwrap(), "the old one is gone");
    assert_eq!(database.account(ann.id).await.unwrap().unwrap().password_hash, "new");

    let late = begun(SessionId::from(id_of(4)), ann.id, &[4; 32]);
    assert!(!database.create_session(late, MOST, now()).await.unwrap(), "the old password was verified before");

    let role = Role::CareProvider(CareProviderId::new("c-9").unwrap());
    assert_eq!(database.set_role(&ann, &role, now()).await.unwrap(), RoleChange::LastAdmin);
    with_account(database, 5, Confirmation::NotAsked).await;
    assert_eq!(database.set_role(&ann, &role, now()).await.unwrap(), RoleChange::Given);
    assert!(live(here).await.is_none());
    let changed = database.account(ann.id).await.unwrap().unwrap();
    assert!(changed.role == role);
    assert!(database.care_provider(&CareProviderId::new("c-9").unwrap()).await.unwrap().is_some());
    let ghost = Account { id: AccountId::from(id_of(9)), ..changed };
    assert_eq!(database.set_role(&ghost, &Role::Admin, now()).await.unwrap(), RoleChange::NoAccount);

    let page = async |after, limit| {
        let accounts = database.accounts_after(AccountId::from(id_of(after)), limit).await.unwrap();
        accounts.into_iter().map(|account| account.email).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 10).await, ["1@example.org", "5@example.org"]);
    assert_eq!(page(0, 1).await, ["1@example.org"]);
    assert_eq!(page(1, 1).await, ["5@example.org"]);
}
