//! Accounts, as admins look after them.

use super::{Access, Caller, Effect, Operation, ResolverDeps, ServiceError};
use crate::domain::access::Role;
use crate::domain::audit::Entry;
use crate::domain::ids::{AccountId, PatientId};
use crate::storage::database::{Account, RoleChange};

/// Accounts of the largest page.
const LARGEST_PAGE: u32 = 200;

/// Accounts in the order of their ids.
pub struct AccountsPage {
    /// Those after this one.
    pub after: AccountId,
    /// At most so many, up to 200.
    pub limit: u32,
}

/// A page of accounts.
pub struct Accounts {
    /// The accounts.
    pub accounts: Vec<Account>,
    /// After which the next page begins; none where this is the last.
    pub next: Option<AccountId>,
}

impl Operation for AccountsPage {
    const NAME: &'static str = "accounts_page";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "account";
    type Answer = Accounts;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Accounts)
    }

    fn covered(answer: &Accounts) -> Vec<PatientId> {
        let patient = |account: &Account| match &account.role {
            Role::Patient(id) => Some(id.clone()),
            Role::CareProvider(_) | Role::Admin => None,
        };
        answer.accounts.iter().filter_map(patient).collect()
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Accounts, ServiceError> {
        let limit = self.limit.clamp(1, LARGEST_PAGE);
        let mut accounts = deps.database.accounts_after(self.after, limit + 1).await?;
        let more = accounts.len() > limit as usize;
        accounts.truncate(limit as usize);
        let next = accounts.last().map(|account| account.id).filter(|_| more);
        Ok(Accounts { accounts, next })
    }
}

/// Makes another of an account. Its sessions end: what its tokens said holds no longer.
pub struct SetRole {
    /// Which.
    pub account: AccountId,
    /// What it is to be.
    pub role: Role,
}

impl Operation for SetRole {
    const NAME: &'static str = "set_role";
    const EFFECT: Effect = Effect::Changes;
    const SUBJECT: &'static str = "account";
    type Answer = Account;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Accounts)
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.holder(&self.role).detail(format!("account {}, role {}", self.account, self.role.name()))
    }

    async fn run(self, deps: &ResolverDeps, caller: &Caller) -> Result<Account, ServiceError> {
        if self.account == caller.account {
            // Who does so by mistake could not take it back.
            return Err(ServiceError::Conflict {
                code: "own_role",
                detail: "nobody changes the role of their own account".into(),
            });
        }
        let absent = || ServiceError::NotFound(Self::SUBJECT);
        let account = deps.database.account(self.account).await?.ok_or_else(absent)?;
        match deps.database.set_role(&account, &self.role, deps.clock.now()).await? {
            RoleChange::Given => deps.database.account(self.account).await?.ok_or_else(absent),
            RoleChange::NoAccount => Err(absent()),
            RoleChange::LastAdmin => Err(ServiceError::Conflict {
                code: "last_admin",
                detail: "this is the last account of an admin: make another first".into(),
            }),
        }
    }
}

/// Removes the second factor of an account whose owner lost it.
pub struct RemoveSecondFactorOf {
    /// Which.
    pub account: AccountId,
}

impl Operation for RemoveSecondFactorOf {
    const NAME: &'static str = "remove_second_factor_of";
    const EFFECT: Effect = Effect::Changes;
    const SUBJECT: &'static str = "account";
    type Answer = ();

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Accounts)
    }

    fn about(&self, entry: Entry) -> Entry {
        entry.detail(format!("account {}", self.account))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<(), ServiceError> {
        if deps.database.delete_second_factor(self.account).await? {
            Ok(())
        } else {
            Err(ServiceError::NotFound("second factor"))
        }
    }
}
