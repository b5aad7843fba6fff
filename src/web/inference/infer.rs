//! `POST /v2/models/{m}[/versions/{v}]/infer`.

use super::{Answer, asked};
use crate::actors::ServiceError;
use crate::actors::inference::{Infer, Inferred};
use crate::domain::recording::Refusal;
use crate::scoring::exchange::{self, ExchangeError};
use crate::scoring::input::Inputs;
use crate::scoring::statistics::Label;
use crate::scoring::turns::Urgency;
use crate::web::Services;
use crate::web::body::read_bytes;
use crate::web::caller::Authenticated;
use crate::web::problem::{InferenceProblem, Problem};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use stance_models::tensors::{Encoded, HEADER_LENGTH, InferAnswer, InferRequest, TensorError};
use std::time::{Duration, Instant};

/// Larger bodies are read on a thread where that may take its time.
const READ_AT_ONCE: usize = 256 << 10;

/// A request that was read.
struct Read {
    request: InferRequest,
    inputs: Inputs,
    wanted: Vec<(&'static str, bool)>,
}

pub(super) async fn infer(
    request: HttpRequest,
    caller: Result<Authenticated, Problem>,
    payload: web::Payload,
    services: web::Data<Services>,
) -> Answer {
    let Authenticated(caller) = caller?;
    let model = asked(&request)?;
    let place = services.inference.place()?;
    let json = json_length(&request)?;
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(Refusal::unsupported("unsupported_encoding", "the body must not be compressed").into());
    }
    let body = read_bytes(payload, services.inference_body).await?;
    let Read { request, inputs, wanted } = if body.len() <= READ_AT_ONCE {
        read(&body, json)?
    } else {
        web::block(move || read(&body, json)).await.map_err(|_| ServiceError::busy("stopping"))??
    };
    let infer = Infer {
        place,
        model: model.clone(),
        inputs,
        // As in Triton: the lower, the more urgent, and 0 is for the server to say.
        urgency: if request.priority <= 1 { Urgency::Interactive } else { Urgency::Backlog },
        timeout: request.timeout_us.map(Duration::from_micros),
    };
    let Inferred { version, provisional, predictions } = services.inference.infer(&caller, infer).await?;
    let begun = Instant::now();
    let answer = InferAnswer {
        model_name: model.name.as_str(),
        model_version: version.as_str(),
        id: request.id.as_deref(),
        provisional: Some(provisional),
        outputs: exchange::tensors(&predictions, &wanted),
    };
    let Encoded { body, json } = answer.encode().map_err(|error| ServiceError::Internal(error.into()))?;
    let label = Label { name: model.name.to_string(), version: version.to_string() };
    services.inference.engine().statistics().written(&label, predictions.len(), begun.elapsed());
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(match json {
        None => response.content_type("application/json").body(body),
        Some(json) => response
            .insert_header((HEADER_LENGTH, json.to_string()))
            .content_type("application/octet-stream")
            .body(body),
    })
}

/// How many bytes of the body are JSON, where the client says so.
fn json_length(request: &HttpRequest) -> Result<Option<usize>, Refusal> {
    let Some(value) = request.headers().get(HEADER_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|value| value.trim().parse().ok());
    length
        .map(Some)
        .ok_or_else(|| Refusal::malformed("invalid_header_length", format!("{HEADER_LENGTH} must be a number")))
}

fn read(body: &[u8], json: Option<usize>) -> Result<Read, InferenceProblem> {
    let mut request = InferRequest::read(body, json).map_err(refused)?;
    let wanted = exchange::wanted(&request).map_err(not_exchanged)?;
    let inputs = exchange::rows(std::mem::take(&mut request.inputs)).map_err(not_exchanged)?;
    Ok(Read { request, inputs, wanted })
}

fn refused(error: TensorError) -> InferenceProblem {
    let text = error.to_string();
    match error {
        TensorError::HeaderLength | TensorError::Json { .. } => Refusal::malformed("malformed_request", text).into(),
        TensorError::Tensor { .. } | TensorError::Trailing(_) | TensorError::TooMany(_) => {
            ServiceError::Invalid { code: "invalid_tensor", detail: text }.into()
        }
    }
}

fn not_exchanged(error: ExchangeError) -> InferenceProblem {
    ServiceError::Invalid { code: "invalid_tensor", detail: error.to_string() }.into()
}
