//! The rules of `mail.*`: how codes reach the owners of accounts.

use super::ConfigError;
use super::check::not_allowed;
use super::sections::section;
use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// What becomes of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailDelivery {
    /// It is printed to standard error: for trying things out.
    Print,
    /// It is given to an SMTP server.
    Smtp,
}

/// How the way to the SMTP server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS; without it nothing is said.
    Starttls,
    /// Not at all; only to a server on this machine.
    None,
}

section!(
    /// Mails.
    MailConfig {
        /// `print` (to standard error) or `smtp`.
        delivery: MailDelivery = MailDelivery::Print,
        /// Host of the SMTP server.
        server: Option<String> = None,
        /// Its port; none: 465 with `tls`, 587 with `starttls`, 25 with `none`.
        port: Option<u16> = None,
        /// `starttls`, `tls`, or `none` to a server on this machine.
        security: MailSecurity = MailSecurity::Starttls,
        /// Certificate (PEM) of an authority that vouches for the server besides the usual ones.
        ca_file: Option<PathBuf> = None,
        /// Who signs in at the server; none: nobody does.
        user: Option<String> = None,
        /// That user's password.
        password: Option<String> = None,
        /// Address that mails come from, such as `Clinic <no-reply@example.org>`.
        from: Option<String> = None,
        /// Seconds that the server may take.
        timeout_seconds: u64 = 20,
        /// Attempts before a mail is given up.
        max_attempts: i64 = 8,
        /// Mails sent at once.
        at_once: u32 = 4,
        /// Seconds between two looks for mails that became due or that another process noted.
        tick_seconds: u64 = 5,
    }
);

impl MailConfig {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let least = [
            ("mail.timeout_seconds", self.timeout_seconds),
            ("mail.max_attempts", self.max_attempts.max(0).unsigned_abs()),
            ("mail.at_once", self.at_once.into()),
            ("mail.tick_seconds", self.tick_seconds),
        ];
        for (key, value) in least {
            if value == 0 {
                not_allowed(key, "must be at least 1")?;
            }
        }
        if self.delivery == MailDelivery::Print {
            return Ok(());
        }
        let Some(server) = self.server.as_deref().filter(|server| !server.is_empty()) else {
            return not_allowed("mail.server", "is needed with mail.delivery = \"smtp\"");
        };
        if self.security == MailSecurity::None && !is_this_machine(server) {
            not_allowed("mail.security", "may be none only to a server on this machine: mails hold codes")?;
        }
        if self.from.as_ref().is_none_or(|from| from.parse::<Mailbox>().is_err()) {
            not_allowed("mail.from", "must be an address such as Clinic <no-reply@example.org>")?;
        }
        if self.user.is_some() != self.password.is_some() {
            not_allowed("mail.password", "goes with mail.user")?;
        }
        if let Some(path) = &self.ca_file
            && let Err(error) = std::fs::read(path)
        {
            not_allowed("mail.ca_file", &format!("cannot be read: {error}"))?;
        }
        Ok(())
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_needs_a_sender_and_a_secured_way() {
        let good = MailConfig {
            delivery: MailDelivery::Smtp,
            server: Some("smtp.example.org".into()),
            from: Some("Clinic <no-reply@example.org>".into()),
            ..MailConfig::default()
        };
        assert!(good.check().is_ok() && MailConfig::default().check().is_ok());
        let local = MailConfig { server: Some("127.0.0.1".into()), security: MailSecurity::None, ..good.clone() };
        assert!(local.check().is_ok());
        for (bad, key) in [
            (MailConfig { server: None, ..good.clone() }, "mail.server"),
            (MailConfig { from: Some("nobody".into()), ..good.clone() }, "mail.from"),
            (MailConfig { security: MailSecurity::None, ..good.clone() }, "mail.security"),
            (MailConfig { user: Some("u".into()), ..good.clone() }, "mail.password"),
            (MailConfig { ca_file: Some("/nowhere.pem".into()), ..good.clone() }, "mail.ca_file"),
            (MailConfig { at_once: 0, ..good }, "mail.at_once"),
        ] {
            let refused = bad.check().unwrap_err().to_string();
            assert!(refused.starts_with(key), "{refused}");
        }
    }
}
