//! The public keys of an identity provider, read from its JSON Web Key Set (RFC 7517, RFC 7518, RFC 8037).
//!
//! A key verifies with the one algorithm that its type has here. What a token's header says can choose none but that:
//! neither none at all nor a symmetric one whose secret would be the public key.

use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Keys of a set that are looked at.
const MOST_KEYS: usize = 64;
/// Characters of the longest key id.
pub const LONGEST_KEY_ID: usize = 256;
/// Characters of an RSA modulus in base64url: 2,048 to 8,192 bits, as the verifier takes them.
const RSA_MODULUS: std::ops::RangeInclusive<usize> = 342..=1_366;

/// A key.
#[derive(Clone)]
pub struct ProviderKey {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl fmt::Debug for ProviderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl ProviderKey {
    /// Whether it made the signature (base64url) of the message, with the algorithm that a token names.
    #[must_use]
    pub fn verifies(&self, algorithm: &str, message: &[u8], signature: &str) -> bool {
        name(self.algorithm) == Some(algorithm)
            && crypto::verify(signature, message, &self.key, self.algorithm).unwrap_or(false)
    }
}

/// The algorithms that a key may have.
pub const ALGORITHMS: [&str; 3] = ["RS256", "ES256", "EdDSA"];

fn name(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::RS256 => Some("RS256"),
        Algorithm::ES256 => Some("ES256"),
        Algorithm::EdDSA => Some("EdDSA"),
        Algorithm::HS256
        | Algorithm::HS384
        | Algorithm::HS512
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::ES384
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512 => None,
    }
}

/// Keys by their ids.
#[derive(Debug, Clone, Default)]
pub struct KeySet(HashMap<String, Arc<ProviderKey>>);

/// A document that gives no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnusableKeySet {
    /// It is no key set.
    #[error("the document is no JSON Web Key Set")]
    NoKeySet,
    /// It has none that can verify.
    #[error("the key set has no key that can be used")]
    NoKey,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    r#use: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// The keys of a document that can be used; others are passed over. Of two with one id, neither can.
    ///
    /// # Errors
    /// [`UnusableKeySet`] when there is none.
    pub fn read(document: &[u8]) -> Result<Self, UnusableKeySet> {
        let document: Document = serde_json::from_slice(document).map_err(|_| UnusableKeySet::NoKeySet)?;
        let mut keys: HashMap<String, Option<Arc<ProviderKey>>> = HashMap::new();
        for key in document.keys.into_iter().take(MOST_KEYS) {
            let Some((id, key)) = serde_json::from_value(key).ok().and_then(usable) else { continue };
            keys.entry(id).and_modify(|known| *known = None).or_insert_with(|| Some(Arc::new(key)));
        }
        let keys: HashMap<_, _> = keys.into_iter().filter_map(|(id, key)| Some((id, key?))).collect();
        if keys.is_empty() { Err(UnusableKeySet::NoKey) } else { Ok(Self(keys)) }
    }

    /// The key of that id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<ProviderKey>> {
        self.0.get(id).cloned()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn usable(key: Jwk) -> Option<(String, ProviderKey)> {
    let id = key.kid.filter(|id| !id.is_empty() && id.len() <= LONGEST_KEY_ID)?;
    let signs = key.r#use.as_deref().is_none_or(|for_what| for_what == "sig")
        && key.key_ops.is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    let (algorithm, made) = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", None) => {
            let modulus = key.n.filter(|n| RSA_MODULUS.contains(&n.len()))?;
            (Algorithm::RS256, DecodingKey::from_rsa_components(&modulus, key.e.as_deref()?))
        }
        ("EC", Some("P-256")) => {
            (Algorithm::ES256, DecodingKey::from_ec_components(key.x.as_deref()?, key.y.as_deref()?))
        }
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, DecodingKey::from_ed_components(key.x.as_deref()?)),
        _ => return None,
    };
    let pinned = key.alg.is_none_or(|named| name(algorithm) == Some(named.as_str()));
    (signs && pinned).then_some((id, ProviderKey { algorithm, key: made.ok()? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 8037, appendix A.2 and A.4.
    const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const SIGNED: (&str, &str) = (
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    /// RFC 7515, appendix A.3.
    const P256: (&str, &str) =
        ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");

    fn read(keys: Value) -> Result<KeySet, UnusableKeySet> {
        KeySet::read(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn a_key_verifies_what_it_signed_with_its_algorithm_only() {
        let set = read(json!([{ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": ED25519_X }])).unwrap();
        let key = set.get("a").unwrap();
        assert!(key.verifies("EdDSA", SIGNED.0.as_bytes(), SIGNED.1));
        for algorithm in ["none", "HS256", "RS256", "ES256", "eddsa", ""] {
            assert!(!key.verifies(algorithm, SIGNED.0.as_bytes(), SIGNED.1), "{algorithm}");
        }
        assert!(!key.verifies("EdDSA", SIGNED.0.as_bytes(), ""));
        assert!(!key.verifies("EdDSA", b"another", SIGNED.1));
    }

    #[test]
    fn keys_that_cannot_verify_are_passed_over() {
        let good = json!({ "kty": "EC", "crv": "P-256", "kid": "good", "x": P256.0, "y": P256.1, "alg": "ES256" });
        let with = |key: &str, value: Value| {
            let mut bent = good.clone();
            bent[key] = value;
            bent["kid"] = json!("bad");
            bent
        };
        let set = read(json!([
            good,
            { "kty": "oct", "kid": "secret", "k": "c2VjcmV0" },
            { "kty": "RSA", "kid": "short", "n": "AQAB", "e": "AQAB" },
            "no key",
            with("use", json!("enc")),
            with("alg", json!("HS256")),
            with("crv", json!("P-521")),
            with("key_ops", json!(["encrypt"])),
            { "kty": "EC", "crv": "P-256", "x": P256.0, "y": P256.1 },
        ]))
        .unwrap();
        assert_eq!(set.len(), 1);
        assert!(set.get("good").is_some());
    }

    #[test]
    fn two_keys_of_one_id_are_none() {
        let key = |kid: &str| json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": ED25519_X });
        let set = read(json!([key("a"), key("b"), key("a")])).unwrap();
        assert!(set.get("a").is_none() && set.get("b").is_some());
        assert_eq!(read(json!([key("a"), key("a")])).unwrap_err(), UnusableKeySet::NoKey);
        assert_eq!(read(json!([])).unwrap_err(), UnusableKeySet::NoKey);
        assert_eq!(KeySet::read(b"<html>").unwrap_err(), UnusableKeySet::NoKeySet);
    }
}
