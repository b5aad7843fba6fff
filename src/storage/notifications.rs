//! The queue that tells of objects put into the bucket: Amazon SQS, long-polled. A message stays in the queue, hidden for
//! a while, until it is deleted; whoever is not done in time hides it for longer, or it is delivered again.

use super::aws::{NoCredentials, environment};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use std::time::Duration;

/// Messages that one request may bring: the most that the service gives.
pub const MOST: usize = 10;

/// Longest wait for a connection, and for an answer: longer than the longest poll.
const CONNECT: Duration = Duration::from_secs(3);
const ATTEMPT: Duration = Duration::from_secs(25);

/// Why the queue did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NotificationError {
    /// There is no such queue, or this process may not use it: nothing helps but a change by an operator.
    #[error("the queue refused: {0}")]
    Refused(String),
    /// The queue is away or throttles.
    #[error("the queue is not available: {0}")]
    Unavailable(String),
}

/// A message, hidden from others for a while.
#[derive(Debug)]
pub struct Notification {
    /// The text.
    pub body: String,
    /// How often it was delivered, this time included.
    pub deliveries: u32,
    receipt: String,
}

/// The queue. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Notifications {
    client: Client,
    url: String,
}

impl Notifications {
    /// The queue at that URL; `endpoint` is the address of a server other than Amazon's. Nothing is asked of the queue yet.
    ///
    /// # Errors
    /// When there are no credentials.
    pub async fn connect(url: &str, endpoint: Option<&str>, region: Option<&str>) -> Result<Self, NoCredentials> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .read_timeout(ATTEMPT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(2 * ATTEMPT)
            .build();
        let environment = environment(region, None).await?;
        let mut builder = aws_sdk_sqs::config::Builder::from(&environment).timeout_config(timeouts);
        if let Some(endpoint) = endpoint {
            builder = builder.endpoint_url(endpoint);
        }
        Ok(Self { client: Client::from_conf(builder.build()), url: url.to_owned() })
    }

    /// After how many deliveries the queue moves a message to its dead-letter queue; `None` where it has none.
    ///
    /// # Errors
    /// [`NotificationError`].
    pub async fn deliveries_until_dead(&self) -> Result<Option<u32>, NotificationError> {
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let answer = request.attribute_names(QueueAttributeName::RedrivePolicy).send().await.map_err(told)?;
        let policy = answer.attributes().and_then(|all| all.get(&QueueAttributeName::RedrivePolicy));
        let policy = policy.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
        // A number, or a number as text: both are documented.
        let count = policy.as_ref().and_then(|policy| policy.get("maxReceiveCount"));
        let count = count.and_then(|count| count.as_u64().or_else(|| count.as_str()?.parse().ok()));
        Ok(count.and_then(|count| u32::try_from(count).ok()))
    }

    /// Waits up to `wait` (at most 20 s) for up to `limit` (at most [`MOST`]) messages, and hides them from others for
    /// `hidden`.
    ///
    /// # Errors
    /// [`NotificationError`].
    pub async fn receive(
        &self,
        limit: usize,
        wait: Duration,
        hidden: Duration,
    ) -> Result<Vec<Notification>, NotificationError> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(i32::try_from(limit.clamp(1, MOST)).unwrap_or(1))
            .wait_time_seconds(whole_seconds(wait))
            .visibility_timeout(whole_seconds(hidden))
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .send()
            .await
            .map_err(told)?;
        let messages = answer.messages.unwrap_or_default();
        Ok(messages
            .into_iter()
            .filter_map(|message| {
                let count = message.attributes.as_ref()?.get(&MessageSystemAttributeName::ApproximateReceiveCount);
                let deliveries = count.and_then(|count| count.parse().ok()).unwrap_or(1);
                Some(Notification { body: message.body?, deliveries, receipt: message.receipt_handle? })
            })
            .collect())
    }

    /// Hides a message for `hidden` from now on.
    ///
    /// # Errors
    /// [`NotificationError`].
    pub async fn hide(&self, notification: &Notification, hidden: Duration) -> Result<(), NotificationError> {
        let request = self.client.change_message_visibility().queue_url(&self.url);
        let request = request.receipt_handle(&notification.receipt).visibility_timeout(whole_seconds(hidden));
        request.send().await.map(drop).map_err(told)
    }

    /// Takes a message out of the queue for good.
    ///
    /// # Errors
    /// [`NotificationError`]; then it is delivered again.
    pub async fn delete(&self, notification: &Notification) -> Result<(), NotificationError> {
        let request = self.client.delete_message().queue_url(&self.url).receipt_handle(&notification.receipt);
        request.send().await.map(drop).map_err(told)
    }
}

fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

/// What the service says, without what was asked: a request may name a queue's account.
fn told<E: ProvideErrorMetadata, R>(error: SdkError<E, R>) -> NotificationError {
    const OPERATORS: [&str; 6] = [
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "AccessDenied",
        "AccessDeniedException",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
    ];
    let kind = match &error {
        SdkError::ConstructionFailure(_) => "the request could not be made",
        SdkError::TimeoutError(_) => "no answer in time",
        SdkError::DispatchFailure(_) => "no connection",
        SdkError::ResponseError(_) => "an answer that is none",
        SdkError::ServiceError(_) => "an error",
        _ => "a failure of another kind",
    };
    match error.code() {
        Some(code) if OPERATORS.contains(&code) => NotificationError::Refused(code.to_owned()),
        code => NotificationError::Unavailable(code.unwrap_or(kind).to_owned()),
    }
}
