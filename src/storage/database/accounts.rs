//! Accounts: who may sign in.

use super::statement::Row;
use super::{Database, DatabaseError, Result, statements};
use crate::domain::access::Role;
use crate::domain::ids::{AccountId, CareProviderId, PatientId};
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

statements! {
    ADD_ACCOUNT = shared(
        "INSERT INTO accounts (account_id, email, password_hash, role, patient_id, care_provider_id, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
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
        "SELECT account_id, email, password_hash, role, patient_id, care_provider_id FROM accounts WHERE email = $1",
    );
    ACCOUNT_BY_ID = shared(
        "SELECT account_id, email, password_hash, role, patient_id, care_provider_id FROM accounts WHERE account_id = $1",
    );
}

impl Database {
    /// Makes an account, and its patient or care provider where there is none yet or only the patient's id was known.
    ///
    /// # Errors
    /// [`DatabaseError::Duplicate`] when the e-mail address has an account; then nothing was written.
    pub async fn create_account(&self, new: &NewAccount, now: DateTime<Utc>) -> Result<()> {
        let email = new.email.to_lowercase();
        let mut transaction = self.begin().await?;
        let (patient, care_provider) = match &new.role {
            Role::Patient(id) => {
                let add = transaction.statement(ADD_PATIENT_OF_ACCOUNT).bind(id.as_str()).bind(&email);
                add.bind(&new.first_name).bind(&new.last_name).bind(now).execute().await?;
                (Some(id.as_str()), None)
            }
            Role::CareProvider(id) => {
                let add = transaction.statement(ADD_CARE_PROVIDER_OF_ACCOUNT).bind(id.as_str()).bind(&email);
                add.bind(now).execute().await?;
                (None, Some(id.as_str()))
            }
            Role::Admin => (None, None),
        };
        transaction
            .statement(ADD_ACCOUNT)
            .bind(Uuid::from(new.id))
            .bind(&email)
            .bind(&new.password_hash)
            .bind(new.role.name())
            .bind(patient)
            .bind(care_provider)
            .bind(now)
            .execute()
            .await?;
        transaction.commit().await
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

fn read_account(row: &Row) -> Result<Account> {
    Ok(Account {
        id: row.get::<Uuid>("account_id")?.into(),
        email: row.get("email")?,
        password_hash: row.get("password_hash")?,
        role: read_role(row)?,
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
