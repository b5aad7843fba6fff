//! The schema: which operations there are.

use super::context::Context;
use super::mutation::Mutation;
use super::query::Query;
use juniper::{EmptySubscription, RootNode};

/// The schema with its operations.
pub(super) type Schema = RootNode<Query, Mutation, EmptySubscription<Context>>;

pub(super) fn schema() -> Schema {
    Schema::new(Query, Mutation, EmptySubscription::new())
}
