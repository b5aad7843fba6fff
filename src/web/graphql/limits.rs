//! Bounds of a document before it is parsed: a parser calls itself for each level, and validation compares fields.

/// Bytes of the longest document.
const LONGEST: usize = 64 << 10;
/// Levels of braces, brackets and parentheses.
const DEEPEST: usize = 32;
/// Words (names, numbers, variables) of a document.
const MOST_WORDS: usize = 4_000;

/// Says which bound a document goes over.
pub(super) fn check(document: &str) -> Result<(), String> {
    if document.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    let (mut depth, mut words) = (0_usize, 0_usize);
    let mut rest = document.as_bytes();
    let mut in_word = false;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let word = byte.is_ascii_alphanumeric() || *byte == b'_';
        words += usize::from(word && !in_word);
        in_word = word;
        match byte {
            b'"' => rest = after_string(after),
            b'#' => {
                rest = after.iter().position(|byte| *byte == b'\n').and_then(|end| after.get(end..)).unwrap_or_default()
            }
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return Err(format!("is nested deeper than {DEEPEST} levels"));
        }
        if words > MOST_WORDS {
            return Err(format!("has more than {MOST_WORDS} words"));
        }
    }
    Ok(())
}

/// What follows a string whose first quotation mark is read.
fn after_string(text: &[u8]) -> &[u8] {
    if let Some(block) = text.strip_prefix(b"\"\"") {
        let mut rest = block;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix(b"\"\"\"") {
                return after;
            }
            rest = rest.strip_prefix(b"\\\"\"\"").or_else(|| rest.get(1..)).unwrap_or_default();
        }
        return rest;
    }
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'"' | b'\n' => return after,
            b'\\' => rest = after.get(1..).unwrap_or_default(),
            _ => rest = after,
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_document_is_within_the_bounds() {
        let document = r#"query($p: String!) { getPatientById(patient_id: $p) { patient_id } # {{{{
            a: getPatientById(patient_id: "}\"{{") { email } b: getPatientById(patient_id: """ " \""" {{ """) { email } }"#;
        assert_eq!(check(document), Ok(()));
    }

    #[test]
    fn too_deep_too_long_or_too_many_words_is_refused() {
        assert!(check(&"{a".repeat(DEEPEST)).is_ok());
        assert!(check(&"{a".repeat(DEEPEST + 1)).is_err());
        assert!(check(&format!("{{a(x:\"\"){}", "[".repeat(50))).is_err());
        assert!(check(&" ".repeat(LONGEST + 1)).is_err());
        assert!(check(&"a ".repeat(MOST_WORDS + 1)).is_err());
    }

    #[test]
    fn a_string_hides_no_nesting_behind_it() {
        for start in ["\"\"", "\"a\"", "\"\\\"\"", "\"\"\"a\"\"\"", "#\n", "\"\"\"\\\"\"\"\"\"\""] {
            assert!(check(&format!("{start}{}", "{".repeat(50))).is_err(), "{start}");
        }
    }
}
