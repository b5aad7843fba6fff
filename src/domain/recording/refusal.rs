//! Why a document is no recording.

use std::fmt;

/// What kind of rule was broken: decides how the answer is classed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// It cannot be read at all: not JSON, a broken encoding, cut short.
    Malformed,
    /// Over a limit of size.
    TooLarge,
    /// A content type or encoding that is not spoken here.
    UnsupportedType,
    /// It can be read, and breaks a rule of the recording format.
    Rule,
}

/// A refusal: a stable code, and where in the document the rule is broken. Holds no value of the document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// What kind.
    pub kind: RefusalKind,
    /// Stable, `snake_case`; docs/UPLOADS.md lists them.
    pub code: &'static str,
    /// JSON pointer to the key, or to the sample of a key: `/ax/17`.
    pub pointer: Option<String>,
    /// For a person.
    pub detail: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl Refusal {
    /// A document that cannot be read.
    #[must_use]
    pub fn malformed(code: &'static str, detail: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Malformed, code, pointer: None, detail: detail.into() }
    }

    /// A body over a limit.
    #[must_use]
    pub fn too_large(limit: u64) -> Self {
        Self {
            kind: RefusalKind::TooLarge,
            code: "body_too_large",
            pointer: None,
            detail: format!("the body is larger than {limit} bytes, decoded"),
        }
    }

    /// A content type or encoding that is not spoken here.
    #[must_use]
    pub fn unsupported(code: &'static str, detail: impl Into<String>) -> Self {
        Self { kind: RefusalKind::UnsupportedType, code, pointer: None, detail: detail.into() }
    }

    /// A rule broken by a key's value.
    #[must_use]
    pub fn key(code: &'static str, key: &str, detail: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Rule, code, pointer: Some(format!("/{key}")), detail: detail.into() }
    }

    /// A rule broken by one sample of a key's array.
    #[must_use]
    pub fn sample(code: &'static str, key: &str, index: usize, detail: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Rule, code, pointer: Some(format!("/{key}/{index}")), detail: detail.into() }
    }
}
