//! An SMTP server (aiosmtpd) that keeps what it is given, and refuses what a test wants refused: mails to `refused…` for good, the
//! first two to `later…` for now.

use crate::s3::python;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// The user who may send, and their password.
pub const CREDENTIALS: (&str, &str) = ("stance", "smtp-secret");

const SERVE: &str = r#"
import asyncio, datetime, json, ssl, sys
from pathlib import Path
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

security, folder = sys.argv[1], Path(sys.argv[2])

def certificate(name, issuer, issuer_key, key, authority):
    now = datetime.datetime.now(datetime.timezone.utc)
    named = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    builder = x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(issuer)).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())

def context():
    pem = serialization.Encoding.PEM
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = certificate("test authority", "test authority", authority_key, authority_key, True)
    server = certificate("localhost", "test authority", authority_key, key, False)
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(server.public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.key").write_bytes(private)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(folder / "server.pem", folder / "server.key")
    return made

class Keep:
    delayed = 0
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refused"):
            return "550 5.1.1 no such user " + address
        if address.startswith("later") and Keep.delayed < 2:
            Keep.delayed += 1
            return "451 4.3.0 try again"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({
            "from": envelope.mail_from, "to": envelope.rcpt_tos, "content": envelope.content.decode(),
            "tls": session.ssl is not None or security == "tls", "user": session.auth_data and session.auth_data.login.decode(),
        }), flush=True)
        return "250 OK"

def may(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"stance", b"smtp-secret"), auth_data=data)

async def main():
    tls = context() if security != "none" else None
    def protocol():
        if security == "none":
            return SMTP(Keep(), hostname="localhost")
        starttls = {"tls_context": tls, "require_starttls": True} if security == "starttls" else {"auth_require_tls": False}
        return SMTP(Keep(), hostname="localhost", authenticator=may, auth_required=True, **starttls)
    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", 0, ssl=tls if security == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"#;

/// The server. Dropped, it stops.
#[derive(Debug)]
pub struct MailServer {
    process: Child,
    port: u16,
    mails: Arc<Mutex<Vec<Value>>>,
    folder: TempDir,
}

impl MailServer {
    /// Starts it; `security` is `none`, `starttls` or `tls`, as in the program's configuration.
    ///
    /// # Panics
    /// When it cannot be installed or started.
    #[must_use]
    pub fn start(security: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(python().unwrap())
            .args(["-c", SERVE, security])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        let mails = Arc::<Mutex<Vec<Value>>>::default();
        let kept = mails.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                kept.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Self { process, port, mails, folder }
    }

    /// Where it listens on this machine.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the authority that vouches for it.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What it was given for that recipient, in order.
    ///
    /// # Panics
    /// Where its reader panicked.
    #[must_use]
    pub fn mails_to(&self, recipient: &str) -> Vec<Value> {
        let mails = self.mails.lock().unwrap();
        mails.iter().filter(|mail| mail["to"].as_array().unwrap().iter().any(|to| to == recipient)).cloned().collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
