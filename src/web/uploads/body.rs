//! The body of an upload on its way to the disk: decoded, counted and cut off at a cap, a buffer at a time.

use super::super::Services;
use super::super::places::Place;
use crate::actors::ServiceError;
use crate::domain::access::Caller;
use crate::domain::recording::Refusal;
use crate::storage::objects::Staged;
use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::http::header;
use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::Bytes;
use futures_util::TryStreamExt;
use std::io;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;
use tokio_util::io::StreamReader;

/// Bytes between two writes to the disk, at most.
const BUFFER: usize = 128 << 10;
/// The buffer grows from here with what arrives.
const FIRST_BUFFER: usize = 4 << 10;
/// A larger buffer goes to the disk when nothing arrives for so long: an upload that pauses holds next to nothing.
const PAUSE: Duration = Duration::from_millis(100);
/// How much of a body that nobody wants is read, and for how long.
const MOST_DISCARDED: usize = 4 << 20;
const LONGEST_DISCARD: Duration = Duration::from_secs(2);
/// Largest window of a zstd frame, as a power of two: 8 MiB, what the format asks every decoder to have.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Where the decoded bytes come from.
enum Source {
    /// As they were sent, and what is left of the last chunk.
    Plain(Payload, Bytes),
    /// Out of a decoder.
    Decoded(Pin<Box<dyn AsyncRead>>),
}

impl Source {
    /// Appends at most `room` bytes; 0 at the end. A chunk that is used up is let go at once, for it holds on to the
    /// connection's buffer.
    async fn read(&mut self, buffer: &mut Vec<u8>, room: usize) -> io::Result<usize> {
        match self {
            Self::Plain(payload, rest) => {
                while rest.is_empty() {
                    let Some(chunk) = payload.try_next().await.map_err(io::Error::other)? else { return Ok(0) };
                    *rest = chunk;
                }
                let piece = rest.split_to(rest.len().min(room));
                buffer.extend_from_slice(&piece);
                Ok(piece.len())
            }
            Self::Decoded(decoder) => decoder.take(room as u64).read_buf(buffer).await,
        }
    }
}

/// Looks at what is known of an upload before its body arrives, and gives it a place.
pub(super) fn admit(request: &HttpRequest, caller: &Caller, services: &Services) -> Result<Place, ServiceError> {
    check_type(request)?;
    let limit = services.uploads.max_bytes;
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(Refusal::too_large(limit).into());
    }
    services.places.take(caller.account)
}

/// Throws a body away, as far as that is soon done: who is answered while still sending may not see the answer.
pub(super) async fn discard(payload: &mut Payload) {
    let mut left = MOST_DISCARDED;
    let discarded = async {
        while let Ok(Some(chunk)) = payload.try_next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LONGEST_DISCARD, discarded).await;
}

/// Receives the body into a staged object.
pub(super) async fn receive(
    request: &HttpRequest,
    payload: Payload,
    services: &Services,
) -> Result<Staged, ServiceError> {
    let limit = services.uploads.max_bytes;
    let mut source = decode(request, payload)?;
    let mut staged: Option<Staged> = None;
    let mut buffer: Vec<u8> = Vec::new();
    let mut total = 0;
    let begun = Instant::now();
    let mut last_byte = begun;
    loop {
        let room = (2 * buffer.len()).clamp(FIRST_BUFFER, BUFFER) - buffer.len();
        buffer.reserve_exact(room);
        let patience = if buffer.capacity() > FIRST_BUFFER { PAUSE } else { services.uploads.idle_timeout };
        let read = match tokio::time::timeout(patience, source.read(&mut buffer, room)).await {
            Ok(Ok(read)) => Some(read),
            Ok(Err(error)) => return Err(broken(&error)),
            Err(_) => None,
        };
        match read {
            Some(read) => {
                total += read as u64;
                last_byte = Instant::now();
            }
            None if last_byte.elapsed() >= services.uploads.idle_timeout => {
                return Err(Refusal::malformed("upload_stalled", "no byte arrived for too long").into());
            }
            None => {}
        }
        if total > limit {
            return Err(Refusal::too_large(limit).into());
        }
        if read != Some(0) && begun.elapsed() > services.uploads.longest {
            return Err(Refusal::malformed("upload_too_slow", "the body took too long to arrive").into());
        }
        if read.is_some_and(|read| read > 0) && buffer.len() < BUFFER {
            continue;
        }
        // Full, the end, or a pause.
        let written = write(services, staged.take(), std::mem::take(&mut buffer)).await?;
        if read == Some(0) {
            return Ok(written);
        }
        staged = Some(written);
    }
}

/// Adds bytes to the object under way; begins one where there is none.
async fn write(services: &Services, staged: Option<Staged>, bytes: Vec<u8>) -> Result<Staged, ServiceError> {
    let staged = staged.unwrap_or_else(|| services.objects.stage());
    Ok(staged.write(bytes).await?)
}

fn check_type(request: &HttpRequest) -> Result<(), Refusal> {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else { return Ok(()) };
    let kind = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind == "application/json" || kind == "application/octet-stream" || kind.ends_with("+json") {
        return Ok(());
    }
    Err(Refusal::unsupported("unsupported_media_type", "the body must be application/json"))
}

fn decode(request: &HttpRequest, payload: Payload) -> Result<Source, Refusal> {
    let encoding = request.headers().get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim());
    let raw = |payload: Payload| StreamReader::new(payload.map_err(io::Error::other));
    let decoder: Pin<Box<dyn AsyncRead>> = match encoding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "identity") => return Ok(Source::Plain(payload, Bytes::new())),
        Some("gzip" | "x-gzip") => {
            let mut decoder = GzipDecoder::new(raw(payload));
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Some("zstd") => {
            let mut decoder = ZstdDecoder::with_params(raw(payload), &[DParameter::window_log_max(ZSTD_WINDOW_LOG)]);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Some("br") => Box::pin(BrotliDecoder::new(raw(payload))),
        Some(_) => {
            return Err(Refusal::unsupported("unsupported_encoding", "Content-Encoding must be gzip, zstd or br"));
        }
    };
    Ok(Source::Decoded(decoder))
}

/// A body that could not be read to its end: cut short by the client, or not in the encoding it claims.
fn broken(error: &io::Error) -> ServiceError {
    if error.get_ref().is_some_and(|cause| cause.is::<actix_web::error::PayloadError>()) {
        return Refusal::malformed("body_cut_short", "the body ended before its end").into();
    }
    Refusal::malformed("encoding_broken", "the body is not in the encoding that Content-Encoding names").into()
}
