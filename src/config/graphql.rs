//! `graphql.*`: the bounds of the API.

use super::sections::section;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

section!(
    /// GraphQL.
    GraphqlConfig {
        /// Requests at once; further ones are told to come back.
        at_once: usize = 256,
        /// Seconds that an operation may take.
        deadline_seconds: u64 = 10,
        /// Largest body of a request, bytes.
        max_body_bytes: usize = 256 << 10,
        /// Requests in one body.
        max_batch: usize = 10,
        /// Longest document, bytes.
        max_document_bytes: usize = 64 << 10,
        /// Tokens (names, values, punctuation) of a document.
        max_tokens: usize = 8_000,
        /// Levels of a document, fragments expanded; at most 64.
        max_depth: usize = 24,
        /// Fields of an operation, fragments expanded.
        max_fields: usize = 2_000,
        /// Fields at the root of all operations of a body.
        max_root_fields: u64 = 20,
        /// Aliases of all operations of a body.
        max_aliases: u64 = 50,
        /// Directives of all operations of a body.
        max_directives: u64 = 50,
        /// Cost of all operations of a body: about the number of objects in the answer.
        max_cost: u64 = 20_000,
        /// Entries of a page.
        max_page: u32 = 200,
        /// Whether the schema can be asked for.
        introspection: bool = true,
        /// File with documents that are known beforehand: a JSON object, SHA-256 digest to document.
        persisted_documents: Option<PathBuf> = None,
        /// Whether only those documents are run.
        only_persisted: bool = false,
    }
);
