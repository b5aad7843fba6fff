//! A bucket and a queue of a test's own in moto, which checks no signature. What is done here is done as an
//! operator or a phone does it, beside the program.

use crate::s3::moto;
use crate::shared::Shared;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// What stands in a URL's path as it is.
const PATH: AsciiSet = NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Whose everything is in moto.
const ACCOUNT: &str = "123456789012";
const REGION: &str = "us-east-1";

/// An empty bucket.
#[derive(Debug)]
pub struct Bucket {
    name: String,
    address: SocketAddr,
    http: Client,
    _moto: Shared,
}

impl Bucket {
    /// A new one; starts moto where it does not run.
    ///
    /// # Panics
    /// When moto cannot be started.
    pub async fn new() -> Self {
        let moto = tokio::task::spawn_blocking(|| moto().unwrap()).await.unwrap();
        let bucket = Self {
            name: fresh_name("bucket"),
            address: moto.state().parse().unwrap(),
            http: Client::new(),
            _moto: moto,
        };
        bucket.ask(Method::PUT, "", "", Vec::new()).await;
        bucket
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where moto listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts an object, as a phone does that has the credentials for it.
    ///
    /// # Panics
    /// When it is not taken.
    pub async fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        self.ask(Method::PUT, key, "", bytes.into()).await;
    }

    /// An object.
    ///
    /// # Panics
    /// When it is not there.
    pub async fn get(&self, key: &str) -> Vec<u8> {
        self.ask(Method::GET, key, "", Vec::new()).await.bytes().await.unwrap().to_vec()
    }

    /// All keys, sorted.
    ///
    /// # Panics
    /// When they cannot be listed.
    pub async fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        let mut after = String::new();
        loop {
            let query = format!("list-type=2&start-after={}", utf8_percent_encode(&after, NON_ALPHANUMERIC));
            let page = self.ask(Method::GET, "", &query, Vec::new()).await.text().await.unwrap();
            keys.extend(elements(&page, "Key").map(plain));
            if elements(&page, "IsTruncated").next() != Some("true") {
                keys.sort();
                return keys;
            }
            keys.last().unwrap().clone_into(&mut after);
        }
    }

    /// How many uploads in parts are neither completed nor aborted.
    ///
    /// # Panics
    /// When they cannot be listed.
    pub async fn open_uploads(&self) -> usize {
        let page = self.ask(Method::GET, "", "uploads", Vec::new()).await.text().await.unwrap();
        elements(&page, "UploadId").filter(|id| !id.is_empty()).count()
    }

    /// Has every object that is put told to the queue.
    ///
    /// # Panics
    /// When the bucket does not take it.
    pub async fn tell(&self, queue: &Queue) {
        let wanted = format!(
            "<NotificationConfiguration><QueueConfiguration><Id>stance</Id><Queue>{}</Queue>\
             <Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>",
            arn(&queue.name)
        );
        self.ask(Method::PUT, "", "notification", wanted.into_bytes()).await;
    }

    async fn ask(&self, method: Method, key: &str, query: &str, body: Vec<u8>) -> Response {
        let key = utf8_percent_encode(key, &PATH);
        let url = format!("http://{}/{}/{key}?{query}", self.address, self.name);
        let request = self.http.request(method, url.trim_end_matches(['?', '/'])).header("authorization", signed("s3"));
        let answer = request.body(body).send().await.unwrap();
        answer.error_for_status().unwrap()
    }
}

/// An empty queue, with another for what was delivered too often.
#[derive(Debug)]
pub struct Queue {
    name: String,
    address: SocketAddr,
    http: Client,
    _moto: Shared,
}

impl Queue {
    /// A new one; a message is moved to the dead-letter queue after so many deliveries.
    ///
    /// # Panics
    /// When moto cannot be started.
    pub async fn new(deliveries: u32) -> Self {
        let moto = tokio::task::spawn_blocking(|| moto().unwrap()).await.unwrap();
        let queue = Self {
            name: fresh_name("queue"),
            address: moto.state().parse().unwrap(),
            http: Client::new(),
            _moto: moto,
        };
        queue.ask("CreateQueue", json!({ "QueueName": dead(&queue.name) })).await;
        let policy = json!({ "deadLetterTargetArn": arn(&dead(&queue.name)), "maxReceiveCount": deliveries });
        let attributes = json!({ "RedrivePolicy": policy.to_string() });
        queue.ask("CreateQueue", json!({ "QueueName": queue.name, "Attributes": attributes })).await;
        queue
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(&self.name)
    }

    /// Where moto listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts a message in.
    ///
    /// # Panics
    /// When it is not taken.
    pub async fn send(&self, body: &str) {
        self.ask("SendMessage", json!({ "QueueUrl": self.url(), "MessageBody": body })).await;
    }

    /// How many messages wait or are in hand, and how many were given up.
    ///
    /// # Panics
    /// When the queue does not tell.
    pub async fn depths(&self) -> (u64, u64) {
        (self.depth(&self.url()).await, self.depth(&self.url_of(&dead(&self.name))).await)
    }

    async fn depth(&self, url: &str) -> u64 {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let answer = self.ask("GetQueueAttributes", json!({ "QueueUrl": url, "AttributeNames": names })).await;
        names.iter().map(|name| answer["Attributes"][name].as_str().unwrap().parse::<u64>().unwrap()).sum()
    }

    fn url_of(&self, name: &str) -> String {
        format!("http://{}/{ACCOUNT}/{name}", self.address)
    }

    async fn ask(&self, action: &str, body: Value) -> Value {
        let request = self.http.post(format!("http://{}/", self.address)).body(body.to_string());
        let request =
            request.header("content-type", "application/x-amz-json-1.0").header("authorization", signed("sqs"));
        let answer = request.header("x-amz-target", format!("AmazonSQS.{action}")).send().await.unwrap();
        let text = answer.error_for_status().unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

#[expect(clippy::disallowed_methods, reason = "what a name is does not matter to a test, only that it is new")]
fn fresh_name(of: &str) -> String {
    format!("{of}-{}", uuid::Uuid::new_v4())
}

/// Not checked, and yet where moto reads who asks and for which service.
fn signed(service: &str) -> String {
    format!("AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, Signature=0")
}

fn dead(name: &str) -> String {
    format!("{name}-dead")
}

fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}")
}

/// The texts of the elements of that name in a document that has no attributes there.
fn elements<'a>(document: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    document
        .split(&open)
        .skip(1)
        .filter_map(move |rest| rest.split_once(&close))
        .map(|(text, _)| text)
        .collect::<Vec<_>>()
        .into_iter()
}

fn plain(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}
