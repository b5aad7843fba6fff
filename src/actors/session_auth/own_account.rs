//! What somebody does with their own account: see it, change its password, see and end its sessions.

use super::messages::{ChangePassword, EndSession, OwnAccount, OwnSessions};
use super::{Auth, SessionAuthDeps, accounts};
use crate::actors::ServiceError;
use crate::domain::access::Caller;
use crate::domain::audit::Entry;
use crate::storage::database::{Account, OpenSession};
use std::net::IpAddr;

/// Sessions that one answer lists.
const MOST_SESSIONS: u32 = 100;

impl Auth {
    pub(super) async fn own_account(&self, message: OwnAccount) -> Result<Account, ServiceError> {
        self.account_of(&message.caller).await
    }

    pub(super) async fn change_password(&self, message: ChangePassword) -> Result<(), ServiceError> {
        let ChangePassword { caller, password, new_password, peer } = message;
        let account = self.account_of(&caller).await?;
        self.new_passwords.check_new(&new_password, accounts::own_words(&account.email)).await?;
        let account = self.owned(&account, password, peer).await?;
        self.deps.audit.record(Entry::by(&caller, "change_password")).await?;
        let hash = self.new_passwords.hash(new_password, self.deps.entropy.bytes()).await?;
        if self.deps.database.change_password(&account, &hash, caller.session, self.now()).await? {
            Ok(())
        } else {
            Err(ServiceError::WrongCredentials)
        }
    }

    pub(super) async fn own_sessions(&self, message: OwnSessions) -> Result<Vec<OpenSession>, ServiceError> {
        let account = self.account_of(&message.caller).await?;
        Ok(self.deps.database.sessions_of(account.id, self.now(), MOST_SESSIONS).await?)
    }

    pub(super) async fn end_session(&self, message: EndSession) -> Result<(), ServiceError> {
        let account = self.account_of(&message.caller).await?;
        let SessionAuthDeps { database, audit, .. } = &self.deps;
        let entry = Entry::by(&message.caller, "end_session");
        let open = database.sessions_of(account.id, self.now(), MOST_SESSIONS).await?;
        if !open.iter().any(|session| session.id == message.session) {
            return Err(audit.failed(entry, ServiceError::NotFound("session")).await);
        }
        audit.record(entry).await?;
        database.revoke_session_of(account.id, message.session, self.now()).await?;
        Ok(())
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
