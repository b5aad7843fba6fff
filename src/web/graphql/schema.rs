//! The schema: which operations there are.

use super::mutation::Mutation;
use super::query::Query;
use super::subscription::Subscription;
use juniper::RootNode;

/// The schema with its operations.
pub(super) type Schema = RootNode<Query, Mutation, Subscription>;

pub(super) fn schema() -> Schema {
    Schema::new(Query, Mutation, Subscription)
}
