//! Who a request comes from.

use super::Services;
use super::problem::Problem;
use super::request_log::RequestId;
use crate::actors::ServiceError;
use crate::actors::session_auth::Authenticate;
use crate::domain::access::Caller;
use crate::domain::audit::Origin;
use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderName};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use ipnet::IpNet;
use std::net::IpAddr;
use std::pin::Pin;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Proxies that one request comes through at most.
const MOST_PROXIES: usize = 16;

/// A caller whose token holds. A handler that takes one answers 401 to everybody else.
#[derive(Debug, Clone)]
pub struct Authenticated(pub Caller);

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let token = token(request);
        let services = request.app_data::<web::Data<Services>>().cloned();
        let origin = services.as_ref().map(|services| origin(request, services));
        Box::pin(async move {
            let (services, origin) =
                services.zip(origin).ok_or_else(|| ServiceError::Internal(anyhow::anyhow!("no services")))?;
            Ok(Self(authenticate(token, origin, &services).await?))
        })
    }
}

/// Whose token it is. Who has none, or none that holds, is counted for the audit record.
pub(super) async fn authenticate(
    token: Option<String>,
    origin: Origin,
    services: &Services,
) -> Result<Caller, ServiceError> {
    let caller = match token {
        Some(token) => services.session_auth.ask_for(Authenticate { token, origin: origin.clone() }).await,
        None => Err(ServiceError::Unauthenticated),
    };
    if let Err(ServiceError::Unauthenticated | ServiceError::ClaimsRefused(_)) = caller {
        services.audit.unknown("authenticate", &origin);
    }
    caller
}

/// Where a request came from, for the audit record.
pub(super) fn origin(request: &HttpRequest, services: &Services) -> Origin {
    Origin {
        address: client_address(request, &services.trusted_proxies),
        request_id: request.extensions().get::<RequestId>().map(|RequestId(id)| id.clone()),
    }
}

/// The token of `Authorization: Bearer TOKEN`, or of `Authorization: TOKEN` as older clients send it. Two headers are
/// none.
pub(super) fn token(request: &HttpRequest) -> Option<String> {
    let mut values = request.headers().get_all(header::AUTHORIZATION);
    let (value, another) = (values.next()?, values.next());
    if another.is_some() {
        return None;
    }
    token_of(value.to_str().ok()?)
}

/// The token of such a value.
pub(super) fn token_of(value: &str) -> Option<String> {
    let value = value.trim();
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        Some(_) => return None,
        None => value,
    };
    (!token.is_empty()).then(|| token.to_owned())
}

/// Where a request came from: the peer, or, where that is a proxy of ours, the last address in `X-Forwarded-For` that is
/// none. What stands before it was written by the client and says nothing.
pub(super) fn client_address(request: &HttpRequest, proxies: &[IpNet]) -> Option<IpAddr> {
    let ours = |address: &IpAddr| proxies.iter().any(|proxy| proxy.contains(&address.to_canonical()));
    let peer = request.peer_addr()?.ip();
    if !ours(&peer) {
        return Some(peer);
    }
    let forwarded: Vec<&str> = request
        .headers()
        .get_all(&X_FORWARDED_FOR)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    let addresses = forwarded.iter().rev().map_while(|address| address.trim().parse().ok());
    Some(addresses.take(MOST_PROXIES).find(|address| !ours(address)).unwrap_or(peer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn only_a_proxy_of_ours_is_believed() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        for (peer, forwarded, expected) in [
            ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
            ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),
            ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
            ("10.0.0.1", "nonsense", "10.0.0.1"),
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ] {
            let peer = format!("{peer}:1000").parse().unwrap();
            let request = TestRequest::default().peer_addr(peer).insert_header((X_FORWARDED_FOR, forwarded));
            let found = client_address(&request.to_http_request(), &proxies);
            assert_eq!(found, Some(expected.parse().unwrap()), "{peer} {forwarded}");
        }
    }

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
