//! Making an account.

use super::SessionAuthConfig;
use super::passwords::Passwords;
use crate::actors::ServiceError;
use crate::domain::access::Role;
use crate::domain::entropy::Entropy;
use crate::domain::ids::AccountId;
use crate::storage::database::{Confirmation, Database, DatabaseError, NewAccount};
use chrono::{DateTime, Utc};

/// Bytes of the longest e-mail address (RFC 5321, section 4.5.3.1.3).
const LONGEST_EMAIL: usize = 254;
/// Characters of the longest name.
const LONGEST_NAME: usize = 200;

/// Makes an account; its patient or care provider too, where there is none yet.
///
/// # Errors
/// [`ServiceError::Invalid`] for a bad e-mail address or password, [`ServiceError::Conflict`] when the address has an
/// account.
pub async fn create_account(
    database: &Database,
    entropy: &Entropy,
    config: &SessionAuthConfig,
    now: DateTime<Utc>,
    email: &str,
    password: String,
    role: Role,
) -> Result<AccountId, ServiceError> {
    let confirmation = Confirmation::Vouched;
    let wanted = Wanted { email: email.to_owned(), password, role, first_name: None, last_name: None, confirmation };
    let new = prepare(entropy, &config.passwords(), wanted).await?;
    insert(database, &new, now).await
}

/// What the account is to be.
pub(super) struct Wanted {
    pub(super) email: String,
    pub(super) password: String,
    pub(super) role: Role,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) confirmation: Confirmation,
}

/// The account as it is to be kept, where it may be made; nothing is written.
pub(super) async fn prepare(
    entropy: &Entropy,
    passwords: &Passwords,
    wanted: Wanted,
) -> Result<NewAccount, ServiceError> {
    let email = checked(&wanted.email)?;
    for name in [&wanted.first_name, &wanted.last_name].into_iter().flatten() {
        if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(ServiceError::Invalid {
                code: "invalid_name",
                detail: format!("a name has at most {LONGEST_NAME} characters and no control character"),
            });
        }
    }
    let names = [&wanted.first_name, &wanted.last_name].into_iter().flatten().cloned();
    passwords.check_new(&wanted.password, own_words(&email).into_iter().chain(names).collect()).await?;
    let id = AccountId::from(entropy.uuid());
    let Wanted { email: _, password, role, first_name, last_name, confirmation } = wanted;
    let password_hash = passwords.hash(password, entropy.bytes()).await?;
    Ok(NewAccount { id, email, password_hash, role, first_name, last_name, confirmation })
}

/// Makes the account.
pub(super) async fn insert(
    database: &Database,
    new: &NewAccount,
    now: DateTime<Utc>,
) -> Result<AccountId, ServiceError> {
    match database.create_account(new, now).await {
        Ok(()) => Ok(new.id),
        Err(DatabaseError::Duplicate(_)) => Err(taken()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn taken() -> ServiceError {
    ServiceError::Conflict { code: "email_taken", detail: "there is an account with this e-mail address".into() }
}

/// The address in lower case, or what is wrong with it.
pub(super) fn checked(email: &str) -> Result<String, ServiceError> {
    normalized(email)
        .ok_or_else(|| ServiceError::Invalid { code: "invalid_email", detail: "the e-mail address is not one".into() })
}

/// What a password for the account of that address should not be made of.
pub(super) fn own_words(email: &str) -> Vec<String> {
    let parts = email.split(['@', '.', '-', '_', '+']).filter(|part| part.len() > 2);
    std::iter::once(email).chain(email.split('@')).chain(parts).map(str::to_owned).collect()
}

/// The address in lower case, where it looks like one.
pub(super) fn normalized(email: &str) -> Option<String> {
    let email = email.trim();
    let (local, domain) = email.split_once('@')?;
    let sane = email.len() <= LONGEST_EMAIL
        && !local.is_empty()
        && !domain.is_empty()
        && !domain.contains('@')
        && !email.chars().any(|c| c.is_control() || c.is_whitespace());
    sane.then(|| email.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_at_sign_and_no_spaces() {
        assert_eq!(normalized(" Ann@Example.ORG ").as_deref(), Some("ann@example.org"));
        for bad in ["", "@", "a@", "@b", "a@b@c", "a b@c", "a\n@c", "ann", &format!("{}@b", "a".repeat(253))] {
            assert_eq!(normalized(bad), None, "{bad:?}");
        }
    }
}
