//! Secrets of the program's own, one a purpose: what one process signs, any other checks.

use super::{Database, Result, statements};
use chrono::{DateTime, Utc};

statements! {
    ADD_SECRET = shared(
        "INSERT INTO secrets (purpose, secret, created_at) VALUES ($1, $2, $3) ON CONFLICT (purpose) DO NOTHING",
    );
    SECRET = shared("SELECT secret FROM secrets WHERE purpose = $1");
}

impl Database {
    /// The secret of that purpose. Where there is none, the one given becomes it; of several processes that give one at
    /// once, one's does.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn secret_or(&self, purpose: &str, new: &[u8; 32], now: DateTime<Utc>) -> Result<Vec<u8>> {
        if let Some(row) = self.read(SECRET).bind(purpose).optional().await? {
            return row.get("secret");
        }
        self.write(ADD_SECRET).bind(purpose).bind(new).bind(now).execute().await?;
        self.read(SECRET).bind(purpose).one().await?.get("secret")
    }
}
