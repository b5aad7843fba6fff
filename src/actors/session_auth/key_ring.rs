//! The keys of tokens, read once and again when a token names one that is not among them: another process made it.

use super::tokens::{self, Keys};
use crate::actors::ServiceError;
use crate::domain::entropy::Entropy;
use crate::storage::database::Database;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Mutex;

/// Shortest time between two looks for a key that is not there: anyone can name one.
const LOOK_AGAIN_AFTER: TimeDelta = TimeDelta::seconds(5);

/// What was read. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct KeyRing(Arc<Inner>);

#[derive(Default)]
struct Inner {
    keys: RwLock<Option<Arc<Keys>>>,
    /// When they were read last; held while they are read.
    read_at: Mutex<Option<DateTime<Utc>>>,
}

impl KeyRing {
    /// The keys; the first is made where there is none.
    pub(super) async fn keys(
        &self,
        database: &Database,
        entropy: &Entropy,
        now: DateTime<Utc>,
    ) -> Result<Arc<Keys>, ServiceError> {
        if let Some(keys) = self.cached() {
            return Ok(keys);
        }
        let mut read_at = self.0.read_at.lock().await;
        if let Some(keys) = self.cached() {
            return Ok(keys);
        }
        let (id, key) = tokens::new_key(entropy).map_err(ServiceError::Internal)?;
        let keys = self.keep(&database.signing_keys_or(&id, &key, now).await?)?;
        *read_at = Some(now);
        Ok(keys)
    }

    /// The keys to verify a token with: read again where it names one that is not among them.
    pub(super) async fn keys_for(
        &self,
        token: &str,
        database: &Database,
        entropy: &Entropy,
        now: DateTime<Utc>,
    ) -> Result<Arc<Keys>, ServiceError> {
        let keys = self.keys(database, entropy, now).await?;
        if !keys.lack_key_of(token) {
            return Ok(keys);
        }
        let mut read_at = self.0.read_at.lock().await;
        if let Some(read_at) = *read_at
            && now - read_at < LOOK_AGAIN_AFTER
        {
            return Ok(self.cached().unwrap_or(keys));
        }
        let keys = self.keep(&database.signing_keys().await?)?;
        *read_at = Some(now);
        Ok(keys)
    }

    fn cached(&self) -> Option<Arc<Keys>> {
        self.0.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, rows: &[(String, Vec<u8>)]) -> Result<Arc<Keys>, ServiceError> {
        let keys = Arc::new(Keys::new(rows).map_err(ServiceError::Internal)?);
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(keys.clone());
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::session_auth::tokens::{Claims, new_key};
    use crate::domain::access::Role;
    use std::time::Duration;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
    }

    #[tokio::test]
    async fn a_key_of_another_process_is_found_but_not_looked_for_at_every_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.db");
        let database = Database::open_sqlite(&path, 1, Duration::from_secs(5)).await.unwrap();
        let (ring, entropy) = (KeyRing::default(), Entropy::from_seed(1));
        ring.keys(&database, &entropy, at(0)).await.unwrap();

        let (id, der) = new_key(&Entropy::from_seed(2)).unwrap();
        let claims = Claims::new("account", "c@example.org", "session", &Role::Admin, at(0), at(900));
        let token = Keys::new(&[(id.clone(), der.clone())]).unwrap().sign(&claims).unwrap();
        let verified = async |seconds| {
            let keys = ring.keys_for(&token, &database, &entropy, at(seconds)).await.unwrap();
            keys.verify(&token, at(seconds)).is_some()
        };
        assert!(!verified(6).await, "nobody has made it");
        let pool = sqlx::SqlitePool::connect(path.to_str().unwrap()).await.unwrap();
        let add = "INSERT INTO signing_keys (key_id, private_key, created_at, ordinal) VALUES ($1, $2, 0, 2)";
        sqlx::query(add).bind(&id).bind(&der).execute(&pool).await.unwrap();
        assert!(!verified(8).await, "looked for a moment ago");
        assert!(verified(11).await);
        let signed = ring.keys(&database, &entropy, at(12)).await.unwrap().sign(&claims).unwrap();
        assert_eq!(signed, token, "the newest signs");
    }
}
