//! Making an account, signing in and out, and whose a token is.

use super::accounts::{self, Wanted};
use super::messages::{
    Admission, Admit, Authenticate, CreateAccount, Proof, PublishedKeys, Refresh, SignIn, SignOut, SignUp, SignedUp,
    Tokens,
};
use super::tokens::{self, Claims, Keys};
use super::{Auth, SessionAuthDeps, after, before, from, sign_in_limit};
use crate::actors::ServiceError;
use crate::domain::access::{Caller, Role};
use crate::domain::audit::{Entry, Outcome};
use crate::domain::ids::{AccountId, PatientId, SessionId};
use crate::storage::database::{Account, Confirmation, NewAccount, NewSession, Refreshed, Rotation, SessionRow};
use chrono::{DateTime, Utc};
use std::net::IpAddr;
use std::sync::Arc;

/// The operation of who signs in, in the audit record.
const SIGN_IN: &str = "sign_in";
/// The operation of who makes an account.
const SIGN_UP: &str = "sign_up";

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
        let entry = Entry::by_nobody(from(peer), SIGN_UP).outcome(Outcome::Allowed).holder(&role);
        let SessionAuthDeps { database, audit, mail_waits, .. } = &self.deps;
        let new = match self.prepare(Wanted { email, password, role, first_name, last_name, confirmation }).await {
            Ok(new) => new,
            Err(error) => {
                // Whatever somebody unknown gets wrong is counted only.
                audit.unknown(SIGN_UP, &from(peer));
                return Err(error);
            }
        };
        audit.record(entry.clone()).await?;
        let made = accounts::insert(database, &new, self.now()).await;
        let account = audit.or_failed(&entry, made).await?;
        mail_waits.notify_one();
        Ok(SignedUp { account, patient })
    }

    /// The account as it is to be kept, where there is none with its address yet.
    async fn prepare(&self, wanted: Wanted) -> Result<NewAccount, ServiceError> {
        let new = accounts::prepare(&self.deps.entropy, &self.new_passwords, wanted).await?;
        if self.deps.database.account_by_email(&new.email).await?.is_some() {
            return Err(accounts::taken());
        }
        Ok(new)
    }

    pub(super) async fn create_account(&self, message: CreateAccount) -> Result<AccountId, ServiceError> {
        self.own_accounts()?;
        let CreateAccount { email, password, role } = message;
        let confirmation = Confirmation::Vouched;
        let wanted = Wanted { email, password, role, first_name: None, last_name: None, confirmation };
        accounts::insert(&self.deps.database, &self.prepare(wanted).await?, self.now()).await
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
        let audit = &self.deps.audit;
        audit.or_failed(&entry, self.let_in(&account, second_factor).await).await?;
        audit.record(entry.clone()).await?;
        audit.or_failed(&entry, self.begin_session(account, peer).await).await
    }

    /// Begins a session of the account, unless its password was changed since it was verified.
    async fn begin_session(&self, account: Account, peer: Option<IpAddr>) -> Result<Tokens, ServiceError> {
        let SessionAuthDeps { database, config, .. } = &self.deps;
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
        if !database.create_session(new, config.max_sessions, now).await? {
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
        let SessionAuthDeps { database, audit, config, .. } = &self.deps;
        let refresh_token = tokens::new_refresh_token(&self.deps.entropy);
        let (old, new) = (tokens::refresh_hash(&message.refresh_token), tokens::refresh_hash(&refresh_token));
        let now = self.now();
        let rotation = Rotation {
            expires_at: self.session_end(now),
            began_after: before(now, config.longest_session),
            confirmed_only: config.confirm_email,
            used_tokens: config.used_refresh_tokens,
        };
        match database.rotate_refresh_token(&old, &new, now, rotation).await? {
            Refreshed::Rotated(session) => self.tokens(&session, refresh_token, now).await,
            Refreshed::Reused(session) => {
                tracing::warn!("a refresh token was used twice: its session is revoked");
                let entry = Entry::by_account(session.account, &session.role, message.origin, "refresh_session");
                audit.record(entry.outcome(Outcome::Refused).detail("refresh_token_reused")).await?;
                Err(ServiceError::Unauthenticated)
            }
            Refreshed::Unknown => Err(ServiceError::Unauthenticated),
        }
    }

    pub(super) async fn sign_out(&self, message: SignOut) -> Result<(), ServiceError> {
        let audit = &self.deps.audit;
        let entry = Entry::by(&message.caller, "sign_out");
        audit.record(entry.clone()).await?;
        audit.or_failed(&entry, self.end(message.caller.session).await).await
    }

    async fn end(&self, session: SessionId) -> Result<(), ServiceError> {
        let SessionAuthDeps { database, provider, .. } = &self.deps;
        let ended = database.revoke_session(session, self.now()).await?;
        // One that ended in the meantime is as ended as was asked for.
        if !ended && provider.is_some() && !database.is_session(session).await? {
            return Err(ServiceError::Conflict {
                code: "session_of_provider",
                detail: "this session is the identity provider's: it ends there".into(),
            });
        }
        Ok(())
    }

    pub(super) async fn authenticate(&self, message: Authenticate) -> Result<Caller, ServiceError> {
        let Authenticate { token, origin } = message;
        Ok(self.admit(Admit { token, origin }).await?.caller)
    }

    pub(super) async fn admit(&self, Admit { token, origin }: Admit) -> Result<Admission, ServiceError> {
        let now = self.now();
        let SessionAuthDeps { database, entropy, provider, config, .. } = &self.deps;
        if let Some(provider) = provider
            && let Some(token) = provider.recognized(&token)
        {
            return provider.authenticate(&token, origin, now).await;
        }
        if !config.own_accounts {
            return Err(ServiceError::Unauthenticated);
        }
        let keys = self.keys.keys_for(&token, database, entropy, now).await?;
        let claims = keys.verify(&token, now).ok_or(ServiceError::Unauthenticated)?;
        let session: SessionId = claims.sid.parse().map_err(|_| ServiceError::Unauthenticated)?;
        let live = database.live_session(session, now).await?.ok_or(ServiceError::Unauthenticated)?;
        if live.account.to_string() != claims.sub {
            return Err(ServiceError::Unauthenticated);
        }
        let until = claims.expires_at().ok_or(ServiceError::Unauthenticated)?;
        Ok(Admission { caller: Caller { account: live.account, session: live.id, role: live.role, origin }, until })
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
