//! Tokens: a signed access token (JWT, RFC 7519, EdDSA only) that holds for minutes, and an opaque refresh token that
//! is known here by its hash.

use crate::config::OWN_ISSUER;
use crate::domain::access::Role;
use crate::domain::entropy::Entropy;
use anyhow::Context;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;

/// Bytes of the longest token that is looked at.
const LONGEST: usize = 4_096;

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    iss: String,
    /// The account.
    pub(super) sub: String,
    email: String,
    /// The session.
    pub(super) sid: String,
    /// For clients to read. Here the account's row says what the caller is.
    user_type: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    patient_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    care_provider_id: Option<String>,
    iat: i64,
    exp: i64,
}

impl Claims {
    pub(super) fn new(
        account: &str,
        email: &str,
        session: &str,
        role: &Role,
        now: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Self {
        let (patient_id, care_provider_id) = match role {
            Role::Patient(id) => (Some(id.to_string()), None),
            Role::CareProvider(id) => (None, Some(id.to_string())),
            Role::Admin => (None, None),
        };
        Self {
            iss: OWN_ISSUER.into(),
            sub: account.into(),
            email: email.into(),
            sid: session.into(),
            user_type: role.name().into(),
            patient_id,
            care_provider_id,
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
        }
    }

    /// When the token holds no longer.
    pub(super) fn expires_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.exp, 0)
    }
}

/// A key for signing: its id, and the key as PKCS#8 DER.
pub(super) fn new_key(entropy: &Entropy) -> anyhow::Result<(String, Vec<u8>)> {
    let key = SigningKey::from_bytes(&entropy.bytes());
    let der = key.to_pkcs8_der().map_err(|error| anyhow::anyhow!("a signing key: {error}"))?;
    let id = blake3::hash(key.verifying_key().as_bytes());
    Ok((BASE64_URL_SAFE_NO_PAD.encode(&id.as_bytes()[..12]), der.as_bytes().to_vec()))
}

/// The keys that sign and verify.
pub(super) struct Keys {
    signing_id: String,
    signing: EncodingKey,
    verifying: HashMap<String, DecodingKey>,
    published: serde_json::Value,
}

impl Keys {
    /// From `(key id, PKCS#8 DER)`, newest first; the newest signs.
    pub(super) fn new(keys: &[(String, Vec<u8>)]) -> anyhow::Result<Self> {
        let (signing_id, newest) = keys.first().context("there is no signing key")?;
        let mut verifying = HashMap::new();
        let mut published = Vec::new();
        for (id, der) in keys {
            let key = SigningKey::from_pkcs8_der(der).map_err(|error| anyhow::anyhow!("signing key {id}: {error}"))?;
            let x = BASE64_URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
            verifying.insert(id.clone(), DecodingKey::from_ed_components(&x)?);
            published.push(json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id, "x": x }));
        }
        Ok(Self {
            signing_id: signing_id.clone(),
            signing: EncodingKey::from_ed_der(newest),
            verifying,
            published: json!({ "keys": published }),
        })
    }

    /// The public keys, as a JSON Web Key Set (RFC 7517, RFC 8037).
    pub(super) fn published(&self) -> serde_json::Value {
        self.published.clone()
    }

    pub(super) fn sign(&self, claims: &Claims) -> anyhow::Result<String> {
        let header = Header { kid: Some(self.signing_id.clone()), ..Header::new(Algorithm::EdDSA) };
        Ok(jsonwebtoken::encode(&header, claims, &self.signing)?)
    }

    /// Whether a token names a key that is not among them.
    pub(super) fn lack_key_of(&self, token: &str) -> bool {
        let named = if token.len() > LONGEST { None } else { jsonwebtoken::decode_header(token).ok() };
        named.and_then(|header| header.kid).is_some_and(|id| !self.verifying.contains_key(&id))
    }

    /// The claims of a token that one of the keys signed and that has not expired.
    pub(super) fn verify(&self, token: &str, now: DateTime<Utc>) -> Option<Claims> {
        if token.len() > LONGEST {
            return None;
        }
        let key = self.verifying.get(&jsonwebtoken::decode_header(token).ok()?.kid?)?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[OWN_ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        // The crate would ask the machine's clock; below is the same rule with ours.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &validation).ok()?.claims;
        (now.timestamp() < claims.exp).then_some(claims)
    }
}

/// A refresh token: 32 random bytes.
pub(super) fn new_refresh_token(entropy: &Entropy) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(entropy.bytes::<32>())
}

/// What is kept of a refresh token.
pub(super) fn refresh_hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::PatientId;
    use chrono::TimeDelta;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).unwrap()
    }

    fn claims() -> Claims {
        let role = Role::Patient(PatientId::new("p").unwrap());
        Claims::new("account", "p@example.org", "session", &role, now(), now() + TimeDelta::minutes(15))
    }

    fn keys(seed: u64) -> Keys {
        Keys::new(&[new_key(&Entropy::from_seed(seed)).unwrap()]).unwrap()
    }

    #[test]
    fn a_signed_token_is_verified_until_it_expires() {
        let keys = keys(1);
        let token = keys.sign(&claims()).unwrap();
        assert_eq!(keys.verify(&token, now()), Some(claims()));
        assert_eq!(keys.verify(&token, now() + TimeDelta::seconds(899)), Some(claims()));
        assert_eq!(keys.verify(&token, now() + TimeDelta::seconds(900)), None);
    }

    #[test]
    fn an_older_key_still_verifies() {
        let (old, new) = (new_key(&Entropy::from_seed(1)).unwrap(), new_key(&Entropy::from_seed(2)).unwrap());
        let token = Keys::new(std::slice::from_ref(&old)).unwrap().sign(&claims()).unwrap();
        assert!(Keys::new(&[new, old]).unwrap().verify(&token, now()).is_some());
    }

    #[test]
    fn a_token_of_another_key_is_none() {
        let other = keys(2).sign(&claims()).unwrap();
        assert_eq!(keys(1).verify(&other, now()), None);
        // Also where it names our key.
        let ours = keys(1);
        let header = Header { kid: Some(ours.signing_id.clone()), ..Header::new(Algorithm::EdDSA) };
        let forged = jsonwebtoken::encode(&header, &claims(), &keys(2).signing).unwrap();
        assert_eq!(ours.verify(&forged, now()), None);
    }

    #[test]
    fn a_token_without_signature_or_with_another_algorithm_is_none() {
        let keys = keys(1);
        let token = keys.sign(&claims()).unwrap();
        let payload = token.split('.').nth(1).unwrap();
        for alg in ["none", "None", "HS256", "RS256"] {
            let header = BASE64_URL_SAFE_NO_PAD
                .encode(json!({ "alg": alg, "typ": "JWT", "kid": keys.signing_id }).to_string().as_bytes());
            let signature = token.split('.').nth(2).unwrap();
            assert_eq!(keys.verify(&format!("{header}.{payload}."), now()), None, "{alg}");
            assert_eq!(keys.verify(&format!("{header}.{payload}.{signature}"), now()), None, "{alg}");
        }
        // The public key as the secret of a symmetric algorithm.
        let x = keys.published["keys"][0]["x"].as_str().unwrap().to_owned();
        let header = Header { kid: Some(keys.signing_id.clone()), ..Header::new(Algorithm::HS256) };
        let forged = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(x.as_bytes())).unwrap();
        assert_eq!(keys.verify(&forged, now()), None);
    }

    #[test]
    fn a_changed_token_another_issuer_or_no_key_id_is_none() {
        let keys = keys(1);
        let other_issuer = Claims { iss: "other".into(), ..claims() };
        assert_eq!(keys.verify(&keys.sign(&other_issuer).unwrap(), now()), None);
        let admin = Claims { user_type: "admin".into(), ..claims() };
        let (token, changed) = (keys.sign(&claims()).unwrap(), keys.sign(&admin).unwrap());
        let mixed: Vec<_> =
            [&changed, &changed, &token].iter().enumerate().filter_map(|(i, t)| t.split('.').nth(i)).collect();
        assert_eq!(keys.verify(&mixed.join("."), now()), None);
        let anonymous = jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), &claims(), &keys.signing).unwrap();
        assert_eq!(keys.verify(&anonymous, now()), None);
        for junk in ["", ".", "..", "a.b.c", "Bearer", &"x".repeat(5_000)] {
            assert_eq!(keys.verify(junk, now()), None);
        }
    }
}
