//! Who asks, who answers, and how an answer becomes a field.

use super::live::Watching;
use crate::actors::ServiceError;
use crate::actors::reporter::{DocumentLinks, LinkDocuments, Reporter};
use crate::actors::resolver::{Ask, Operation, ReadDocuments, Resolver};
use crate::actors::supervision::Handle;
use crate::domain::access::Caller;
use crate::domain::ids::{PatientId, TestEventId};
use crate::web::problem::Problem;
use juniper::{FieldError, FieldResult, Value};
use std::sync::{Arc, OnceLock};

/// Who asks, and who answers.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) resolver: Handle<Resolver>,
    pub(super) reporter: Handle<Reporter>,
    /// What links to this server begin with.
    pub(super) base: Arc<OnceLock<String>>,
    pub(super) caller: Caller,
    /// For subscriptions; there are none over POST.
    pub(super) watching: Option<Watching>,
}

impl juniper::Context for Context {}

impl Context {
    /// Asks the resolver for an operation.
    pub(super) async fn ask<O: Operation>(&self, operation: O) -> Result<O::Answer, ServiceError> {
        self.resolver.ask(Ask { caller: self.caller.clone(), operation }).await?
    }

    /// Asks for leave, and with it the reporter for links to an event's documents.
    pub(super) async fn documents(
        &self,
        patient: PatientId,
        id: TestEventId,
        patient_name: String,
    ) -> Result<DocumentLinks, ServiceError> {
        let leave = self.ask(ReadDocuments { patient, id }).await?;
        self.reporter.ask(LinkDocuments { leave, patient_name }).await?
    }

    /// What links to this server begin with.
    pub(super) fn base(&self) -> &str {
        self.base.get().map(String::as_str).unwrap_or_default()
    }
}

/// The field's value, or its error with the same code and sentence as a problem document.
pub(super) async fn answer<T>(work: impl Future<Output = Result<T, ServiceError>>) -> FieldResult<Option<T>> {
    match work.await {
        Ok(value) => Ok(Some(value)),
        Err(error) => Err(failed(error)),
    }
}

/// The error of a field, with the same code and sentence as a problem document.
pub(super) fn failed(error: ServiceError) -> FieldError {
    let problem = Problem::from(error);
    let mut extensions = juniper::Object::with_capacity(1);
    extensions.add_field("code", Value::scalar(problem.code()));
    FieldError::new(problem.detail(), Value::Object(extensions))
}

/// A list as the contract has it: of items that may be null.
pub(super) fn list<A, T: From<A>>(items: Vec<A>) -> Vec<Option<T>> {
    items.into_iter().map(|item| Some(T::from(item))).collect()
}
