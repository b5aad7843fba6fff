//! A client of the public interface.

use super::{PASSWORD, eventually};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// The answer to a request.
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        Self::read(request.send().await.unwrap()).await
    }

    async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        Self { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    /// The problem's code.
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// Where in the document the problem is.
    pub(crate) fn pointer(&self) -> Option<&str> {
        self.body["errors"][0]["pointer"].as_str()
    }

    /// Where the recording stands.
    pub(crate) fn recording_status(&self) -> &str {
        self.body["status"].as_str().unwrap_or_default()
    }
}

/// Somebody with a token.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Client {
    /// Nobody.
    pub(crate) fn anonymous(url: &str) -> Self {
        Self { http: reqwest::Client::new(), url: url.to_owned(), token: String::new() }
    }

    pub(crate) async fn sign_in(url: &str, email: &str) -> Self {
        let mut client = Self::anonymous(url);
        let answer = client.post_json("/v1/sessions", &json!({ "email": email, "password": PASSWORD })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["access_token"].as_str().unwrap().clone_into(&mut client.token);
        client
    }

    /// The same, at another address: a program that was started again.
    pub(crate) fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url));
        if self.token.is_empty() { request } else { request.bearer_auth(&self.token) }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::read(self.request(reqwest::Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::read(self.request(reqwest::Method::DELETE, path).send().await.unwrap()).await
    }

    pub(crate) async fn post_json(&self, path: &str, body: &Value) -> Answer {
        Answer::read(self.request(reqwest::Method::POST, path).json(body).send().await.unwrap()).await
    }

    /// Uploads a document with more headers.
    pub(crate) async fn try_upload(
        &self,
        body: impl Into<reqwest::Body>,
        headers: &[(&str, &str)],
    ) -> reqwest::Result<Answer> {
        let mut request = self.request(reqwest::Method::POST, "/v1/recordings").body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(Answer::read(request.send().await?).await)
    }

    pub(crate) async fn upload_with(&self, body: impl Into<reqwest::Body>, headers: &[(&str, &str)]) -> Answer {
        self.try_upload(body, headers).await.unwrap()
    }

    pub(crate) async fn upload(&self, body: impl Into<reqwest::Body>) -> Answer {
        self.upload_with(body, &[("content-type", "application/json")]).await
    }

    /// Uploads and waits for the final status.
    pub(crate) async fn upload_and_wait(&self, body: impl Into<reqwest::Body>) -> Answer {
        self.upload_with(body, &[("content-type", "application/json"), ("prefer", "wait=30")]).await
    }

    pub(crate) async fn status(&self, id: &str) -> Answer {
        self.get(&format!("/v1/recordings/{id}")).await
    }

    /// Waits until the recording stands there.
    pub(crate) async fn await_status(&self, id: &str, status: &str) -> Answer {
        eventually(&format!("{id} is {status}"), || async {
            let answer = self.status(id).await;
            (answer.recording_status() == status).then_some(answer)
        })
        .await
    }

    /// A GraphQL answer, errors and all.
    pub(crate) async fn graphql(&self, query: &str, variables: Value) -> Value {
        self.post_json("/graphql", &json!({ "query": query, "variables": variables })).await.body
    }

    /// The data of a GraphQL answer without errors.
    pub(crate) async fn data(&self, query: &str, variables: Value) -> Value {
        let answer = self.graphql(query, variables).await;
        assert!(answer["errors"].is_null(), "{answer}");
        answer["data"].clone()
    }

    /// Makes a patient and links them to the care provider.
    pub(crate) async fn adopt(&self, provider: &str, patient: &str) {
        let create = "mutation($p: String!) { createPatient(patient_id: $p, first_name: \"A\") { patient_id } }";
        self.data(create, json!({ "p": patient })).await;
        let link = "mutation($p: String!, $c: String!) {
            addPatientToCareProvider(care_provider_id: $c, patient_id: $p) { patient_id care_provider_id } }";
        self.data(link, json!({ "p": patient, "c": provider })).await;
    }
}
