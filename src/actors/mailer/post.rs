//! How a mail leaves: to an SMTP server, or printed where things are tried out.

use crate::config::{MailConfig, MailDelivery, MailSecurity, seconds};
use crate::storage::database::Purpose;
use anyhow::Context;
use chrono::{DateTime, Utc};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::io::Write;
use uuid::Uuid;

/// A mail with its code.
pub(super) struct Letter<'a> {
    /// Which, this attempt included: no two have one id.
    pub(super) id: Uuid,
    /// To whom.
    pub(super) recipient: &'a str,
    /// What the code is for.
    pub(super) purpose: Purpose,
    /// The code.
    pub(super) code: &'a str,
    /// Minutes that it holds.
    pub(super) minutes: u64,
    /// When it is written.
    pub(super) at: DateTime<Utc>,
}

/// Why a mail was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotSent {
    /// It never will be: the server says so, or nobody can be written to there.
    #[error("refused for good: {0:#}")]
    Refused(anyhow::Error),
    /// Perhaps later.
    #[error("not for now: {0:#}")]
    Unavailable(anyhow::Error),
}

impl Letter<'_> {
    fn subject(&self) -> &'static str {
        match self.purpose {
            Purpose::Confirm => "Confirm your e-mail address",
            Purpose::Reset => "Your code for a new password",
        }
    }

    fn text(&self) -> String {
        let asked = match self.purpose {
            Purpose::Confirm => {
                "An account was made with this e-mail address. To confirm that it is yours, enter this code:"
            }
            Purpose::Reset => {
                "Somebody asked for a new password for the account with this e-mail address. To set it, enter this code:"
            }
        };
        format!(
            "{asked}\r\n\r\n    {}\r\n\r\nIt holds for {} minutes, and once. If that was not you, there is nothing to do: without \
             the code nothing changes.\r\n",
            self.code, self.minutes
        )
    }
}

/// Gives the mail away.
pub(super) async fn send(config: &MailConfig, letter: &Letter<'_>) -> Result<(), NotSent> {
    match config.delivery {
        MailDelivery::Print => print(letter).map_err(|error| NotSent::Unavailable(error.into())),
        MailDelivery::Smtp => {
            let message = message(config, letter).map_err(NotSent::Refused)?;
            let server = server(config).map_err(NotSent::Unavailable)?;
            match tokio::time::timeout(seconds(config.timeout_seconds), server.send(message)).await {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) if error.is_permanent() => Err(NotSent::Refused(described(error))),
                Ok(Err(error)) => Err(NotSent::Unavailable(described(error))),
                Err(_) => Err(NotSent::Unavailable(anyhow::anyhow!("the server took too long"))),
            }
        }
    }
}

/// For the log: a server's sentence may name the recipient, so that of its answer only the code is kept.
fn described(error: lettre::transport::smtp::Error) -> anyhow::Error {
    match error.status() {
        Some(code) => anyhow::anyhow!("the server answered {code}"),
        None => error.into(),
    }
}

fn print(letter: &Letter<'_>) -> std::io::Result<()> {
    let (recipient, subject) = (letter.recipient, letter.subject());
    let mail = format!("--- mail to {recipient}\n{subject}\n\n{}---\n", letter.text().replace("\r\n", "\n"));
    std::io::stderr().write_all(mail.as_bytes())
}

fn message(config: &MailConfig, letter: &Letter<'_>) -> anyhow::Result<Message> {
    let from: Mailbox = config.from.as_deref().context("mail.from is missing")?.parse()?;
    let to: Address = letter.recipient.parse().context("the recipient is no address")?;
    let id = format!("<{}@{}>", letter.id, from.email.domain());
    let message = Message::builder()
        .from(from)
        .to(Mailbox::new(None, to))
        .subject(letter.subject())
        .date(letter.at.into())
        .message_id(Some(id))
        .header(ContentType::TEXT_PLAIN);
    Ok(message.body(letter.text())?)
}

/// A connection a mail: there are few, and a server that was restarted leaves none behind that is dead.
fn server(config: &MailConfig) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let host = config.server.as_deref().context("mail.server is missing")?;
    let (tls, usual_port) = match config.security {
        MailSecurity::None => (Tls::None, 25),
        MailSecurity::Starttls => (Tls::Required(tls(config, host)?), 587),
        MailSecurity::Tls => (Tls::Wrapper(tls(config, host)?), 465),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
        .port(config.port.unwrap_or(usual_port))
        .timeout(Some(seconds(config.timeout_seconds)))
        .tls(tls);
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
    }
    Ok(builder.build())
}

fn tls(config: &MailConfig, host: &str) -> anyhow::Result<TlsParameters> {
    let mut parameters = TlsParameters::builder(host.to_owned());
    if let Some(path) = &config.ca_file {
        let certificate = std::fs::read(path).context("mail.ca_file cannot be read")?;
        parameters = parameters.add_root_certificate(Certificate::from_pem(&certificate).context("mail.ca_file")?);
    }
    Ok(parameters.build()?)
}
