//! Who asks, who answers, and how an answer becomes a field.

use super::live::Watching;
use super::loaders::Loaders;
use crate::actors::ServiceError;
use crate::actors::reporter::{DocumentLinks, LinkDocuments, Reporter};
use crate::actors::resolver::{Ask, Operation, ReadDocuments, Resolver, SeenLinks};
use crate::actors::supervision::Handle;
use crate::domain::access::Caller;
use crate::domain::ids::{PatientId, TestEventId};
use crate::web::problem::Problem;
use juniper::{FieldError, FieldResult, Value};
use std::sync::{Arc, OnceLock};

/// Asks the resolver for somebody.
#[derive(Clone)]
pub(super) struct Asker {
    resolver: Handle<Resolver>,
    caller: Caller,
    links: SeenLinks,
}

impl Asker {
    /// Asks the resolver for an operation.
    pub(super) async fn ask<O: Operation>(&self, operation: O) -> Result<O::Answer, ServiceError> {
        let Self { resolver, caller, links } = self;
        resolver.ask_for(Ask { caller: caller.clone(), operation, links: links.clone() }).await
    }
}

/// What the fields of a request are resolved with. Cheap to clone: the subscriptions of a connection have one each.
#[derive(Clone)]
pub(super) struct Context {
    asker: Asker,
    reporter: Handle<Reporter>,
    /// What links to this server begin with.
    base: Arc<OnceLock<String>>,
    /// What many objects of the answer need.
    pub(super) loaders: Arc<Loaders>,
    /// For subscriptions; there are none over POST.
    pub(super) watching: Option<Watching>,
    /// Entries of a page at most.
    pub(super) largest_page: u32,
}

impl juniper::Context for Context {}

impl Context {
    /// For one request of that caller. `base` is what links to this server begin with, `largest_page` how many entries a page
    /// has at most.
    pub(super) fn new(
        resolver: Handle<Resolver>,
        reporter: Handle<Reporter>,
        base: Arc<OnceLock<String>>,
        caller: Caller,
        largest_page: u32,
    ) -> Self {
        let asker = Asker { resolver, caller, links: SeenLinks::default() };
        Self { loaders: Arc::new(Loaders::new(&asker)), asker, reporter, base, watching: None, largest_page }
    }

    /// The same for the subscriptions of a connection.
    pub(super) fn watching(self, watching: Watching) -> Self {
        Self { watching: Some(watching), ..self }
    }

    /// Who asks.
    pub(super) fn caller(&self) -> &Caller {
        &self.asker.caller
    }

    /// Asks the resolver for an operation.
    pub(super) async fn ask<O: Operation>(&self, operation: O) -> Result<O::Answer, ServiceError> {
        self.asker.ask(operation).await
    }

    /// Asks for leave, and with it the reporter for links to an event's documents.
    pub(super) async fn documents(
        &self,
        patient: PatientId,
        id: TestEventId,
        patient_name: String,
    ) -> Result<DocumentLinks, ServiceError> {
        let leave = self.ask(ReadDocuments { patient, id }).await?;
        self.reporter.ask_for(LinkDocuments { leave, patient_name }).await
    }

    /// What links to this server begin with.
    pub(super) fn base(&self) -> &str {
        self.base.get().map(String::as_str).unwrap_or_default()
    }
}

/// The field's value, or its error with the same code and sentence as a problem document.
pub(super) async fn answer<T>(work: impl Future<Output = Result<T, ServiceError>>) -> FieldResult<Option<T>> {
    work.await.map(Some).map_err(failed)
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
