//! What an operation is.

use super::ResolverDeps;
use crate::actors::ServiceError;
use crate::domain::access::{Access, Caller};
use actix::Message;

/// Something that a client may ask for.
pub trait Operation: Send + Sync + 'static {
    /// Its name in log lines.
    const NAME: &'static str;
    /// What is absent where the caller may not see it.
    const SUBJECT: &'static str;
    /// What it gives.
    type Answer: Send + 'static;

    /// What the caller must be allowed to do.
    fn access(&self, deps: &ResolverDeps) -> impl Future<Output = Result<Access, ServiceError>> + Send;

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
}

impl<O: Operation> Message for Ask<O> {
    type Result = Result<O::Answer, ServiceError>;
}
