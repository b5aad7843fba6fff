//! What session auth is asked.

use crate::actors::ServiceError;
use crate::domain::access::{Caller, Role};
use crate::domain::audit::Origin;
use crate::domain::ids::{AccountId, PatientId, SessionId};
use crate::storage::database::{Account, OpenSession, Purpose};
use actix::Message;
use chrono::{DateTime, Utc};
use std::net::IpAddr;
use std::time::Duration;

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
    /// What shows that whoever knows the password has the account's second factor, too.
    pub second_factor: Option<Proof>,
    /// Where the request came from.
    pub peer: Option<IpAddr>,
}

/// Shows that somebody has an account's second factor.
#[derive(Clone)]
pub enum Proof {
    /// The code that the authenticator app shows now.
    Totp(String),
    /// One of the codes for when the app is lost.
    RecoveryCode(String),
}

/// Gives new tokens for a refresh token.
#[derive(Message)]
#[rtype(result = "Result<Tokens, ServiceError>")]
pub struct Refresh {
    /// The newest of its session.
    pub refresh_token: String,
    /// Where the request came from.
    pub origin: Origin,
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

/// Asks whose access token this is, for somebody who stays.
#[derive(Message)]
#[rtype(result = "Result<Admission, ServiceError>")]
pub struct Admit {
    /// The token.
    pub token: String,
    /// Where they came from.
    pub origin: Origin,
}

/// Whose token it is, and how long it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Whose.
    pub caller: Caller,
    /// When it expires.
    pub until: DateTime<Utc>,
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

/// Asks for a mail with a code to that address. The answer is the same whether it has an account.
#[derive(Message)]
#[rtype(result = "Result<(), ServiceError>")]
pub struct RequestCode {
    /// The account's e-mail address.
    pub email: String,
    /// What the code is to be for.
    pub purpose: Purpose,
    /// Where the request came from.
    pub peer: Option<IpAddr>,
}

/// Shows that an account's e-mail address is its owner's.
#[derive(Message)]
#[rtype(result = "Result<(), ServiceError>")]
pub struct ConfirmEmail {
    /// The account's e-mail address.
    pub email: String,
    /// The code that was mailed there.
    pub code: String,
    /// Where the request came from.
    pub peer: Option<IpAddr>,
}

/// Sets a new password for who lost theirs. Ends every session of the account.
#[derive(Message)]
#[rtype(result = "Result<(), ServiceError>")]
pub struct ResetPassword {
    /// The account's e-mail address.
    pub email: String,
    /// The code that was mailed there.
    pub code: String,
    /// The new password.
    pub password: String,
    /// Where the request came from.
    pub peer: Option<IpAddr>,
}

/// Sets a new password for who knows theirs. Ends the account's other sessions.
#[derive(Message)]
#[rtype(result = "Result<(), ServiceError>")]
pub struct ChangePassword {
    /// Whose token it was.
    pub caller: Caller,
    /// The password as it is.
    pub password: String,
    /// The new one.
    pub new_password: String,
    /// Where the request came from.
    pub peer: Option<IpAddr>,
}

/// Asks for the caller's account.
#[derive(Message)]
#[rtype(result = "Result<Account, ServiceError>")]
pub struct OwnAccount {
    /// Whose token it was.
    pub caller: Caller,
}

/// Asks for the caller's sessions that hold.
#[derive(Message)]
#[rtype(result = "Result<Vec<OpenSession>, ServiceError>")]
pub struct OwnSessions {
    /// Whose token it was.
    pub caller: Caller,
}

/// Ends one of the caller's sessions.
#[derive(Message)]
#[rtype(result = "Result<(), ServiceError>")]
pub struct EndSession {
    /// Whose token it was.
    pub caller: Caller,
    /// Which session.
    pub session: SessionId,
}

/// Asks for a secret that is to become the caller's second factor.
#[derive(Message)]
#[rtype(result = "Result<Enrolment, ServiceError>")]
pub struct EnrolSecondFactor {
    /// Whose token it was.
    pub caller: Caller,
    /// The account's password: a token alone does not change how one signs in.
    pub password: String,
    /// Where the request came from.
    pub peer: Option<IpAddr>,
}

/// A secret for an authenticator app.
#[derive(Clone)]
pub struct Enrolment {
    /// In base 32, to type in.
    pub secret: String,
    /// `otpauth://…`, to show as a QR code.
    pub uri: String,
}

/// Lets the secret count, for who shows that their app has it; gives the recovery codes, once.
#[derive(Message)]
#[rtype(result = "Result<Vec<String>, ServiceError>")]
pub struct ConfirmSecondFactor {
    /// Whose token it was.
    pub caller: Caller,
    /// The code that the app shows now.
    pub totp: String,
}

/// Removes the caller's second factor.
#[derive(Message)]
#[rtype(result = "Result<(), ServiceError>")]
pub struct RemoveSecondFactor {
    /// Whose token it was.
    pub caller: Caller,
    /// The account's password.
    pub password: String,
    /// Shows that they have the second factor.
    pub proof: Proof,
    /// Where the request came from.
    pub peer: Option<IpAddr>,
}
