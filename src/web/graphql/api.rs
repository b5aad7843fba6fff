//! Runs a request: finds its document, refuses what is out of bounds, validates and executes it, and writes the response.

use super::context::Context;
use super::documents::{Documents, Named, digest_in};
use super::limits::{self, Measure};
use super::refusal::{Refusal, give_codes, refused};
use super::schema::{Schema, schema};
use crate::config::{ConfigError, GraphqlConfig};
use crate::web::body::Fields;
use crate::web::problem::Problem;
use juniper::http::GraphQLResponse;
use juniper::parser::parse_document_source;
use juniper::{DefaultScalarValue, Definition, Document, GraphQLError, ValidatedOperation, Variables};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// The schema, its bounds, and the documents that are known beforehand.
pub struct Api {
    schema: Arc<Schema>,
    bounds: GraphqlConfig,
    documents: Documents,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

/// A request, as the body has it.
#[derive(Debug, Default)]
pub(super) struct Request {
    named: Named,
    operation_name: Option<String>,
    variables: Variables,
}

impl Request {
    /// Reads a request: `query` or `documentId` or the digest in `extensions`, and `operationName` and `variables`.
    pub(super) fn read(mut fields: Fields) -> Result<Self, Problem> {
        let query = fields.optional_text("query")?;
        let digest = fields.optional_text("documentId")?.or_else(|| digest_in(fields.value("extensions")));
        if query.is_none() && digest.is_none() {
            return Err(Problem::invalid_body("/query", "is missing"));
        }
        let operation_name = fields.optional_text("operationName")?;
        let variables = match fields.value("variables") {
            None | Some(Value::Null) => Variables::new(),
            Some(variables @ Value::Object(_)) => Variables::deserialize(variables)
                .map_err(|_| Problem::invalid_body("/variables", "holds a value that GraphQL does not have"))?,
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                return Err(Problem::invalid_body("/variables", "must be an object"));
            }
        };
        Ok(Self { named: Named { query, digest }, operation_name, variables })
    }
}

/// A document that may be run.
struct Runnable<'t> {
    text: &'t str,
    measure: Measure,
}

/// Why a document is not run.
pub(super) enum Refused {
    Ours(Refusal),
    Junipers(GraphQLError),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Ours(refusal)
    }
}

impl From<GraphQLError> for Refused {
    fn from(error: GraphQLError) -> Self {
        Self::Junipers(error)
    }
}

impl Refused {
    /// The response.
    pub(super) fn response(self) -> Value {
        match self {
            Self::Ours(refusal) => refusal.response(),
            Self::Junipers(error) => refused(error),
        }
    }
}

impl Api {
    /// The schema within these bounds.
    ///
    /// # Errors
    /// When the documents that are known beforehand cannot be read.
    pub fn new(config: &GraphqlConfig) -> Result<Self, ConfigError> {
        let mut schema =
            schema().limit_depth(config.max_depth).limit_tokens(config.max_tokens).limit_fields(config.max_fields);
        if !config.introspection {
            schema = schema.disable_introspection();
        }
        let documents = match &config.persisted_documents {
            None => Documents::default(),
            Some(file) => Documents::read(file, &schema)
                .map_err(|problem| ConfigError::NotAllowed { key: "graphql.persisted_documents", problem })?,
        };
        Ok(Self { schema: Arc::new(schema), bounds: config.clone(), documents })
    }

    /// The schema.
    pub(super) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// What a request may ask for.
    pub(super) fn bounds(&self) -> &GraphqlConfig {
        &self.bounds
    }

    /// Runs a request; the response, as JSON.
    pub(super) async fn run(&self, request: Request, context: &Context) -> Vec<u8> {
        self.run_next(&request, context, &mut Measure::default()).await
    }

    /// Runs requests one after the other, within the bounds of one; the list of their responses, as JSON.
    pub(super) async fn run_all(&self, requests: Vec<Request>, context: &Context) -> Vec<u8> {
        let mut asked = Measure::default();
        let mut answer = vec![b'['];
        for request in &requests {
            if answer.len() > 1 {
                answer.push(b',');
            }
            answer.append(&mut self.run_next(request, context, &mut asked).await);
        }
        answer.push(b']');
        answer
    }

    /// Runs a request after others that asked for so much.
    async fn run_next(&self, request: &Request, context: &Context, asked: &mut Measure) -> Vec<u8> {
        let result = match self.check(request, asked) {
            Ok(runnable) => {
                *asked = runnable.measure;
                self.execute(runnable.text, request, context).await
            }
            Err(refused) => Err(refused),
        };
        let response = match result {
            Ok((value, errors)) => {
                let clean = errors.is_empty();
                let response = GraphQLResponse::from_result(Ok((value, errors)));
                if clean {
                    return serde_json::to_vec(&response).unwrap_or_default();
                }
                let mut response = serde_json::to_value(response).unwrap_or_default();
                give_codes(&mut response, "invalid_argument");
                response
            }
            Err(refused) => refused.response(),
        };
        serde_json::to_vec(&response).unwrap_or_default()
    }

    /// Finds the document, and refuses one that is out of bounds before it is validated.
    fn check<'r>(&'r self, request: &'r Request, asked: &Measure) -> Result<Runnable<'r>, Refused> {
        let text = self.text(&request.named)?;
        let document = self.parse(text)?;
        let measure = self.measure(&document, request.operation_name.as_deref(), &request.variables)?.and(*asked);
        measure.check(&self.bounds)?;
        Ok(Runnable { text, measure })
    }

    /// The text of a document that may be run.
    pub(super) fn text<'n>(&'n self, named: &'n Named) -> Result<&'n str, Refusal> {
        named.text(&self.documents, self.bounds.only_persisted)
    }

    /// Reads a document, within the bounds of what is read.
    pub(super) fn parse<'t>(&'t self, text: &'t str) -> Result<Vec<Definition<'t, DefaultScalarValue>>, Refused> {
        limits::check_length(text, &self.bounds)?;
        Ok(parse_document_source(text, &self.schema.schema).map_err(GraphQLError::ParseError)?)
    }

    /// Measures the operation of that name, or the only one.
    pub(super) fn measure(
        &self,
        document: &Document<'_, DefaultScalarValue>,
        operation_name: Option<&str>,
        variables: &Variables,
    ) -> Result<Measure, Refusal> {
        limits::measure(document, &self.schema.schema, operation_name, variables)
    }

    async fn execute(&self, text: &str, request: &Request, context: &Context) -> Result<Executed, Refused> {
        let operation = ValidatedOperation::new(text, request.operation_name.as_deref(), &self.schema)?;
        Ok(operation.execute(&request.variables, context).await?)
    }
}

type Executed = (juniper::Value, Vec<juniper::ExecutionError<DefaultScalarValue>>);
