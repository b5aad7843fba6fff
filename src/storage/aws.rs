//! What clients of Amazon's services share: TLS on ring, the standard chain of credentials, a region.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

pub(super) use aws_sdk_s3::config::{Credentials, ProvideCredentials};

/// The region where neither configuration nor environment names one: compatible servers take any.
const ANY_REGION: &str = "us-east-1";

/// There are no credentials.
#[derive(Debug, thiserror::Error)]
#[error("no credentials for it were found in the environment, a profile or this machine")]
pub struct NoCredentials;

/// The environment as the standard chain finds it; a region and credentials that are given come first. Credentials are
/// asked for once now, so that a start without them says so.
pub(super) async fn environment(
    region: Option<&str>,
    credentials: Option<Credentials>,
) -> Result<SdkConfig, NoCredentials> {
    let http = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(credentials) = credentials {
        loader = loader.credentials_provider(credentials);
    }
    let environment = loader.load().await;
    if let Some(provider) = environment.credentials_provider() {
        provider.provide_credentials().await.map_err(|_| NoCredentials)?;
    }
    if environment.region().is_some() {
        return Ok(environment);
    }
    Ok(environment.into_builder().region(Region::from_static(ANY_REGION)).build())
}
