//! A token as it came, taken apart and not believed.

use crate::actors::provider_keys::{ALGORITHMS, LONGEST_KEY_ID};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Bytes of the longest token that is looked at.
const LONGEST: usize = 8_192;
/// Parts of a header that would have a verifier take a key or a rule from the token itself (RFC 7515, section 4.1).
const NEVER: [&str; 6] = ["jku", "jwk", "x5u", "x5c", "crit", "b64"];

/// A token.
#[derive(Debug)]
pub(in super::super) struct Token<'t> {
    header: Map<String, Value>,
    /// What it says.
    pub(super) claims: Map<String, Value>,
    /// What is signed.
    pub(super) message: &'t [u8],
    /// By which it is signed, base64url.
    pub(super) signature: &'t str,
}

/// The key that a token says it is signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NamedKey<'t> {
    /// Which.
    pub(super) id: &'t str,
    /// With which algorithm, one of those that a key may have.
    pub(super) algorithm: &'t str,
}

impl<'t> Token<'t> {
    /// Three parts, of which the first two are JSON objects.
    pub(super) fn read(text: &'t str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (message, signature) = text.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let token = Self { header: object(header)?, claims: object(claims)?, message: message.as_bytes(), signature };
        (!signature.is_empty()).then_some(token)
    }

    /// Who says to have issued it.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }

    /// The key that it names; none where it names none that could be right.
    pub(super) fn key(&self) -> Option<NamedKey<'_>> {
        if NEVER.iter().any(|part| self.header.contains_key(*part)) {
            return None;
        }
        let (id, algorithm) = (self.header.get("kid")?.as_str()?, self.header.get("alg")?.as_str()?);
        let sane = !id.is_empty() && id.len() <= LONGEST_KEY_ID && id.bytes().all(|byte| byte.is_ascii_graphic());
        (sane && ALGORITHMS.contains(&algorithm)).then_some(NamedKey { id, algorithm })
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn encoded(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(header), part(claims))
    }

    #[test]
    fn a_token_is_three_parts() {
        let text = encoded(&json!({ "kid": "k", "alg": "RS256" }), &json!({ "iss": "i" }));
        let token = Token::read(&text).unwrap();
        assert_eq!(token.issuer(), Some("i"));
        assert_eq!(token.key(), Some(NamedKey { id: "k", algorithm: "RS256" }));
        assert_eq!([token.message, b".", token.signature.as_bytes()].concat(), text.as_bytes());
        let long = encoded(&json!({}), &json!({ "iss": "i".repeat(LONGEST) }));
        let unsigned = text.trim_end_matches("c2ln");
        let four = format!("{text}.c2ln");
        for bad in ["", "..", "a.b.c", &text[1..], unsigned, &four, &long] {
            assert!(Token::read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_header_that_brings_its_own_key_or_rule_names_none() {
        for (part, value) in [
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("alg", json!(["RS256"])),
            ("kid", json!("")),
            ("kid", json!("a b")),
            ("kid", json!("k".repeat(LONGEST_KEY_ID + 1))),
            ("kid", json!(null)),
            ("jku", json!("https://evil.example/keys")),
            ("jwk", json!({ "kty": "RSA" })),
            ("x5u", json!("https://evil.example/cert")),
            ("x5c", json!([])),
            ("crit", json!(["exp"])),
        ] {
            let mut header = json!({ "kid": "k", "alg": "RS256" });
            header[part] = value;
            let text = encoded(&header, &json!({}));
            assert_eq!(Token::read(&text).unwrap().key(), None, "{header}");
        }
    }
}
