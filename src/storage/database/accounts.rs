//! Accounts: who may sign in.

use super::mails::{NewMail, Purpose};
use super::statement::Row;
use super::{Database, DatabaseError, Result, Transaction, statements};
use crate::domain::access::Role;
use crate::domain::ids::{AccountId, CareProviderId, PatientId, SessionId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// An account.
#[derive(Clone)]
pub struct Account {
    /// Which.
    pub id: AccountId,
    /// Lower case.
    pub email: String,
    /// PHC string.
    pub password_hash: String,
    /// What it is.
    pub role: Role,
    /// Whether mail to the address is known to reach whose account it is.
    pub confirmed: bool,
    /// Whether a second factor is needed to sign in.
    pub second_factor: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// Whether the address of a new account is known to be its owner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// Nobody asked.
    NotAsked,
    /// An operator says so.
    Vouched,
    /// A mail of that id asks.
    Mailed(Uuid),
}

/// An account to be made.
#[derive(Clone)]
pub struct NewAccount {
    /// Which.
    pub id: AccountId,
    /// Kept in lower case.
    pub email: String,
    /// PHC string.
    pub password_hash: String,
    /// What it is. A patient or care provider that is not there yet is made with it.
    pub role: Role,
    /// Of a patient that is made with it.
    pub first_name: Option<String>,
    /// Of a patient that is made with it.
    pub last_name: Option<String>,
    /// Whether its address is known to be its owner's.
    pub confirmation: Confirmation,
}

/// What became of a role that was to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleChange {
    /// The account has it, and its sessions have ended.
    Given,
    /// There is no such account.
    NoAccount,
    /// The account is the last admin, and stays one.
    LastAdmin,
}

statements! {
    ADD_ACCOUNT = shared(
        "INSERT INTO accounts (account_id, email, password_hash, role, patient_id, care_provider_id, created_at, confirmed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    );
    ADD_PATIENT_OF_ACCOUNT = shared(
        "INSERT INTO patients (patient_id, email, first_name, last_name, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (patient_id) DO UPDATE SET email = excluded.email, first_name = excluded.first_name,
             last_name = excluded.last_name, placeholder = false
         WHERE patients.placeholder",
    );
    ADD_CARE_PROVIDER_OF_ACCOUNT = shared(
        "INSERT INTO care_providers (care_provider_id, email, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (care_provider_id) DO NOTHING",
    );
    ACCOUNT_BY_EMAIL = shared(
        "SELECT account_id, email, password_hash, role, patient_id, care_provider_id, created_at,
             confirmed_at IS NOT NULL AS confirmed, (
                 SELECT factor.confirmed_at FROM second_factors factor
                 WHERE factor.account_id = accounts.account_id) IS NOT NULL AS second_factor
         FROM accounts WHERE email = $1",
    );
    ACCOUNT_BY_ID = shared(
        "SELECT account_id, email, password_hash, role, patient_id, care_provider_id, created_at,
             confirmed_at IS NOT NULL AS confirmed, (
                 SELECT factor.confirmed_at FROM second_factors factor
                 WHERE factor.account_id = accounts.account_id) IS NOT NULL AS second_factor
         FROM accounts WHERE account_id = $1",
    );
    ACCOUNTS_AFTER = shared(
        "SELECT account_id, email, password_hash, role, patient_id, care_provider_id, created_at,
             confirmed_at IS NOT NULL AS confirmed, (
                 SELECT factor.confirmed_at FROM second_factors factor
                 WHERE factor.account_id = accounts.account_id) IS NOT NULL AS second_factor
         FROM accounts WHERE account_id > $1 ORDER BY account_id LIMIT $2",
    );
    /// At most $1. Who takes an admin's role away waits for who else does: each finds another that is left.
    ADMINS = each(
        "SELECT account_id FROM accounts WHERE role = 'admin' ORDER BY account_id LIMIT $1",
        "SELECT account_id FROM accounts WHERE role = 'admin' ORDER BY account_id LIMIT $1 FOR NO KEY UPDATE",
    );
    SET_ROLE = shared("UPDATE accounts SET role = $2, patient_id = $3, care_provider_id = $4 WHERE account_id = $1");
    CHANGE_PASSWORD = shared("UPDATE accounts SET password_hash = $3 WHERE account_id = $1 AND password_hash = $2");
}

impl Database {
    /// Makes an account, and its patient or care provider where there is none yet or only the patient's id was known.
    ///
    /// # Errors
    /// [`DatabaseError::Duplicate`] when the e-mail address has an account; then nothing was written.
    pub async fn create_account(&self, new: &NewAccount, now: DateTime<Utc>) -> Result<()> {
        let email = new.email.to_lowercase();
        let mut transaction = self.begin().await?;
        let names = (&new.first_name, &new.last_name);
        let (patient, care_provider) = transaction.make_subject(&new.role, &email, names, now).await?;
        transaction
            .statement(ADD_ACCOUNT)
            .bind(Uuid::from(new.id))
            .bind(&email)
            .bind(&new.password_hash)
            .bind(new.role.name())
            .bind(patient)
            .bind(care_provider)
            .bind(now)
            .bind((new.confirmation == Confirmation::Vouched).then_some(now))
            .execute()
            .await?;
        if let Confirmation::Mailed(mail) = new.confirmation {
            let mail = NewMail { id: mail, recipient: &email, purpose: Purpose::Confirm };
            transaction.add_mail(mail, now).await?;
        }
        transaction.commit().await
    }

    /// Makes another of an account, which ends its sessions; the last admin stays one. A patient or care provider that is not
    /// there yet is made with it.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn set_role(&self, account: &Account, role: &Role, now: DateTime<Utc>) -> Result<RoleChange> {
        /// Where there are so many, another is left.
        const ENOUGH: u32 = 64;
        let id = Uuid::from(account.id);
        let mut transaction = self.begin().await?;
        let admins = transaction.statement(ADMINS).bind(ENOUGH).all().await?;
        let admins = admins.iter().map(|row| row.get::<Uuid>("account_id")).collect::<Result<Vec<_>>>()?;
        if admins == [id] && *role != Role::Admin {
            return Ok(RoleChange::LastAdmin);
        }
        let (patient, care_provider) = transaction.make_subject(role, &account.email, (&None, &None), now).await?;
        let set = transaction.statement(SET_ROLE).bind(id).bind(role.name());
        if set.bind(patient).bind(care_provider).execute().await? == 0 {
            return Ok(RoleChange::NoAccount);
        }
        transaction.revoke_sessions_of(account.id, None, now).await?;
        transaction.commit().await?;
        Ok(RoleChange::Given)
    }

    /// Puts a new password in the place of the one that was verified, which ends the account's sessions but `session`, forgets
    /// from where they were begun, and ends a mailed code for a new password; false where another was put there in the meantime.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn change_password(
        &self,
        account: &Account,
        new_hash: &str,
        session: SessionId,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let change = transaction.statement(CHANGE_PASSWORD).bind(Uuid::from(account.id));
        if change.bind(&account.password_hash).bind(new_hash).execute().await? == 0 {
            return Ok(false);
        }
        transaction.end_codes_for(account.id, Purpose::Reset).await?;
        transaction.revoke_sessions_of(account.id, Some(session), now).await?;
        transaction.forget_addresses_of(account.id, Some(session)).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Accounts in the order of their ids, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn accounts_after(&self, after: AccountId, limit: u32) -> Result<Vec<Account>> {
        let rows = self.read(ACCOUNTS_AFTER).bind(Uuid::from(after)).bind(limit).all().await?;
        rows.iter().map(read_account).collect()
    }

    /// The account with that e-mail address, whatever its case.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn account_by_email(&self, email: &str) -> Result<Option<Account>> {
        let row = self.read(ACCOUNT_BY_EMAIL).bind(&email.to_lowercase()).optional().await?;
        row.as_ref().map(read_account).transpose()
    }

    /// The account with that id.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        let row = self.read(ACCOUNT_BY_ID).bind(Uuid::from(id)).optional().await?;
        row.as_ref().map(read_account).transpose()
    }
}

impl Transaction {
    /// Makes the patient or care provider that a role names, where there is none yet or only the patient's id was known; the
    /// columns `patient_id` and `care_provider_id` of the role.
    async fn make_subject<'r>(
        &mut self,
        role: &'r Role,
        email: &str,
        (first_name, last_name): (&Option<String>, &Option<String>),
        now: DateTime<Utc>,
    ) -> Result<(Option<&'r str>, Option<&'r str>)> {
        match role {
            Role::Patient(id) => {
                let add = self.statement(ADD_PATIENT_OF_ACCOUNT).bind(id.as_str()).bind(email);
                add.bind(first_name).bind(last_name).bind(now).execute().await?;
                Ok((Some(id.as_str()), None))
            }
            Role::CareProvider(id) => {
                let add = self.statement(ADD_CARE_PROVIDER_OF_ACCOUNT).bind(id.as_str()).bind(email);
                add.bind(now).execute().await?;
                Ok((None, Some(id.as_str())))
            }
            Role::Admin => Ok((None, None)),
        }
    }
}

fn read_account(row: &Row) -> Result<Account> {
    Ok(Account {
        id: row.get::<Uuid>("account_id")?.into(),
        email: row.get("email")?,
        password_hash: row.get("password_hash")?,
        role: read_role(row)?,
        confirmed: row.get("confirmed")?,
        second_factor: row.get("second_factor")?,
        created_at: row.get("created_at")?,
    })
}

/// The role that the columns `role`, `patient_id` and `care_provider_id` hold.
pub(super) fn read_role(row: &Row) -> Result<Role> {
    let patient: Option<String> = row.get("patient_id")?;
    let care_provider: Option<String> = row.get("care_provider_id")?;
    match (row.get::<String>("role")?.as_str(), patient, care_provider) {
        ("patient", Some(id), None) => {
            PatientId::new(id).map(Role::Patient).map_err(|_| DatabaseError::Corrupt("patient id"))
        }
        ("care_provider", None, Some(id)) => {
            CareProviderId::new(id).map(Role::CareProvider).map_err(|_| DatabaseError::Corrupt("care provider id"))
        }
        ("admin", None, None) => Ok(Role::Admin),
        _ => Err(DatabaseError::Corrupt("role")),
    }
}
