//! What somebody does with their own account: see it, change its password, see and end its sessions.

use super::messages::{ChangePassword, EndSession, OwnAccount, OwnSessions};
use super::{Auth, SessionAuthDeps, accounts};
use crate::actors::ServiceError;
use crate::domain::access::Caller;
use crate::domain::audit::Entry;
use crate::storage::database::{Account, OpenSession};
use std::net::IpAddr;

/// Sessions that one answer lists: as many as an account may have.
const MOST_SESSIONS: u32 = 100;

impl Auth {
    pub(super) async fn own_account(&self, message: OwnAccount) -> Result<Account, ServiceError> {
        self.account_of(&message.caller).await
    }

    pub(super) async fn change_password(&self, message: ChangePassword) -> Result<(), ServiceError> {
        let ChangePassword { caller, password, new_password, peer } = message;
        let account = self.account_of(&caller).await?;
        self.new_passwords.check_new(&new_password, accounts::own_words(&account.email)).await?;
        let SessionAuthDeps { database, entropy, audit, .. } = &self.deps;
        let entry = Entry::by(&caller, "change_password");
        let account = audit.or_failed(&entry, self.owned(&account, password, peer).await).await?;
        audit.record(entry.clone()).await?;
        let changed = async {
            let hash = self.new_passwords.hash(new_password, entropy.bytes()).await?;
            let changed = database.change_password(&account, &hash, caller.session, self.now()).await?;
            if changed { Ok(()) } else { Err(ServiceError::WrongCredentials) }
        };
        audit.or_failed(&entry, changed.await).await
    }

    pub(super) async fn own_sessions(&self, message: OwnSessions) -> Result<Vec<OpenSession>, ServiceError> {
        let account = self.account_of(&message.caller).await?;
        Ok(self.deps.database.sessions_of(account.id, self.now(), MOST_SESSIONS).await?)
    }

    pub(super) async fn end_session(&self, message: EndSession) -> Result<(), ServiceError> {
        let account = self.account_of(&message.caller).await?;
        let SessionAuthDeps { database, audit, .. } = &self.deps;
        let entry = Entry::by(&message.caller, "end_session");
        let open = database.live_session(message.session, self.now()).await?;
        if open.is_none_or(|session| session.account != account.id) {
            return Err(audit.failed(entry, ServiceError::NotFound("session")).await);
        }
        audit.record(entry.clone()).await?;
        let ended = database.revoke_session_of(account.id, message.session, self.now()).await;
        let ended = ended.map_err(ServiceError::from);
        let ended = ended.and_then(|ended| if ended { Ok(()) } else { Err(ServiceError::NotFound("session")) });
        audit.or_failed(&entry, ended).await
    }

    /// The caller's account, where it is one of ours.
    pub(super) async fn account_of(&self, caller: &Caller) -> Result<Account, ServiceError> {
        self.deps.database.account(caller.account).await?.ok_or_else(|| ServiceError::Conflict {
            code: "account_of_provider",
            detail: "this account is the identity provider's: it is looked after there".into(),
        })
    }

    /// The account again, for who knows its password, too. Attempts are bounded: a token that was stolen is not enough.
    pub(super) async fn owned(
        &self,
        account: &Account,
        password: String,
        peer: Option<IpAddr>,
    ) -> Result<Account, ServiceError> {
        self.with_password(&account.email, password, peer).await
    }
}
