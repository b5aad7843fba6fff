//! Who asks, who answers, and how an answer becomes a field.

use super::loaders::Loaders;
use crate::actors::ServiceError;
use crate::actors::resolver::{Ask, Operation, Resolver};
use crate::actors::supervision::Handle;
use crate::domain::access::Caller;
use crate::web::problem::Problem;
use juniper::{FieldError, FieldResult, Value};

/// Asks the resolver for somebody.
#[derive(Clone)]
pub(super) struct Asker {
    resolver: Handle<Resolver>,
    caller: Caller,
}

impl Asker {
    /// Asks the resolver for an operation.
    pub(super) async fn ask<O: Operation>(&self, operation: O) -> Result<O::Answer, ServiceError> {
        self.resolver.ask(Ask { caller: self.caller.clone(), operation }).await?
    }
}

/// What the fields of a request are resolved with.
pub(super) struct Context {
    asker: Asker,
    /// What many objects of the answer need.
    pub(super) loaders: Loaders,
    /// Entries of a page at most.
    pub(super) largest_page: u32,
}

impl juniper::Context for Context {}

impl Context {
    /// For one request of that caller.
    pub(super) fn new(resolver: Handle<Resolver>, caller: Caller, largest_page: u32) -> Self {
        let asker = Asker { resolver, caller };
        Self { loaders: Loaders::new(&asker), asker, largest_page }
    }

    /// Who asks.
    pub(super) fn caller(&self) -> &Caller {
        &self.asker.caller
    }

    /// Asks the resolver for an operation.
    pub(super) async fn ask<O: Operation>(&self, operation: O) -> Result<O::Answer, ServiceError> {
        self.asker.ask(operation).await
    }
}

/// The field's value, or its error with the same code and sentence as a problem document.
pub(super) async fn answer<T>(work: impl Future<Output = Result<T, ServiceError>>) -> FieldResult<Option<T>> {
    work.await.map(Some).map_err(|error| field_error(error.into()))
}

/// A problem as the error of a field.
pub(super) fn field_error(problem: Problem) -> FieldError {
    let mut extensions = juniper::Object::with_capacity(1);
    extensions.add_field("code", Value::scalar(problem.code()));
    FieldError::new(problem.detail(), Value::Object(extensions))
}

/// A list as the contract has it: of items that may be null.
pub(super) fn list<A, T: From<A>>(items: Vec<A>) -> Vec<Option<T>> {
    items.into_iter().map(|item| Some(T::from(item))).collect()
}
