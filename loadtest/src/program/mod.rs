//! The program under the load tester's hand: started, asked for accounts, watched, stopped.

pub mod cost;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// Longest wait for the program to be ready.
const START: Duration = Duration::from_secs(30);

/// A running program. Dropped, it is killed.
#[derive(Debug)]
pub struct Program {
    child: Child,
    executable: PathBuf,
    data_dir: PathBuf,
    settings: Vec<(&'static str, String)>,
    url: String,
    ready_after: Duration,
}

impl Program {
    /// Starts `EXECUTABLE serve` on a data folder and waits until it says that it is ready.
    ///
    /// # Errors
    /// There is no such program, or it ends or says nothing before it is ready; it has told why on standard error.
    pub async fn start(executable: &Path, data_dir: &Path, bind: &str) -> anyhow::Result<Self> {
        Self::start_with(executable, data_dir, bind, &[]).await
    }

    /// [`Program::start`] with settings as environment variables, which its other commands get, too.
    ///
    /// # Errors
    /// As [`Program::start`].
    pub async fn start_with(
        executable: &Path,
        data_dir: &Path,
        bind: &str,
        settings: &[(&'static str, String)],
    ) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let mut command = Command::new(executable);
        command.args(["serve", "--bind", bind, "--data-dir"]).arg(data_dir);
        command.envs(settings.iter().cloned());
        if std::env::var_os("STANCE__LOG__LEVEL").is_none() {
            command.env("STANCE__LOG__LEVEL", "warn");
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} cannot be started", executable.display()))?;
        let output = child.stdout.take().context("the program has no standard output")?;
        let mut line = String::new();
        let mut output = BufReader::new(output.take(1_000));
        match tokio::time::timeout(START, output.read_line(&mut line)).await {
            Ok(read) => read?,
            Err(_) => bail!("the program was not ready within {START:?}"),
        };
        let Some(url) = line.split_whitespace().last().filter(|word| word.starts_with("http://")) else {
            let status = child.wait().await?;
            bail!("the program ended before it was ready ({status})");
        };
        let url = url.to_owned();
        let (executable, data_dir) = (executable.to_owned(), data_dir.to_owned());
        let settings = settings.to_vec();
        Ok(Self { child, executable, data_dir, settings, url, ready_after: begun.elapsed() })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From the start of the process until it said that it is ready.
    #[must_use]
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Makes a care provider's account by the program's command line.
    ///
    /// # Errors
    /// The program says why not, on standard error.
    pub async fn create_care_provider(&self, email: &str, password: &str, id: &str) -> anyhow::Result<()> {
        self.create_account(email, password, &["--role", "care-provider", "--care-provider-id", id]).await
    }

    /// Makes an account of that role by the program's command line.
    ///
    /// # Errors
    /// The program says why not, on standard error.
    pub async fn create_account(&self, email: &str, password: &str, role: &[&str]) -> anyhow::Result<()> {
        let mut child = Command::new(&self.executable)
            .args(["admin", "create-account", "--email", email])
            .args(role)
            .env("STANCE__DATA_DIR", &self.data_dir)
            .envs(self.settings.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(password.as_bytes()).await?;
        }
        let status = child.wait().await?;
        anyhow::ensure!(status.success(), "the account could not be made ({status})");
        Ok(())
    }

    /// Runs another command of the program on the same data folder.
    ///
    /// # Errors
    /// The program says why not, on standard error.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(&self.executable);
        command.args(arguments).env("STANCE__DATA_DIR", &self.data_dir).envs(self.settings.iter().cloned());
        let status = command.stdin(Stdio::null()).status().await?;
        anyhow::ensure!(status.success(), "{arguments:?} failed ({status})");
        Ok(())
    }

    /// Waits for the program to end by itself.
    ///
    /// # Errors
    /// The operating system does not tell.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Asks the program to finish what it does and end, and waits for that.
    ///
    /// # Errors
    /// It did not end well.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            kill_process(pid, Signal::TERM)?;
        }
        let status = self.child.wait().await?;
        anyhow::ensure!(status.success(), "the program ended with {status}");
        Ok(())
    }
}
