//! Documents that are known beforehand: a client names one by its digest instead of sending it.

use super::refusal::Refusal;
use super::schema::Schema;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// Bytes of the file at most.
const LARGEST_FILE: u64 = 16 << 20;
/// Characters of a SHA-256 digest.
const DIGEST: usize = 64;

/// The documents, by the SHA-256 digest of their text.
#[derive(Debug, Default)]
pub(super) struct Documents(HashMap<String, String>);

impl Documents {
    /// Reads a file: one JSON object whose keys are digests (lower case, hexadecimal) and whose values are documents. Each
    /// must have its digest and fit the schema.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the file.
    pub(super) fn read(path: &Path, schema: &Schema) -> Result<Self, String> {
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        #[expect(clippy::disallowed_methods, reason = "bounded")]
        file.take(LARGEST_FILE + 1)
            .read_to_string(&mut text)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        if text.len() as u64 > LARGEST_FILE {
            return Err(format!("{} has more than {LARGEST_FILE} bytes", path.display()));
        }
        let documents: HashMap<String, String> = serde_json::from_str(&text)
            .map_err(|error| format!("{} is no JSON object of documents by digest: {error}", path.display()))?;
        for (digest, document) in &documents {
            if *digest != digest_of(document) {
                return Err(format!("{digest} is not the SHA-256 digest of its document"));
            }
            match juniper::ValidatedOperation::new(document, None, schema) {
                // Of one with several operations, the request chooses.
                Ok(_) | Err(juniper::GraphQLError::MultipleOperationsProvided) => {}
                Err(error) => return Err(format!("document {digest}: {error}")),
            }
        }
        Ok(Self(documents))
    }

    /// The document with that digest, with or without `sha256:` before it.
    pub(super) fn find(&self, digest: &str) -> Option<&str> {
        let digest = digest.strip_prefix("sha256:").unwrap_or(digest);
        self.0.get(&digest.to_ascii_lowercase()).map(String::as_str)
    }

    /// Whether a document is one of them.
    pub(super) fn holds(&self, document: &str) -> bool {
        self.0.contains_key(&digest_of(document))
    }
}

/// What a request sent of its document.
#[derive(Debug, Default)]
pub(super) struct Named {
    /// Its text.
    pub(super) query: Option<String>,
    /// Its digest.
    pub(super) digest: Option<String>,
}

impl Named {
    /// The document's text.
    pub(super) fn text<'n>(&'n self, known: &'n Documents, only_known: bool) -> Result<&'n str, Refusal> {
        match (&self.query, &self.digest) {
            // The message is the one by which clients know that they shall send the text, too.
            (None, Some(digest)) => {
                known.find(digest).ok_or_else(|| Refusal::new("persisted_document_not_found", "PersistedQueryNotFound"))
            }
            (Some(text), Some(digest)) if digest_differs(digest, text) => {
                Err(Refusal::new("persisted_document_differs", "the document is not the one of its digest"))
            }
            (Some(text), _) if only_known && !known.holds(text) => Err(Refusal::new(
                "document_not_persisted",
                "only documents that are known beforehand are run on this server",
            )),
            (Some(text), _) => Ok(text),
            (None, None) => Err(Refusal::new("document_missing", "neither query nor documentId is there")),
        }
    }
}

fn digest_differs(digest: &str, text: &str) -> bool {
    let digest = digest.strip_prefix("sha256:").unwrap_or(digest);
    !digest.eq_ignore_ascii_case(&digest_of(text))
}

/// The digest in `extensions` as clients with automatic persisted queries send it.
pub(super) fn digest_in(extensions: Option<Value>) -> Option<String> {
    let digest = extensions?.get("persistedQuery")?.get("sha256Hash")?.as_str()?.to_owned();
    (digest.len() == DIGEST).then_some(digest)
}

fn digest_of(document: &str) -> String {
    Sha256::digest(document.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::schema::schema;
    use super::*;

    const DOCUMENT: &str = "{ getAllAvailableTests { test_type } }";

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn documents_are_found_by_their_digest() {
        let digest = digest_of(DOCUMENT);
        let file = file(&serde_json::json!({ &digest: DOCUMENT }).to_string());
        let documents = Documents::read(file.path(), &schema()).unwrap();
        for name in [digest.clone(), format!("sha256:{digest}"), digest.to_uppercase()] {
            assert_eq!(documents.find(&name), Some(DOCUMENT));
        }
        assert_eq!(documents.find("sha256:0"), None);
        let named = |query: Option<&str>, digest: Option<&str>| Named {
            query: query.map(Into::into),
            digest: digest.map(Into::into),
        };
        let code = |named: Named, only| named.text(&documents, only).map(str::to_owned).map_err(|refusal| refusal.code);
        assert_eq!(code(named(None, Some(&digest)), true), Ok(DOCUMENT.into()));
        assert_eq!(code(named(Some(DOCUMENT), None), true), Ok(DOCUMENT.into()));
        assert_eq!(code(named(Some("{ a }"), None), false), Ok("{ a }".into()));
        assert_eq!(code(named(Some("{ a }"), None), true), Err("document_not_persisted"));
        assert_eq!(code(named(Some("{ a }"), Some(&digest)), false), Err("persisted_document_differs"));
        assert_eq!(code(named(None, Some("0")), false), Err("persisted_document_not_found"));
        assert_eq!(code(named(None, None), false), Err("document_missing"));
    }

    #[test]
    fn a_file_with_another_digest_or_another_schema_is_refused() {
        let unknown = "{ getNothing }";
        for (text, expected) in [
            (serde_json::json!({ "00": DOCUMENT }).to_string(), "is not the SHA-256 digest"),
            (serde_json::json!({ digest_of(unknown): unknown }).to_string(), "getNothing"),
            ("[]".into(), "is no JSON object"),
        ] {
            let error = Documents::read(file(&text).path(), &schema()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(Documents::read(Path::new("/nowhere"), &schema()).is_err());
    }
}
