//! Session auth: accounts, sign-in, and who a token belongs to.
//!
//! A token alone opens nothing: its session must hold in the database, and the account's row says what the caller is.

mod accounts;
mod codes;
mod external;
mod key_ring;
mod messages;
mod own_account;
mod passwords;
mod second_factor;
mod sign_in;
mod sign_in_limit;
mod tokens;

pub use accounts::create_account;
pub use external::Provider;
pub use messages::{
    Admission, Admit, Authenticate, ChangePassword, ConfirmEmail, ConfirmSecondFactor, CreateAccount, EndSession,
    EnrolSecondFactor, Enrolment, OwnAccount, OwnSessions, Proof, PublishedKeys, Refresh, RemoveSecondFactor,
    RequestCode, ResetPassword, SignIn, SignOut, SignUp, SignedUp, Tokens,
};
pub use passwords::Passwords;

use super::ServiceError;
use super::auditor::Audit;
use crate::config::AuthConfig;
use crate::domain::access::Caller;
use crate::domain::audit::Origin;
use crate::domain::clock::SharedClock;
use crate::domain::entropy::Entropy;
use crate::domain::ids::AccountId;
use crate::storage::database::{Account, Database, OpenSession};
use crate::supervised;
use actix::prelude::*;
use chrono::{DateTime, TimeDelta, Utc};
use key_ring::KeyRing;
use sign_in_limit::SignInLimit;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// How often ended sessions and old attempts are deleted.
const CLEAN_UP_EVERY: Duration = Duration::from_secs(600);

/// Limits of sign-in.
#[derive(Debug, Clone)]
pub struct SessionAuthConfig {
    /// Whether there are accounts of this program's own.
    pub own_accounts: bool,
    /// How long an access token holds.
    pub access_token: Duration,
    /// How long a session holds without being used.
    pub session: Duration,
    /// How long a session holds, however much it is used.
    pub longest_session: Duration,
    /// Sessions of one account.
    pub max_sessions: u32,
    /// Used refresh tokens of one session that are kept.
    pub used_refresh_tokens: u32,
    /// Failed sign-ins in the window for one account from one address.
    pub max_failures: u32,
    /// Failed sign-ins in the window from one address.
    pub max_failures_per_address: u32,
    /// Accounts made in the window from one address.
    pub max_sign_ups_per_address: u32,
    /// Failed sign-ins in the window for one account from addresses where nobody signed in to it before.
    pub max_failures_from_strangers: u32,
    /// Wrong second factors in the window for one account.
    pub max_second_factor_failures: u32,
    /// Mails in the window to one address.
    pub max_mails_per_account: u32,
    /// Mails in the window asked for from one address.
    pub max_mails_per_address: u32,
    /// The window.
    pub window: Duration,
    /// Whether who makes an account must confirm its address before they sign in.
    pub confirm_email: bool,
    /// Least strength of a new password, 0 to 4.
    pub min_password_score: u8,
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
            own_accounts: config.own_accounts,
            access_token: Duration::from_secs(config.access_token_seconds),
            session: Duration::from_secs(config.session_days.saturating_mul(86_400)),
            longest_session: Duration::from_secs(config.session_max_days.saturating_mul(86_400)),
            max_sessions: config.max_sessions_per_account,
            used_refresh_tokens: config.used_refresh_tokens_kept,
            max_failures: config.max_failures,
            max_failures_per_address: config.max_failures_per_address,
            max_sign_ups_per_address: config.max_sign_ups_per_address,
            max_failures_from_strangers: config.max_failures_from_strangers,
            max_second_factor_failures: config.max_second_factor_failures,
            max_mails_per_account: config.max_mails_per_account,
            max_mails_per_address: config.max_mails_per_address,
            window: Duration::from_secs(config.window_seconds),
            confirm_email: config.confirm_email,
            min_password_score: config.min_password_score,
            hashes_at_once: config.hashes_at_once,
            longest_hash_wait: Duration::from_secs(5),
            at_once: 1_024,
        }
    }
}

impl SessionAuthConfig {
    /// What hashes passwords within these limits.
    #[must_use]
    pub fn passwords(&self) -> Passwords {
        Passwords::new(self.hashes_at_once, self.longest_hash_wait, self.min_password_score)
    }
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
    /// Whose tokens are taken besides or instead of own ones.
    pub provider: Option<Provider>,
    /// Told when there is a mail to be sent.
    pub mail_waits: Arc<Notify>,
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
                    from_strangers: deps.config.max_failures_from_strangers,
                    second_factors: deps.config.max_second_factor_failures,
                    sign_ups: deps.config.max_sign_ups_per_address,
                    mails_for_account: deps.config.max_mails_per_account,
                    mails_for_address: deps.config.max_mails_per_address,
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
    Admit => Admission, admit;
    PublishedKeys => serde_json::Value, published_keys;
    CreateAccount => AccountId, create_account;
    RequestCode => (), request_code;
    ConfirmEmail => (), confirm_email;
    ResetPassword => (), reset_password;
    OwnAccount => Account, own_account;
    ChangePassword => (), change_password;
    OwnSessions => Vec<OpenSession>, own_sessions;
    EndSession => (), end_session;
    EnrolSecondFactor => Enrolment, enrol_second_factor;
    ConfirmSecondFactor => Vec<String>, confirm_second_factor;
    RemoveSecondFactor => (), remove_second_factor;
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
    fn own_accounts(&self) -> Result<(), ServiceError> {
        if self.deps.config.own_accounts { Ok(()) } else { Err(ServiceError::OwnAccountsOff) }
    }

    async fn clean_up(&self) {
        let now = self.now();
        let attempts_until = before(now, self.deps.config.window);
        let database = &self.deps.database;
        let deleted = async {
            database.delete_ended_sessions(now).await?;
            database.delete_old_attempts(attempts_until).await?;
            database.delete_old_codes(now).await
        };
        if let Err(error) = deleted.await {
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

fn before(now: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(duration)
        .ok()
        .and_then(|delta| now.checked_sub_signed(delta))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}

fn after(now: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(duration)
        .ok()
        .and_then(|delta| now.checked_add_signed(delta))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
