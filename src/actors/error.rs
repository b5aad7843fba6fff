//! What an actor answers when it cannot do what it was asked. Knows no HTTP; `web` maps it.

use crate::domain::recording::Refusal;
use crate::storage::database::DatabaseError;
use crate::storage::objects::ObjectError;
use std::time::Duration;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// No token, or none that holds.
    #[error("a valid access token is needed")]
    Unauthenticated,
    /// E-mail address or password do not fit.
    #[error("the e-mail address or the password is wrong")]
    WrongCredentials,
    /// The password is right, and the account's address is still to be confirmed.
    #[error("the e-mail address is not confirmed yet: enter the code that was mailed there")]
    EmailNotConfirmed,
    /// The password is right, and the account has a second factor, too.
    #[error("a second factor is needed: the code of the authenticator app, or a recovery code")]
    SecondFactorRequired,
    /// The code of the second factor does not fit, or was used.
    #[error("the code of the second factor is wrong or was used")]
    WrongSecondFactor,
    /// The identity provider's token holds, and says of nobody who may do anything here.
    #[error("{0}")]
    ClaimsRefused(String),
    /// Accounts are the identity provider's alone.
    #[error("there are no accounts here: sign in with the identity provider")]
    OwnAccountsOff,
    /// The caller's role may never do this.
    #[error("this role may not do that")]
    Forbidden,
    /// There is no such thing, or not for this caller.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// It clashes with what is there.
    #[error("{detail}")]
    Conflict {
        /// Stable, `snake_case`.
        code: &'static str,
        /// For a person.
        detail: String,
    },
    /// The request's values break a rule.
    #[error("{detail}")]
    Invalid {
        /// Stable, `snake_case`.
        code: &'static str,
        /// For a person.
        detail: String,
    },
    /// A recording that breaks the rules of its format.
    #[error("the recording was refused")]
    Refused(#[from] Refusal),
    /// Too many failed attempts to sign in.
    #[error("too many failed attempts to sign in")]
    TooManyAttempts {
        /// When to try again.
        retry_after: Duration,
    },
    /// A bound is reached or a dependency is away; nothing was done.
    #[error("busy: {reason}")]
    Busy {
        /// Which bound, for the log.
        reason: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// The disk is full; nothing was done.
    #[error("no space is left")]
    NoSpace,
    /// Our fault. The cause is for the log only.
    #[error("internal error")]
    Internal(#[source] anyhow::Error),
}

impl ServiceError {
    /// A dependency or an actor that is away for the moment.
    #[must_use]
    pub fn busy(reason: &'static str) -> Self {
        Self::Busy { reason, retry_after: Duration::from_secs(1) }
    }

    /// The stable, `snake_case` code by which programs tell it from others.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::WrongCredentials => "wrong_credentials",
            Self::EmailNotConfirmed => "email_not_confirmed",
            Self::SecondFactorRequired => "second_factor_required",
            Self::WrongSecondFactor => "wrong_second_factor",
            Self::ClaimsRefused(_) => "claims_refused",
            Self::OwnAccountsOff => "own_accounts_off",
            Self::Forbidden => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::Conflict { code, .. } | Self::Invalid { code, .. } => code,
            Self::Refused(refusal) => refusal.code,
            Self::TooManyAttempts { .. } => "too_many_attempts",
            Self::Busy { .. } => "busy",
            Self::NoSpace => "no_space",
            Self::Internal(_) => "internal_error",
        }
    }
}

impl From<DatabaseError> for ServiceError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::Unavailable(_) => Self::busy("database"),
            DatabaseError::Full(_) => Self::NoSpace,
            DatabaseError::Duplicate(_)
            | DatabaseError::MissingReference(_)
            | DatabaseError::Fenced
            | DatabaseError::Corrupt(_)
            | DatabaseError::Migration(_)
            | DatabaseError::Statement(_) => Self::Internal(error.into()),
        }
    }
}

impl From<ObjectError> for ServiceError {
    fn from(error: ObjectError) -> Self {
        match error {
            ObjectError::NoSpace => Self::NoSpace,
            ObjectError::Unavailable(reason) => {
                tracing::warn!(reason, "the object store is away");
                Self::busy("objects")
            }
            ObjectError::Exists
            | ObjectError::NotFound
            | ObjectError::Corrupt
            | ObjectError::TooLarge
            | ObjectError::Refused(_)
            | ObjectError::Io(_) => Self::Internal(error.into()),
        }
    }
}
