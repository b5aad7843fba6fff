//! Links to one object: a text that says which, until when, and that it was made here.

use super::ids::{PatientId, TestEventId};
use chrono::{DateTime, Utc};
use std::fmt;

/// Keeps these keys apart from all others that may be made of the same secret.
const CONTEXT: &str = "stance 2026-11 links to objects";
/// Bytes of the longest token: a kind, a time, an id, a digest, a code and the points between them.
const LONGEST: usize = 160;
/// Letters of the digest of whose object it is.
const WHOSE: usize = 32;

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linked {
    /// A test event's recording as CSV.
    Csv,
    /// A test event's report as PDF.
    Report,
}

impl Linked {
    /// The ending of the object's name.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Report => "pdf",
        }
    }

    /// The media type of the object.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Report => "application/pdf",
        }
    }

    /// Whether a browser shows it or saves it, and under which name (RFC 6266). Nothing about the patient is in it.
    #[must_use]
    pub fn disposition(self, id: TestEventId) -> String {
        let how = match self {
            Self::Csv => "attachment",
            Self::Report => "inline",
        };
        format!("{how}; filename=\"test_event_{id}.{}\"", self.ending())
    }
}

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified<'a> {
    /// What it leads to.
    pub linked: Linked,
    /// Of which event.
    pub id: TestEventId,
    whose: &'a str,
}

/// Signs and checks the tokens of links.
#[derive(Clone)]
pub struct LinkKey([u8; 32]);

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey")
    }
}

impl LinkKey {
    /// The key that is made of a secret.
    #[must_use]
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key(CONTEXT, secret))
    }

    /// A token for one object of that patient's, good before `until`, to the second. It is safe in a path.
    #[must_use]
    pub fn sign(&self, linked: Linked, id: TestEventId, patient: &PatientId, until: DateTime<Utc>) -> String {
        let text = format!("{}.{}.{id}.{}", linked.ending(), until.timestamp(), self.whose(patient));
        let code = self.code(&text);
        format!("{text}.{}", code.to_hex())
    }

    /// What the token leads to, where it was signed with this key and is still good, and if it is [`LinkKey::is_of`] its
    /// patient.
    #[must_use]
    pub fn verify<'a>(&self, token: &'a str, now: DateTime<Utc>) -> Option<Verified<'a>> {
        if token.len() > LONGEST {
            return None;
        }
        let (text, code) = token.rsplit_once('.')?;
        // Hashes are compared in constant time.
        if blake3::Hash::from_hex(code).ok()? != self.code(text) {
            return None;
        }
        let mut parts = text.splitn(4, '.');
        let linked = match parts.next()? {
            "csv" => Linked::Csv,
            "pdf" => Linked::Report,
            _ => return None,
        };
        let until: i64 = parts.next()?.parse().ok()?;
        let id = parts.next()?.parse().ok()?;
        let whose = parts.next()?;
        (now.timestamp() < until).then_some(Verified { linked, id, whose })
    }

    /// Whether the token is of an object of that patient's: an id that was deleted may come again as another's.
    #[must_use]
    pub fn is_of(&self, verified: &Verified<'_>, patient: &PatientId) -> bool {
        self.whose(patient) == verified.whose
    }

    /// Says nothing of the patient to who has no key.
    fn whose(&self, patient: &PatientId) -> String {
        self.code(&format!("whose {patient}")).to_hex().chars().take(WHOSE).collect()
    }

    fn code(&self, text: &str) -> blake3::Hash {
        blake3::keyed_hash(&self.0, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600 + seconds, 0).unwrap()
    }

    fn id() -> TestEventId {
        "7a96f43b-53d5-45e6-9bd4-5318036dae55".parse().unwrap()
    }

    fn ann() -> PatientId {
        PatientId::new("ann").unwrap()
    }

    #[test]
    fn a_token_leads_to_one_object_until_it_ends() {
        let key = LinkKey::derive(&[7; 32]);
        for linked in [Linked::Csv, Linked::Report] {
            let token = key.sign(linked, id(), &ann(), at(300));
            let verified = key.verify(&token, at(299)).unwrap();
            assert_eq!((verified.linked, verified.id), (linked, id()));
            assert!(key.is_of(&verified, &ann()) && !key.is_of(&verified, &PatientId::new("bob").unwrap()));
            assert!(!token.contains("ann"));
            assert_eq!(key.verify(&token, at(300)), None);
            assert_eq!(LinkKey::derive(&[8; 32]).verify(&token, at(0)), None);
        }
    }

    #[test]
    fn nothing_of_a_token_can_be_changed() {
        let key = LinkKey::derive(&[7; 32]);
        let token = key.sign(Linked::Csv, id(), &ann(), at(300));
        assert!(token.len() <= LONGEST);
        let bent = [
            token.replacen("csv", "pdf", 1),
            token.replacen("17672259", "27672259", 1),
            token.replacen("7a96", "7a97", 1),
            token.to_uppercase(),
            format!("{token} "),
            format!(" {token}"),
            token.trim_end_matches(|c: char| c.is_ascii_hexdigit()).to_owned(),
            format!("../{token}"),
            "x".repeat(10_000),
            String::new(),
        ];
        for token in bent {
            assert_eq!(key.verify(&token, at(0)), None, "{token}");
        }
    }

    proptest! {
        #[test]
        fn what_was_not_signed_leads_nowhere(token in "\\PC{0,200}") {
            prop_assert_eq!(LinkKey::derive(&[7; 32]).verify(&token, at(0)), None);
        }
    }
}
