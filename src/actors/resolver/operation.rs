//! What an operation is.

use super::ResolverDeps;
use crate::actors::ServiceError;
use crate::actors::authorization::SeenLinks;
use crate::domain::access::{Access, Caller};
use crate::domain::audit::Entry;
use crate::domain::ids::PatientId;
use actix::Message;

/// What an operation does to what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing. It is on the audit record before its answer leaves.
    Reads,
    /// It changes something. It is on the audit record before it runs.
    Changes,
}

/// Something that a client may ask for.
pub trait Operation: Send + Sync + 'static {
    /// Its name in log lines and in the audit record.
    const NAME: &'static str;
    /// What it does to what is there.
    const EFFECT: Effect;
    /// What is absent where the caller may not see it.
    const SUBJECT: &'static str;
    /// What it gives.
    type Answer: Send + 'static;

    /// What the caller must be allowed to do.
    fn access(&self, deps: &ResolverDeps) -> impl Future<Output = Result<Access, ServiceError>> + Send;

    /// Adds to its entry in the audit record what it is about besides what the access names: a test event, a patient.
    fn about(&self, entry: Entry) -> Entry {
        entry
    }

    /// Whose data an answer holds, besides those whom the entry names already.
    fn covered(_: &Self::Answer) -> Vec<PatientId> {
        Vec::new()
    }

    /// Patients whom an answer shows to be linked to the care provider whose it is.
    fn linked(_: &Self::Answer) -> Vec<PatientId> {
        Vec::new()
    }

    /// Does it, for a caller who may.
    fn run(
        self,
        deps: &ResolverDeps,
        caller: &Caller,
    ) -> impl Future<Output = Result<Self::Answer, ServiceError>> + Send;
}

/// Asks for an operation.
#[derive(Debug)]
pub struct Ask<O> {
    /// Who asks.
    pub caller: Caller,
    /// For what.
    pub operation: O,
    /// What the request that it belongs to has seen of links.
    pub links: SeenLinks,
}

impl<O> Ask<O> {
    /// By itself.
    #[must_use]
    pub fn new(caller: Caller, operation: O) -> Self {
        Self { caller, operation, links: SeenLinks::default() }
    }
}

impl<O: Operation> Message for Ask<O> {
    type Result = Result<O::Answer, ServiceError>;
}
