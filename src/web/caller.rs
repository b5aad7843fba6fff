//! Who a request comes from.

use super::Services;
use super::problem::Problem;
use crate::actors::ServiceError;
use crate::actors::session_auth::Authenticate;
use crate::domain::access::Caller;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, web};
use std::pin::Pin;

/// A caller whose token holds. A handler that takes one answers 401 to everybody else.
#[derive(Debug, Clone)]
pub struct Authenticated(pub Caller);

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let token = token(request);
        let services = request.app_data::<web::Data<Services>>().cloned();
        Box::pin(async move {
            let token = token.ok_or(ServiceError::Unauthenticated)?;
            let services = services.ok_or_else(|| ServiceError::Internal(anyhow::anyhow!("no services")))?;
            let caller = services.session_auth.ask(Authenticate { token }).await.map_err(ServiceError::from)??;
            Ok(Self(caller))
        })
    }
}

/// The token of `Authorization: Bearer TOKEN`, or of `Authorization: TOKEN` as older clients send it. Two headers are
/// none.
fn token(request: &HttpRequest) -> Option<String> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let (value, another) = (values.next()?, values.next());
    if another.is_some() {
        return None;
    }
    let value = value.to_str().ok()?.trim();
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        Some(_) => return None,
        None => value,
    };
    (!token.is_empty()).then(|| token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_token_comes_bare_or_after_bearer() {
        for (value, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("abc", Some("abc")),
            ("Basic abc", None),
            ("", None),
        ] {
            let request = TestRequest::default().insert_header((header::AUTHORIZATION, value)).to_http_request();
            assert_eq!(token(&request).as_deref(), expected, "{value:?}");
        }
        assert_eq!(token(&TestRequest::default().to_http_request()), None);
    }
}
