//! Links to objects: a bucket's own addresses, or tokens that this program serves.

use super::ServiceError;
use crate::domain::clock::SharedClock;
use crate::domain::entropy::Entropy;
use crate::domain::ids::{PatientId, TestEventId};
use crate::domain::link::{LinkKey, Linked};
use crate::domain::object_key::ObjectKey;
use crate::storage::database::Database;
use crate::storage::objects::{Objects, Shown};
use chrono::TimeDelta;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// What the secret in the database is for.
const PURPOSE: &str = "links";

/// A link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// The store's own address.
    Store(String),
    /// A token, for an address of this program.
    Token(String),
}

/// Makes links, and says where one leads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Links {
    database: Database,
    objects: Objects,
    clock: SharedClock,
    entropy: Entropy,
    valid_for: Duration,
    key: Arc<OnceCell<LinkKey>>,
}

impl Links {
    /// Links that are good for so long.
    #[must_use]
    pub fn new(
        database: Database,
        objects: Objects,
        clock: SharedClock,
        entropy: Entropy,
        valid_for: Duration,
    ) -> Self {
        Self { database, objects, clock, entropy, valid_for, key: Arc::default() }
    }

    /// A link to the object of that key, which is of the patient's event.
    pub(super) async fn link(
        &self,
        linked: Linked,
        (patient, id): (&PatientId, TestEventId),
        key: &ObjectKey,
    ) -> Result<Link, ServiceError> {
        let shown = Shown { media_type: linked.media_type(), disposition: linked.disposition(id) };
        if let Some(address) = self.objects.link(key, self.valid_for, &shown).await? {
            return Ok(Link::Store(address));
        }
        let valid_for = TimeDelta::from_std(self.valid_for).map_err(|error| ServiceError::Internal(error.into()))?;
        Ok(Link::Token(self.key().await?.sign(linked, id, patient, self.clock.now() + valid_for)))
    }

    /// The object that a token leads to; one that is forged or over leads nowhere.
    pub(super) async fn open(&self, token: &str) -> Result<(Linked, TestEventId, ObjectKey), ServiceError> {
        let nowhere = || ServiceError::NotFound("object");
        let signed = self.key().await?;
        let verified = signed.verify(token, self.clock.now()).ok_or_else(nowhere)?;
        let id = verified.id;
        let (patient, key) = match verified.linked {
            Linked::Csv => {
                let row = self.database.recording(id).await?.ok_or_else(nowhere)?;
                let key = ObjectKey::csv(&row.patient, &row.movement, row.day, id);
                (row.patient, key)
            }
            Linked::Report => {
                let patient = self.database.claim(id).await?.patient.ok_or_else(nowhere)?;
                let key = ObjectKey::pdf(&patient, id);
                (patient, key)
            }
        };
        if signed.is_of(&verified, &patient) { Ok((verified.linked, id, key)) } else { Err(nowhere()) }
    }

    async fn key(&self) -> Result<&LinkKey, ServiceError> {
        let made = async {
            let secret = self.database.secret_or(PURPOSE, &self.entropy.bytes(), self.clock.now()).await?;
            Ok::<_, ServiceError>(LinkKey::derive(&secret))
        };
        self.key.get_or_try_init(|| made).await
    }
}
