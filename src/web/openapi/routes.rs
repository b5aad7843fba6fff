//! Every route, with everything that it may answer. A test holds this against the routes that there are.

use super::documents::{
    Alive, Credentials, GraphqlAnswers, GraphqlRequests, KeySet, MadeAccount, NewAccount, Ready, Recording,
    RecordingStatus, RefreshToken, Tokens,
};
use super::operation::{Described, operation};
use utoipa::openapi::path::HttpMethod::{Delete, Get, Post};

/// All of them.
pub(super) fn all() -> Vec<Described> {
    [sessions(), recordings(), graphql(), operations()].into_iter().flatten().collect()
}

fn sessions() -> Vec<Described> {
    vec![
        operation(Post, "/v1/accounts", "sign_up", "Makes an account for a patient who was not known until now")
            .body::<NewAccount>()
            .answers::<MadeAccount>(201, "The account and its patient")
            .problems(&[409, 429, 507]),
        operation(Post, "/v1/sessions", "sign_in", "Begins a session")
            .body::<Credentials>()
            .answers::<Tokens>(200, "The session's tokens")
            .problems(&[401, 429, 507]),
        operation(Post, "/v1/sessions/refresh", "refresh", "Gives new tokens for a refresh token, once")
            .body::<RefreshToken>()
            .answers::<Tokens>(200, "The session's next tokens")
            .problems(&[401, 507]),
        operation(Delete, "/v1/sessions/current", "sign_out", "Ends the session that the token came from")
            .authorized()
            .answers_nothing(204, "It has ended")
            .problems(&[507]),
        operation(Get, "/.well-known/jwks.json", "published_keys", "The public keys of own tokens")
            .answers::<KeySet>(200, "A JSON Web Key Set"),
    ]
}

fn recordings() -> Vec<Described> {
    let prefer = "`wait=N`: wait up to N seconds (30 at most) for the final status";
    vec![
        operation(Post, "/v1/recordings", "upload", "Takes in a recording; answers once it is durable")
            .authorized()
            .header("Prefer", prefer)
            .body::<Recording>()
            .answers::<RecordingStatus>(202, "It is durable")
            .answers::<RecordingStatus>(200, "It was there already, or its final status was waited for")
            .problems(&[403, 404, 409, 507]),
        operation(Get, "/v1/recordings/{test_id}", "recording_status", "Where a recording stands")
            .authorized()
            .path_parameter("test_id", "The recording's `testID`")
            .answers::<RecordingStatus>(200, "Where it stands")
            .problems(&[404]),
    ]
}

fn graphql() -> Vec<Described> {
    vec![
        operation(Post, "/graphql", "graphql", "Runs a GraphQL document, or several one after the other")
            .authorized()
            .body::<GraphqlRequests>()
            .answers::<GraphqlAnswers>(200, "Data, or errors with their codes, or both"),
        operation(Get, "/graphql", "live", "Live updates: a WebSocket that speaks graphql-transport-ws")
            .header("Upgrade", "`websocket`")
            .header("Sec-WebSocket-Protocol", "`graphql-transport-ws`")
            .answers_nothing(101, "The WebSocket")
            .problems(&[400, 426]),
        operation(Get, "/graphiql", "query_page", "A page for GraphQL queries, where it is switched on")
            .answers_text(200, "text/html", "The page")
            .problems(&[404]),
    ]
}

fn operations() -> Vec<Described> {
    vec![
        operation(Get, "/healthz", "alive", "Whether the program is alive").answers::<Alive>(200, "It is"),
        operation(Get, "/readyz", "ready", "Whether it is able to serve")
            .answers::<Ready>(200, "It is")
            .answers::<Ready>(503, "It is not, and what is missing"),
        operation(Get, "/metrics", "metrics", "What a Prometheus server reads").answers_text(
            200,
            "application/openmetrics-text",
            "OpenMetrics text",
        ),
        operation(Get, "/openapi.json", "openapi", "This description, where it is switched on")
            .answers_text(200, "application/json", "OpenAPI 3.1")
            .problems(&[404]),
    ]
}
