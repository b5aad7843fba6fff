//! Sessions, and the keys that sign their tokens. Secrets of sessions are kept as hashes.

use super::accounts::read_role;
use super::statement::{Row, Sql};
use super::{Database, Result, Transaction, statements};
use crate::domain::access::Role;
use crate::domain::ids::{AccountId, SessionId};
use chrono::{DateTime, Utc};
use uuid::Uuid;

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
    Reused(SessionRow),
    /// No session that holds has it.
    Unknown,
}

/// A session to be begun.
#[derive(Clone, Copy)]
pub struct NewSession<'a> {
    /// Which.
    pub id: SessionId,
    /// Whose.
    pub account: AccountId,
    /// The hash of the account's password that was verified.
    pub password_hash: &'a str,
    /// Of its first refresh token.
    pub refresh_hash: &'a [u8; 32],
    /// Of the address where it begins.
    pub address_hash: &'a [u8; 32],
    /// Until when it holds, unless it is used before.
    pub expires_at: DateTime<Utc>,
}

/// How a session goes on when its refresh token is changed.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// Until when it holds, unless it is used before; never beyond its longest life.
    pub expires_at: DateTime<Utc>,
    /// One that began by then has had its longest life.
    pub began_after: DateTime<Utc>,
    /// Whether only sessions go on of accounts whose address is confirmed.
    pub confirmed_only: bool,
    /// Used tokens that are kept of it, the newest: one that is presented again shows a theft.
    pub used_tokens: u32,
}

/// A session, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// Which.
    pub id: SessionId,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// Until when it holds, unless it is used before.
    pub expires_at: DateTime<Utc>,
}

statements! {
    /// Not where the password was changed since it was verified: the lock waits for who changes it, and they end the sessions
    /// that they find.
    ADD_SESSION = each(
        "INSERT INTO sessions (session_id, account_id, refresh_hash, address_hash, created_at, expires_at)
         SELECT $1, account_id, $4, $5, $6, $7 FROM accounts WHERE account_id = $2 AND password_hash = $3",
        "INSERT INTO sessions (session_id, account_id, refresh_hash, address_hash, created_at, expires_at)
         SELECT $1, account_id, $4, $5, $6, $7 FROM accounts WHERE account_id = $2 AND password_hash = $3 FOR SHARE",
    );
    /// All but $2 and the best $3 of the others: those that hold, and of these the ones that were used last.
    DELETE_SESSIONS_BEYOND = each(
        "DELETE FROM sessions WHERE session_id IN (
             SELECT session_id FROM sessions WHERE account_id = $1 AND session_id <> $2
             ORDER BY revoked_at IS NOT NULL, expires_at DESC LIMIT -1 OFFSET $3)",
        "DELETE FROM sessions WHERE session_id = ANY (ARRAY(
             SELECT session_id FROM sessions WHERE account_id = $1 AND session_id <> $2
             ORDER BY revoked_at IS NOT NULL, expires_at DESC OFFSET $3 FOR UPDATE SKIP LOCKED))",
    );
    IS_KNOWN_ADDRESS = shared(
        "SELECT EXISTS (SELECT 1 FROM accounts JOIN sessions USING (account_id)
                        WHERE email = $1 AND address_hash = $2 AND expires_at > $3
                        UNION ALL
                        SELECT 1 FROM accounts
                        WHERE email = $1 AND reset_address_hash = $2 AND reset_address_until > $3) AS known",
    );
    SESSIONS_OF = shared(
        "SELECT session_id, created_at, expires_at FROM sessions
         WHERE account_id = $1 AND expires_at > $2 AND revoked_at IS NULL ORDER BY expires_at DESC LIMIT $3",
    );
    REVOKE_ONE_OF = shared(
        "UPDATE sessions SET revoked_at = $1 WHERE session_id = $2 AND account_id = $3 AND revoked_at IS NULL",
    );
    /// All but $3.
    REVOKE_OF = shared(
        "UPDATE sessions SET revoked_at = $1 WHERE account_id = $2 AND session_id <> $3 AND revoked_at IS NULL",
    );
    /// All but $2, those that ended included.
    FORGET_ADDRESSES_OF = shared(
        "UPDATE sessions SET address_hash = NULL WHERE account_id = $1 AND session_id <> $2 AND address_hash IS NOT NULL",
    );
    /// $4 - $5 is the longest life.
    ROTATE = each(
        "UPDATE sessions SET refresh_hash = $1, rotations = rotations + 1, expires_at = min($3, created_at + ($4 - $5))
         WHERE refresh_hash = $2 AND revoked_at IS NULL AND expires_at > $4 AND created_at > $5
               AND (NOT $6 OR (SELECT confirmed_at FROM accounts WHERE accounts.account_id = sessions.account_id) IS NOT NULL)
         RETURNING session_id, rotations",
        "UPDATE sessions SET refresh_hash = $1, rotations = rotations + 1, expires_at = LEAST($3, created_at + ($4 - $5))
         WHERE refresh_hash = $2 AND revoked_at IS NULL AND expires_at > $4 AND created_at > $5
               AND (NOT $6 OR (SELECT confirmed_at FROM accounts WHERE accounts.account_id = sessions.account_id) IS NOT NULL)
         RETURNING session_id, rotations",
    );
    ADD_USED_TOKEN = shared(
        "INSERT INTO used_refresh_tokens (refresh_hash, session_id, ordinal) VALUES ($1, $2, $3)",
    );
    FORGET_USED_TOKENS = shared("DELETE FROM used_refresh_tokens WHERE session_id = $1 AND ordinal <= $2");
    SESSION = shared(
        "SELECT session_id, account_id, email, role, patient_id, care_provider_id
         FROM sessions JOIN accounts USING (account_id) WHERE session_id = $1",
    );
    LIVE_SESSION = shared(
        "SELECT session_id, account_id, email, role, patient_id, care_provider_id
         FROM sessions JOIN accounts USING (account_id)
         WHERE session_id = $1 AND revoked_at IS NULL AND expires_at > $2",
    );
    REVOKE_REUSED = shared(
        "UPDATE sessions SET revoked_at = $1, address_hash = NULL
         WHERE session_id = (SELECT session_id FROM used_refresh_tokens WHERE refresh_hash = $2) AND revoked_at IS NULL
         RETURNING session_id",
    );
    REVOKE = shared("UPDATE sessions SET revoked_at = $1 WHERE session_id = $2 AND revoked_at IS NULL");
    IS_SESSION = shared("SELECT EXISTS (SELECT 1 FROM sessions WHERE session_id = $1) AS known");
    ADD_FIRST_KEY = shared(
        "INSERT INTO signing_keys (key_id, private_key, created_at, ordinal) VALUES ($1, $2, $3, 1)
         ON CONFLICT (ordinal) DO NOTHING",
    );
    SIGNING_KEYS = shared("SELECT key_id, private_key FROM signing_keys ORDER BY ordinal DESC LIMIT 64");
    /// At most $2, and none that another process is at.
    DELETE_ENDED_SESSIONS = each(
        "DELETE FROM sessions WHERE session_id IN (
             SELECT session_id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        "DELETE FROM sessions WHERE session_id = ANY (ARRAY(
             SELECT session_id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2
             FOR UPDATE SKIP LOCKED))",
    );
}

impl Database {
    /// Begins a session; false where the account's password is another by now. Of the account's sessions `most` are left: those
    /// that ended go first, then those that were used longest ago.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn create_session(&self, new: NewSession<'_>, most: u32, now: DateTime<Utc>) -> Result<bool> {
        let (id, account) = (Uuid::from(new.id), Uuid::from(new.account));
        let mut transaction = self.begin().await?;
        let add = transaction.statement(ADD_SESSION).bind(id).bind(account);
        let add = add.bind(new.password_hash).bind(new.refresh_hash).bind(new.address_hash);
        if add.bind(now).bind(new.expires_at).execute().await? == 0 {
            return Ok(false);
        }
        let others = most.saturating_sub(1);
        transaction.statement(DELETE_SESSIONS_BEYOND).bind(account).bind(id).bind(others).execute().await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Whether somebody signed in to the account of that e-mail address from there, or set its password anew by a mailed code,
    /// and not too long ago.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn is_known_address(&self, email: &str, address_hash: &[u8; 32], now: DateTime<Utc>) -> Result<bool> {
        self.read(IS_KNOWN_ADDRESS).bind(email).bind(address_hash).bind(now).one().await?.get("known")
    }

    /// The account's sessions that hold, those first that were used last, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn sessions_of(&self, account: AccountId, now: DateTime<Utc>, limit: u32) -> Result<Vec<OpenSession>> {
        let rows = self.read(SESSIONS_OF).bind(Uuid::from(account)).bind(now).bind(limit).all().await?;
        let read = |row: &Row| {
            Ok(OpenSession {
                id: row.get::<Uuid>("session_id")?.into(),
                created_at: row.get("created_at")?,
                expires_at: row.get("expires_at")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Ends a session of that account; false where it has no such that holds.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn revoke_session_of(&self, account: AccountId, id: SessionId, now: DateTime<Utc>) -> Result<bool> {
        let revoke = self.write(REVOKE_ONE_OF).bind(now).bind(Uuid::from(id)).bind(Uuid::from(account));
        Ok(revoke.execute().await? == 1)
    }

    /// Puts a new refresh token in the place of the one presented, which holds no longer. One that was used, as long ago as
    /// used ones are kept, ends the session.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn rotate_refresh_token(
        &self,
        presented: &[u8; 32],
        new: &[u8; 32],
        now: DateTime<Utc>,
        rotation: Rotation,
    ) -> Result<Refreshed> {
        let mut transaction = self.begin().await?;
        let rotate = transaction.statement(ROTATE).bind(new).bind(presented).bind(rotation.expires_at).bind(now);
        let rotate = rotate.bind(rotation.began_after).bind(rotation.confirmed_only);
        if let Some(rotated) = rotate.optional().await? {
            let (id, ordinal): (Uuid, i64) = (rotated.get("session_id")?, rotated.get("rotations")?);
            transaction.statement(ADD_USED_TOKEN).bind(presented).bind(id).bind(ordinal).execute().await?;
            let forgotten = ordinal - i64::from(rotation.used_tokens);
            if forgotten > 0 {
                transaction.statement(FORGET_USED_TOKENS).bind(id).bind(forgotten).execute().await?;
            }
            let session = read_session(&transaction.statement(SESSION).bind(id).one().await?)?;
            transaction.commit().await?;
            return Ok(Refreshed::Rotated(session));
        }
        let Some(revoked) = transaction.statement(REVOKE_REUSED).bind(now).bind(presented).optional().await? else {
            return Ok(Refreshed::Unknown);
        };
        let id: Uuid = revoked.get("session_id")?;
        let session = read_session(&transaction.statement(SESSION).bind(id).one().await?)?;
        transaction.commit().await?;
        Ok(Refreshed::Reused(session))
    }

    /// Ends a session; whether it held until now.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn revoke_session(&self, id: SessionId, now: DateTime<Utc>) -> Result<bool> {
        Ok(self.write(REVOKE).bind(now).bind(Uuid::from(id)).execute().await? == 1)
    }

    /// Whether there is such a session, whether or not it holds.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn is_session(&self, id: SessionId) -> Result<bool> {
        self.read(IS_SESSION).bind(Uuid::from(id)).one().await?.get("known")
    }

    /// The session, where it holds.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn live_session(&self, id: SessionId, now: DateTime<Utc>) -> Result<Option<SessionRow>> {
        let row = self.read(LIVE_SESSION).bind(Uuid::from(id)).bind(now).optional().await?;
        row.as_ref().map(read_session).transpose()
    }

    /// The keys that sign tokens, `(key id, PKCS#8 DER)`, newest first. Where there is none, the one given becomes the
    /// first; of several processes that give one at once, one's does.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn signing_keys_or(
        &self,
        key_id: &str,
        private_key: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        self.write(ADD_FIRST_KEY).bind(key_id).bind(private_key).bind(now).execute().await?;
        self.signing_keys().await
    }

    /// The keys that sign tokens, `(key id, PKCS#8 DER)`, newest first.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn signing_keys(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let rows = self.read(SIGNING_KEYS).all().await?;
        rows.iter().map(|row| Ok((row.get("key_id")?, row.get("private_key")?))).collect()
    }

    /// Deletes sessions that ended before `until`; how many.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn delete_ended_sessions(&self, until: DateTime<Utc>) -> Result<u64> {
        self.delete_in_pieces(DELETE_ENDED_SESSIONS, until).await
    }

    pub(super) async fn delete_in_pieces(&self, piece: Sql, until: DateTime<Utc>) -> Result<u64> {
        const AT_ONCE: u32 = 1_000;
        let mut deleted = 0;
        loop {
            let now = self.write(piece).bind(until).bind(AT_ONCE).execute().await?;
            deleted += now;
            if now < u64::from(AT_ONCE) {
                return Ok(deleted);
            }
        }
    }
}

impl Transaction {
    /// Ends the account's sessions, all but one.
    pub(super) async fn revoke_sessions_of(
        &mut self,
        account: AccountId,
        but: Option<SessionId>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let but = but.map_or(Uuid::nil(), Uuid::from);
        self.statement(REVOKE_OF).bind(now).bind(Uuid::from(account)).bind(but).execute().await?;
        Ok(())
    }

    /// Forgets from where the account's sessions were begun, all but one's: whoever began them may be somebody else.
    pub(super) async fn forget_addresses_of(&mut self, account: AccountId, but: Option<SessionId>) -> Result<()> {
        let but = but.map_or(Uuid::nil(), Uuid::from);
        self.statement(FORGET_ADDRESSES_OF).bind(Uuid::from(account)).bind(but).execute().await?;
        Ok(())
    }
}

fn read_session(row: &Row) -> Result<SessionRow> {
    Ok(SessionRow {
        id: row.get::<Uuid>("session_id")?.into(),
        account: row.get::<Uuid>("account_id")?.into(),
        email: row.get("email")?,
        role: read_role(row)?,
    })
}
