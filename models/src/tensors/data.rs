//! The data of a tensor, from JSON or from raw bytes.

use super::request::TensorData;

/// Type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datatype {
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned, of so many bytes.
    Unsigned(usize),
    /// Signed, of so many bytes.
    Signed(usize),
    /// IEEE 754, 4 bytes.
    Fp32,
    /// IEEE 754, 8 bytes.
    Fp64,
    /// Any bytes; raw, each element after its length (4 bytes).
    Bytes,
}

impl Datatype {
    /// The type of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "BOOL" => Self::Bool,
            "UINT8" => Self::Unsigned(1),
            "UINT16" => Self::Unsigned(2),
            "UINT32" => Self::Unsigned(4),
            "UINT64" => Self::Unsigned(8),
            "INT8" => Self::Signed(1),
            "INT16" => Self::Signed(2),
            "INT32" => Self::Signed(4),
            "INT64" => Self::Signed(8),
            "FP32" => Self::Fp32,
            "FP64" => Self::Fp64,
            "BYTES" => Self::Bytes,
            _ => return None,
        })
    }
}

/// The numbers of a JSON array, flat or nested, each read as exactly as can be.
///
/// # Errors
/// What is wrong with it.
pub fn numbers(json: &serde_json::value::RawValue) -> Result<Vec<f64>, &'static str> {
    match from_json(Datatype::Fp64, json.get())? {
        TensorData::Numbers(numbers) => Ok(numbers),
        TensorData::Texts(_) => Err("its data must be numbers"),
    }
}

/// Reads raw elements, as many as there are.
pub(super) fn from_raw(datatype: Datatype, bytes: &[u8]) -> Result<TensorData, &'static str> {
    const ODD: &str = "its bytes are no whole number of elements";
    fn numbers<const N: usize>(bytes: &[u8], number: fn([u8; N]) -> f64) -> Result<TensorData, &'static str> {
        let (elements, rest) = bytes.as_chunks::<N>();
        if !rest.is_empty() {
            return Err(ODD);
        }
        Ok(TensorData::Numbers(elements.iter().map(|element| number(*element)).collect()))
    }
    match datatype {
        Datatype::Bool | Datatype::Unsigned(1) => numbers(bytes, |[byte]| f64::from(byte)),
        Datatype::Unsigned(2) => numbers(bytes, |bytes| f64::from(u16::from_le_bytes(bytes))),
        Datatype::Unsigned(4) => numbers(bytes, |bytes| f64::from(u32::from_le_bytes(bytes))),
        Datatype::Unsigned(_) => numbers(bytes, |bytes| u64::from_le_bytes(bytes) as f64),
        Datatype::Signed(1) => numbers(bytes, |[byte]| f64::from(byte.cast_signed())),
        Datatype::Signed(2) => numbers(bytes, |bytes| f64::from(i16::from_le_bytes(bytes))),
        Datatype::Signed(4) => numbers(bytes, |bytes| f64::from(i32::from_le_bytes(bytes))),
        Datatype::Signed(_) => numbers(bytes, |bytes| i64::from_le_bytes(bytes) as f64),
        Datatype::Fp32 => numbers(bytes, |bytes| f64::from(f32::from_le_bytes(bytes))),
        Datatype::Fp64 => numbers(bytes, f64::from_le_bytes),
        Datatype::Bytes => {
            let (mut rest, mut texts) = (bytes, Vec::new());
            while !rest.is_empty() {
                let (length, after) = rest.split_first_chunk::<4>().ok_or(ODD)?;
                let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| ODD)?;
                let (text, after) = after.split_at_checked(length).ok_or(ODD)?;
                texts.push(text.to_vec());
                rest = after;
            }
            Ok(TensorData::Texts(texts))
        }
    }
}

/// Reads the elements of a JSON array, flat or nested. `json` is known to be JSON. Numbers are read as exactly as can be, which
/// a JSON library in a hurry does not do.
pub(super) fn from_json(datatype: Datatype, json: &str) -> Result<TensorData, &'static str> {
    const NUMBERS: &str = "its data must be numbers";
    const TEXTS: &str = "its data must be strings";
    let texts_wanted = datatype == Datatype::Bytes;
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    let mut rest = json.trim_ascii_start();
    if !rest.starts_with('[') {
        return Err("its data must be an array");
    }
    while let Some(first) = rest.chars().next() {
        match first {
            '[' | ']' | ',' | ' ' | '\t' | '\n' | '\r' => rest = rest.get(1..).unwrap_or_default(),
            '"' if texts_wanted => {
                let end = end_of_string(rest).ok_or(TEXTS)?;
                let (text, after) = rest.split_at_checked(end).ok_or(TEXTS)?;
                let text: String = serde_json::from_str(text).map_err(|_| TEXTS)?;
                texts.push(text.into_bytes());
                rest = after;
            }
            _ if texts_wanted => return Err(TEXTS),
            _ => {
                let end = rest.find([',', ']', ' ', '\t', '\n', '\r']).unwrap_or(rest.len());
                let (token, after) = rest.split_at_checked(end).ok_or(NUMBERS)?;
                numbers.push(match token {
                    "true" if datatype == Datatype::Bool => 1.0,
                    "false" if datatype == Datatype::Bool => 0.0,
                    _ if token.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                        token.parse().map_err(|_| NUMBERS)?
                    }
                    _ => return Err(NUMBERS),
                });
                rest = after;
            }
        }
    }
    Ok(if texts_wanted { TensorData::Texts(texts) } else { TensorData::Numbers(numbers) })
}

/// Bytes of the JSON string that the text begins with.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(place + 1),
            _ => {}
        }
    }
    None
}
