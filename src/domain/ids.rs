//! Identities. Each is made by a checked constructor only, so that whoever holds one may put it into a key or a query.

use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Why a text is no identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// More bytes than allowed.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// A control character or a slash.
    #[error("holds a control character or a '/'")]
    Character,
    /// Not a UUID.
    #[error("is not a UUID")]
    NotAUuid,
}

fn check_name(text: &str, longest: usize) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > longest {
        return Err(InvalidId::TooLong(longest));
    }
    if text.chars().any(|c| c.is_control() || c == '/') {
        return Err(InvalidId::Character);
    }
    Ok(())
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident, $longest:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            /// [`InvalidId`] when it is empty, too long, or holds a control character or a slash.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                check_name(&text, $longest)?;
                Ok(Self(text))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                // Only the hyphenated form: the others would give one recording several names.
                if text.len() != uuid::fmt::Hyphenated::LENGTH {
                    return Err(InvalidId::NotAUuid);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| InvalidId::NotAUuid)
            }
        }
    };
}

name_id!(
    /// A patient, as the phone names them (`user_id`): at most 128 bytes, no control character, no `/`.
    PatientId,
    128
);
name_id!(
    /// A care provider: at most 128 bytes, no control character, no `/`.
    CareProviderId,
    128
);
name_id!(
    /// A test type, such as `sit-to-stand`: at most 64 bytes, no control character, no `/`.
    Movement,
    64
);
name_id!(
    /// A version of a patient's model: unique over all models, and part of its artifact's key.
    ModelVersion,
    64
);
impl ModelVersion {
    /// The version of what one attempt at a training makes: the place of the last recording that it learns from among the
    /// patient's (0 where it learns from none of them), the recording that it was asked for, its job, and which lease of it. Two
    /// attempts may know different things of other patients, so each has a version of its own. It says nothing about the person.
    #[must_use]
    pub fn of_training(ordinal: i64, asked_for: TestEventId, job: i64, lease: i64) -> Self {
        let short: String = asked_for.to_string().chars().filter(char::is_ascii_hexdigit).take(16).collect();
        Self(format!("v{ordinal}-{short}-{job}-{lease}"))
    }

    /// The versions of the attempts under the latest of so many leases: each attempt removes what those before it have made.
    pub fn of_attempts(ordinal: i64, asked_for: TestEventId, job: i64, leases: i64) -> impl Iterator<Item = Self> {
        const MOST: i64 = 32;
        let earliest = (leases - MOST).max(0) + 1;
        (earliest..=leases).map(move |lease| Self::of_training(ordinal, asked_for, job, lease))
    }
}

name_id!(
    /// The models of a patient and a movement, all versions, as clients of the inference server name them. It is random, and
    /// says nothing of the patient.
    ModelName,
    64
);
impl From<Uuid> for ModelName {
    fn from(id: Uuid) -> Self {
        Self(id.as_simple().to_string())
    }
}

uuid_id!(
    /// A test event and its recording (`testID`), made on the phone: the idempotency key of the pipeline.
    TestEventId
);
uuid_id!(
    /// An account that may sign in.
    AccountId
);
uuid_id!(
    /// One sign-in, through all rotations of its refresh token.
    SessionId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_of_the_phone_app_are_patients() {
        assert!(PatientId::new("us-west-2:1ec6234a-232a-415d-9d31-f059c2cc4afa").is_ok());
        assert_eq!(PatientId::new("a/b"), Err(InvalidId::Character));
        assert_eq!(PatientId::new("a\nb"), Err(InvalidId::Character));
        assert_eq!(PatientId::new(""), Err(InvalidId::Empty));
        assert_eq!(PatientId::new("x".repeat(129)), Err(InvalidId::TooLong(128)));
    }

    #[test]
    fn a_test_event_has_one_spelling() {
        let id: Result<TestEventId, _> = "F97E3B64-5B41-4DD8-AA64-C4530CDC0AC2".parse();
        assert_eq!(id.map(|id| id.to_string()), Ok("f97e3b64-5b41-4dd8-aa64-c4530cdc0ac2".into()));
        assert!("f97e3b645b414dd8aa64c4530cdc0ac2".parse::<TestEventId>().is_err());
        assert!("{97e3b64-5b41-4dd8-aa64-c4530cdc0ac}".parse::<TestEventId>().is_err());
    }
}
