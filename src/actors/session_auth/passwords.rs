//! Passwords: argon2id with 19 MiB, two passes and one lane (OWASP Password Storage Cheat Sheet), a few at once.

use crate::actors::ServiceError;
use argon2::password_hash::SaltString;
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Characters that a password has at least.
const SHORTEST: usize = 12;
/// Characters that a password has at most.
const LONGEST: usize = 128;
/// Memory, KiB.
const MEMORY: u32 = 19 * 1_024;
/// Verified where there is no account, so that the answer takes as long. No password has this hash.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c3RhbmNlLW5vLWFjY291bnQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Hashes and verifies passwords on threads where that may take its time. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Passwords {
    permits: Arc<Semaphore>,
    longest_wait: Duration,
    min_score: u8,
}

impl Passwords {
    /// At most `at_once`; who waits longer than `longest_wait` for a turn is told to come back. New ones are at least as strong
    /// as `min_score`, 0 to 4.
    #[must_use]
    pub fn new(at_once: usize, longest_wait: Duration, min_score: u8) -> Self {
        Self { permits: Arc::new(Semaphore::new(at_once)), longest_wait, min_score }
    }

    /// Refuses a new password that is too short, too long or easily guessed by who knows the words that are `own` to its
    /// account.
    pub(super) async fn check_new(&self, password: &str, own: Vec<String>) -> Result<(), ServiceError> {
        check_length(password)?;
        let (password, min_score) = (password.to_owned(), self.min_score);
        self.run(move || check_strength(&password, &own, min_score)).await
    }

    /// The hash, as a PHC string.
    pub(in crate::actors) async fn hash(&self, password: String, salt: [u8; 16]) -> Result<String, ServiceError> {
        self.run(move || {
            let salt = SaltString::encode_b64(&salt).map_err(|error| internal(&error))?;
            let hash = hasher()?.hash_password(password.as_bytes(), &salt).map_err(|error| internal(&error))?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether the password has the hash; for `None` it has not, in the same time.
    pub(super) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, ServiceError> {
        self.run(move || {
            let known = hash.is_some();
            let hash = hash.as_deref().unwrap_or(NOBODY);
            let hash = PasswordHash::new(hash).map_err(|error| internal(&error))?;
            Ok(hasher()?.verify_password(password.as_bytes(), &hash).is_ok() && known)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let permit = match tokio::time::timeout(self.longest_wait, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(ServiceError::busy("password hashing")),
        };
        tokio::task::spawn_blocking(move || {
            // Held by the work: it is busy also when nobody waits for it any more.
            let _permit = permit;
            work()
        })
        .await
        .map_err(|error| ServiceError::Internal(error.into()))?
    }
}

/// Refuses what an attacker would try early: by the estimate of zxcvbn (Wheeler, USENIX Security 2016), which knows common
/// passwords, names, dates and keyboards.
fn check_strength(password: &str, own: &[String], min_score: u8) -> Result<(), ServiceError> {
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    let estimate = zxcvbn::zxcvbn(password, &own);
    if u8::from(estimate.score()) >= min_score {
        return Ok(());
    }
    let feedback = estimate.feedback();
    let warning = feedback.and_then(zxcvbn::feedback::Feedback::warning).map(|warning| warning.to_string());
    let suggestions = feedback.map(zxcvbn::feedback::Feedback::suggestions).unwrap_or_default();
    let hints = warning.into_iter().chain(suggestions.iter().map(ToString::to_string));
    Err(ServiceError::Invalid {
        code: "password_too_weak",
        detail: std::iter::once("the password is too easy to guess.".to_owned())
            .chain(hints)
            .collect::<Vec<_>>()
            .join(" "),
    })
}

fn check_length(password: &str) -> Result<(), ServiceError> {
    let length = password.chars().take(LONGEST + 1).count();
    if length < SHORTEST {
        return Err(ServiceError::Invalid {
            code: "password_too_short",
            detail: format!("a password has at least {SHORTEST} characters"),
        });
    }
    if length > LONGEST {
        return Err(ServiceError::Invalid {
            code: "password_too_long",
            detail: format!("a password has at most {LONGEST} characters"),
        });
    }
    Ok(())
}

fn hasher() -> Result<Argon2<'static>, ServiceError> {
    let params = Params::new(MEMORY, 2, 1, None).map_err(|error| ServiceError::Internal(error.into()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The error's text holds no part of a password or hash.
fn internal(error: &argon2::password_hash::Error) -> ServiceError {
    ServiceError::Internal(anyhow::anyhow!("hashing a password: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_hash_and_no_other() {
        let passwords = Passwords::new(1, Duration::from_secs(30), 3);
        let hash = passwords.hash("correct horse battery".into(), [7; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(passwords.verify("correct horse battery".into(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("correct horse batterx".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn nobody_is_verified_and_has_no_password() {
        let passwords = Passwords::new(1, Duration::from_secs(30), 3);
        assert!(!passwords.verify("correct horse battery".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn who_gets_no_turn_is_told_to_come_back() {
        let passwords = Passwords::new(0, Duration::from_millis(1), 3);
        let refused = passwords.hash("correct horse battery".into(), [7; 16]).await;
        assert!(matches!(refused, Err(ServiceError::Busy { .. })));
    }

    #[test]
    fn passwords_have_12_to_128_characters() {
        for (length, allowed) in [(11, false), (12, true), (128, true), (129, false)] {
            assert_eq!(check_length(&"ü".repeat(length)).is_ok(), allowed, "{length}");
        }
    }

    #[tokio::test]
    async fn a_password_that_is_easily_guessed_is_refused_and_says_why() {
        let passwords = Passwords::new(1, Duration::from_secs(30), 3);
        let own = || vec!["annabel.lee@kingdom-by-the-sea.org".to_owned(), "annabel.lee".to_owned()];
        for weak in ["password1234", "qwertyuiop12", "aaaaaaaaaaaa", "annabel.lee12", "abcdefghijkl", "123456789012"] {
            let Err(ServiceError::Invalid { code, detail }) = passwords.check_new(weak, own()).await else {
                panic!("{weak}");
            };
            assert_eq!(code, "password_too_weak");
            assert!(detail.len() > 40 && !detail.contains(weak), "{detail}");
        }
        for (strong, email) in [
            ("correct horse battery", "ann@example.org"),
            ("demo-clinic-2026", "clinic@example.org"),
            ("measure-it-twice", "measure@example.org"),
        ] {
            let own = crate::actors::session_auth::accounts::own_words(email);
            assert!(passwords.check_new(strong, own).await.is_ok(), "{strong}");
        }
        assert!(Passwords::new(1, Duration::from_secs(30), 0).check_new("password1234", own()).await.is_ok());
    }
}
