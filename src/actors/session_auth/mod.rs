//! Session auth: accounts, sign-in, and who a token belongs to.
//!
//! A token alone opens nothing: its session must hold in the database, and the account's row says what the caller is.

mod accounts;
mod key_ring;
mod passwords;
mod sign_in_limit;
mod tokens;

pub use accounts::create_account;

use super::ServiceError;
use super::auditor::Audit;
use crate::config::AuthConfig;
use crate::domain::access::{Caller, Role};
use crate::domain::audit::{Entry, Origin, Outcome};
use crate::domain::clock::SharedClock;
use crate::domain::entropy::Entropy;
use crate::domain::ids::{AccountId, PatientId, SessionId};
use crate::storage::database::{Database, Refreshed, SessionRow};
use crate::supervised;
use accounts::Wanted;
use actix::prelude::*;
use chrono::{DateTime, TimeDelta, Utc};
use key_ring::KeyRing;
use passwords::Passwords;
use sign_in_limit::SignInLimit;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokens::{Claims, Keys};
use tokio::sync::Semaphore;

/// How often ended sessions and old attempts are deleted.
const CLEAN_UP_EVERY: Duration = Duration::from_secs(600);

/// The operation of who signs in, in the audit record.
const SIGN_IN: &str = "sign_in";

/// Limits of sign-in.
#[derive(Debug, Clone)]
pub struct SessionAuthConfig {
    /// How long an access token holds.
    pub access_token: Duration,
    /// How long a session holds without being used.
    pub session: Duration,
    /// Failed sign-ins in the window for one account from one address.
    pub max_failures: u32,
    /// Failed sign-ins in the window from one address.
    pub max_failures_per_address: u32,
    /// Accounts made in the window from one address.
    pub max_sign_ups_per_address: u32,
    /// The window.
    pub window: Duration,
    /// Passwords hashed at once.
    pub hashes_at_once: usize,
    /// How long a password may wait for its turn.
    pub longest_hash_wait: Duration,
    /// Requests at once; further ones are told to come back.
    pub at_once: usize,
}

impl Default for SessionAuthConfig {
    fn default() -> Self {
        Self::from(&AuthConfig::default())
    }
}

impl From<&AuthConfig> for SessionAuthConfig {
    fn from(config: &AuthConfig) -> Self {
        Self {
            access_token: Duration::from_secs(config.access_token_seconds),
            session: Duration::from_secs(config.session_days.saturating_mul(86_400)),
            max_failures: config.max_failures,
            max_failures_per_address: config.max_failures_per_address,
            max_sign_ups_per_address: config.max_sign_ups_per_address,
            window: Duration::from_secs(config.window_seconds),
            hashes_at_once: config.hashes_at_once,
            longest_hash_wait: Duration::from_secs(5),
            at_once: 1_024,
        }
    }
}

impl SessionAuthConfig {
    fn passwords(&self) -> Passwords {
        Passwords::new(self.hashes_at_once, self.longest_hash_wait)
    }
}

/// Makes an account for a patient who was not known until now.
#[derive(Message)]
#[rtype(result = "Result<SignedUp, ServiceError>")]
pub struct SignUp {
    /// To sign in with.
    pub email: String,
    /// To sign in with, 12 to 128 characters.
    pub password: String,
    /// The patient's.
    pub first_name: Option<String>,
    /// The patient's.
    pub last_name: Option<String>,
    /// Where the request came from.
    pub peer: Option<IpAddr>,
}

/// A new account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedUp {
    /// The account.
    pub account: AccountId,
    /// Its patient.
    pub patient: PatientId,
}

/// Begins a session.
#[derive(Message)]
#[rtype(result = "Result<Tokens, ServiceError>")]
pub struct SignIn {
    /// The account's e-mail address.
    pub email: String,
    /// The account's password.
    pub password: String,
    /// Where the request came from.
    pub peer: Option<IpAddr>,
}

/// Gives new tokens for a refresh token.
#[derive(Message)]
#[rtype(result = "Result<Tokens, ServiceError>")]
pub struct Refresh {
    /// The newest of its session.
    pub refresh_token: String,
}

/// The tokens of a session.
#[derive(Clone)]
pub struct Tokens {
    /// Opens requests.
    pub access_token: String,
    /// Gives the next tokens, once.
    pub refresh_token: String,
    /// How long the access token holds.
    pub expires_in: Duration,
}

/// Ends the caller's session.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), ServiceError>")]
pub struct SignOut {
    /// Whose token it was.
    pub caller: Caller,
}

/// Asks whose access token this is.
#[derive(Message)]
#[rtype(result = "Result<Caller, ServiceError>")]
pub struct Authenticate {
    /// The token.
    pub token: String,
    /// Where the request came from.
    pub origin: Origin,
}

/// Asks for the keys that tokens are verified with, as a JSON Web Key Set.
#[derive(Debug, Message)]
#[rtype(result = "Result<serde_json::Value, ServiceError>")]
pub struct PublishedKeys;

/// Makes an account of any role.
#[derive(Message)]
#[rtype(result = "Result<AccountId, ServiceError>")]
pub struct CreateAccount {
    /// To sign in with.
    pub email: String,
    /// To sign in with, 12 to 128 characters.
    pub password: String,
    /// What it is.
    pub role: Role,
}

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct SessionAuthDeps {
    /// Rows.
    pub database: Database,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: Entropy,
    /// Notes who signs in and out, and counts who cannot.
    pub audit: Audit,
    /// Limits.
    pub config: SessionAuthConfig,
}

/// The actor.
pub struct SessionAuth {
    auth: Auth,
    in_flight: Arc<Semaphore>,
}

impl std::fmt::Debug for SessionAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionAuth").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

impl SessionAuth {
    /// A new one.
    #[must_use]
    pub fn new(deps: SessionAuthDeps) -> Self {
        Self {
            in_flight: Arc::new(Semaphore::new(deps.config.at_once)),
            auth: Auth {
                passwords: deps.config.passwords(),
                new_passwords: deps.config.passwords(),
                limit: SignInLimit {
                    for_account: deps.config.max_failures,
                    for_address: deps.config.max_failures_per_address,
                    sign_ups: deps.config.max_sign_ups_per_address,
                    window: deps.config.window,
                },
                keys: KeyRing::default(),
                deps,
            },
        }
    }

    /// Runs the work beside others, where there is room for it.
    fn run<T, F>(&self, work: impl FnOnce(Auth) -> F) -> ResponseFuture<Result<T, ServiceError>>
    where
        T: 'static,
        F: Future<Output = Result<T, ServiceError>> + 'static,
    {
        let Ok(permit) = self.in_flight.clone().try_acquire_owned() else {
            return Box::pin(async { Err(ServiceError::busy("session auth")) });
        };
        let work = work(self.auth.clone());
        Box::pin(async move {
            let _permit = permit;
            work.await
        })
    }
}

impl Actor for SessionAuth {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.run_interval(CLEAN_UP_EVERY, |actor, _| {
            let auth = actor.auth.clone();
            actix::spawn(async move { auth.clean_up().await });
        });
    }
}

supervised!(SessionAuth, "session_auth");

macro_rules! answers {
    ($($message:ty => $answer:ty, $method:ident;)*) => {$(
        impl Handler<$message> for SessionAuth {
            type Result = ResponseFuture<Result<$answer, ServiceError>>;

            fn handle(&mut self, message: $message, _: &mut Context<Self>) -> Self::Result {
                fail::fail_point!("session_auth");
                self.run(|auth| async move { auth.$method(message).await })
            }
        }
    )*};
}

answers! {
    SignUp => SignedUp, sign_up;
    SignIn => Tokens, sign_in;
    Refresh => Tokens, refresh;
    SignOut => (), sign_out;
    Authenticate => Caller, authenticate;
    PublishedKeys => serde_json::Value, published_keys;
    CreateAccount => AccountId, create_account;
}

/// The work behind the messages. Holds only caches.
#[derive(Clone)]
struct Auth {
    deps: SessionAuthDeps,
    passwords: Passwords,
    /// Of new accounts: making many does not keep others from signing in.
    new_passwords: Passwords,
    limit: SignInLimit,
    keys: KeyRing,
}

impl Auth {
    async fn sign_up(&self, message: SignUp) -> Result<SignedUp, ServiceError> {
        let SignUp { email, password, first_name, last_name, peer } = message;
        self.limit.claim_sign_up(&self.deps.database, peer, self.now()).await?;
        let patient = PatientId::new(self.deps.entropy.uuid().to_string())
            .map_err(|error| ServiceError::Internal(error.into()))?;
        let role = Role::Patient(patient.clone());
        let entry = Entry::by_nobody(from(peer), "sign_up").outcome(Outcome::Allowed).holder(&role);
        self.deps.audit.record(entry.clone()).await?;
        let wanted = Wanted { email, password, role, first_name, last_name };
        match self.make(wanted).await {
            Ok(account) => Ok(SignedUp { account, patient }),
            Err(error) => Err(self.deps.audit.failed(entry, error).await),
        }
    }

    async fn create_account(&self, message: CreateAccount) -> Result<AccountId, ServiceError> {
        let CreateAccount { email, password, role } = message;
        self.make(Wanted { email, password, role, first_name: None, last_name: None }).await
    }

    async fn make(&self, wanted: Wanted) -> Result<AccountId, ServiceError> {
        let SessionAuthDeps { database, entropy, .. } = &self.deps;
        accounts::make(database, entropy, &self.new_passwords, self.now(), wanted).await
    }

    async fn sign_in(&self, message: SignIn) -> Result<Tokens, ServiceError> {
        let SignIn { email, password, peer } = message;
        let database = &self.deps.database;
        let email = accounts::normalized(&email).unwrap_or_default();
        let attempt = match self.limit.claim(database, &email, peer, self.now()).await {
            Err(error @ ServiceError::TooManyAttempts { .. }) => {
                self.deps.audit.unknown(SIGN_IN, &from(peer));
                return Err(error);
            }
            attempt => attempt?,
        };
        let verified = async {
            let account = database.account_by_email(&email).await?;
            let hash = account.as_ref().map(|account| account.password_hash.clone());
            Ok::<_, ServiceError>(if self.passwords.verify(password, hash).await? { account } else { None })
        };
        let account = match verified.await {
            Ok(Some(account)) => account,
            Ok(None) => {
                self.deps.audit.unknown(SIGN_IN, &from(peer));
                return Err(ServiceError::WrongCredentials);
            }
            Err(error) => {
                self.limit.withdrawn(database, &attempt).await?;
                return Err(error);
            }
        };
        self.limit.succeeded(database, &attempt).await?;
        let session = SessionRow {
            id: SessionId::from(self.deps.entropy.uuid()),
            account: account.id,
            email: account.email,
            role: account.role,
        };
        self.deps.audit.record(Entry::by_account(session.account, &session.role, from(peer), SIGN_IN)).await?;
        let refresh_token = tokens::new_refresh_token(&self.deps.entropy);
        let (now, hash) = (self.now(), tokens::refresh_hash(&refresh_token));
        database.create_session(session.id, session.account, &hash, now, self.session_end(now)).await?;
        self.tokens(&session, refresh_token, now).await
    }

    async fn refresh(&self, message: Refresh) -> Result<Tokens, ServiceError> {
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

    async fn sign_out(&self, message: SignOut) -> Result<(), ServiceError> {
        self.deps.audit.record(Entry::by(&message.caller, "sign_out")).await?;
        // One that ended in the meantime is as ended as was asked for.
        self.deps.database.revoke_session(message.caller.session, self.now()).await?;
        Ok(())
    }

    async fn authenticate(&self, message: Authenticate) -> Result<Caller, ServiceError> {
        let now = self.now();
        let SessionAuthDeps { database, entropy, .. } = &self.deps;
        let keys = self.keys.keys_for(&message.token, database, entropy, now).await?;
        let claims = keys.verify(&message.token, now).ok_or(ServiceError::Unauthenticated)?;
        let session: SessionId = claims.sid.parse().map_err(|_| ServiceError::Unauthenticated)?;
        let live = self.deps.database.live_session(session, now).await?.ok_or(ServiceError::Unauthenticated)?;
        if live.account.to_string() != claims.sub {
            return Err(ServiceError::Unauthenticated);
        }
        Ok(Caller { account: live.account, session: live.id, role: live.role, origin: message.origin })
    }

    async fn published_keys(&self, _: PublishedKeys) -> Result<serde_json::Value, ServiceError> {
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

    async fn clean_up(&self) {
        let now = self.now();
        let window = TimeDelta::from_std(self.deps.config.window).unwrap_or(TimeDelta::MAX);
        let attempts_until = now.checked_sub_signed(window).unwrap_or(DateTime::<Utc>::MIN_UTC);
        if let Err(error) = self.deps.database.delete_ended_sessions(now, attempts_until).await {
            tracing::warn!(%error, "ended sessions could not be deleted; they are tried again");
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.deps.clock.now()
    }

    fn session_end(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        after(now, self.deps.config.session)
    }
}

fn from(peer: Option<IpAddr>) -> Origin {
    Origin { address: peer, request_id: None }
}

fn after(now: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(duration)
        .ok()
        .and_then(|delta| now.checked_add_signed(delta))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
