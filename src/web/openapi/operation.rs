//! How an operation is described: what it takes, and everything that it answers.

use super::documents::Problem;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{Ref, RefOr, Required, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

/// The name of the security scheme.
pub(super) const BEARER: &str = "bearer";
/// Media types.
pub(super) const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// An operation of a path, with the schemas that it names.
pub(super) struct Described {
    pub(super) path: String,
    pub(super) method: HttpMethod,
    pub(super) operation: OperationBuilder,
    pub(super) schemas: Vec<(String, RefOr<Schema>)>,
}

/// Begins the description of an operation: its id, unique among all, and what it does in a sentence.
pub(super) fn operation(method: HttpMethod, path: &str, id: &str, summary: &str) -> Described {
    let operation = OperationBuilder::new().operation_id(Some(id)).summary(Some(summary));
    // A bound or a dependency of any of them may be at its end.
    Described { path: path.to_owned(), method, operation, schemas: Vec::new() }.problems(&[500, 503])
}

impl Described {
    /// It needs a token.
    pub(super) fn authorized(mut self) -> Self {
        self.operation = self.operation.security(SecurityRequirement::new(BEARER, Vec::<String>::new()));
        // 403 also where a provider's token says who somebody is, but not as what.
        self.problems(&[401, 403])
    }

    /// A part of its path.
    pub(super) fn path_parameter(self, name: &str, description: &str) -> Self {
        self.parameter(ParameterIn::Path, name, description, Required::True)
    }

    /// A part of its query.
    pub(super) fn query_parameter(self, name: &str, description: &str) -> Self {
        self.parameter(ParameterIn::Query, name, description, Required::False)
    }

    /// A header that it heeds.
    pub(super) fn header(self, name: &str, description: &str) -> Self {
        self.parameter(ParameterIn::Header, name, description, Required::False)
    }

    fn parameter(mut self, within: ParameterIn, name: &str, description: &str, required: Required) -> Self {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(within)
            .required(required)
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        self.operation = self.operation.parameter(parameter);
        self
    }

    /// It reads a JSON body of this form.
    pub(super) fn body<T: ToSchema>(self) -> Self {
        self.reads::<T>(Required::True).problems(&[400, 413, 415, 422])
    }

    /// It reads a JSON body of this form, where there is one.
    pub(super) fn optional_body<T: ToSchema>(self) -> Self {
        self.reads::<T>(Required::False).problems(&[400, 413, 422])
    }

    fn reads<T: ToSchema>(mut self, required: Required) -> Self {
        let content = ContentBuilder::new().schema(Some(self.named::<T>())).build();
        let body = RequestBodyBuilder::new().required(Some(required)).content(JSON, content);
        self.operation = self.operation.request_body(Some(body.build()));
        self
    }

    /// It may answer with a JSON document of this form.
    pub(super) fn answers<T: ToSchema>(mut self, status: u16, description: &str) -> Self {
        let content = ContentBuilder::new().schema(Some(self.named::<T>())).build();
        let response = ResponseBuilder::new().description(description).content(JSON, content);
        self.operation = self.operation.response(status.to_string(), response);
        self
    }

    /// It may answer with a JSON document of this form, or with what begins with one.
    pub(super) fn answers_or_raw<T: ToSchema>(self, status: u16, description: &str) -> Self {
        self.answers_or::<T>(status, "application/octet-stream", description)
    }

    /// It may answer with a JSON document of this form, or with what is of this media type.
    pub(super) fn answers_or<T: ToSchema>(mut self, status: u16, media: &str, description: &str) -> Self {
        let content = ContentBuilder::new().schema(Some(self.named::<T>())).build();
        let response = ResponseBuilder::new().description(description).content(JSON, content);
        let response = response.content(media, ContentBuilder::new().build());
        self.operation = self.operation.response(status.to_string(), response);
        self
    }

    /// It may answer with a text of this media type.
    pub(super) fn answers_text(mut self, status: u16, media: &str, description: &str) -> Self {
        let text = ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).build();
        let response = ResponseBuilder::new().description(description).content(media, text);
        self.operation = self.operation.response(status.to_string(), response);
        self
    }

    /// It may answer with what is of one of these media types, whatever it holds.
    pub(super) fn answers_with(mut self, status: u16, media: &[&str], description: &str) -> Self {
        let response = ResponseBuilder::new().description(description);
        let response =
            media.iter().fold(response, |response, media| response.content(*media, ContentBuilder::new().build()));
        self.operation = self.operation.response(status.to_string(), response);
        self
    }

    /// It may answer with nothing.
    pub(super) fn answers_nothing(mut self, status: u16, description: &str) -> Self {
        self.operation = self.operation.response(status.to_string(), ResponseBuilder::new().description(description));
        self
    }

    /// It may answer with a problem document of each of these statuses.
    pub(super) fn problems(mut self, statuses: &[u16]) -> Self {
        for status in statuses {
            let content = ContentBuilder::new().schema(Some(self.named::<Problem>())).build();
            let mut response = ResponseBuilder::new().description(meaning(*status)).content(PROBLEM, content);
            let header = match status {
                401 => Some("WWW-Authenticate"),
                429 | 503 => Some("Retry-After"),
                _ => None,
            };
            if let Some(header) = header {
                let text = ObjectBuilder::new().schema_type(Type::String);
                response = response.header(header, HeaderBuilder::new().schema(Some(text)).build());
            }
            self.operation = self.operation.response(status.to_string(), response);
        }
        self
    }

    /// The schema of a type, by its name.
    fn named<T: ToSchema>(&mut self) -> Ref {
        self.schemas.push((T::name().into_owned(), <T as PartialSchema>::schema()));
        T::schemas(&mut self.schemas);
        Ref::from_schema_name(T::name())
    }
}

/// What a status of a problem means, wherever it comes.
fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be read",
        401 => "No token, or none that holds; or the credentials are wrong",
        403 => "The caller's role may never do this",
        404 => "There is no such thing, or the caller may not see it",
        406 => "None of the media types that are accepted is made here",
        409 => "It clashes with what is there",
        413 => "The body is too large",
        415 => "The body's media type or encoding is not read here",
        422 => "The body breaks a rule; `errors` says where",
        426 => "This is for a WebSocket",
        429 => "Too many attempts; `Retry-After` says when to come back",
        500 => "A fault of the server",
        501 => "The program was built without this",
        503 => "A bound is reached or a dependency is away; nothing was done. `Retry-After` says when to come back",
        507 => "No space is left; nothing was done",
        _ => "The request was not done",
    }
}
