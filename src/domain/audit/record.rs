//! What a row of the record says, and its digest.

use super::Link;
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;

/// First field of what is hashed: another encoding gets another name.
const ENCODING: &str = "stance-audit-1";

/// One row of the record, as it is kept: text, so that a row that was tampered with can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When, in whole microseconds.
    pub at: DateTime<Utc>,
    /// `patient`, `care_provider`, `admin`, `operator`, `bucket` or `nobody`.
    pub role: Cow<'static, str>,
    /// Whose account.
    pub account: Option<String>,
    /// Which patient or care provider that account is; an operator's user name.
    pub acting_as: Option<String>,
    /// What was asked for.
    pub operation: Cow<'static, str>,
    /// Whose data it is about.
    pub patients: Vec<String>,
    /// Which test event.
    pub test_event: Option<String>,
    /// Which care provider it is about.
    pub care_provider: Option<String>,
    /// The client's address.
    pub address: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// An [`Outcome`]'s name.
    pub result: Cow<'static, str>,
    /// More in a few words.
    pub detail: Option<String>,
}

impl Record {
    /// The hash of what it says.
    #[must_use]
    pub fn digest(&self) -> Link {
        let mut hash = Sha256::new();
        let mut field = |text: Option<&str>| match text {
            Some(text) => {
                hash.update(u32::try_from(text.len()).unwrap_or(u32::MAX - 1).to_be_bytes());
                hash.update(text);
            }
            None => hash.update(u32::MAX.to_be_bytes()),
        };
        field(Some(ENCODING));
        field(Some(&self.at.timestamp_micros().to_string()));
        field(Some(&self.role));
        field(self.account.as_deref());
        field(self.acting_as.as_deref());
        field(Some(&self.operation));
        field(Some(&self.patients.len().to_string()));
        for patient in &self.patients {
            field(Some(patient));
        }
        field(self.test_event.as_deref());
        field(self.care_provider.as_deref());
        field(self.address.as_deref());
        field(self.request_id.as_deref());
        field(Some(&self.result));
        field(self.detail.as_deref());
        Link(hash.finalize().into())
    }
}
