//! Tokens of an identity provider (OpenID Connect; Amazon Cognito first).
//!
//! A token is checked in the order of what that costs and of what it may set in motion: its shape and its claims, as far as
//! they can be judged without believing them; then its key, for which the provider may be asked; then its signature; and only
//! then what its claims make of its bearer. Nothing is written: the caller's account and session are derived from the token.

mod claims;
mod token;

use crate::actors::ServiceError;
use crate::actors::provider_keys::{FindKey, ProviderKeys, TrustedKeys};
use crate::actors::session_auth::messages::Admission;
use crate::actors::supervision::Handle;
use crate::config::AuthConfig;
use crate::domain::access::Caller;
use crate::domain::audit::Origin;
use chrono::{DateTime, Utc};
use claims::Rules;
use serde_json::Value;
use token::Token;
use uuid::Uuid;

/// The provider whose tokens are taken.
#[derive(Debug, Clone)]
pub struct Provider {
    issuer: String,
    rules: Rules,
    trusted: TrustedKeys,
    keys: Handle<ProviderKeys>,
}

impl Provider {
    /// The provider of the configuration, where it names one.
    #[must_use]
    pub fn new(config: &AuthConfig, trusted: TrustedKeys, keys: Handle<ProviderKeys>) -> Option<Self> {
        Some(Self { issuer: config.issuer.clone()?, rules: Rules::new(config), trusted, keys })
    }

    /// The token, where it says that it is this provider's. Decides only who verifies it.
    pub(super) fn recognized<'t>(&self, token: &'t str) -> Option<Token<'t>> {
        Token::read(token).filter(|token| token.issuer() == Some(self.issuer.as_str()))
    }

    /// Whose token it is, and until when it is taken, of those that are [`Provider::recognized`].
    pub(super) async fn authenticate(
        &self,
        token: &Token<'_>,
        origin: Origin,
        now: DateTime<Utc>,
    ) -> Result<Admission, ServiceError> {
        let named = token.key().ok_or(ServiceError::Unauthenticated)?;
        if !self.rules.could_hold(&token.claims, now) {
            return Err(ServiceError::Unauthenticated);
        }
        let key = match self.trusted.key(named.id, now) {
            Some(key) => Some(key),
            None => self.keys.ask(FindKey { id: named.id.to_owned() }).await??,
        };
        if !key.is_some_and(|key| key.verifies(named.algorithm, token.message, token.signature)) {
            return Err(ServiceError::Unauthenticated);
        }
        let role = self.rules.role(&token.claims).map_err(ServiceError::ClaimsRefused)?;
        let subject = claims::subject(&token.claims).ok_or(ServiceError::Unauthenticated)?;
        let until = self.rules.until(&token.claims).ok_or(ServiceError::Unauthenticated)?;
        let caller = Caller {
            account: self.derived("account", subject).into(),
            session: self.derived("session", &session(token, subject)).into(),
            role,
            origin,
        };
        Ok(Admission { caller, until })
    }

    /// The id for what the provider calls by that name: always the same, and none that a row has. The hash in the form of a
    /// UUID of version 8 (RFC 9562, section 5.8); rows have version 4.
    fn derived(&self, what: &str, name: &str) -> Uuid {
        let hash = blake3::hash(format!("{what}\n{}\n{name}", self.issuer).as_bytes());
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(hash.as_bytes()).for_each(|(byte, hashed)| *byte = *hashed);
        uuid::Builder::from_custom_bytes(bytes).into_uuid()
    }
}

/// What is the same for all tokens of one sign-in, where the provider says so; otherwise of one token.
fn session(token: &Token<'_>, subject: &str) -> String {
    let named = ["origin_jti", "jti"].iter().find_map(|claim| token.claims.get(*claim)?.as_str());
    match named {
        Some(id) => format!("{subject}\n{id}"),
        None => format!("{subject}\n{}", token.claims.get("iat").unwrap_or(&Value::Null)),
    }
}
