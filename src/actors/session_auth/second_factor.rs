//! A second factor: time-based one-time passwords (TOTP, RFC 6238) as authenticator apps have them: SHA-1, six digits, 30
//! seconds, one step of tolerance. And recovery codes for when the app is lost.

use super::messages::{ConfirmSecondFactor, EnrolSecondFactor, Enrolment, Proof, RemoveSecondFactor};
use super::{Auth, SessionAuthDeps};
use crate::actors::ServiceError;
use crate::domain::audit::Entry;
use crate::domain::code;
use crate::domain::entropy::Entropy;
use crate::domain::ids::AccountId;
use crate::storage::database::Account;
use totp_rs::{Builder, Totp};

/// What an app shows beside the codes.
const ISSUER: &str = "Stance";
/// Recovery codes of an account.
const RECOVERY_CODES: usize = 10;
/// Groups of a recovery code: 80 random bits, so that its plain hash cannot be reversed.
const GROUPS: usize = 4;

impl Auth {
    /// Refuses who does not show that they have the account's second factor. They know its password.
    pub(super) async fn check_second_factor(
        &self,
        account: AccountId,
        proof: Option<Proof>,
    ) -> Result<(), ServiceError> {
        let proof = proof.ok_or(ServiceError::SecondFactorRequired)?;
        let database = &self.deps.database;
        let attempt = self.limit.claim_second_factor(database, account, self.now()).await?;
        let right = match &proof {
            Proof::Totp(digits) => self.has_shown(account, digits).await,
            Proof::RecoveryCode(typed) => match code::typed(typed, GROUPS) {
                Some(code) => {
                    let used = database.use_recovery_code(account, &recovery_hash(account, &code)).await;
                    used.map_err(ServiceError::from)
                }
                None => Ok(false),
            },
        };
        match right {
            Ok(true) => self.limit.succeeded(database, &attempt).await,
            Ok(false) => Err(ServiceError::WrongSecondFactor),
            Err(error) => {
                self.limit.withdrawn(database, &attempt).await?;
                Err(error)
            }
        }
    }

    /// Whether those are the digits of now, and nobody has used them before.
    async fn has_shown(&self, account: AccountId, digits: &str) -> Result<bool, ServiceError> {
        let Some(factor) = self.deps.database.second_factor(account).await?.filter(|factor| factor.confirmed) else {
            return Ok(false);
        };
        match self.step_of(&totp(factor.secret, "")?, digits) {
            Some(step) => Ok(self.deps.database.use_step(account, step).await?),
            None => Ok(false),
        }
    }

    /// The time step that the digits are of, where they are of one near now.
    fn step_of(&self, totp: &Totp, digits: &str) -> Option<i64> {
        let now = u64::try_from(self.now().timestamp()).ok()?;
        let plain: String = digits.chars().filter(|character| *character != ' ').take(7).collect();
        i64::try_from(totp.check(&plain, now)?).ok()
    }

    pub(super) async fn enrol_second_factor(&self, message: EnrolSecondFactor) -> Result<Enrolment, ServiceError> {
        let EnrolSecondFactor { caller, password, peer } = message;
        let account = self.account_of(&caller).await?;
        let SessionAuthDeps { database, entropy, audit, .. } = &self.deps;
        let entry = Entry::by(&caller, "enrol_second_factor");
        let account = audit.or_failed(&entry, self.owned(&account, password, peer).await).await?;
        audit.record(entry.clone()).await?;
        let enrolled = async {
            let secret: [u8; 20] = entropy.bytes();
            if !database.put_second_factor(account.id, &secret).await? {
                return Err(already_there());
            }
            let totp = totp(secret.to_vec(), &account.email)?;
            let uri = totp.to_url();
            let uri = uri.map_err(|error| ServiceError::Internal(anyhow::anyhow!("a TOTP address: {error}")))?;
            Ok(Enrolment { secret: totp.secret().to_base32(), uri })
        };
        audit.or_failed(&entry, enrolled.await).await
    }

    pub(super) async fn confirm_second_factor(
        &self,
        message: ConfirmSecondFactor,
    ) -> Result<Vec<String>, ServiceError> {
        let account = self.account_of(&message.caller).await?;
        let entry = Entry::by(&message.caller, "confirm_second_factor");
        let confirmed = self.confirm_shown(&account, &message.totp, &entry).await;
        self.deps.audit.or_failed(&entry, confirmed).await
    }

    /// Lets the account's secret count for who shows its digits, and notes that before; the recovery codes.
    async fn confirm_shown(&self, account: &Account, digits: &str, entry: &Entry) -> Result<Vec<String>, ServiceError> {
        let SessionAuthDeps { database, entropy, audit, .. } = &self.deps;
        let factor = match database.second_factor(account.id).await? {
            Some(factor) if !factor.confirmed => factor,
            Some(_) => return Err(already_there()),
            None => {
                return Err(ServiceError::Conflict {
                    code: "no_second_factor",
                    detail: "there is no second factor to confirm: ask for a secret first".into(),
                });
            }
        };
        let attempt = self.limit.claim_second_factor(database, account.id, self.now()).await?;
        let step = self.step_of(&totp(factor.secret.clone(), "")?, digits).ok_or(ServiceError::WrongSecondFactor)?;
        audit.record(entry.clone()).await?;
        let codes = recovery_codes(entropy);
        let hashes: Vec<_> = codes.iter().map(|shown| recovery_hash(account.id, &shown.replace('-', ""))).collect();
        if !database.confirm_second_factor(account.id, &factor.secret, step, &hashes, self.now()).await? {
            return Err(already_there());
        }
        self.limit.succeeded(database, &attempt).await?;
        Ok(codes)
    }

    pub(super) async fn remove_second_factor(&self, message: RemoveSecondFactor) -> Result<(), ServiceError> {
        let RemoveSecondFactor { caller, password, proof, peer } = message;
        let account = self.account_of(&caller).await?;
        let SessionAuthDeps { database, audit, .. } = &self.deps;
        let entry = Entry::by(&caller, "remove_second_factor");
        let shown = async {
            let account = self.owned(&account, password, peer).await?;
            self.check_second_factor(account.id, Some(proof)).await
        };
        audit.or_failed(&entry, shown.await).await?;
        audit.record(entry.clone()).await?;
        let removed = database.delete_second_factor(account.id).await;
        audit.or_failed(&entry, removed.map(|_| ()).map_err(ServiceError::from)).await
    }
}

fn totp(secret: Vec<u8>, email: &str) -> Result<Totp, ServiceError> {
    // The form of the address that an app reads gives a colon a meaning.
    let name = email.replace(':', "");
    let built = Builder::new().with_secret(secret).with_account_name(name).with_issuer(Some(ISSUER)).build();
    built.map_err(|error| ServiceError::Internal(anyhow::anyhow!("a TOTP secret: {error}")))
}

fn recovery_codes(entropy: &Entropy) -> Vec<String> {
    (0..RECOVERY_CODES).map(|_| code::new(entropy, GROUPS)).collect()
}

fn recovery_hash(account: AccountId, code: &str) -> [u8; 32] {
    *blake3::hash(format!("recovery code\n{account}\n{code}").as_bytes()).as_bytes()
}

fn already_there() -> ServiceError {
    ServiceError::Conflict {
        code: "second_factor_there",
        detail: "the account has a second factor: remove it first".into(),
    }
}
