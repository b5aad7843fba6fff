//! Second factors: the secret that an account shares with an authenticator app, and codes for when the app is lost.
//!
//! The secret stands here as it is, like the keys that sign tokens: whoever computes a code needs it.

use super::{Database, Result, statements};
use crate::domain::ids::AccountId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A second factor.
#[derive(Clone, PartialEq, Eq)]
pub struct SecondFactor {
    /// What the app knows, too.
    pub secret: Vec<u8>,
    /// Whether a code of it was shown once; it does not count before.
    pub confirmed: bool,
}

statements! {
    PUT_SECOND_FACTOR = shared(
        "INSERT INTO second_factors (account_id, secret, confirmed_at, last_step) VALUES ($1, $2, NULL, 0)
         ON CONFLICT (account_id) DO UPDATE SET secret = excluded.secret, last_step = 0
         WHERE second_factors.confirmed_at IS NULL",
    );
    SECOND_FACTOR = shared(
        "SELECT secret, confirmed_at IS NOT NULL AS confirmed FROM second_factors WHERE account_id = $1",
    );
    CONFIRM_SECOND_FACTOR = shared(
        "UPDATE second_factors SET confirmed_at = $3, last_step = $4
         WHERE account_id = $1 AND secret = $2 AND confirmed_at IS NULL",
    );
    USE_STEP = shared(
        "UPDATE second_factors SET last_step = $2
         WHERE account_id = $1 AND last_step < $2 AND confirmed_at IS NOT NULL",
    );
    DELETE_SECOND_FACTOR = shared("DELETE FROM second_factors WHERE account_id = $1");
    ADD_RECOVERY_CODE = shared("INSERT INTO recovery_codes (account_id, code_hash) VALUES ($1, $2)");
    USE_RECOVERY_CODE = shared("DELETE FROM recovery_codes WHERE account_id = $1 AND code_hash = $2");
    DELETE_RECOVERY_CODES = shared("DELETE FROM recovery_codes WHERE account_id = $1");
}

impl Database {
    /// Keeps a secret that is to become the account's second factor; false where it has one that counts.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn put_second_factor(&self, account: AccountId, secret: &[u8]) -> Result<bool> {
        Ok(self.write(PUT_SECOND_FACTOR).bind(Uuid::from(account)).bind(secret).execute().await? == 1)
    }

    /// The account's second factor.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn second_factor(&self, account: AccountId) -> Result<Option<SecondFactor>> {
        let row = self.read(SECOND_FACTOR).bind(Uuid::from(account)).optional().await?;
        row.map(|row| Ok(SecondFactor { secret: row.get("secret")?, confirmed: row.get("confirmed")? })).transpose()
    }

    /// Lets the secret count from now on, with new recovery codes; `step` is the time step of the code that was shown. False
    /// where it is not the account's any more, or counts already.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn confirm_second_factor(
        &self,
        account: AccountId,
        secret: &[u8],
        step: i64,
        recovery_hashes: &[[u8; 32]],
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let id = Uuid::from(account);
        let mut transaction = self.begin().await?;
        let confirm = transaction.statement(CONFIRM_SECOND_FACTOR).bind(id).bind(secret).bind(now).bind(step);
        if confirm.execute().await? == 0 {
            return Ok(false);
        }
        transaction.statement(DELETE_RECOVERY_CODES).bind(id).execute().await?;
        for hash in recovery_hashes {
            transaction.statement(ADD_RECOVERY_CODE).bind(id).bind(hash).execute().await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Uses a time step up; false where it or a later one was used before.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn use_step(&self, account: AccountId, step: i64) -> Result<bool> {
        Ok(self.write(USE_STEP).bind(Uuid::from(account)).bind(step).execute().await? == 1)
    }

    /// Uses a recovery code up; false where the account has no such.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn use_recovery_code(&self, account: AccountId, hash: &[u8; 32]) -> Result<bool> {
        Ok(self.write(USE_RECOVERY_CODE).bind(Uuid::from(account)).bind(hash).execute().await? == 1)
    }

    /// Removes the account's second factor with its recovery codes; whether there was one.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn delete_second_factor(&self, account: AccountId) -> Result<bool> {
        let mut transaction = self.begin().await?;
        transaction.statement(DELETE_RECOVERY_CODES).bind(Uuid::from(account)).execute().await?;
        let deleted = transaction.statement(DELETE_SECOND_FACTOR).bind(Uuid::from(account)).execute().await?;
        transaction.commit().await?;
        Ok(deleted == 1)
    }
}
