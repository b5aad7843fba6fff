//! `stance import`: sends recordings from files or folders to a server, many at a time. Run again, it sends what the
//! server has already once more, which the server recognises by `testID`. Of a bucket it takes in what is there.

mod bucket;

use super::files;
use anyhow::{Context, bail};
use clap::Args;
use comfy_table::Table;
use futures_util::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::{Client, StatusCode, Url};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Attempts for one file while the server is busy or away.
const ATTEMPTS: u32 = 6;
/// Files that are named in the summary with what was wrong with them.
const SHOWN: usize = 20;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  printf %s \"$PASSWORD\" | stance import --email c@example.org --url http://127.0.0.1:8080 recordings/\n  stance --config stance.toml import s3://bucket/prefix"
)]
pub(super) struct Options {
    /// Files, and folders that are searched for `*.json`; or `s3://BUCKET/PREFIX`, the bucket of the configuration, whose raw
    /// objects are taken in by this process.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: Url,
    /// Account to sign in with; the password is read from standard input.
    #[arg(long, conflicts_with = "token")]
    email: Option<String>,
    /// Access token, instead of an account.
    #[arg(long, env = "STANCE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Uploads at once.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    at_once: u16,
    /// Make patients that the server does not know, and link them to the account's care provider.
    #[arg(long, value_name = "CARE_PROVIDER_ID")]
    create_patients_for: Option<String>,
}

pub(super) fn run(file: Option<&Path>, options: Options) -> anyhow::Result<()> {
    let urls: Vec<&str> =
        options.paths.iter().filter_map(|path| path.to_str()?.starts_with("s3:").then(|| path.to_str())?).collect();
    match urls.as_slice() {
        [] => {}
        [url] if options.paths.len() == 1 => return bucket::run(file, url, options.at_once),
        _ => bail!("a bucket is imported alone"),
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(import(options))
}

async fn import(options: Options) -> anyhow::Result<()> {
    let files = files::below(&options.paths, files::is_recording)?;
    anyhow::ensure!(!files.is_empty(), "there is no .json file in the paths");
    let server = Server::connect(&options).await?;
    if let Some(provider) = &options.create_patients_for {
        server.create_patients(&files, provider).await?;
    }
    let bar = ProgressBar::new(files.len() as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} recordings, {per_sec}, {eta} left")?);
    let results: Vec<(PathBuf, Sent)> = stream::iter(files)
        .map(|file| {
            let (server, bar) = (&server, &bar);
            async move {
                let sent = server.send(&file).await;
                bar.inc(1);
                (file, sent)
            }
        })
        .buffer_unordered(options.at_once.into())
        .collect()
        .await;
    bar.finish();
    summarize(&results)
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Sent {
    Accepted,
    ThereAlready,
    Refused(String),
    Failed(String),
}

struct Server {
    client: Client,
    url: Url,
    token: tokio::sync::Mutex<String>,
    sign_in: Option<(String, String)>,
}

impl Server {
    async fn connect(options: &Options) -> anyhow::Result<Self> {
        let client =
            Client::builder().connect_timeout(Duration::from_secs(5)).timeout(Duration::from_secs(120)).build()?;
        let sign_in = match (&options.email, &options.token) {
            (Some(email), _) => Some((email.clone(), super::password::read()?)),
            (None, Some(_)) => None,
            (None, None) => bail!("an account (--email) or a token (--token) is needed"),
        };
        let token = options.token.clone().unwrap_or_default();
        let server = Self { client, url: options.url.clone(), token: token.into(), sign_in };
        server.renew("").await?;
        Ok(server)
    }

    /// Signs in again, unless somebody else did since `stale` was the token.
    async fn renew(&self, stale: &str) -> anyhow::Result<()> {
        let Some((email, password)) = &self.sign_in else { return Ok(()) };
        let mut token = self.token.lock().await;
        if *token != stale {
            return Ok(());
        }
        let url = self.url.join("/v1/sessions")?;
        let response =
            self.client.post(url.clone()).json(&json!({ "email": email, "password": password })).send().await;
        let response = response.with_context(|| format!("{url} does not answer"))?;
        anyhow::ensure!(response.status().is_success(), "sign-in failed: {}", explain(response).await);
        let session: Value = response.json().await?;
        *token = session.get("access_token").and_then(Value::as_str).context("the server sent no token")?.to_owned();
        Ok(())
    }

    async fn send(&self, file: &Path) -> Sent {
        let body = match tokio::fs::read(file).await {
            Ok(body) => bytes::Bytes::from(body),
            Err(error) => return Sent::Failed(format!("cannot be read: {error}")),
        };
        let mut last = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(250) * 2_u32.pow(attempt)).await;
            }
            let token = self.token.lock().await.clone();
            let Ok(url) = self.url.join("/v1/recordings") else { return Sent::Failed("the URL is not usable".into()) };
            let request = self.client.post(url).bearer_auth(&token).header("content-type", "application/json");
            let response = match request.body(body.clone()).send().await {
                Ok(response) => response,
                Err(error) => {
                    last = format!("no answer: {}", error.without_url());
                    continue;
                }
            };
            match response.status() {
                StatusCode::ACCEPTED => return Sent::Accepted,
                StatusCode::OK => return Sent::ThereAlready,
                StatusCode::UNAUTHORIZED if self.sign_in.is_some() && attempt == 0 => {
                    if let Err(error) = self.renew(&token).await {
                        return Sent::Failed(format!("{error:#}"));
                    }
                }
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => last = explain(response).await,
                status if status.is_client_error() => return Sent::Refused(explain(response).await),
                _ => last = explain(response).await,
            }
        }
        Sent::Failed(last)
    }

    async fn create_patients(&self, files: &[PathBuf], provider: &str) -> anyhow::Result<()> {
        #[derive(serde::Deserialize)]
        struct Owner {
            user_id: String,
        }
        let mut patients = std::collections::BTreeSet::new();
        for file in files {
            if let Ok(Owner { user_id }) = serde_json::from_slice(&tokio::fs::read(file).await?) {
                patients.insert(user_id);
            }
        }
        for patient in patients {
            let document = "mutation($p: String!) { createPatient(patient_id: $p) { patient_id } }";
            let variables = json!({ "p": patient, "c": provider });
            // One that is there already is no fault: what counts is the link.
            let _ = self.graphql(document, &variables).await;
            let document = "mutation($p: String!, $c: String!) {
                addPatientToCareProvider(care_provider_id: $c, patient_id: $p) { patient_id }
            }";
            self.graphql(document, &variables).await.context("a patient could not be linked")?;
        }
        Ok(())
    }

    async fn graphql(&self, query: &str, variables: &Value) -> anyhow::Result<()> {
        let token = self.token.lock().await.clone();
        let request = self.client.post(self.url.join("/graphql")?).bearer_auth(token);
        let response = request.json(&json!({ "query": query, "variables": variables })).send().await?;
        let answer: Value = response.json().await?;
        match answer.pointer("/errors/0/message").and_then(Value::as_str) {
            Some(message) => bail!("{message}"),
            None => Ok(()),
        }
    }
}

/// The problem document of a response, in one line.
async fn explain(response: reqwest::Response) -> String {
    let status = response.status();
    let problem: Value = response.json().await.unwrap_or_default();
    let text = |pointer: &str| problem.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (code, detail, place) = (text("/code"), text("/detail"), text("/errors/0/pointer"));
    format!("{} {code} {place} {detail}", status.as_u16())
}

fn summarize(results: &[(PathBuf, Sent)]) -> anyhow::Result<()> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut faults = Vec::new();
    for (file, sent) in results {
        let kind = match sent {
            Sent::Accepted => "accepted",
            Sent::ThereAlready => "there already",
            Sent::Refused(why) => {
                faults.push(format!("{}: refused: {why}", file.display()));
                "refused"
            }
            Sent::Failed(why) => {
                faults.push(format!("{}: failed: {why}", file.display()));
                "failed"
            }
        };
        *counts.entry(kind).or_default() += 1;
    }
    let mut table = Table::new();
    table.set_header(["recordings", ""]);
    for (kind, count) in counts {
        table.add_row([kind.to_owned(), count.to_string()]);
    }
    let mut out = std::io::stdout();
    writeln!(out, "{table}")?;
    for fault in faults.iter().take(SHOWN) {
        writeln!(out, "{fault}")?;
    }
    anyhow::ensure!(faults.is_empty(), "{} of {} recordings were not taken", faults.len(), results.len());
    Ok(())
}
