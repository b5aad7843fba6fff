//! What a document that comes over a WebSocket must be, before it is run: one subscription of one field.

use super::super::limits;
use super::super::schema::Schema;
use juniper::parser::parse_document_source;
use juniper::{Definition, OperationType, Selection};
use juniper_graphql_ws::graphql_transport_ws::SubscribePayload;
use serde_json::{Value, json};

/// Selections that are looked through for root fields: fragments may go round in circles.
const MOST_SELECTIONS: usize = 100;

/// Why a document is not run: a stable code, and a sentence.
pub(super) struct Refused {
    code: &'static str,
    detail: String,
}

impl Refused {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// As the protocol's message `error` for the operation.
    pub(super) fn message(&self, id: &str) -> Value {
        let error = json!({ "message": self.detail, "extensions": { "code": self.code } });
        json!({ "type": "error", "id": id, "payload": [error] })
    }
}

/// Refuses what is over a limit, is no subscription, or watches more than one thing. What is no document at all is left to
/// whoever runs it.
pub(super) fn check<S>(payload: &SubscribePayload<S>, schema: &Schema) -> Result<(), Refused> {
    if let Err(detail) = limits::check(&payload.query) {
        return Err(Refused::new("invalid_document", format!("the document {detail}")));
    }
    let Ok(document) = parse_document_source(&payload.query, &schema.schema) else { return Ok(()) };
    let name = payload.operation_name.as_deref();
    let operation = document.iter().find_map(|definition| match definition {
        Definition::Operation(operation) => {
            let named = operation.item.name.as_ref().map(|name| name.item);
            (name.is_none() || named == name).then_some(&operation.item)
        }
        Definition::Fragment(_) => None,
    });
    let Some(operation) = operation else { return Ok(()) };
    if operation.operation_type != OperationType::Subscription {
        return Err(Refused::new("subscriptions_only", "queries and mutations are answered at POST /graphql"));
    }
    let mut fuel = MOST_SELECTIONS;
    if root_fields(&operation.selection_set, &document, &mut fuel) != Some(1) {
        return Err(Refused::new("one_subscription_field", "a subscription has exactly one field at its root"));
    }
    Ok(())
}

/// How many fields there are, fragments included; `None` where there are too many to count.
fn root_fields<S>(selections: &[Selection<'_, S>], document: &[Definition<'_, S>], fuel: &mut usize) -> Option<usize> {
    let mut fields = 0;
    for selection in selections {
        *fuel = fuel.checked_sub(1)?;
        fields += match selection {
            Selection::Field(_) => 1,
            Selection::InlineFragment(fragment) => root_fields(&fragment.item.selection_set, document, fuel)?,
            Selection::FragmentSpread(spread) => {
                let fragment = document.iter().find_map(|definition| match definition {
                    Definition::Fragment(fragment) if fragment.item.name.item == spread.item.name.item => {
                        Some(&fragment.item)
                    }
                    Definition::Fragment(_) | Definition::Operation(_) => None,
                });
                root_fields(&fragment?.selection_set, document, fuel)?
            }
        };
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::super::super::schema::schema;
    use super::*;
    use juniper::DefaultScalarValue;

    fn refused(query: &str) -> Option<&'static str> {
        let payload: SubscribePayload<DefaultScalarValue> = serde_json::from_value(json!({ "query": query })).unwrap();
        check(&payload, &schema()).err().map(|refused| refused.code)
    }

    #[test]
    fn a_subscription_of_one_field_is_run_and_what_cannot_be_read_is_left_to_who_runs_it() {
        let field = "recordingUpdated(patient_id: \"p\") { status }";
        for query in [
            format!("subscription {{ {field} }}"),
            format!("subscription {{ ...F }} fragment F on Subscription {{ {field} }}"),
            format!("subscription {{ ... on Subscription {{ {field} }} }}"),
            "nonsense".to_owned(),
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
            ("subscription { ...F } fragment F on Subscription { ...F }".to_owned(), "one_subscription_field"),
            (format!("subscription {}", "{a".repeat(1_000)), "invalid_document"),
        ] {
            assert_eq!(refused(&query), Some(code), "{query}");
        }
    }
}
