//! Errors of a request that are not a field's: each with a stable code.

use juniper::parser::ParseError;
use juniper::{DefaultScalarValue, GraphQLError};
use serde_json::{Value, json};
use std::borrow::Cow;

/// Why a document is not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with a stable `snake_case` code, and what is wrong with the document.
    pub(super) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }

    /// The response.
    pub(super) fn response(&self) -> Value {
        json!({ "errors": [{ "message": self.message, "extensions": { "code": self.code } }] })
    }
}

/// The code of what juniper refuses.
pub(super) fn code_of(error: &GraphQLError) -> &'static str {
    match error {
        GraphQLError::ParseError(error) => match error.item {
            ParseError::DepthLimitExceeded(_) => "too_deep",
            ParseError::TokenLimitExceeded(_) => "too_many_tokens",
            ParseError::FieldLimitExceeded(_) => "too_many_fields",
            ParseError::UnexpectedToken(_)
            | ParseError::UnexpectedEndOfFile
            | ParseError::LexerError(_)
            | ParseError::ExpectedScalarError(_) => "invalid_document",
        },
        GraphQLError::ValidationError(_) | GraphQLError::NotSupported(_) => "invalid_document",
        GraphQLError::NoOperationProvided
        | GraphQLError::MultipleOperationsProvided
        | GraphQLError::UnknownOperationName => "unknown_operation",
        GraphQLError::IsSubscription | GraphQLError::NotSubscription => "wrong_transport",
    }
}

/// Gives each error that has none a code. Fields give theirs; what juniper itself finds wrong with a value has none.
pub(super) fn give_codes(response: &mut Value, code: &'static str) {
    give_codes_to(response.get_mut("errors"), code);
}

/// The same for a list of errors.
pub(super) fn give_codes_to(errors: Option<&mut Value>, code: &'static str) {
    let errors = errors.and_then(Value::as_array_mut);
    for error in errors.into_iter().flatten().filter_map(Value::as_object_mut) {
        if error.get("extensions").is_none_or(Value::is_null) {
            error.insert("extensions".into(), json!({ "code": code }));
        }
    }
}

/// The response to a document that juniper refuses.
pub(super) fn refused(error: GraphQLError) -> Value {
    let code = code_of(&error);
    let response = juniper::http::GraphQLResponse::<DefaultScalarValue>::from_result(Err(error));
    let mut response = serde_json::to_value(response).unwrap_or_default();
    give_codes(&mut response, code);
    response
}
