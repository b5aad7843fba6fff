//! Accounts: who may sign in.

use super::{Database, DatabaseError, Result, Transaction, micros};
use crate::domain::access::Role;
use crate::domain::ids::{AccountId, CareProviderId, PatientId};
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

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
}

impl Database {
    /// Makes an account, and its patient or care provider where there is none yet.
    ///
    /// # Errors
    /// [`DatabaseError::Duplicate`] when the e-mail address has an account; then nothing was written.
    pub async fn create_account(&self, new: &NewAccount, now: DateTime<Utc>) -> Result<()> {
        let email = new.email.to_lowercase();
        let mut transaction = self.begin().await?;
        let (patient, care_provider) = match &new.role {
            Role::Patient(id) => {
                transaction.ensure_patient(id, &email, new, now).await?;
                (Some(id.as_str()), None)
            }
            Role::CareProvider(id) => {
                transaction.ensure_care_provider(id, &email, now).await?;
                (None, Some(id.as_str()))
            }
            Role::Admin => (None, None),
        };
        sqlx::query(
            "INSERT INTO accounts (account_id, email, password_hash, role, patient_id, care_provider_id, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .bind(new.id.to_string())
        .bind(&email)
        .bind(&new.password_hash)
        .bind(new.role.name())
        .bind(patient)
        .bind(care_provider)
        .bind(micros(now))
        .execute(transaction.conn())
        .await?;
        transaction.commit().await
    }

    /// The account with that e-mail address, whatever its case.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn account_by_email(&self, email: &str) -> Result<Option<Account>> {
        let row = sqlx::query(
            "SELECT account_id, email, password_hash, role, patient_id, care_provider_id FROM accounts WHERE email = ?1",
        )
        .bind(email.to_lowercase())
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(read_account).transpose()
    }

    /// The account with that id.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        let row = sqlx::query(
            "SELECT account_id, email, password_hash, role, patient_id, care_provider_id FROM accounts
             WHERE account_id = ?1",
        )
        .bind(id.to_string())
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(read_account).transpose()
    }
}

impl Transaction {
    async fn ensure_patient(
        &mut self,
        id: &PatientId,
        email: &str,
        new: &NewAccount,
        now: DateTime<Utc>,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO patients (patient_id, email, first_name, last_name, created_at) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (patient_id) DO NOTHING",
        )
        .bind(id.as_str())
        .bind(email)
        .bind(&new.first_name)
        .bind(&new.last_name)
        .bind(micros(now))
        .execute(self.conn())
        .await?;
        Ok(())
    }

    async fn ensure_care_provider(&mut self, id: &CareProviderId, email: &str, now: DateTime<Utc>) -> Result<()> {
        sqlx::query(
            "INSERT INTO care_providers (care_provider_id, email, created_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (care_provider_id) DO NOTHING",
        )
        .bind(id.as_str())
        .bind(email)
        .bind(micros(now))
        .execute(self.conn())
        .await?;
        Ok(())
    }
}

fn read_account(row: &SqliteRow) -> Result<Account> {
    Ok(Account {
        id: read_account_id(row)?,
        email: row.try_get("email")?,
        password_hash: row.try_get("password_hash")?,
        role: read_role(row)?,
    })
}

pub(super) fn read_account_id(row: &SqliteRow) -> Result<AccountId> {
    row.try_get::<&str, _>("account_id")?.parse().map_err(|_| DatabaseError::Corrupt("account id"))
}

/// The role that the columns `role`, `patient_id` and `care_provider_id` hold.
pub(super) fn read_role(row: &SqliteRow) -> Result<Role> {
    let patient: Option<String> = row.try_get("patient_id")?;
    let care_provider: Option<String> = row.try_get("care_provider_id")?;
    match (row.try_get::<&str, _>("role")?, patient, care_provider) {
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
