//! Mails that are to be sent, and the codes that they brought. A mail's row says for what it is; its code is made when it is
//! sent, and kept as a hash.

use super::statement::Row;
use super::{Database, DatabaseError, Result, Transaction, statements};
use crate::domain::ids::AccountId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What a mailed code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Shows that mail to an account's address reaches whoever made it.
    Confirm,
    /// Sets a new password.
    Reset,
}

impl Purpose {
    /// Its name in the database.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Reset => "reset",
        }
    }
}

/// A mail that somebody asks for.
#[derive(Clone, Copy)]
pub struct NewMail<'a> {
    /// Which.
    pub id: Uuid,
    /// To whom; there may be no account of that address.
    pub recipient: &'a str,
    /// For what.
    pub purpose: Purpose,
}

/// A new password, set by who has a mailed code.
#[derive(Clone, Copy)]
pub struct NewPassword<'a> {
    /// The code's hash.
    pub code_hash: &'a str,
    /// PHC string.
    pub password_hash: &'a str,
    /// Of the address where it is set: one that is known from then on.
    pub address_hash: &'a [u8; 32],
    /// For how long that address is known.
    pub address_until: DateTime<Utc>,
}

/// A mail that is to be sent now.
#[derive(Clone, PartialEq, Eq)]
pub struct DueMail {
    /// Which.
    pub id: Uuid,
    /// To whom; there may be no account of that address.
    pub recipient: String,
    /// For what.
    pub purpose: Purpose,
    /// How often it was tried, this time included.
    pub attempts: i64,
}

statements! {
    /// One mail for a purpose waits at most: a second brings nothing that the first does not.
    ADD_MAIL = shared(
        "INSERT INTO mails (mail_id, recipient, purpose, attempts, due_at, created_at) VALUES ($1, $2, $3, 0, $4, $4)
         ON CONFLICT (recipient, purpose) DO NOTHING",
    );
    /// At most $3, hidden from others until $2.
    TAKE_MAILS = each(
        "UPDATE mails SET attempts = attempts + 1, due_at = $2 WHERE mail_id IN (
             SELECT mail_id FROM mails WHERE due_at <= $1 ORDER BY due_at LIMIT $3)
         RETURNING mail_id, recipient, purpose, attempts",
        "UPDATE mails SET attempts = attempts + 1, due_at = $2 WHERE mail_id = ANY (ARRAY(
             SELECT mail_id FROM mails WHERE due_at <= $1 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED))
         RETURNING mail_id, recipient, purpose, attempts",
    );
    POSTPONE_MAIL = shared("UPDATE mails SET due_at = $2 WHERE mail_id = $1");
    END_MAIL = shared("DELETE FROM mails WHERE mail_id = $1");
    PUT_CODE = shared(
        "INSERT INTO account_codes (account_id, purpose, code_hash, attempts_left, expires_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (account_id, purpose) DO UPDATE SET code_hash = excluded.code_hash,
             attempts_left = excluded.attempts_left, expires_at = excluded.expires_at",
    );
    CLAIM_CODE = shared(
        "UPDATE account_codes SET attempts_left = attempts_left - 1
         WHERE account_id = $1 AND purpose = $2 AND attempts_left > 0 AND expires_at > $3 RETURNING code_hash",
    );
    END_CODE = shared("DELETE FROM account_codes WHERE account_id = $1 AND purpose = $2 AND code_hash = $3");
    CONFIRM_ACCOUNT = shared("UPDATE accounts SET confirmed_at = COALESCE(confirmed_at, $2) WHERE account_id = $1");
    END_CODES_FOR = shared("DELETE FROM account_codes WHERE account_id = $1 AND purpose = $2");
    RESET_PASSWORD = shared(
        "UPDATE accounts SET password_hash = $2, confirmed_at = COALESCE(confirmed_at, $3), reset_address_hash = $4,
             reset_address_until = $5
         WHERE account_id = $1",
    );
    /// At most $2, and none that another process is at.
    DELETE_OLD_CODES = each(
        "DELETE FROM account_codes WHERE (account_id, purpose) IN (
             SELECT account_id, purpose FROM account_codes WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        "DELETE FROM account_codes WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM account_codes WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    );
}

impl Database {
    /// Notes a mail that is to be sent; whether there is a new one. There is none where one for the same purpose waits already,
    /// which counts against nothing, nor where the bound is used up in the window that began after `since`.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn request_mail(
        &self,
        mail: NewMail<'_>,
        bound: ([u8; 32], u32),
        now: DateTime<Utc>,
        since: DateTime<Utc>,
    ) -> Result<bool> {
        let mut transaction = self.begin().await?;
        if !transaction.add_mail(mail, now).await? || transaction.claim_attempt(bound, now, since).await?.is_some() {
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Takes mails that are due, at most `limit`; nobody else does until `hidden_until`, and then whoever is first.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn take_mails(
        &self,
        now: DateTime<Utc>,
        hidden_until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<DueMail>> {
        let rows = self.write_redoable(TAKE_MAILS).bind(now).bind(hidden_until).bind(limit).all().await?;
        rows.iter().map(read_mail).collect()
    }

    /// Has a mail tried again at that time.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn postpone_mail(&self, id: Uuid, due_at: DateTime<Utc>) -> Result<()> {
        self.write_redoable(POSTPONE_MAIL).bind(id).bind(due_at).execute().await?;
        Ok(())
    }

    /// Forgets a mail that was sent or given up.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn end_mail(&self, id: Uuid) -> Result<()> {
        self.write_redoable(END_MAIL).bind(id).execute().await?;
        Ok(())
    }

    /// Keeps the hash of a code that is about to be mailed; the one before it holds no longer.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn put_code(
        &self,
        account: AccountId,
        purpose: Purpose,
        hash: &str,
        attempts: u32,
        expires_at: DateTime<Utc>,
    ) -> Result<()> {
        let put = self.write(PUT_CODE).bind(Uuid::from(account)).bind(purpose.name()).bind(hash);
        put.bind(attempts).bind(expires_at).execute().await?;
        Ok(())
    }

    /// The hash of the account's code, with one attempt at it less; none where there is none that holds. `attempt` is written in
    /// any case, and it takes as many statements whether there is an account or a code: who measures learns nothing.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn claim_code(
        &self,
        account: Option<AccountId>,
        purpose: Purpose,
        attempt: [u8; 32],
        now: DateTime<Utc>,
    ) -> Result<Option<String>> {
        let mut transaction = self.begin().await?;
        transaction.claim_attempt((attempt, u32::MAX), now, now).await?;
        let account = account.map_or(Uuid::nil(), Uuid::from);
        let claim = transaction.statement(CLAIM_CODE).bind(account).bind(purpose.name()).bind(now);
        let claimed = claim.optional().await?;
        transaction.commit().await?;
        claimed.map(|row| row.get("code_hash")).transpose()
    }

    /// Uses a code up to confirm its account's address; false when it was used before.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn confirm_account(&self, account: AccountId, code_hash: &str, now: DateTime<Utc>) -> Result<bool> {
        let id = Uuid::from(account);
        let mut transaction = self.begin().await?;
        let end = transaction.statement(END_CODE).bind(id).bind(Purpose::Confirm.name()).bind(code_hash);
        if end.execute().await? == 0 {
            return Ok(false);
        }
        transaction.statement(CONFIRM_ACCOUNT).bind(id).bind(now).execute().await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Uses a code up to set a new password, which ends every session of the account and forgets from where they were begun;
    /// false when it was used before. Who has the code has the address, too: it is confirmed by that.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn reset_password(&self, account: AccountId, new: NewPassword<'_>, now: DateTime<Utc>) -> Result<bool> {
        let id = Uuid::from(account);
        let mut transaction = self.begin().await?;
        let end = transaction.statement(END_CODE).bind(id).bind(Purpose::Reset.name()).bind(new.code_hash);
        if end.execute().await? == 0 {
            return Ok(false);
        }
        let reset = transaction.statement(RESET_PASSWORD).bind(id).bind(new.password_hash).bind(now);
        reset.bind(new.address_hash).bind(new.address_until).execute().await?;
        transaction.revoke_sessions_of(account, None, now).await?;
        transaction.forget_addresses_of(account, None).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Deletes codes that no longer hold; how many.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn delete_old_codes(&self, now: DateTime<Utc>) -> Result<u64> {
        self.delete_in_pieces(DELETE_OLD_CODES, now).await
    }
}

impl Transaction {
    /// Notes a mail that is to be sent; false where one for the same purpose waits already.
    pub(super) async fn add_mail(&mut self, mail: NewMail<'_>, now: DateTime<Utc>) -> Result<bool> {
        let add = self.statement(ADD_MAIL).bind(mail.id).bind(mail.recipient).bind(mail.purpose.name());
        Ok(add.bind(now).execute().await? == 1)
    }

    /// Forgets the account's code for that purpose, where it has one.
    pub(super) async fn end_codes_for(&mut self, account: AccountId, purpose: Purpose) -> Result<()> {
        self.statement(END_CODES_FOR).bind(Uuid::from(account)).bind(purpose.name()).execute().await?;
        Ok(())
    }
}

fn read_mail(row: &Row) -> Result<DueMail> {
    let purpose = match row.get::<String>("purpose")?.as_str() {
        "confirm" => Purpose::Confirm,
        "reset" => Purpose::Reset,
        _ => return Err(DatabaseError::Corrupt("purpose")),
    };
    Ok(DueMail { id: row.get("mail_id")?, recipient: row.get("recipient")?, purpose, attempts: row.get("attempts")? })
}
