//! MLServer with mlserver-sklearn, in a process group of its own.

use super::http::Request;
use crate::program::cost::resident_bytes;
use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// What makes its models.
const SCRIPT: &str = include_str!("peer.py");
/// Longest wait for it to be ready.
const START: Duration = Duration::from_secs(180);

/// A running server. Dropped, it is killed with all its workers.
#[derive(Debug)]
pub(super) struct MlServer {
    child: Child,
    address: String,
}

impl MlServer {
    /// Starts one that knows so many models and has loaded none.
    pub(super) async fn start(environment: &Path, folder: &Path, known: usize, width: usize) -> anyhow::Result<Self> {
        let folder = folder.join(format!("mlserver-{known}"));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder)?;
        let made = Command::new(environment.join("bin/python"))
            .args(["-c", SCRIPT])
            .arg(&folder)
            .args([known.to_string(), width.to_string()])
            .status()
            .await?;
        ensure!(made.success(), "the peer's models could not be made");
        let [http, grpc, metrics] = free_ports()?;
        let settings = serde_json::json!({
            "host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics,
            "load_models_at_startup": false, "debug": false,
        });
        std::fs::write(folder.join("settings.json"), settings.to_string())?;
        let log: PathBuf = folder.join("log");
        let output = File::create(&log)?;
        let child = Command::new(environment.join("bin/mlserver"))
            .arg("start")
            .arg(&folder)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()
            .context("MLServer cannot be started")?;
        let server = Self { child, address: format!("127.0.0.1:{http}") };
        let begun = Instant::now();
        while Request::new("GET", &server.address, "/v2/health/ready", None, "").once().await.is_err() {
            ensure!(begun.elapsed() < START, "MLServer is not ready; see {}", log.display());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(server)
    }

    /// A request that asks a model.
    pub(super) fn infer(&self, model: usize, body: &str) -> Request {
        Request::new("POST", &self.address, &format!("/v2/models/m-{model}/infer"), None, body)
    }

    /// Loads a model; how long that took.
    pub(super) async fn load(&self, model: usize) -> anyhow::Result<Duration> {
        let path = format!("/v2/repository/models/m-{model}/load");
        Ok(Request::new("POST", &self.address, &path, None, "").once().await?.0)
    }

    /// Memory of the server and its workers, bytes.
    pub(super) fn resident(&self) -> anyhow::Result<u64> {
        let group = self.child.id().context("MLServer has ended")?;
        let mut all = 0;
        for entry in std::fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let of = stat.rsplit_once(')').and_then(|(_, fields)| fields.split_whitespace().nth(2)?.parse().ok());
            if of == Some(group) {
                all += resident_bytes(pid).unwrap_or(0);
            }
        }
        Ok(all)
    }
}

impl Drop for MlServer {
    fn drop(&mut self) {
        if let Some(group) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn free_ports() -> anyhow::Result<[u16; 3]> {
    let bound = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(bound) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}
