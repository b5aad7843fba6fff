//! Asks the identity provider for its keys: bounded in time and size, at its own address, without following redirects.

use super::key_set::KeySet;
use crate::config::{AuthConfig, seconds};
use anyhow::{Context, bail, ensure};
use reqwest::{Client, redirect};
use serde::Deserialize;

/// Bytes of the largest document.
const LARGEST: usize = 256 << 10;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct KeySource {
    issuer: String,
    jwks_url: Option<String>,
    config: AuthConfig,
}

/// The part of a discovery document that is needed (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl KeySource {
    /// The provider of the configuration, where it names one.
    #[must_use]
    pub fn new(config: &AuthConfig) -> Option<Self> {
        let issuer = config.issuer.clone()?;
        Some(Self { issuer, jwks_url: config.jwks_url.clone(), config: config.clone() })
    }

    /// The claim `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its keys as they are now, and the document that they were read from.
    ///
    /// # Errors
    /// When it is away, too slow, or answers something else.
    pub async fn fetch(&self) -> anyhow::Result<(KeySet, Vec<u8>)> {
        let limit = seconds(self.config.jwks_timeout_seconds);
        match tokio::time::timeout(limit, self.ask()).await {
            Ok(keys) => keys,
            Err(_) => bail!("it did not answer within {} s", limit.as_secs()),
        }
    }

    async fn ask(&self) -> anyhow::Result<(KeySet, Vec<u8>)> {
        let client = Client::builder().redirect(redirect::Policy::none()).build()?;
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => self.discover(&client).await?,
        };
        let document = self.get(&client, &url).await?;
        Ok((KeySet::read(&document)?, document))
    }

    async fn discover(&self, client: &Client) -> anyhow::Result<String> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let document: Discovery =
            serde_json::from_slice(&self.get(client, &url).await?).context("its discovery document cannot be read")?;
        ensure!(document.issuer == self.issuer, "its discovery document is another issuer's");
        Ok(document.jwks_uri)
    }

    async fn get(&self, client: &Client, url: &str) -> anyhow::Result<Vec<u8>> {
        ensure!(self.config.may_ask(url), "it names an address that may not be asked");
        let mut answer = client.get(url).header("accept", "application/json").send().await?;
        ensure!(answer.status() == 200, "it answered {}", answer.status());
        let mut document = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            ensure!(document.len() + piece.len() <= LARGEST, "its document is larger than {LARGEST} bytes");
            document.extend_from_slice(&piece);
        }
        Ok(document)
    }
}
