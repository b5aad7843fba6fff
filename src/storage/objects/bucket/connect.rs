//! The client of a bucket: credentials from the standard chain, TLS on ring, bounded attempts and times.

use super::{Bucket, Inner, Sizes};
use crate::domain::entropy::Entropy;
use crate::storage::aws;
use crate::storage::objects::{ObjectError, on_disk};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Credentials, RequestChecksumCalculation, ResponseChecksumValidation};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Longest pause before the second attempt; it doubles with each, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);

/// Which bucket, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct BucketSettings {
    /// Its name.
    pub bucket: String,
    /// What all keys begin with, without a `/` at its end; may be empty.
    pub prefix: String,
    /// Address of a compatible server; none is Amazon.
    pub endpoint: Option<String>,
    /// Region; none takes the environment's.
    pub region: Option<String>,
    /// Whether the bucket's name goes into the path of a URL instead of its host.
    pub path_style: bool,
    /// Encryption at the server.
    pub encryption: Encryption,
    /// Longest time for a request with its repetitions.
    pub timeout: Duration,
    /// Attempts of a request.
    pub max_attempts: u32,
    /// Bytes that are read at once.
    pub max_read: u64,
    /// Folder of this machine for what is staged.
    pub spool: PathBuf,
}

/// Encryption at the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// What the bucket does by itself.
    Default,
    /// With a key of S3's.
    Aes256,
    /// With a key of KMS: this one, or the account's own for S3.
    Kms(Option<String>),
}

impl Bucket {
    /// A client of the bucket. Nothing is asked of the bucket yet; credentials are looked for.
    ///
    /// # Errors
    /// When the spool folder cannot be made, or there are no credentials.
    pub async fn open(settings: BucketSettings, entropy: &Entropy) -> Result<Self, ObjectError> {
        Self::open_with(settings, entropy, None, Sizes::default()).await
    }

    pub(in crate::storage::objects) async fn open_with(
        settings: BucketSettings,
        entropy: &Entropy,
        credentials: Option<Credentials>,
        sizes: Sizes,
    ) -> Result<Self, ObjectError> {
        let spool = settings.spool.clone();
        on_disk(move || Ok(std::fs::create_dir_all(spool)?)).await?;
        let client = client(&settings, credentials).await?;
        let permits = usize::try_from(sizes.in_memory >> 10).unwrap_or(Semaphore::MAX_PERMITS);
        let BucketSettings { bucket, prefix, encryption, timeout, max_attempts, max_read, spool, .. } = settings;
        Ok(Self(Arc::new(Inner {
            client,
            name: bucket,
            prefix: if prefix.is_empty() { prefix } else { format!("{prefix}/") },
            encryption,
            timeout,
            max_attempts,
            max_read,
            spool: spool.into(),
            sizes,
            memory: Semaphore::new(permits),
            entropy: entropy.clone(),
            home: Handle::current(),
        })))
    }
}

async fn client(settings: &BucketSettings, credentials: Option<Credentials>) -> Result<Client, ObjectError> {
    let environment = aws::environment(settings.region.as_deref(), credentials).await;
    let environment = environment.map_err(|error| ObjectError::Refused(error.to_string()))?;
    let attempt = settings.timeout.div_f64(2.0);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT.min(attempt))
        .read_timeout(attempt)
        .operation_attempt_timeout(attempt)
        .operation_timeout(settings.timeout)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(settings.max_attempts)
        .with_initial_backoff(FIRST_PAUSE)
        .with_max_backoff(LONGEST_PAUSE);
    let mut config = aws_sdk_s3::config::Builder::from(&environment)
        .force_path_style(settings.path_style)
        .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
        .response_checksum_validation(ResponseChecksumValidation::WhenSupported)
        .retry_config(retries)
        .timeout_config(timeouts);
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(config.build()))
}
