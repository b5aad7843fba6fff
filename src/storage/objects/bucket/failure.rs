//! What an S3 error means. Only its code goes on, never its message: messages name keys, and keys hold patient ids.

use crate::storage::objects::ObjectError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// A request that failed after its repetitions.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) operation: &'static str,
    /// The store's code, or the status where there is none.
    code: String,
}

/// What follows from a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is no such object.
    NotFound,
    /// The condition of the request does not hold.
    Precondition,
    /// Another write to the key is under way.
    Conflict,
    /// The upload in parts is over: completed or aborted.
    NoSuchUpload,
    /// The range begins at the object's end or later.
    BadRange,
    /// The store is full.
    Full,
    /// Away, throttled, broken or slow; what was asked may have been done.
    Away(&'static str),
    /// Not for this program.
    Refused,
}

impl Failure {
    pub(super) fn of<E: ProvideErrorMetadata>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self {
        #[expect(clippy::wildcard_enum_match_arm, reason = "SdkError is open")]
        let (kind, code) = match error {
            SdkError::TimeoutError(_) => (Kind::Away("it did not answer in time"), String::new()),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                (Kind::Away("it did not answer in time"), String::new())
            }
            SdkError::DispatchFailure(failure) if failure.is_io() => {
                (Kind::Away("it cannot be reached"), String::new())
            }
            SdkError::DispatchFailure(failure) if failure.is_user() => (Kind::Refused, "InvalidRequest".to_owned()),
            SdkError::DispatchFailure(_) => (Kind::Away("no connection or no credentials for it"), String::new()),
            SdkError::ResponseError(_) => (Kind::Away("its answer was broken"), String::new()),
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                let code = error.code().map_or_else(|| status.to_string(), str::to_owned);
                (kind(status, &code), code)
            }
            _ => (Kind::Refused, "InvalidRequest".to_owned()),
        };
        Self { kind, operation, code }
    }
}

fn kind(status: u16, code: &str) -> Kind {
    match (status, code) {
        (_, "NoSuchUpload") => Kind::NoSuchUpload,
        // A HEAD has no body, and so no code of the store's.
        (404, "NoSuchKey" | "NotFound" | "404") => Kind::NotFound,
        (412, _) => Kind::Precondition,
        (409, "ConditionalRequestConflict" | "OperationAborted" | "409") => Kind::Conflict,
        (416, _) => Kind::BadRange,
        (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull") => Kind::Full,
        (_, "SlowDown" | "Throttling" | "ThrottlingException" | "TooManyRequests") | (429, _) => {
            Kind::Away("it asks to slow down")
        }
        (_, "RequestTimeout") | (408, _) => Kind::Away("it did not answer in time"),
        // The body was changed on its way.
        (_, "BadDigest" | "IncompleteBody" | "XAmzContentSHA256Mismatch") => Kind::Away("a body did not arrive whole"),
        (500..=599, _) => Kind::Away("it failed"),
        _ => Kind::Refused,
    }
}

/// What an operator can do about a code.
fn hint(code: &str) -> &'static str {
    match code {
        "NoSuchBucket" => ": there is no such bucket",
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "NotSignedUp" | "InvalidToken" => {
            ": the credentials are not accepted"
        }
        "ExpiredToken" | "TokenRefreshRequired" => ": the credentials have expired",
        "AccessDenied" | "AllAccessDisabled" | "403" => ": the credentials do not allow it",
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "301" => ": the bucket is in another region",
        "RequestTimeTooSkewed" => ": the clock of this machine is wrong",
        _ => "",
    }
}

impl From<Failure> for ObjectError {
    fn from(Failure { kind, operation, code }: Failure) -> Self {
        match kind {
            Kind::NotFound => Self::NotFound,
            Kind::Precondition => Self::Exists,
            Kind::Conflict => Self::Unavailable("another write to the key is under way"),
            Kind::NoSuchUpload => Self::Unavailable("an upload in parts was ended by another"),
            Kind::Full => Self::NoSpace,
            Kind::Away(reason) => Self::Unavailable(reason),
            Kind::BadRange | Kind::Refused => Self::Refused(format!("{operation}: {code}{}", hint(&code))),
        }
    }
}
