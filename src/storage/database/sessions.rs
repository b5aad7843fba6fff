//! Sessions, the keys that sign their tokens, and failed attempts to sign in. Secrets are kept as hashes.

use super::accounts::{read_account_id, read_role};
use super::{Database, DatabaseError, Result, from_micros, micros};
use crate::domain::access::Role;
use crate::domain::ids::{AccountId, SessionId};
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// A session that holds, with what its account is now.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub account: AccountId,
    /// The account's e-mail address.
    pub email: String,
    /// The account's role.
    pub role: Role,
}

/// What became of a refresh token that was presented.
#[derive(Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// It was the session's newest; the session has the new one now.
    Rotated(SessionRow),
    /// It was used before: someone else has it. The session is revoked.
    Reused,
    /// No session that holds has it.
    Unknown,
}

impl Database {
    /// Begins a session.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn create_session(
        &self,
        id: SessionId,
        account: AccountId,
        refresh_hash: &[u8; 32],
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO sessions (session_id, account_id, refresh_hash, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(id.to_string())
        .bind(account.to_string())
        .bind(&refresh_hash[..])
        .bind(micros(now))
        .bind(micros(expires_at))
        .execute(transaction.conn())
        .await?;
        transaction.commit().await
    }

    /// Puts a new refresh token in the place of the one presented, which holds no longer.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn rotate_refresh_token(
        &self,
        presented: &[u8; 32],
        new: &[u8; 32],
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<Refreshed> {
        let mut transaction = self.begin().await?;
        let rotated: Option<String> = sqlx::query_scalar(
            "UPDATE sessions SET refresh_hash = ?1, previous_refresh_hash = ?2, expires_at = ?3
             WHERE refresh_hash = ?2 AND revoked_at IS NULL AND expires_at > ?4 RETURNING session_id",
        )
        .bind(&new[..])
        .bind(&presented[..])
        .bind(micros(expires_at))
        .bind(micros(now))
        .fetch_optional(transaction.conn())
        .await?;
        if let Some(id) = rotated {
            let row = sqlx::query(
                "SELECT session_id, account_id, email, role, patient_id, care_provider_id
                 FROM sessions JOIN accounts USING (account_id) WHERE session_id = ?1",
            )
            .bind(id)
            .fetch_one(transaction.conn())
            .await?;
            let session = read_session(&row)?;
            transaction.commit().await?;
            return Ok(Refreshed::Rotated(session));
        }
        let revoked =
            sqlx::query("UPDATE sessions SET revoked_at = ?1 WHERE previous_refresh_hash = ?2 AND revoked_at IS NULL")
                .bind(micros(now))
                .bind(&presented[..])
                .execute(transaction.conn())
                .await?
                .rows_affected();
        if revoked == 0 {
            return Ok(Refreshed::Unknown);
        }
        transaction.commit().await?;
        Ok(Refreshed::Reused)
    }

    /// Ends a session; whether it held until now.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn revoke_session(&self, id: SessionId, now: DateTime<Utc>) -> Result<bool> {
        let mut transaction = self.begin().await?;
        let revoked = sqlx::query("UPDATE sessions SET revoked_at = ?1 WHERE session_id = ?2 AND revoked_at IS NULL")
            .bind(micros(now))
            .bind(id.to_string())
            .execute(transaction.conn())
            .await?
            .rows_affected();
        transaction.commit().await?;
        Ok(revoked == 1)
    }

    /// The session, where it holds.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn live_session(&self, id: SessionId, now: DateTime<Utc>) -> Result<Option<SessionRow>> {
        let row = sqlx::query(
            "SELECT session_id, account_id, email, role, patient_id, care_provider_id
             FROM sessions JOIN accounts USING (account_id)
             WHERE session_id = ?1 AND revoked_at IS NULL AND expires_at > ?2",
        )
        .bind(id.to_string())
        .bind(micros(now))
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(read_session).transpose()
    }

    /// The keys that sign tokens, `(key id, PKCS#8 DER)`, newest first. Where there is none, the one given becomes the
    /// first.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn signing_keys_or(
        &self,
        key_id: &str,
        private_key: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO signing_keys (key_id, private_key, created_at)
             SELECT ?1, ?2, ?3 WHERE NOT EXISTS (SELECT 1 FROM signing_keys)",
        )
        .bind(key_id)
        .bind(private_key)
        .bind(micros(now))
        .execute(transaction.conn())
        .await?;
        let keys =
            sqlx::query_as("SELECT key_id, private_key FROM signing_keys ORDER BY created_at DESC, key_id LIMIT 64")
                .fetch_all(transaction.conn())
                .await?;
        transaction.commit().await?;
        Ok(keys)
    }

    /// Counts an attempt to sign in against every key, unless one has used up its bound in the window that began after
    /// `since`: then nothing is counted, and the answer is when that key's window began.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn claim_sign_in(
        &self,
        bounds: &[([u8; 32], u32)],
        now: DateTime<Utc>,
        since: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>> {
        let mut transaction = self.begin().await?;
        for (key, bound) in bounds {
            let row: (i64, i64) = sqlx::query_as(
                "INSERT INTO sign_in_attempts (attempt_key, failures, window_start) VALUES (?1, 1, ?2)
                 ON CONFLICT (attempt_key) DO UPDATE SET
                     failures = CASE WHEN window_start <= ?3 THEN 1 ELSE failures + 1 END,
                     window_start = CASE WHEN window_start <= ?3 THEN ?2 ELSE window_start END
                 RETURNING failures, window_start",
            )
            .bind(&key[..])
            .bind(micros(now))
            .bind(micros(since))
            .fetch_one(transaction.conn())
            .await?;
            if row.0 > i64::from(*bound) {
                return Ok(Some(from_micros(row.1)?));
            }
        }
        transaction.commit().await?;
        Ok(None)
    }

    /// Takes an attempt back that was no failure: `cleared` starts anew, `lowered` has one less.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn release_sign_in(&self, cleared: Option<&[u8; 32]>, lowered: &[[u8; 32]]) -> Result<()> {
        let mut transaction = self.begin().await?;
        if let Some(key) = cleared {
            sqlx::query("DELETE FROM sign_in_attempts WHERE attempt_key = ?1")
                .bind(&key[..])
                .execute(transaction.conn())
                .await?;
        }
        for key in lowered {
            sqlx::query("UPDATE sign_in_attempts SET failures = failures - 1 WHERE attempt_key = ?1 AND failures > 0")
                .bind(&key[..])
                .execute(transaction.conn())
                .await?;
        }
        transaction.commit().await
    }

    /// Deletes sessions that ended before `sessions_until` and attempts whose window began before `attempts_until`; how
    /// many rows that were.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn delete_ended_sessions(
        &self,
        sessions_until: DateTime<Utc>,
        attempts_until: DateTime<Utc>,
    ) -> Result<u64> {
        let mut transaction = self.begin().await?;
        let sessions = sqlx::query("DELETE FROM sessions WHERE expires_at <= ?1")
            .bind(micros(sessions_until))
            .execute(transaction.conn())
            .await?
            .rows_affected();
        let attempts = sqlx::query("DELETE FROM sign_in_attempts WHERE window_start <= ?1")
            .bind(micros(attempts_until))
            .execute(transaction.conn())
            .await?
            .rows_affected();
        transaction.commit().await?;
        Ok(sessions + attempts)
    }
}

fn read_session(row: &SqliteRow) -> Result<SessionRow> {
    Ok(SessionRow {
        id: row.try_get::<&str, _>("session_id")?.parse().map_err(|_| DatabaseError::Corrupt("session id"))?,
        account: read_account_id(row)?,
        email: row.try_get("email")?,
        role: read_role(row)?,
    })
}
