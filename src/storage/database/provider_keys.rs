//! The public keys of the identity provider as they were read last: for a program that starts while the provider is away.

use super::{Database, Result, statements};
use chrono::{DateTime, Utc};

statements! {
    PUT_PROVIDER_KEYS = shared(
        "INSERT INTO provider_keys (issuer, key_set, read_at) VALUES ($1, $2, $3)
         ON CONFLICT (issuer) DO UPDATE SET key_set = excluded.key_set, read_at = excluded.read_at
         WHERE provider_keys.read_at < excluded.read_at",
    );
    PROVIDER_KEYS = shared("SELECT key_set, read_at FROM provider_keys WHERE issuer = $1");
}

impl Database {
    /// Keeps the key set of an issuer, read at that time.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn put_provider_keys(&self, issuer: &str, key_set: &[u8], read_at: DateTime<Utc>) -> Result<()> {
        self.write_redoable(PUT_PROVIDER_KEYS).bind(issuer).bind(key_set).bind(read_at).execute().await?;
        Ok(())
    }

    /// The key set of an issuer, and when it was read.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn provider_keys(&self, issuer: &str) -> Result<Option<(Vec<u8>, DateTime<Utc>)>> {
        let row = self.read(PROVIDER_KEYS).bind(issuer).optional().await?;
        row.map(|row| Ok((row.get("key_set")?, row.get("read_at")?))).transpose()
    }
}
