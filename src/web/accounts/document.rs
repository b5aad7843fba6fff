//! An account, as its owner and an admin see it.

use crate::domain::access::Role;
use crate::storage::database::Account;
use chrono::SecondsFormat;
use serde::Serialize;

/// Absent parts are null.
#[derive(Debug, Serialize)]
pub(super) struct AccountDocument {
    account_id: String,
    email: String,
    role: &'static str,
    patient_id: Option<String>,
    care_provider_id: Option<String>,
    email_confirmed: bool,
    second_factor: bool,
    created_at: String,
}

impl From<&Account> for AccountDocument {
    fn from(account: &Account) -> Self {
        let (patient_id, care_provider_id) = match &account.role {
            Role::Patient(id) => (Some(id.to_string()), None),
            Role::CareProvider(id) => (None, Some(id.to_string())),
            Role::Admin => (None, None),
        };
        Self {
            account_id: account.id.to_string(),
            email: account.email.clone(),
            role: account.role.name(),
            patient_id,
            care_provider_id,
            email_confirmed: account.confirmed,
            second_factor: account.second_factor,
            created_at: account.created_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        }
    }
}
