//! Attempts that are counted in a window: at passwords and codes, and mails that are asked for. Their keys are hashes.

use super::{Database, Result, Transaction, statements};
use chrono::{DateTime, Utc};

statements! {
    CLAIM_ATTEMPT = shared(
        "INSERT INTO sign_in_attempts (attempt_key, failures, window_start) VALUES ($1, 1, $2)
         ON CONFLICT (attempt_key) DO UPDATE SET
             failures = CASE WHEN sign_in_attempts.window_start <= $3 THEN 1 ELSE sign_in_attempts.failures + 1 END,
             window_start = CASE WHEN sign_in_attempts.window_start <= $3 THEN $2 ELSE sign_in_attempts.window_start END
         RETURNING failures, window_start",
    );
    CLEAR_ATTEMPTS = shared("DELETE FROM sign_in_attempts WHERE attempt_key = $1");
    TAKE_ATTEMPT_BACK = shared(
        "UPDATE sign_in_attempts SET failures = failures - 1 WHERE attempt_key = $1 AND failures > 0",
    );
    /// At most $2, and none that another process is at.
    DELETE_OLD_ATTEMPTS = each(
        "DELETE FROM sign_in_attempts WHERE attempt_key IN (
             SELECT attempt_key FROM sign_in_attempts WHERE window_start <= $1 ORDER BY window_start LIMIT $2)",
        "DELETE FROM sign_in_attempts WHERE attempt_key = ANY (ARRAY(
             SELECT attempt_key FROM sign_in_attempts WHERE window_start <= $1 ORDER BY window_start LIMIT $2
             FOR UPDATE SKIP LOCKED))",
    );
}

impl Database {
    /// Counts an attempt to sign in against every key, unless one has used up its bound in the window that began after
    /// `since`: then nothing is counted, and the answer is when that key's window began. Keys that several attempts share
    /// come in one order, or two attempts would wait for each other.
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
        for bound in bounds {
            if let Some(began) = transaction.claim_attempt(*bound, now, since).await? {
                return Ok(Some(began));
            }
        }
        transaction.commit().await?;
        Ok(None)
    }

    /// Takes an attempt back that was no failure: `lowered` have one less, `cleared` start anew. Keys come in the order of
    /// [`Database::claim_sign_in`].
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn release_sign_in(&self, lowered: &[[u8; 32]], cleared: &[[u8; 32]]) -> Result<()> {
        let mut transaction = self.begin().await?;
        for key in lowered {
            transaction.statement(TAKE_ATTEMPT_BACK).bind(key).execute().await?;
        }
        for key in cleared {
            transaction.statement(CLEAR_ATTEMPTS).bind(key).execute().await?;
        }
        transaction.commit().await
    }

    /// Deletes attempts whose window began before `until`; how many.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn delete_old_attempts(&self, until: DateTime<Utc>) -> Result<u64> {
        self.delete_in_pieces(DELETE_OLD_ATTEMPTS, until).await
    }
}

impl Transaction {
    /// Counts against one key; where its bound is used up, when its window began. What was counted stands only where the
    /// transaction is committed.
    pub(super) async fn claim_attempt(
        &mut self,
        (key, bound): ([u8; 32], u32),
        now: DateTime<Utc>,
        since: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>> {
        let row = self.statement(CLAIM_ATTEMPT).bind(&key).bind(now).bind(since).one().await?;
        let used_up = row.get::<i64>("failures")? > i64::from(bound);
        if used_up { row.get("window_start").map(Some) } else { Ok(None) }
    }
}
