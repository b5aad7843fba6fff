//! A client of the server's public surface.

use anyhow::{Context, bail};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Longest wait for any one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Speaks to one server as one account.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// What a server says of a recording: the part that is read here.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RecordingStatus {
    /// `received`, `converted`, `training`, `awaiting_model`, `scored` or `failed`.
    pub status: String,
    /// The score, 0 to 100, where there is one.
    pub balance_score: Option<i32>,
}

impl RecordingStatus {
    /// Whether nothing is to come.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self.status.as_str(), "training" | "scored" | "failed")
    }
}

/// What became of an upload.
#[derive(Debug)]
pub enum Uploaded {
    /// Durable, or final where the upload waited.
    Accepted(RecordingStatus),
    /// Not now, says the server: busy.
    Busy,
}

impl Client {
    /// Nobody yet.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn anonymous(url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).timeout(PATIENCE).build()?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), token: String::new() })
    }

    /// The same server, as this account.
    ///
    /// # Errors
    /// The server does not answer, or knows no such account.
    pub async fn sign_in(self, email: &str, password: &str) -> anyhow::Result<Self> {
        let body = json!({ "email": email, "password": password });
        let session = answer(self.http.post(format!("{}/v1/sessions", self.url)).json(&body)).await?;
        let token = session.get("access_token").and_then(Value::as_str).context("the server sent no token")?.to_owned();
        Ok(Self { token, ..self })
    }

    /// The data of a GraphQL answer.
    ///
    /// # Errors
    /// The server does not answer, or answers with errors: the first one's message.
    pub async fn graphql(&self, query: &str, variables: Value) -> anyhow::Result<Value> {
        let body = json!({ "query": query, "variables": variables });
        let request = self.http.post(format!("{}/graphql", self.url)).bearer_auth(&self.token).json(&body);
        let mut answer = answer(request).await?;
        if let Some(message) = answer.pointer("/errors/0/message").and_then(Value::as_str) {
            bail!("{message}");
        }
        Ok(answer.get_mut("data").map(Value::take).unwrap_or_default())
    }

    /// Makes a patient and links them to a care provider; both may be there already.
    ///
    /// # Errors
    /// The server does not answer, or the care provider may not have this patient.
    pub async fn adopt(&self, provider: &str, patient: &str, first: &str, last: &str) -> anyhow::Result<()> {
        let create = "mutation($p: String!, $f: String, $l: String) {
            createPatient(patient_id: $p, first_name: $f, last_name: $l) { patient_id } }";
        // One that is there already is no fault: what counts is the link.
        let made = self.graphql(create, json!({ "p": patient, "f": first, "l": last })).await;
        let link = "mutation($c: String!, $p: String!) {
            addPatientToCareProvider(care_provider_id: $c, patient_id: $p) { patient_id } }";
        let linked = self.graphql(link, json!({ "c": provider, "p": patient })).await;
        match (made, linked) {
            (_, Ok(_)) => Ok(()),
            (Err(error), Err(_)) | (Ok(_), Err(error)) => Err(error).context("a patient could not be made"),
        }
    }

    /// Uploads a document; with `wait`, for its final status, that many seconds at most.
    ///
    /// # Errors
    /// The server does not answer, or refuses the document: the code and the detail.
    pub async fn upload(&self, document: impl Into<reqwest::Body>, wait: Option<u8>) -> anyhow::Result<Uploaded> {
        let mut request = self
            .http
            .post(format!("{}/v1/recordings", self.url))
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .body(document.into());
        if let Some(seconds) = wait {
            request = request.header("prefer", format!("wait={seconds}"));
        }
        let response = request.send().await.map_err(reqwest::Error::without_url)?;
        match response.status() {
            StatusCode::OK | StatusCode::ACCEPTED => Ok(Uploaded::Accepted(response.json().await?)),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Ok(Uploaded::Busy),
            _ => Err(problem(response).await),
        }
    }

    /// What the server says of a recording.
    ///
    /// # Errors
    /// The server does not answer, or knows no such recording.
    pub async fn status(&self, test_event_id: &str) -> anyhow::Result<RecordingStatus> {
        let url = format!("{}/v1/recordings/{test_event_id}", self.url);
        Ok(serde_json::from_value(answer(self.http.get(url).bearer_auth(&self.token)).await?)?)
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn metrics(&self) -> anyhow::Result<String> {
        Ok(self.http.get(format!("{}/metrics", self.url)).send().await?.error_for_status()?.text().await?)
    }

    /// A path of the server, for a request that this client does not make itself.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The token, to be sent as `Authorization: Bearer …`.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }
}

async fn answer(request: RequestBuilder) -> anyhow::Result<Value> {
    let response = request.send().await.map_err(reqwest::Error::without_url).context("the server does not answer")?;
    if !response.status().is_success() {
        return Err(problem(response).await);
    }
    Ok(response.json().await?)
}

/// The problem document of a response, in one line.
async fn problem(response: Response) -> anyhow::Error {
    let status = response.status().as_u16();
    let document: Value = response.json().await.unwrap_or_default();
    let text = |key: &str| document.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    anyhow::anyhow!("{status} {} {}", text("code"), text("detail"))
}
