//! Codes that people type: groups of four characters that nobody mistakes for others, five random bits each.

use super::entropy::Entropy;

/// Crockford's Base32: without I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a group.
const GROUP: usize = 4;

/// A new code of so many groups, as it is shown: `7K3M-9QXD`.
#[must_use]
pub fn new(entropy: &Entropy, groups: usize) -> String {
    let group = || -> String {
        // 256 is a multiple of 32: every character is as likely.
        let bytes = entropy.bytes::<GROUP>();
        bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32)).copied().map(char::from)).collect()
    };
    (0..groups).map(|_| group()).collect::<Vec<_>>().join("-")
}

/// What a person typed of a code of so many groups, as it was shown but for hyphens; whatever they made of small letters,
/// spaces and what looks alike.
#[must_use]
pub fn typed(text: &str, groups: usize) -> Option<String> {
    let mut code = String::with_capacity(groups * GROUP);
    for character in text.chars().filter(|character| !matches!(character, '-' | ' ')) {
        let character = match character.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            character => character,
        };
        let known = u8::try_from(character).is_ok_and(|byte| ALPHABET.contains(&byte));
        if !known || code.len() == groups * GROUP {
            return None;
        }
        code.push(character);
    }
    (code.len() == groups * GROUP).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_was_shown_however_it_is_typed() {
        let entropy = Entropy::from_seed(1);
        for _ in 0..100 {
            let code = new(&entropy, 2);
            assert_eq!(code.len(), 9);
            let plain = code.replace('-', "");
            assert_eq!(typed(&code, 2), Some(plain.clone()));
            assert_eq!(typed(&plain.to_lowercase(), 2), Some(plain));
        }
        assert_eq!(typed("o1l i-AAAA", 2).as_deref(), Some("0111AAAA"));
        for bad in ["", "AAAA", "AAAA-AAAAA", "AAAA-AAAU", "AAAA-AAAÄ", &"A".repeat(10_000)] {
            assert_eq!(typed(bad, 2), None);
        }
    }
}
