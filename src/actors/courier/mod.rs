//! Courier: sends objects and whole records to clients, a piece at a time.

mod archive;
mod body;
mod linked;
mod record;

pub use body::{Body, BrokenOff};

use super::ServiceError;
use super::account_turns::AccountTurns;
use super::compute::Compute;
use super::links::Links;
use super::resolver::RecordLeave;
use crate::domain::clock::SharedClock;
use crate::storage::database::Database;
use crate::storage::objects::Objects;
use crate::supervised;
use actix::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct CourierDeps {
    /// Rows.
    pub database: Database,
    /// Objects.
    pub objects: Objects,
    /// Time.
    pub clock: SharedClock,
    /// Threads for compression.
    pub compute: Compute,
    /// Where tokens lead.
    pub links: Links,
    /// Linked objects that are sent at once.
    pub objects_at_once: Arc<Semaphore>,
    /// Records that are sent at once.
    pub records_at_once: Arc<Semaphore>,
    /// Who is being sent a record.
    pub turns: AccountTurns,
    /// How long a client may take nothing.
    pub patience: Duration,
    /// How long one sending may take.
    pub longest: Duration,
    /// Test events of one record at most.
    pub most_events: u32,
}

/// The actor.
#[derive(Debug)]
pub struct Courier(CourierDeps);

impl Courier {
    /// A new one.
    #[must_use]
    pub fn new(deps: CourierDeps) -> Self {
        Self(deps)
    }
}

impl Actor for Courier {
    type Context = Context<Self>;
}

supervised!(Courier, "courier");

/// Asks for the object that a link's token leads to.
#[derive(Debug)]
pub struct SendLinked {
    /// The token.
    pub token: String,
}

/// Asks for everything that is kept of a patient.
pub struct SendRecord {
    /// Of whom, for somebody who may read it.
    pub leave: RecordLeave,
}

/// What is sent.
#[derive(Debug)]
pub struct Consignment {
    /// `Content-Type`.
    pub media_type: &'static str,
    /// `Content-Disposition`.
    pub disposition: String,
    /// The bytes.
    pub body: Body,
}

impl Message for SendLinked {
    type Result = Result<Consignment, ServiceError>;
}

impl Message for SendRecord {
    type Result = Result<Consignment, ServiceError>;
}

impl Handler<SendLinked> for Courier {
    type Result = ResponseFuture<Result<Consignment, ServiceError>>;

    fn handle(&mut self, SendLinked { token }: SendLinked, _: &mut Context<Self>) -> Self::Result {
        fail::fail_point!("courier");
        let deps = self.0.clone();
        Box::pin(async move {
            let place = place(&deps.objects_at_once, "linked objects")?;
            let (linked, id, key) = deps.links.open(&token).await?;
            let body = linked::send(&deps, key, place).await?;
            Ok(Consignment { media_type: linked.media_type(), disposition: linked.disposition(id), body })
        })
    }
}

impl Handler<SendRecord> for Courier {
    type Result = Result<Consignment, ServiceError>;

    fn handle(&mut self, SendRecord { leave }: SendRecord, _: &mut Context<Self>) -> Self::Result {
        fail::fail_point!("courier");
        let turn = self.0.turns.take(leave.account()).ok_or_else(|| ServiceError::busy("exports of one account"))?;
        let place = place(&self.0.records_at_once, "exports")?;
        let body = record::send(&self.0, leave.into_patient(), (place, turn));
        let disposition = "attachment; filename=\"record.zip\"".to_owned();
        Ok(Consignment { media_type: "application/zip", disposition, body })
    }
}

/// A place among those who are sent something, or the error when none is free.
fn place(places: &Arc<Semaphore>, what: &'static str) -> Result<OwnedSemaphorePermit, ServiceError> {
    places.clone().try_acquire_owned().map_err(|_| ServiceError::busy(what))
}
