//! What a document that comes over a WebSocket must be, before it is run: one subscription of one field, written at its root.
//!
//! Not in a fragment: juniper takes a field of a root fragment that fails for a fault of its own, and panics. And not
//! `__typename`, which juniper cannot watch.

use super::super::api::{Api, Refused};
use super::super::documents::{Named, digest_in};
use super::super::refusal::Refusal;
use juniper::{DefaultScalarValue, Definition, GraphQLError, OperationType, Selection};
use juniper_graphql_ws::graphql_transport_ws::SubscribePayload;
use serde_json::{Value, json};

/// Refuses what may not be run or is out of bounds, as at `POST /graphql`, what is no subscription, and what watches more
/// than one thing. What does not fit the schema is left to whoever runs it.
pub(super) fn check(payload: &SubscribePayload<DefaultScalarValue>, api: &Api) -> Result<(), Refused> {
    let digest = digest_in(serde_json::to_value(&payload.extensions).ok());
    let named = Named { query: Some(payload.query.clone()), digest };
    let document = api.parse(api.text(&named)?)?;
    let name = payload.operation_name.as_deref();
    let operation = document.iter().find_map(|definition| match definition {
        Definition::Operation(operation) => {
            let named = operation.item.name.as_ref().map(|name| name.item);
            (name.is_none() || named == name).then_some(&operation.item)
        }
        Definition::Fragment(_) => None,
    });
    let operation = operation.ok_or(GraphQLError::UnknownOperationName)?;
    if operation.operation_type != OperationType::Subscription {
        return Err(Refusal::new("subscriptions_only", "queries and mutations are answered at POST /graphql").into());
    }
    match operation.selection_set.as_slice() {
        [Selection::Field(field)] if field.item.name.item != "__typename" => {}
        _ => {
            let text = "a subscription has exactly one field at its root, not in a fragment and not __typename";
            return Err(Refusal::new("one_subscription_field", text).into());
        }
    }
    api.measure(&document, name, &payload.variables)?.check(api.bounds())?;
    Ok(())
}

/// A refusal as the protocol's message `error` for the operation.
pub(super) fn error_message(id: &str, refused: Refused) -> Value {
    json!({ "type": "error", "id": id, "payload": refused.response()["errors"] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GraphqlConfig;

    /// The code with which it is refused within these bounds.
    fn refused_within(bounds: &GraphqlConfig, query: &str) -> Option<String> {
        let payload: SubscribePayload<DefaultScalarValue> = serde_json::from_value(json!({ "query": query })).unwrap();
        let refused = check(&payload, &Api::new(bounds).unwrap()).err()?;
        Some(error_message("1", refused)["payload"][0]["extensions"]["code"].as_str().unwrap().to_owned())
    }

    fn refused(query: &str) -> Option<String> {
        refused_within(&GraphqlConfig::default(), query)
    }

    #[test]
    fn a_subscription_of_one_field_is_run_and_what_does_not_fit_the_schema_is_left_to_who_runs_it() {
        let field = "recordingUpdated(patient_id: \"p\") { status }";
        for query in [
            format!("subscription {{ {field} }}"),
            format!("subscription {{ a: {field} }}"),
            "subscription { recordingUpdated(patient_id: \"p\") { ...F } } fragment F on RecordingStatus { status }"
                .to_owned(),
            "subscription { nothing }".to_owned(),
        ] {
            assert_eq!(refused(&query), None, "{query}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let field = "recordingUpdated(patient_id: \"p\") { status }";
        for (query, code) in [
            ("{ getAllAvailableTests { test_type } }".to_owned(), "subscriptions_only"),
            ("mutation { addTestType(test_type: \"x\") { test_type } }".to_owned(), "subscriptions_only"),
            (format!("subscription {{ a: {field} b: {field} }}"), "one_subscription_field"),
            (
                format!("subscription {{ ...F ...F }} fragment F on Subscription {{ {field} }}"),
                "one_subscription_field",
            ),
            (format!("subscription {{ ...F }} fragment F on Subscription {{ {field} }}"), "one_subscription_field"),
            (format!("subscription {{ ... on Subscription {{ {field} }} }}"), "one_subscription_field"),
            (format!("subscription {{ ... {{ {field} }} }}"), "one_subscription_field"),
            (format!("subscription {{ {field} __typename }}"), "one_subscription_field"),
            ("subscription { __typename }".to_owned(), "one_subscription_field"),
            ("subscription { a: __typename }".to_owned(), "one_subscription_field"),
            ("subscription { ...F } fragment F on Subscription { __typename }".to_owned(), "one_subscription_field"),
            ("subscription { ...F } fragment F on Subscription { ...F }".to_owned(), "one_subscription_field"),
            (format!("subscription {}", "{a".repeat(1_000)), "too_deep"),
            ("nonsense".to_owned(), "invalid_document"),
            ("fragment F on Subscription { a }".to_owned(), "unknown_operation"),
        ] {
            assert_eq!(refused(&query).as_deref(), Some(code), "{query}");
        }
    }

    #[test]
    fn the_bounds_are_those_of_what_is_posted() {
        let usual = GraphqlConfig::default();
        let query = "subscription { a: recordingUpdated(patient_id: \"p\") { status score { value } } }";
        for (bounds, expected) in [
            (GraphqlConfig { max_document_bytes: 10, ..usual.clone() }, "document_too_long"),
            (GraphqlConfig { max_depth: 2, ..usual.clone() }, "too_deep"),
            (GraphqlConfig { max_tokens: 5, ..usual.clone() }, "too_many_tokens"),
            (GraphqlConfig { max_fields: 2, ..usual.clone() }, "too_many_fields"),
            (GraphqlConfig { max_aliases: 0, ..usual.clone() }, "too_many_aliases"),
            (GraphqlConfig { max_cost: 1, ..usual.clone() }, "too_costly"),
            (GraphqlConfig { only_persisted: true, ..usual.clone() }, "document_not_persisted"),
        ] {
            assert_eq!(refused_within(&bounds, query).as_deref(), Some(expected));
        }
        assert_eq!(refused(query), None);
    }
}
