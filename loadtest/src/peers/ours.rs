//! The program's two doors: `/v2` with a token and the audit record, and the container without either.

use super::http::Request;
use crate::client::{Client, Uploaded};
use crate::generator::{Exercise, Person};
use crate::measure::{CARE_PROVIDER, EMAIL, PASSWORD};
use crate::program::Program;
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const ADMIN: &str = "operator@example.org";
/// Longest wait for the first model.
const TRAINED: Duration = Duration::from_secs(120);

/// `/v2` of a program with one model that was trained.
pub(super) struct Server {
    program: Program,
    executable: PathBuf,
    folder: PathBuf,
    /// The trained model.
    pub(super) name: String,
}

impl Server {
    pub(super) async fn start(executable: &Path, folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.join("server");
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder)?;
        let program = Program::start(executable, &folder, "127.0.0.1:0").await?;
        program.create_care_provider(EMAIL, PASSWORD, CARE_PROVIDER).await?;
        program.create_account(ADMIN, PASSWORD, &["--role", "admin"]).await?;
        let client = Client::anonymous(program.url())?.sign_in(EMAIL, PASSWORD).await?;
        let person = Person::from_seed(1);
        client.adopt(CARE_PROVIDER, &person.patient_id(), "Peer", "Measured").await?;
        for recording in recordings(&person) {
            while !matches!(client.upload(recording.clone(), Some(30)).await?, Uploaded::Accepted(_)) {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        let mut server = Self { program, executable: executable.to_owned(), folder, name: String::new() };
        let begun = Instant::now();
        while server.name.is_empty() {
            ensure!(begun.elapsed() < TRAINED, "no model was trained");
            tokio::time::sleep(Duration::from_millis(50)).await;
            server.name = server.names(1).await?.pop().unwrap_or_default();
        }
        Ok(server)
    }

    /// Makes so many more models known: rows beside the trained one's, which share its artifact.
    pub(super) async fn with_known(self, known: u64) -> anyhow::Result<Self> {
        let Self { program, executable, folder, name } = self;
        program.stop().await?;
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(folder.join("stance.db"))).await?;
        let columns: Vec<(String,)> =
            sqlx::query_as("SELECT name FROM pragma_table_info('models')").fetch_all(&pool).await?;
        let columns: Vec<_> = columns.into_iter().map(|(column,)| column).collect();
        let copied: Vec<_> = columns
            .iter()
            .map(|column| match column.as_str() {
                "model_version" | "patient_id" => "'known-' || i".to_owned(),
                other => other.to_owned(),
            })
            .collect();
        let numbers = format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {known})");
        for sql in [
            format!("INSERT INTO patients (patient_id, created_at) {numbers} SELECT 'known-' || i, 0 FROM n"),
            format!(
                "INSERT INTO models ({}) {numbers} SELECT {} FROM n, (SELECT * FROM models LIMIT 1)",
                columns.join(", "),
                copied.join(", ")
            ),
            "INSERT INTO model_names SELECT lower(hex(randomblob(16))), patient_id, movement FROM models
             WHERE patient_id LIKE 'known-%'"
                .to_owned(),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await?;
        }
        pool.close().await;
        let program = Program::start(&executable, &folder, "127.0.0.1:0").await?;
        Ok(Self { program, executable, folder, name })
    }

    fn address(&self) -> String {
        self.program.url().trim_start_matches("http://").to_owned()
    }

    async fn request(&self, method: &str, path: &str, body: &str, email: &str) -> anyhow::Result<Request> {
        let client = Client::anonymous(self.program.url())?.sign_in(email, PASSWORD).await?;
        Ok(Request::new(method, &self.address(), path, Some(client.token()), body))
    }

    /// Names of models, as an admin sees them.
    pub(super) async fn names(&self, most: u32) -> anyhow::Result<Vec<String>> {
        let asked = json!({ "limit": most }).to_string();
        let (_, body) = self.request("POST", "/v2/repository/index", &asked, ADMIN).await?.once().await?;
        let listed: Vec<Value> = serde_json::from_slice(&body)?;
        Ok(listed.iter().filter_map(|model| model.get("name")?.as_str().map(str::to_owned)).collect())
    }

    /// A request that asks a model, as an admin.
    pub(super) async fn infer(&self, name: &str, body: &str) -> anyhow::Result<Request> {
        self.request("POST", &format!("/v2/models/{name}/infer"), body, ADMIN).await
    }

    /// Loads a model that is not in memory; how long that took.
    pub(super) async fn load(&self, name: &str) -> anyhow::Result<Duration> {
        let base = format!("/v2/repository/models/{name}");
        self.request("POST", &format!("{base}/unload"), "", ADMIN).await?.once().await?;
        Ok(self.request("POST", &format!("{base}/load"), "", ADMIN).await?.once().await?.0)
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.program.stop().await
    }
}

/// The container, with a model in its repository. Dropped, it is killed.
pub(super) struct Container {
    child: Child,
    address: String,
    /// The folder that models are loaded from.
    url: String,
}

impl Container {
    pub(super) async fn start(executable: &Path, folder: &Path) -> anyhow::Result<Self> {
        let root = folder.join("opt-ml");
        drop(std::fs::remove_dir_all(&root));
        let data = root.join("input/data/training");
        std::fs::create_dir_all(&data)?;
        for (number, recording) in recordings(&Person::from_seed(1)).enumerate() {
            std::fs::write(data.join(format!("{number}.json")), recording)?;
        }
        let trained = Command::new(executable).args(["train", "--root"]).arg(&root).status().await?;
        ensure!(trained.success(), "no model was trained");
        let url = root.join("models/m/model");
        std::fs::create_dir_all(root.join("models/m"))?;
        std::fs::rename(root.join("model"), &url)?;
        let mut child = Command::new(executable)
            .args(["model-server", "serve", "--port", "0", "--root"])
            .arg(&root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no standard output")?).read_line(&mut line).await?;
        let port = line.trim().rsplit(':').next().context("the container did not start")?;
        let address = format!("127.0.0.1:{port}");
        Ok(Self { child, address, url: url.display().to_string() })
    }

    /// Loads a model under that name; how long that took.
    pub(super) async fn load(&self, name: &str) -> anyhow::Result<Duration> {
        let body = json!({ "model_name": name, "url": self.url }).to_string();
        Ok(Request::new("POST", &self.address, "/models", None, &body).once().await?.0)
    }

    /// A request that asks a loaded model.
    pub(super) fn invoke(&self, name: &str, body: &str) -> Request {
        Request::new("POST", &self.address, &format!("/models/{name}/invoke"), None, body)
    }

    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the container has ended")
    }
}

/// Ten scored recordings of a person.
fn recordings(person: &Person) -> impl Iterator<Item = String> + use<> {
    let (exercise, person) = (Exercise::sit_to_stand().samples(1_000), person.clone());
    (0..10_u32)
        .map(move |n| exercise.record(&person, 0.1 + 0.08 * f64::from(n), n.into()).scored_by_clinician().to_json())
}
