//! What the claims of a provider's token must say, and what they make of who has it. Pure.

use crate::config::{AuthConfig, ClaimsConfig, RolesConfig, TokenUse};
use crate::domain::access::Role;
use crate::domain::ids::{CareProviderId, PatientId};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use std::time::Duration;

/// Characters of the longest subject.
const LONGEST_SUBJECT: usize = 256;
/// Groups that are looked at.
const MOST_GROUPS: usize = 256;

/// What holds for the claims of one provider.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    audience: Vec<String>,
    token_use: TokenUse,
    /// Seconds.
    leeway: f64,
    claims: ClaimsConfig,
    roles: RolesConfig,
}

/// A kind of caller that a user type or a group names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Patient,
    CareProvider,
    Admin,
}

impl Rules {
    pub(super) fn new(config: &AuthConfig) -> Self {
        Self {
            audience: config.audience.clone(),
            token_use: config.token_use,
            leeway: config.leeway_seconds as f64,
            claims: config.claims.clone(),
            roles: config.roles.clone(),
        }
    }

    /// Whether a token with these claims, its signature aside, is meant for this program and holds now. Nothing of it is
    /// believed by that: it is asked before a key is looked for.
    pub(super) fn could_hold(&self, claims: &Map<String, Value>, now: DateTime<Utc>) -> bool {
        self.holds_now(claims, now) && self.is_for_us(claims) && self.has_the_use(claims) && subject(claims).is_some()
    }

    /// RFC 7519, sections 4.1.4 to 4.1.6. It must say when it ends; a token of the future holds as little as one of the past.
    fn holds_now(&self, claims: &Map<String, Value>, now: DateTime<Utc>) -> bool {
        let now = now.timestamp_millis() as f64 / 1_000.0;
        let begun = |claim: &str| match claims.get(claim) {
            None => true,
            Some(at) => at.as_f64().is_some_and(|at| at <= now + self.leeway),
        };
        ends(claims).is_some_and(|ends| now < ends + self.leeway) && begun("nbf") && begun("iat")
    }

    /// Until when a token with these claims is taken: by so much longer than it says as clocks may differ.
    pub(super) fn until(&self, claims: &Map<String, Value>) -> Option<DateTime<Utc>> {
        let since_1970 = Duration::try_from_secs_f64(ends(claims)? + self.leeway).ok();
        let until =
            since_1970.and_then(|since| DateTime::UNIX_EPOCH.checked_add_signed(TimeDelta::from_std(since).ok()?));
        Some(until.unwrap_or(DateTime::<Utc>::MAX_UTC))
    }

    /// Amazon Cognito's access tokens have no `aud` but a `client_id`.
    fn is_for_us(&self, claims: &Map<String, Value>) -> bool {
        let ours = |value: &Value| value.as_str().is_some_and(|named| self.audience.iter().any(|ours| ours == named));
        match claims.get("aud") {
            Some(Value::Array(audience)) => audience.iter().any(ours),
            Some(audience) => ours(audience),
            None => claims.get("client_id").is_some_and(ours),
        }
    }

    fn has_the_use(&self, claims: &Map<String, Value>) -> bool {
        let named = claims.get("token_use").and_then(Value::as_str);
        match self.token_use {
            TokenUse::Id => named == Some("id"),
            TokenUse::Access => named == Some("access"),
            TokenUse::Unchecked => true,
        }
    }

    /// What the claims of a token whose signature was verified make of its bearer; what is wrong with them, otherwise, for a
    /// person and with no value of theirs.
    pub(super) fn role(&self, claims: &Map<String, Value>) -> Result<Role, String> {
        match self.kind(claims)? {
            Kind::Admin => Ok(Role::Admin),
            Kind::Patient => {
                let id = self.id(claims, &self.claims.patient_id)?;
                PatientId::new(id)
                    .map(Role::Patient)
                    .map_err(|problem| format!("the token's claim {} {problem}", self.claims.patient_id))
            }
            Kind::CareProvider => {
                let id = after_region(self.id(claims, &self.claims.care_provider_id)?);
                CareProviderId::new(id)
                    .map(Role::CareProvider)
                    .map_err(|problem| format!("the token's claim {} {problem}", self.claims.care_provider_id))
            }
        }
    }

    fn kind(&self, claims: &Map<String, Value>) -> Result<Kind, String> {
        let user_type = claims.get(&self.claims.user_type).into_iter();
        let groups = match claims.get(&self.claims.groups) {
            None => [].as_slice(),
            Some(Value::Array(groups)) => groups.as_slice(),
            Some(one) => std::slice::from_ref(one),
        };
        let mut kinds: Vec<Kind> = user_type
            .chain(groups.iter().take(MOST_GROUPS))
            .filter_map(|name| self.kind_named(name.as_str()?))
            .collect();
        if kinds.contains(&Kind::Admin) {
            // There is no user type for an admin: one may be a care provider besides.
            kinds.retain(|kind| *kind != Kind::CareProvider);
        }
        kinds.dedup();
        match kinds.as_slice() {
            [kind] => Ok(*kind),
            [] => Err(format!(
                "neither the token's claim {} nor {} names a role",
                self.claims.user_type, self.claims.groups
            )),
            _ => Err(format!(
                "the token's claims {} and {} name roles that contradict each other",
                self.claims.user_type, self.claims.groups
            )),
        }
    }

    fn kind_named(&self, name: &str) -> Option<Kind> {
        let means = |names: &[String]| names.iter().any(|known| known == name);
        if means(&self.roles.patient) {
            Some(Kind::Patient)
        } else if means(&self.roles.care_provider) {
            Some(Kind::CareProvider)
        } else if means(&self.roles.admin) {
            Some(Kind::Admin)
        } else {
            None
        }
    }

    fn id<'c>(&self, claims: &'c Map<String, Value>, claim: &str) -> Result<&'c str, String> {
        let id = claims.get(claim).ok_or_else(|| format!("the token's claim {claim} is missing"))?;
        id.as_str().ok_or_else(|| format!("the token's claim {claim} is no text"))
    }
}

/// When it says that it ends, in seconds since 1970, which may have a fraction (RFC 7519, section 2).
fn ends(claims: &Map<String, Value>) -> Option<f64> {
    claims.get("exp")?.as_f64()
}

/// Whom the provider knows it as.
pub(super) fn subject(claims: &Map<String, Value>) -> Option<&str> {
    let subject = claims.get("sub")?.as_str()?;
    (!subject.is_empty() && subject.len() <= LONGEST_SUBJECT).then_some(subject)
}

/// `clinic-1` of `us-west-2:clinic-1`; of anything else all of it.
fn after_region(id: &str) -> &str {
    match id.split_once(':') {
        Some((region, rest)) if is_region(region) => rest,
        Some(_) | None => id,
    }
}

/// `us-west-2`, `us-gov-east-1`: two letters, words, a number.
fn is_region(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.as_slice() {
        [country, words @ .., number] => {
            country.len() == 2
                && letters(country)
                && !words.is_empty()
                && words.iter().all(letters)
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules() -> Rules {
        let roles = RolesConfig { admin: vec!["clinic-admins".into()], ..RolesConfig::default() };
        Rules::new(&AuthConfig { audience: vec!["app".into(), "web".into()], roles, ..AuthConfig::default() })
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn claims() -> Value {
        json!({ "sub": "s", "aud": "app", "token_use": "id", "exp": 1_700_000_600, "iat": 1_700_000_000 })
    }

    fn with(claim: &str, value: Value) -> Map<String, Value> {
        let mut claims = claims();
        claims[claim] = value;
        claims.as_object().unwrap().clone()
    }

    #[test]
    fn a_token_holds_between_its_times_give_or_take_the_leeway() {
        for (claim, value, holds) in [
            ("exp", json!(1_699_999_971), true),
            ("exp", json!(1_699_999_970), false),
            ("exp", json!(1_699_999_970.5), true),
            ("exp", json!("1700000600"), false),
            ("exp", json!(null), false),
            ("nbf", json!(1_700_000_030), true),
            ("nbf", json!(1_700_000_031), false),
            ("nbf", json!("soon"), false),
            ("iat", json!(1_700_000_031), false),
        ] {
            assert_eq!(rules().could_hold(&with(claim, value.clone()), now()), holds, "{claim} {value}");
        }
        let mut endless = claims();
        endless.as_object_mut().unwrap().remove("exp");
        assert!(!rules().could_hold(endless.as_object().unwrap(), now()));
    }

    #[test]
    fn a_token_is_taken_until_it_ends_and_as_much_longer_as_clocks_may_differ() {
        for (exp, until) in
            [(json!(1_700_000_600), "2023-11-14T22:23:50Z"), (json!(1_700_000_600.25), "2023-11-14T22:23:50.25Z")]
        {
            let until: DateTime<Utc> = until.parse().unwrap();
            assert_eq!(rules().until(&with("exp", exp)), Some(until));
        }
        assert_eq!(rules().until(&with("exp", json!(1e300))), Some(DateTime::<Utc>::MAX_UTC));
    }

    #[test]
    fn a_token_is_for_one_of_ours_with_the_right_use_and_of_somebody() {
        for (claim, value, holds) in [
            ("aud", json!("web"), true),
            ("aud", json!(["other", "app"]), true),
            ("aud", json!(["other"]), false),
            ("aud", json!("App"), false),
            ("aud", json!(7), false),
            ("token_use", json!("access"), false),
            ("token_use", json!(null), false),
            ("sub", json!(""), false),
            ("sub", json!(7), false),
        ] {
            assert_eq!(rules().could_hold(&with(claim, value.clone()), now()), holds, "{claim} {value}");
        }
        let access = Rules { token_use: TokenUse::Access, ..rules() };
        let mut claims = json!({ "sub": "s", "client_id": "app", "token_use": "access", "exp": 1_700_000_600 });
        assert!(access.could_hold(claims.as_object().unwrap(), now()));
        claims["aud"] = json!("other");
        assert!(!access.could_hold(claims.as_object().unwrap(), now()), "an audience decides");
        claims = json!({ "sub": "s", "client_id": "other", "token_use": "access", "exp": 1_700_000_600 });
        assert!(!access.could_hold(claims.as_object().unwrap(), now()));
    }

    #[test]
    fn user_type_and_groups_make_a_role() {
        let patient = |id: &str| Ok(Role::Patient(PatientId::new(id).unwrap()));
        let care_provider = |id: &str| Ok(Role::CareProvider(CareProviderId::new(id).unwrap()));
        let id = "us-west-2:1ec6234a-232a-415d-9d31-f059c2cc4afa";
        for (claims, expected) in [
            (json!({ "custom:identity_id": id, "user_type": "Patient" }), patient(id)),
            (json!({ "custom:identity_id": id, "cognito:groups": ["x", "patient"] }), patient(id)),
            (json!({ "custom:identity_id": id, "user_type": "Patient", "cognito:groups": ["patient"] }), patient(id)),
            (json!({ "custom:identity_id": "us-west-2:c-1", "user_type": "careProvider" }), care_provider("c-1")),
            (
                json!({ "custom:identity_id": "us-gov-east-1:c-1", "cognito:groups": ["careProvider"] }),
                care_provider("c-1"),
            ),
            (json!({ "custom:identity_id": "c-1:a", "cognito:groups": "careProvider" }), care_provider("c-1:a")),
            (json!({ "cognito:groups": ["clinic-admins"] }), Ok(Role::Admin)),
            (
                json!({ "user_type": "careProvider", "cognito:groups": ["clinic-admins", "careProvider"] }),
                Ok(Role::Admin),
            ),
        ] {
            assert_eq!(rules().role(claims.as_object().unwrap()), expected, "{claims}");
        }
    }

    #[test]
    fn claims_that_are_missing_or_contradict_each_other_make_none() {
        for (claims, word) in [
            (json!({}), "names a role"),
            (json!({ "custom:identity_id": "p", "user_type": "PATIENT", "cognito:groups": [1, null] }), "names a role"),
            (
                json!({ "custom:identity_id": "p", "user_type": "Patient", "cognito:groups": ["careProvider"] }),
                "contradict",
            ),
            (json!({ "custom:identity_id": "p", "cognito:groups": ["patient", "careProvider"] }), "contradict"),
            (
                json!({ "custom:identity_id": "p", "user_type": "Patient", "cognito:groups": ["clinic-admins"] }),
                "contradict",
            ),
            (json!({ "user_type": "Patient" }), "custom:identity_id is missing"),
            (json!({ "user_type": "careProvider" }), "custom:identity_id is missing"),
            (json!({ "custom:identity_id": ["p"], "user_type": "Patient" }), "is no text"),
            (json!({ "custom:identity_id": "", "user_type": "Patient" }), "is empty"),
            (json!({ "custom:identity_id": "a/b", "user_type": "Patient" }), "holds a control character"),
            (json!({ "custom:identity_id": "us-west-2:", "user_type": "careProvider" }), "is empty"),
        ] {
            let refused = rules().role(claims.as_object().unwrap()).unwrap_err();
            assert!(refused.contains(word), "{claims}: {refused}");
        }
    }
}
