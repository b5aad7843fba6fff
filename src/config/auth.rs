//! The rules of `auth.*`: own accounts, and those of an identity provider.

use super::ConfigError;
use super::check::not_allowed;
use super::sections::section;
use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize};

/// Issuer of own tokens.
pub(crate) const OWN_ISSUER: &str = "stance";

/// Which of a provider's tokens are taken: the claim `token_use`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenUse {
    /// Those that say who somebody is.
    Id,
    /// Those that open a service.
    Access,
    /// Any: a provider other than Amazon Cognito has no such claim.
    Unchecked,
}

section!(
    /// Sign-in.
    AuthConfig {
        /// Whether there are accounts of this program's own, beside those of a provider or alone.
        own_accounts: bool = true,
        /// Seconds that an access token holds.
        access_token_seconds: u64 = 900,
        /// Days that a session holds without being used.
        session_days: u64 = 30,
        /// Days after which a session ends, however much it is used; at least `session_days`, at most 3,650.
        session_max_days: u64 = 90,
        /// Sessions of one account, 1 to 100; one more ends the one that was used longest ago.
        max_sessions_per_account: u32 = 100,
        /// Used refresh tokens of one session that are kept, the newest, 1 to 100,000: one of them presented again ends it.
        used_refresh_tokens_kept: u32 = 10_000,
        /// Failed sign-ins in the window for one account from one address.
        max_failures: u32 = 5,
        /// Failed sign-ins in the window from one address.
        max_failures_per_address: u32 = 50,
        /// The window, seconds.
        window_seconds: u64 = 900,
        /// Passwords hashed at once.
        hashes_at_once: usize = 2,
        /// Accounts made from one address in the window.
        max_sign_ups_per_address: u32 = 20,
        /// Failed sign-ins in the window for one account from all addresses where nobody signed in to it before.
        max_failures_from_strangers: u32 = 100,
        /// Wrong second factors in the window for one account, after the right password.
        max_second_factor_failures: u32 = 10,
        /// Least strength of a new password, 0 (any) to 4, as zxcvbn has it.
        min_password_score: u8 = 3,
        /// Whether who makes an account must show that its e-mail address is theirs before they sign in.
        confirm_email: bool = false,
        /// Minutes that a mailed code holds.
        code_minutes: u64 = 30,
        /// Attempts at a mailed code, from all addresses.
        max_code_attempts: u32 = 100,
        /// Mails to one address for one purpose in the window; further ones are not sent.
        max_mails_per_account: u32 = 5,
        /// Mails asked for from one address in the window.
        max_mails_per_address: u32 = 20,
        /// Issuer of the tokens of an OpenID Connect provider, as the claim `iss` has it; none: there is no provider.
        issuer: Option<String> = None,
        /// Where the provider publishes its keys; none: where its discovery document says.
        jwks_url: Option<String> = None,
        /// Whom its tokens are meant for: the claim `aud`, or `client_id` where there is no `aud`. One or a list.
        #[serde(deserialize_with = "one_or_many")]
        audience: Vec<String> = Vec::new(),
        /// Which of its tokens are taken: `id`, `access` or `unchecked`.
        token_use: TokenUse = TokenUse::Id,
        /// Seconds by which the provider's clock may differ, at most 300.
        leeway_seconds: u64 = 30,
        /// Seconds between two looks at the provider's keys.
        jwks_refresh_seconds: u64 = 600,
        /// Shortest time between two looks, seconds: a token may name a key that is not known yet.
        jwks_min_interval_seconds: u64 = 30,
        /// Seconds for which the last keys that were read are trusted while the provider is away.
        jwks_max_age_seconds: u64 = 86_400,
        /// Seconds that a look may take.
        jwks_timeout_seconds: u64 = 5,
        /// Whether the provider may be asked over plain HTTP where its address is this machine's own: for trying things out.
        allow_http_on_loopback: bool = false,
        /// Which of its claims says what.
        claims: ClaimsConfig = ClaimsConfig::default(),
        /// What its user types and groups are here.
        roles: RolesConfig = RolesConfig::default(),
    }
);

section!(
    /// Names of a provider's claims; the defaults are Amazon Cognito's.
    ClaimsConfig {
        /// Holds a patient's id.
        patient_id: String = "custom:identity_id".into(),
        /// Holds a care provider's id, alone or after a region of AWS and a colon.
        care_provider_id: String = "custom:identity_id".into(),
        /// Holds the type of user, a text.
        user_type: String = "user_type".into(),
        /// Holds the groups, a list of texts.
        groups: String = "cognito:groups".into(),
    }
);

section!(
    /// Names of user types and groups, as a provider writes them, that make somebody what they are here. Others say nothing.
    RolesConfig {
        /// Make a patient.
        patient: Vec<String> = vec!["Patient".into(), "patient".into()],
        /// Make a care provider.
        care_provider: Vec<String> = vec!["careProvider".into()],
        /// Make an admin, also of who is a care provider.
        admin: Vec<String> = Vec::new(),
    }
);

/// A text, or a list of them.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}

impl AuthConfig {
    /// Whether the provider may be asked at that address: over HTTPS, or on this machine where that is allowed.
    #[must_use]
    pub fn may_ask(&self, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else { return false };
        let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        let safe = match url.scheme() {
            "https" => url.has_host(),
            "http" => self.allow_http_on_loopback && url.host_str().is_some_and(is_loopback),
            _ => false,
        };
        plain && safe
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.min_password_score > 4 {
            not_allowed("auth.min_password_score", "must be 0 to 4")?;
        }
        if self.session_max_days < self.session_days || self.session_max_days > 3_650 {
            not_allowed("auth.session_max_days", "must be at least auth.session_days, and at most 3650")?;
        }
        if !(1..=100).contains(&self.max_sessions_per_account) {
            not_allowed("auth.max_sessions_per_account", "must be 1 to 100")?;
        }
        if !(1..=100_000).contains(&self.used_refresh_tokens_kept) {
            not_allowed("auth.used_refresh_tokens_kept", "must be 1 to 100000")?;
        }
        if self.leeway_seconds > 300 {
            not_allowed("auth.leeway_seconds", "must be at most 300")?;
        }
        let least = [
            ("auth.code_minutes", self.code_minutes),
            ("auth.max_code_attempts", self.max_code_attempts.into()),
            ("auth.jwks_refresh_seconds", self.jwks_refresh_seconds),
            ("auth.jwks_min_interval_seconds", self.jwks_min_interval_seconds),
            ("auth.jwks_timeout_seconds", self.jwks_timeout_seconds),
        ];
        for (key, value) in least {
            if value == 0 {
                not_allowed(key, "must be at least 1")?;
            }
        }
        if self.jwks_max_age_seconds < self.jwks_refresh_seconds {
            not_allowed("auth.jwks_max_age_seconds", "must be at least auth.jwks_refresh_seconds")?;
        }
        let Some(issuer) = &self.issuer else {
            return self.check_without_provider();
        };
        if issuer == OWN_ISSUER || !self.may_ask(issuer) {
            not_allowed("auth.issuer", "must be an address that begins with https://")?;
        }
        if self.jwks_url.as_deref().is_some_and(|url| !self.may_ask(url)) {
            not_allowed("auth.jwks_url", "must be an address that begins with https://")?;
        }
        if self.audience.is_empty() || self.audience.iter().any(String::is_empty) {
            not_allowed(
                "auth.audience",
                "must name whom the issuer's tokens are meant for, such as the app client's id",
            )?;
        }
        let RolesConfig { patient, care_provider, admin } = &self.roles;
        let twice = |name: &String| care_provider.contains(name) || admin.contains(name);
        if patient.iter().any(twice) || care_provider.iter().any(|name| admin.contains(name)) {
            not_allowed("auth.roles", "gives one name two roles")?;
        }
        Ok(())
    }

    fn check_without_provider(&self) -> Result<(), ConfigError> {
        if self.jwks_url.is_some() {
            not_allowed("auth.jwks_url", "needs auth.issuer")?;
        }
        if !self.audience.is_empty() {
            not_allowed("auth.audience", "needs auth.issuer")?;
        }
        if !self.own_accounts {
            not_allowed("auth.own_accounts", "may be false only where auth.issuer names a provider")?;
        }
        Ok(())
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> AuthConfig {
        AuthConfig {
            issuer: Some("https://id.example.org/pool".into()),
            audience: vec!["app".into()],
            ..AuthConfig::default()
        }
    }

    #[test]
    fn a_provider_is_asked_over_https_or_where_allowed_on_this_machine() {
        let allowed = AuthConfig { allow_http_on_loopback: true, ..provider() };
        for (url, secure, loopback) in [
            ("https://id.example.org/keys", true, true),
            ("http://127.0.0.1:80/keys", false, true),
            ("http://[::1]/keys", false, true),
            ("http://localhost/keys", false, true),
            ("http://127.0.0.1.example.org/keys", false, false),
            ("http://id.example.org/keys", false, false),
            ("https://user:password@id.example.org/", false, false),
            ("file:///etc/passwd", false, false),
            ("id.example.org", false, false),
        ] {
            assert_eq!(provider().may_ask(url), secure, "{url}");
            assert_eq!(allowed.may_ask(url), loopback, "{url}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        assert!(provider().check().is_ok());
        assert!(AuthConfig { own_accounts: false, ..provider() }.check().is_ok());
        let roles = RolesConfig { admin: vec!["careProvider".into()], ..RolesConfig::default() };
        for (bad, key) in [
            (AuthConfig { own_accounts: false, ..AuthConfig::default() }, "auth.own_accounts"),
            (AuthConfig { audience: vec!["app".into()], ..AuthConfig::default() }, "auth.audience"),
            (AuthConfig { jwks_url: Some("https://x.example".into()), ..AuthConfig::default() }, "auth.jwks_url"),
            (AuthConfig { audience: Vec::new(), ..provider() }, "auth.audience"),
            (AuthConfig { issuer: Some("stance".into()), ..provider() }, "auth.issuer"),
            (AuthConfig { jwks_url: Some("http://id.example.org/".into()), ..provider() }, "auth.jwks_url"),
            (AuthConfig { leeway_seconds: 301, ..provider() }, "auth.leeway_seconds"),
            (AuthConfig { session_days: 91, ..provider() }, "auth.session_max_days"),
            (AuthConfig { max_sessions_per_account: 101, ..provider() }, "auth.max_sessions_per_account"),
            (AuthConfig { used_refresh_tokens_kept: 0, ..provider() }, "auth.used_refresh_tokens_kept"),
            (AuthConfig { jwks_max_age_seconds: 1, ..provider() }, "auth.jwks_max_age_seconds"),
            (AuthConfig { roles, ..provider() }, "auth.roles"),
        ] {
            let refused = bad.check().unwrap_err().to_string();
            assert!(refused.starts_with(key), "{refused}");
        }
    }
}
