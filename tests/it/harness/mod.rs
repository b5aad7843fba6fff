//! Starts the program and speaks to it.

mod backends;
mod client;
mod documents;
mod publisher;
mod subscriber;

pub(crate) use backends::Backends;
pub(crate) use client::{Answer, Client};
pub(crate) use documents::{document, fresh_id, recording, shared_data};
pub(crate) use publisher::Publisher;
pub(crate) use subscriber::Subscriber;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The password of every account of the tests.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// The care provider's e-mail address and id.
pub(crate) const CLINIC: (&str, &str) = ("clinic@example.org", "clinic-1");
/// Longest wait for something that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The program with a data folder of its own. Dropped, it is killed and the folder removed.
pub(crate) struct Program {
    backends: Arc<Backends>,
    folder: TempDir,
    settings: Vec<(String, String)>,
    child: Option<Child>,
    url: String,
}

impl Program {
    /// Starts it with the defaults.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with settings, as `("queue.lease_seconds", "5")`.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_on(&Backends::embedded(), settings)
    }

    /// Starts one of the programs that share these backends, with settings.
    pub(crate) fn start_on(backends: &Arc<Backends>, settings: &[(&str, &str)]) -> Self {
        let mut program = Self::stopped_on(backends, settings);
        program.resume();
        program
    }

    /// A folder and settings, with nothing started.
    pub(crate) fn stopped(settings: &[(&str, &str)]) -> Self {
        Self::stopped_on(&Backends::embedded(), settings)
    }

    /// [`Program::start_on`], with nothing started.
    pub(crate) fn stopped_on(backends: &Arc<Backends>, settings: &[(&str, &str)]) -> Self {
        Self::stopped_in(tempfile::tempdir().unwrap(), backends, settings)
    }

    /// [`Program::stopped_on`], in that folder.
    pub(crate) fn stopped_in(folder: TempDir, backends: &Arc<Backends>, settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let settings = backends.settings().into_iter().chain(settings).collect();
        Self { backends: backends.clone(), folder, settings, child: None, url: String::new() }
    }

    /// Changes a setting, for the next start.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.settings.push((key.to_owned(), value.to_owned()));
    }

    /// Starts it on the folder that it has, with failpoints where given.
    pub(crate) fn resume(&mut self) {
        self.resume_with_failpoints("");
    }

    /// [`Program::resume`], with failpoints such as `converter=1*panic`.
    pub(crate) fn resume_with_failpoints(&mut self, failpoints: &str) {
        let mut command = self.command(&["serve"]);
        command.env("STANCE__HTTP__BIND", "127.0.0.1:0").env("FAILPOINTS", failpoints);
        let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap().take(1_000)).read_line(&mut first).unwrap();
        let url = first.trim().rsplit(' ').next().unwrap_or_default();
        assert!(url.starts_with("http://"), "the program did not start: {first:?}");
        self.url = url.to_owned();
        self.child = Some(child);
    }

    /// A command of the program, on its folder and with its settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stance"));
        command.args(arguments).env("STANCE__DATA_DIR", self.folder()).env("STANCE__LOG__LEVEL", "warn");
        command.envs(self.backends.environment().iter().copied());
        for (key, value) in &self.settings {
            let mut name = "STANCE".to_owned();
            for part in key.split('.') {
                write!(name, "__{}", part.to_uppercase()).unwrap();
            }
            command.env(name, value);
        }
        command
    }

    /// Runs a command to its end with something on standard input: success, and what it printed.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    }

    /// Kills it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks it to end, as an operator does; whether it ended well, and how long that took.
    pub(crate) fn terminate(&mut self) -> (bool, Duration) {
        let begun = Instant::now();
        let mut child = self.child.take().unwrap();
        let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
        assert!(killed.success());
        (child.wait().unwrap().success(), begun.elapsed())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Every object of its own folder, by key.
    pub(crate) fn objects(&self) -> Vec<(String, PathBuf)> {
        backends::files(&self.folder().join("objects"))
    }

    /// Every object's key, wherever the objects are.
    pub(crate) async fn keys(&self) -> Vec<String> {
        self.backends.keys(self.folder()).await
    }

    /// The bytes of an object, wherever it is.
    pub(crate) async fn object(&self, key: &str) -> Vec<u8> {
        self.backends.object(self.folder(), key).await
    }

    /// Makes an account by the command line.
    pub(crate) fn create_account(&self, email: &str, role: &str, more: &[&str]) {
        let arguments = [&["admin", "create-account", "--email", email, "--role", role], more].concat();
        let (made, text) = self.run(&arguments, PASSWORD);
        assert!(made, "{text}");
    }

    /// The care provider, signed in.
    pub(crate) async fn clinic(&self) -> Client {
        self.create_account(CLINIC.0, "care-provider", &["--care-provider-id", CLINIC.1]);
        Client::sign_in(self.url(), CLINIC.0).await
    }

    /// The care provider, signed in, with these patients.
    pub(crate) async fn clinic_with(&self, patients: &[&str]) -> Client {
        let clinic = self.clinic().await;
        for patient in patients {
            clinic.adopt(CLINIC.1, patient).await;
        }
        clinic
    }

    /// A value of `/metrics`: the sum of the lines that begin so.
    pub(crate) async fn metric(&self, prefix: &str) -> f64 {
        let text = reqwest::get(format!("{}/metrics", self.url())).await.unwrap().text().await.unwrap();
        text.lines()
            .filter(|line| line.starts_with(prefix))
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// Changes the database directly, as an operator would.
    pub(crate) async fn change(&self, sql: &'static str) {
        use sqlx::Connection as _;
        if let Some(url) = self.backends.postgres_url() {
            let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
            sqlx::query(sql).execute(&mut connection).await.unwrap();
            return connection.close().await.unwrap();
        }
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.folder().join("stance.db"));
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        sqlx::query(sql).execute(&pool).await.unwrap();
        pool.close().await;
    }

    /// Asks the database directly, as an auditor would: one number.
    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        use sqlx::Connection as _;
        if let Some(url) = self.backends.postgres_url() {
            let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
            let count = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            return count;
        }
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.folder().join("stance.db"));
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        let count = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        pool.close().await;
        count
    }

    /// Asks the database directly, as an auditor would: texts.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        use sqlx::Connection as _;
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        if let Some(url) = self.backends.postgres_url() {
            let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
            let texts = sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            return texts;
        }
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.folder().join("stance.db"));
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        let texts = sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        texts
    }

    /// Does something to the database directly, as somebody would who may not.
    pub(crate) async fn tamper(&self, sql: &str) -> sqlx::Result<()> {
        use sqlx::{Connection as _, Executor as _};
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        if let Some(url) = self.backends.postgres_url() {
            let mut connection = sqlx::PgConnection::connect(&url).await?;
            connection.execute(sqlx::raw_sql(sql)).await?;
            return connection.close().await;
        }
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.folder().join("stance.db"));
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await?;
        connection.execute(sqlx::raw_sql(sql)).await?;
        connection.close().await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Asks again until the answer is there, which should be soon.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, ask: impl FnMut() -> F) -> T {
    within(SOON, what, ask).await
}

/// Asks again until the answer is there, for so long.
pub(crate) async fn within<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
