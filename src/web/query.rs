//! `POST /v1/query`: SQL over the lake. A result is streamed as it comes; one that fails after its beginning was sent is cut off,
//! so that nobody takes a part for the whole.

use super::caller::Authenticated;
use super::problem::Problem;
use actix_web::{HttpResponse, web};

/// Adds the route.
pub fn configure(routes: &mut web::ServiceConfig) {
    routes.service(web::resource("/v1/query").route(web::post().to(query)));
}

#[cfg(not(feature = "lake"))]
async fn query(_: Authenticated) -> Result<HttpResponse, Problem> {
    let detail = "this program was built without SQL over the lake";
    Err(Problem::new(actix_web::http::StatusCode::NOT_IMPLEMENTED, "not_compiled", detail))
}

#[cfg(feature = "lake")]
use answer::query;

#[cfg(feature = "lake")]
mod answer {
    use super::{Authenticated, HttpResponse, Problem, web};
    use crate::actors::ServiceError;
    use crate::actors::lake::QueryLake;
    use crate::storage::lake::sql::{Answer, Format};
    use crate::web::Services;
    use crate::web::accept::accepted;
    use crate::web::body::read_object;
    use actix_web::HttpRequest;
    use actix_web::http::header;
    use bytes::Bytes;
    use futures_util::stream;

    /// Bytes of the largest body.
    const LARGEST_BODY: usize = 64 << 10;
    /// Bytes of a result that are gathered before its head is sent: an error until then is told as one.
    const GATHERED: usize = 256 << 10;

    pub(super) async fn query(
        request: HttpRequest,
        Authenticated(caller): Authenticated,
        payload: web::Payload,
        services: web::Data<Services>,
    ) -> Result<HttpResponse, Problem> {
        let mut fields = read_object(&request, payload, LARGEST_BODY).await?;
        let sql = fields.text("sql")?;
        let format = format(&request, fields.optional_text("format")?)?;
        let lake = services.lake.as_ref().ok_or_else(|| ServiceError::busy("no engine of the lake"))?;
        let answer = lake.ask_for(QueryLake { caller, sql }).await?;
        respond(answer, format).await
    }

    /// The format that the body names; otherwise the first of `Accept` that there is.
    fn format(request: &HttpRequest, named: Option<String>) -> Result<Format, Problem> {
        if let Some(name) = named {
            return name.parse().map_err(|()| Problem::invalid_body("/format", "must be table, csv, json or arrow"));
        }
        let forms = "text/plain, text/csv, application/json or application/vnd.apache.arrow.stream";
        accepted(request, Format::Json, of_media_type, forms)
    }

    fn of_media_type(range: &str) -> Option<Format> {
        match range {
            "*/*" | "application/*" => Some(Format::Json),
            "text/*" => Some(Format::Csv),
            range => Format::ALL.into_iter().find(|format| format.media_type().split(';').next() == Some(range)),
        }
    }

    async fn respond(answer: Answer, format: Format) -> Result<HttpResponse, Problem> {
        let mut sending = answer.encode(format).map_err(ServiceError::from)?;
        let mut beginning = Vec::new();
        let mut response = HttpResponse::Ok();
        response
            .insert_header((header::CONTENT_TYPE, format.media_type()))
            .insert_header((header::CACHE_CONTROL, "no-store"));
        while beginning.len() < GATHERED {
            match sending.next().await.map_err(ServiceError::from)? {
                Some(bytes) => beginning.extend_from_slice(&bytes),
                None => return Ok(response.body(beginning)),
            }
        }
        let rest = stream::unfold(Some((Some(Bytes::from(beginning)), sending)), |state| async {
            let (beginning, mut sending) = state?;
            if let Some(beginning) = beginning {
                return Some((Ok(beginning), Some((None, sending))));
            }
            match sending.next().await {
                Ok(None) => None,
                Ok(Some(bytes)) => Some((Ok(bytes), Some((None, sending)))),
                Err(error) => {
                    let problem = Problem::from(ServiceError::from(error));
                    tracing::warn!(code = problem.code(), "a result was cut off");
                    Some((Err(actix_web::Error::from(problem)), None))
                }
            }
        });
        Ok(response.streaming(rest))
    }
}
