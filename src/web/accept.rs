//! Which of the forms that an answer has a client takes.

use super::problem::Problem;
use actix_web::HttpRequest;
use actix_web::http::{StatusCode, header};

/// The first form of `Accept` that there is; `usual` where the client does not say. `of` gives the form of a media type, `*/*` and
/// `text/*` among them, and `forms` says in the refusal which there are.
pub(super) fn accepted<T>(
    request: &HttpRequest,
    usual: T,
    of: impl Fn(&str) -> Option<T>,
    forms: &str,
) -> Result<T, Problem> {
    let mut ranges = request
        .headers()
        .get_all(header::ACCEPT)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .peekable();
    if ranges.peek().is_none() {
        return Ok(usual);
    }
    let form = ranges.find_map(|range| of(&range));
    form.ok_or_else(|| Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", format!("answers are {forms}")))
}
