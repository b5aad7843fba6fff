//! Two independent servers that speak S3: moto (Python, one process for all tests of a run) and s3s-fs (in the test's own
//! process, checks signatures).

use crate::python;
use crate::shared::{Shared, Started};
use anyhow::Context;
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use std::fs::{self, File};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The access key that both servers take; moto takes any.
pub const ACCESS_KEY: &str = "test-access-key";
/// Its secret.
pub const SECRET_KEY: &str = "test-secret-key";

/// What is installed from PyPI.
const PACKAGES: [&str; 2] = ["moto[server]==5.2.5", "aiosmtpd==1.4.6"];
/// Starts it. It looks whether a key is there and then writes, in two steps: here one request that changes something is
/// done at a time, so that a conditional write is one step, as S3 promises. Who waits for messages of a queue does so
/// beside the others.
const LAUNCH: &str = r#"
import sys, threading
from werkzeug.serving import run_simple
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
application, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()
def in_turn(environ, start_response):
    waits = environ.get("HTTP_X_AMZ_TARGET") == "AmazonSQS.ReceiveMessage"
    if waits or environ["REQUEST_METHOD"] in ("GET", "HEAD"):
        return application(environ, start_response)
    with turn:
        return application(environ, start_response)
run_simple("127.0.0.1", int(sys.argv[1]), in_turn, threaded=True, request_handler=MotoRequestHandler)
"#;
/// Longest wait for a server to answer.
const START: Duration = Duration::from_secs(60);

/// The moto server of this run; [`Shared::state`] is its address, as `127.0.0.1:5000`.
///
/// # Errors
/// When it cannot be installed or started.
pub fn moto() -> anyhow::Result<Shared> {
    // One that was started otherwise, by an older program, is another server.
    let name = format!("moto-{:016x}", BuildHasherDefault::<DefaultHasher>::default().hash_one((PACKAGES, LAUNCH)));
    Shared::find_or_start(&name, answers, |folder| {
        let program = python()?;
        let mut attempt = 0;
        loop {
            attempt += 1;
            match start_moto(&program, folder) {
                // Another program may have taken the port.
                Err(_) if attempt < 3 => {}
                started => return started,
            }
        }
    })
}

/// The Python that has moto, aiosmtpd and what they need, among that `cryptography`.
///
/// # Errors
/// When they cannot be installed.
pub fn python() -> anyhow::Result<PathBuf> {
    Ok(python::environment("servers", &PACKAGES)?.join("bin/python"))
}

fn start_moto(program: &Path, folder: &Path) -> anyhow::Result<Started> {
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let log = File::create(folder.join("log"))?;
    let mut server = Command::new(program)
        .args(["-c", LAUNCH, &port.to_string()])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("{} cannot be run", program.display()))?;
    let state = format!("127.0.0.1:{port}");
    let begun = Instant::now();
    while !answers(&state) {
        let ended = server.try_wait()?;
        if ended.is_some() || begun.elapsed() > START {
            drop(server.kill());
            anyhow::bail!("moto does not answer: {}", fs::read_to_string(folder.join("log"))?);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(Started { state, pid: server.id(), signal: "KILL" })
}

fn answers(address: &str) -> bool {
    let Ok(address) = address.parse::<SocketAddr>() else { return false };
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).is_ok()
}

/// An s3s-fs server over a folder, in this process. Dropped, it stops.
#[derive(Debug)]
pub struct S3sFs {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl S3sFs {
    /// Starts it; a bucket is a subfolder. As with moto, one request that changes something is done at a time.
    ///
    /// # Errors
    /// When the folder is not there or no port is free.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let files = FileSystem::new(folder).map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = builder.build();
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (service, turn) = (service.clone(), turn.clone());
                let in_turn = hyper_util::service::TowerToHyperService::new(tower::service_fn(
                    move |request: http::Request<hyper::body::Incoming>| {
                        let (service, turn) = (service.clone(), turn.clone());
                        async move {
                            let reads = request.method() == http::Method::GET || request.method() == http::Method::HEAD;
                            let _turn = if reads { None } else { Some(turn.lock().await) };
                            hyper::service::Service::call(&service, request).await
                        }
                    },
                ));
                tokio::spawn(async move {
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    drop(server.serve_connection(TokioIo::new(socket), in_turn).await);
                });
            }
        });
        Ok(Self { address, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for S3sFs {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
