//! Mailed codes: to confirm an account's address, and to set a new password.

use super::messages::{ConfirmEmail, RequestCode, ResetPassword};
use super::{Auth, SessionAuthDeps, accounts, from, sign_in_limit};
use crate::actors::ServiceError;
use crate::actors::mailer;
use crate::domain::audit::Entry;
use crate::domain::code;
use crate::storage::database::{Account, NewMail, NewPassword, Purpose};
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
        let mail = NewMail { id: self.deps.entropy.uuid(), recipient: &email, purpose };
        if self.limit.ask_for_mail(database, mail, peer, now).await? {
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
        self.deps.audit.record(entry.clone()).await?;
        let used = self.deps.database.confirm_account(right.account.id, &right.hash, self.now()).await;
        let confirmed = used.map_err(ServiceError::from).and_then(|used| if used { Ok(()) } else { Err(wrong_code()) });
        self.deps.audit.or_failed(&entry, confirmed).await
    }

    pub(super) async fn reset_password(&self, message: ResetPassword) -> Result<(), ServiceError> {
        self.own_accounts()?;
        let ResetPassword { email, code, password, peer } = message;
        let email = accounts::checked(&email)?;
        let SessionAuthDeps { database, entropy, audit, .. } = &self.deps;
        self.limit.claim_new_password(database, &email, peer, self.now()).await?;
        // Before the code: one that is mistyped twice must not be the price of a weak password.
        self.new_passwords.check_new(&password, accounts::own_words(&email)).await?;
        let right = self.right_code(&email, Purpose::Reset, &code, peer).await?;
        let password_hash = self.new_passwords.hash(password, entropy.bytes()).await?;
        let entry = Entry::by_account(right.account.id, &right.account.role, from(peer), "reset_password");
        audit.record(entry.clone()).await?;
        let now = self.now();
        let new = NewPassword {
            code_hash: &right.hash,
            password_hash: &password_hash,
            address_hash: &sign_in_limit::address_hash(peer),
            address_until: self.session_end(now),
        };
        let reset = async {
            if database.reset_password(right.account.id, new, now).await? {
                self.limit.forgive(database, &email, peer).await
            } else {
                Err(wrong_code())
            }
        };
        audit.or_failed(&entry, reset.await).await
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
            let id = account.as_ref().map(|account| account.id);
            let hash = database.claim_code(id, purpose, sign_in_limit::tried_code(email), self.now()).await?;
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
