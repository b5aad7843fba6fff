//! Mailed codes: to confirm an account's address, and to set a new password.

use super::messages::{ConfirmEmail, RequestCode, ResetPassword};
use super::{Auth, accounts, from};
use crate::actors::ServiceError;
use crate::actors::mailer;
use crate::domain::audit::Entry;
use crate::domain::code;
use crate::storage::database::{Account, Purpose};
use std::net::IpAddr;

/// A code that was right, until it is used.
struct RightCode {
    account: Account,
    hash: String,
}

/// The operation of who guesses codes, in the audit record.
const USE_CODE: &str = "use_code";

impl Auth {
    /// Notes that a mail is to be sent. Nothing here depends on whether the address has an account.
    pub(super) async fn request_code(&self, message: RequestCode) -> Result<(), ServiceError> {
        self.own_accounts()?;
        let RequestCode { email, purpose, peer } = message;
        let (database, now) = (&self.deps.database, self.now());
        let email = accounts::checked(&email)?;
        if self.limit.claim_mail(database, &email, peer, now).await? {
            database.add_mail(self.deps.entropy.uuid(), &email, purpose, now).await?;
            self.deps.mail_waits.notify_one();
        }
        Ok(())
    }

    pub(super) async fn confirm_email(&self, message: ConfirmEmail) -> Result<(), ServiceError> {
        self.own_accounts()?;
        let ConfirmEmail { email, code, peer } = message;
        let email = accounts::checked(&email)?;
        let right = self.right_code(&email, Purpose::Confirm, &code, peer).await?;
        let entry = Entry::by_account(right.account.id, &right.account.role, from(peer), "confirm_email");
        self.deps.audit.record(entry).await?;
        let used = self.deps.database.confirm_account(right.account.id, &right.hash, self.now()).await?;
        if used { Ok(()) } else { Err(wrong_code()) }
    }

    pub(super) async fn reset_password(&self, message: ResetPassword) -> Result<(), ServiceError> {
        self.own_accounts()?;
        let ResetPassword { email, code, password, peer } = message;
        let email = accounts::checked(&email)?;
        // Before the code: one that is mistyped twice must not be the price of a weak password.
        self.new_passwords.check_new(&password, accounts::own_words(&email)).await?;
        let right = self.right_code(&email, Purpose::Reset, &code, peer).await?;
        let password_hash = self.new_passwords.hash(password, self.deps.entropy.bytes()).await?;
        let entry = Entry::by_account(right.account.id, &right.account.role, from(peer), "reset_password");
        self.deps.audit.record(entry).await?;
        let database = &self.deps.database;
        if !database.reset_password(right.account.id, &right.hash, &password_hash, self.now()).await? {
            return Err(wrong_code());
        }
        self.limit.forgive_strangers(database, &email).await
    }

    /// Whether the code is the account's newest. Attempts are bounded, and as long for an address without an account.
    async fn right_code(
        &self,
        email: &str,
        purpose: Purpose,
        typed: &str,
        peer: Option<IpAddr>,
    ) -> Result<RightCode, ServiceError> {
        let database = &self.deps.database;
        let attempt = self.limit.claim_code(database, (email, purpose), peer, self.now()).await?;
        let verified = async {
            let Some(typed) = code::typed(typed, mailer::GROUPS) else { return Ok(None) };
            let account = database.account_by_email(email).await?;
            let hash = match &account {
                Some(account) => database.claim_code(account.id, purpose, self.now()).await?,
                None => {
                    // As long as for an account.
                    self.limit.claim_nothing(database, self.now()).await?;
                    None
                }
            };
            let right = self.passwords.verify(typed, hash.clone()).await?;
            let code = account.zip(hash).map(|(account, hash)| RightCode { account, hash });
            Ok::<_, ServiceError>(code.filter(|_| right))
        };
        match verified.await {
            Ok(Some(right)) => {
                self.limit.succeeded(database, &attempt).await?;
                Ok(right)
            }
            Ok(None) => {
                self.deps.audit.unknown(USE_CODE, &from(peer));
                Err(wrong_code())
            }
            Err(error) => {
                self.limit.withdrawn(database, &attempt).await?;
                Err(error)
            }
        }
    }
}

fn wrong_code() -> ServiceError {
    ServiceError::Invalid {
        code: "wrong_code",
        detail: "the code is wrong, or was used, or holds no longer; ask for a new one".into(),
    }
}
