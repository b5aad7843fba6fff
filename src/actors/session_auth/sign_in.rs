//! Making an account, signing in and out, and whose a token is.

use super::accounts::{self, Wanted};
use super::messages::{
    Admission, Admit, Authenticate, CreateAccount, Proof, PublishedKeys, Refresh, SignIn, SignOut, SignUp, SignedUp,
    Tokens,
};
use super::tokens::{self, Claims, Keys};
use super::{Auth, SessionAuthDeps, after, from, sign_in_limit};
use crate::actors::ServiceError;
use crate::domain::access::{Caller, Role};
use crate::domain::audit::{Entry, Outcome};
use crate::domain::ids::{AccountId, PatientId, SessionId};
use crate::storage::database::{Account, Confirmation, NewSession, Refreshed, SessionRow};
use chrono::{DateTime, Utc};
use std::net::IpAddr;
use std::sync::Arc;

/// The operation of who signs in, in the audit record.
const SIGN_IN: &str = "sign_in";

impl Auth {
    pub(super) async fn sign_up(&self, message: SignUp) -> Result<SignedUp, ServiceError> {
        self.own_accounts()?;
        let SignUp { email, password, first_name, last_name, peer } = message;
        self.limit.claim_sign_up(&self.deps.database, peer, self.now()).await?;
        let patient = PatientId::new(self.deps.entropy.uuid().to_string())
            .map_err(|error| ServiceError::Internal(error.into()))?;
        let confirmation = if self.deps.config.confirm_email {
            Confirmation::Mailed(self.deps.entropy.uuid())
        } else {
            Confirmation::NotAsked
        };
        let role = Role::Patient(patient.clone());
        let entry = Entry::by_nobody(from(peer), "sign_up").outcome(Outcome::Allowed).holder(&role);
        self.deps.audit.record(entry.clone()).await?;
        match self.make(Wanted { email, password, role, first_name, last_name, confirmation }).await {
            Ok(account) => {
                self.deps.mail_waits.notify_one();
                Ok(SignedUp { account, patient })
            }
            Err(error) => Err(self.deps.audit.failed(entry, error).await),
        }
    }

    pub(super) async fn create_account(&self, message: CreateAccount) -> Result<AccountId, ServiceError> {
        self.own_accounts()?;
        let CreateAccount { email, password, role } = message;
        let confirmation = Confirmation::Vouched;
        self.make(Wanted { email, password, role, first_name: None, last_name: None, confirmation }).await
    }

    async fn make(&self, wanted: Wanted) -> Result<AccountId, ServiceError> {
        let SessionAuthDeps { database, entropy, .. } = &self.deps;
        accounts::make(database, entropy, &self.new_passwords, self.now(), wanted).await
    }

    pub(super) async fn sign_in(&self, message: SignIn) -> Result<Tokens, ServiceError> {
        self.own_accounts()?;
        let SignIn { email, password, second_factor, peer } = message;
        let email = accounts::normalized(&email).unwrap_or_default();
        let verified = self.with_password(&email, password, peer).await;
        if let Err(ServiceError::TooManyAttempts { .. } | ServiceError::WrongCredentials) = &verified {
            self.deps.audit.unknown(SIGN_IN, &from(peer));
        }
        let account = verified?;
        let entry = Entry::by_account(account.id, &account.role, from(peer), SIGN_IN);
        match self.let_in(&account, second_factor).await {
            Ok(()) => self.deps.audit.record(entry).await?,
            Err(error) => return Err(self.deps.audit.failed(entry, error).await),
        }
        let database = &self.deps.database;
        let session = SessionRow {
            id: SessionId::from(self.deps.entropy.uuid()),
            account: account.id,
            email: account.email,
            role: account.role,
        };
        let refresh_token = tokens::new_refresh_token(&self.deps.entropy);
        let (now, hash) = (self.now(), tokens::refresh_hash(&refresh_token));
        let new = NewSession {
            id: session.id,
            account: session.account,
            password_hash: &account.password_hash,
            refresh_hash: &hash,
            address_hash: &sign_in_limit::address_hash(peer),
            expires_at: self.session_end(now),
        };
        if !database.create_session(new, now).await? {
            return Err(ServiceError::WrongCredentials);
        }
        self.tokens(&session, refresh_token, now).await
    }

    /// Whether who knows the account's password may go on.
    async fn let_in(&self, account: &Account, second_factor: Option<Proof>) -> Result<(), ServiceError> {
        if self.deps.config.confirm_email && !account.confirmed {
            return Err(ServiceError::EmailNotConfirmed);
        }
        if account.second_factor { self.check_second_factor(account.id, second_factor).await } else { Ok(()) }
    }

    /// The account of that address, for who knows its password. Attempts are bounded.
    pub(super) async fn with_password(
        &self,
        email: &str,
        password: String,
        peer: Option<IpAddr>,
    ) -> Result<Account, ServiceError> {
        let database = &self.deps.database;
        let attempt = self.limit.claim(database, email, peer, self.now()).await?;
        let verified = async {
            let account = database.account_by_email(email).await?;
            let hash = account.as_ref().map(|account| account.password_hash.clone());
            Ok::<_, ServiceError>(if self.passwords.verify(password, hash).await? { account } else { None })
        };
        match verified.await {
            Ok(Some(account)) => {
                self.limit.succeeded(database, &attempt).await?;
                Ok(account)
            }
            Ok(None) => Err(ServiceError::WrongCredentials),
            Err(error) => {
                self.limit.withdrawn(database, &attempt).await?;
                Err(error)
            }
        }
    }

    pub(super) async fn refresh(&self, message: Refresh) -> Result<Tokens, ServiceError> {
        self.own_accounts()?;
        let refresh_token = tokens::new_refresh_token(&self.deps.entropy);
        let (old, new) = (tokens::refresh_hash(&message.refresh_token), tokens::refresh_hash(&refresh_token));
        let now = self.now();
        match self.deps.database.rotate_refresh_token(&old, &new, now, self.session_end(now)).await? {
            Refreshed::Rotated(session) => self.tokens(&session, refresh_token, now).await,
            Refreshed::Reused => {
                tracing::warn!("a refresh token was used twice: its session is revoked");
                Err(ServiceError::Unauthenticated)
            }
            Refreshed::Unknown => Err(ServiceError::Unauthenticated),
        }
    }

    pub(super) async fn sign_out(&self, message: SignOut) -> Result<(), ServiceError> {
        let SessionAuthDeps { database, provider, audit, .. } = &self.deps;
        audit.record(Entry::by(&message.caller, "sign_out")).await?;
        let ended = database.revoke_session(message.caller.session, self.now()).await?;
        // One that ended in the meantime is as ended as was asked for.
        if !ended && provider.is_some() && !database.is_session(message.caller.session).await? {
            return Err(ServiceError::Conflict {
                code: "session_of_provider",
                detail: "this session is the identity provider's: it ends there".into(),
            });
        }
        Ok(())
    }

    pub(super) async fn authenticate(&self, message: Authenticate) -> Result<Caller, ServiceError> {
        let now = self.now();
        let SessionAuthDeps { database, entropy, provider, config, .. } = &self.deps;
        if let Some(provider) = provider
            && let Some(token) = provider.recognized(&message.token)
        {
            return provider.authenticate(&token, message.origin, now).await;
        }
        if !config.own_accounts {
            return Err(ServiceError::Unauthenticated);
        }
        let keys = self.keys.keys_for(&message.token, database, entropy, now).await?;
        let claims = keys.verify(&message.token, now).ok_or(ServiceError::Unauthenticated)?;
        let session: SessionId = claims.sid.parse().map_err(|_| ServiceError::Unauthenticated)?;
        let live = self.deps.database.live_session(session, now).await?.ok_or(ServiceError::Unauthenticated)?;
        if live.account.to_string() != claims.sub {
            return Err(ServiceError::Unauthenticated);
        }
        Ok(Caller { account: live.account, session: live.id, role: live.role, origin: message.origin })
    }

    pub(super) async fn admit(&self, Admit { token, origin }: Admit) -> Result<Admission, ServiceError> {
        let until = tokens::expiry(&token).ok_or(ServiceError::Unauthenticated)?;
        let caller = self.authenticate(Authenticate { token, origin }).await?;
        Ok(Admission { caller, until })
    }

    pub(super) async fn published_keys(&self, _: PublishedKeys) -> Result<serde_json::Value, ServiceError> {
        Ok(self.keys().await?.published())
    }

    async fn tokens(
        &self,
        session: &SessionRow,
        refresh_token: String,
        now: DateTime<Utc>,
    ) -> Result<Tokens, ServiceError> {
        let expires_in = self.deps.config.access_token;
        let claims = Claims::new(
            &session.account.to_string(),
            &session.email,
            &session.id.to_string(),
            &session.role,
            now,
            after(now, expires_in),
        );
        let access_token = self.keys().await?.sign(&claims).map_err(ServiceError::Internal)?;
        Ok(Tokens { access_token, refresh_token, expires_in })
    }

    async fn keys(&self) -> Result<Arc<Keys>, ServiceError> {
        self.keys.keys(&self.deps.database, &self.deps.entropy, self.now()).await
    }
}
