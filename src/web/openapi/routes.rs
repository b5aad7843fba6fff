//! Every route, with everything that it may answer. A test holds this against the routes that there are.

use super::documents::{
    Account, AccountPage, Alive, Credentials, EmailAddress, Enrolment, GivenRole, GraphqlAnswers, GraphqlRequests,
    InferAnswer, InferRequest, InferenceServer, KeySet, LakeQuery, Live, LoadRequest, MadeAccount, MailedCode,
    ModelCard, ModelIndex, ModelIndexRequest, ModelMetadata, ModelReady, ModelStatistics, NewAccount, NewPassword,
    OwnPassword, Ready, Recording, RecordingStatus, RecoveryCodes, RefreshToken, RemovedFactor, Reset, ServerReady,
    Sessions, Tokens, Totp,
};
use super::operation::{Described, operation};
use utoipa::openapi::path::HttpMethod::{Delete, Get, Post, Put};

/// All of them.
pub(super) fn all() -> Vec<Described> {
    [
        accounts(),
        own_account(),
        admin(),
        sessions(),
        recordings(),
        documents(),
        models(),
        graphql(),
        inference(),
        operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Before there is a session. All of them are absent where there are no own accounts.
fn accounts() -> Vec<Described> {
    vec![
        operation(Post, "/v1/accounts", "sign_up", "Makes an account for a patient who was not known until now")
            .body::<NewAccount>()
            .answers::<MadeAccount>(201, "The account and its patient")
            .problems(&[404, 409, 429, 507]),
        operation(
            Post,
            "/v1/accounts/confirmation/request",
            "request_confirmation",
            "Mails a code that confirms an address",
        )
        .body::<EmailAddress>()
        .answers_nothing(202, "Whether there is such an account or not")
        .problems(&[404, 429, 507]),
        operation(Post, "/v1/accounts/confirmation", "confirm_email", "Confirms an address")
            .body::<MailedCode>()
            .answers_nothing(204, "It is confirmed")
            .problems(&[404, 429, 507]),
        operation(Post, "/v1/accounts/reset/request", "request_reset", "Mails a code that lets one choose a password")
            .body::<EmailAddress>()
            .answers_nothing(202, "Whether there is such an account or not")
            .problems(&[404, 429, 507]),
        operation(
            Post,
            "/v1/accounts/reset",
            "reset_password",
            "Chooses a password; every session of the account ends",
        )
        .body::<Reset>()
        .answers_nothing(204, "It is the password")
        .problems(&[404, 429, 507]),
    ]
}

fn own_account() -> Vec<Described> {
    vec![
        operation(Get, "/v1/accounts/current", "own_account", "One's account")
            .authorized()
            .answers::<Account>(200, "The account")
            .problems(&[404]),
        operation(
            Put,
            "/v1/accounts/current/password",
            "change_password",
            "Changes one's password; other sessions end",
        )
        .authorized()
        .body::<NewPassword>()
        .answers_nothing(204, "It is the password")
        .problems(&[404, 429, 507]),
        operation(Post, "/v1/accounts/current/totp", "enrol_second_factor", "Begins to set up a second factor")
            .authorized()
            .body::<OwnPassword>()
            .answers::<Enrolment>(200, "What the authenticator app is told")
            .problems(&[404, 409, 429, 507]),
        operation(Post, "/v1/accounts/current/totp/confirm", "confirm_second_factor", "Makes it count from now on")
            .authorized()
            .body::<Totp>()
            .answers::<RecoveryCodes>(200, "Codes for when the app is lost; they are told once")
            .problems(&[404, 409, 429, 507]),
        operation(Post, "/v1/accounts/current/totp/remove", "remove_second_factor", "Goes on without it")
            .authorized()
            .body::<RemovedFactor>()
            .answers_nothing(204, "It is removed")
            .problems(&[404, 409, 429, 507]),
    ]
}

fn admin() -> Vec<Described> {
    vec![
        operation(Get, "/v1/admin/accounts", "accounts", "A page of all accounts, for an admin")
            .authorized()
            .query_parameter("after", "The `next` of the page before")
            .query_parameter("limit", "Accounts in the page; 50 unless named")
            .answers::<AccountPage>(200, "The page")
            .problems(&[400, 422]),
        operation(Put, "/v1/admin/accounts/{account_id}/role", "set_role", "Gives an account a role; its sessions end")
            .authorized()
            .path_parameter("account_id", "Which account")
            .body::<GivenRole>()
            .answers::<Account>(200, "The account")
            .problems(&[404, 409, 507]),
        operation(
            Delete,
            "/v1/admin/accounts/{account_id}/totp",
            "remove_second_factor_of",
            "Removes an account's second factor",
        )
        .authorized()
        .path_parameter("account_id", "Which account")
        .answers_nothing(204, "It is removed")
        .problems(&[404, 507]),
    ]
}

fn sessions() -> Vec<Described> {
    vec![
        operation(Post, "/v1/sessions", "sign_in", "Begins a session")
            .body::<Credentials>()
            .answers::<Tokens>(200, "The session's tokens")
            .problems(&[401, 403, 404, 429, 507]),
        operation(Get, "/v1/sessions", "own_sessions", "One's open sessions")
            .authorized()
            .answers::<Sessions>(200, "All that are open")
            .problems(&[404]),
        operation(Delete, "/v1/sessions/{session_id}", "end_session", "Ends a session of one's own")
            .authorized()
            .path_parameter("session_id", "Which session")
            .answers_nothing(204, "It has ended")
            .problems(&[404, 507]),
        operation(Post, "/v1/sessions/refresh", "refresh", "Gives new tokens for a refresh token, once")
            .body::<RefreshToken>()
            .answers::<Tokens>(200, "The session's next tokens")
            .problems(&[401, 404, 507]),
        operation(Delete, "/v1/sessions/current", "sign_out", "Ends the session that the token came from")
            .authorized()
            .answers_nothing(204, "It has ended")
            .problems(&[404, 507]),
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

fn documents() -> Vec<Described> {
    vec![
        operation(
            Get,
            "/v1/objects/{token}",
            "linked",
            "Where a link to a report or a CSV leads; its token is the leave",
        )
        .path_parameter("token", "As the link has it")
        .answers_with(200, &["application/pdf", "text/csv"], "The object")
        .problems(&[404]),
        operation(
            Get,
            "/v1/patients/{patient_id}/export",
            "export",
            "A patient's whole record as one archive, streamed",
        )
        .authorized()
        .path_parameter("patient_id", "Which patient")
        .answers_with(200, &["application/zip"], "The archive")
        .problems(&[404, 422]),
        operation(Post, "/v1/query", "query", "SQL over the recordings that the caller may see")
            .authorized()
            .body::<LakeQuery>()
            .answers_with(
                200,
                &["application/json", "text/csv", "text/plain", "application/vnd.apache.arrow.stream"],
                "The result, streamed; one that is cut off is no result",
            )
            .problems(&[406, 501, 507]),
    ]
}

fn models() -> Vec<Described> {
    vec![
        operation(
            Get,
            "/v1/models/{model_version}/card",
            "model_card",
            "What a model is and how good it was found to be, as JSON or as a page to read",
        )
        .authorized()
        .path_parameter("model_version", "Which version, as scores name it")
        .query_parameter("format", "`json` or `html`; goes before `Accept`")
        .answers_or::<ModelCard>(200, "text/html", "The card")
        .problems(&[400, 404, 406, 422]),
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

/// The Open Inference Protocol. Each model is asked by its name, and by a version where one is named.
fn inference() -> Vec<Described> {
    let mut all = vec![
        operation(Get, "/v2", "inference_server", "What the inference server is")
            .authorized()
            .answers::<InferenceServer>(200, "What it is"),
        operation(Get, "/v2/health/live", "inference_live", "Whether the inference server is alive")
            .answers::<Live>(200, "It is"),
        operation(Get, "/v2/health/ready", "inference_ready", "Whether the inference server is able to serve")
            .answers::<ServerReady>(200, "It is"),
        operation(Post, "/v2/repository/index", "model_index", "The models that the caller may see, a page of them")
            .authorized()
            .optional_body::<ModelIndexRequest>()
            .answers::<ModelIndex>(200, "The page; who wants the next names the last model of this one"),
        operation(Post, "/v2/repository/models/{model_name}/load", "load_model", "Loads a model, for an admin")
            .authorized()
            .path_parameter("model_name", MODEL_NAME)
            .optional_body::<LoadRequest>()
            .answers::<LoadRequest>(200, "It is in memory")
            .problems(&[404, 409]),
        operation(Post, "/v2/repository/models/{model_name}/unload", "unload_model", "Unloads a model, for an admin")
            .authorized()
            .path_parameter("model_name", MODEL_NAME)
            .optional_body::<LoadRequest>()
            .answers::<LoadRequest>(200, "It is not in memory, and not asked here until it is loaded")
            .problems(&[404]),
        operation(Get, "/v2/models/stats", "statistics", "What became of the requests to every model, for an admin")
            .authorized()
            .answers::<ModelStatistics>(200, "Of each model that was asked"),
    ];
    for (versioned, id) in [(false, ""), (true, "_of_version")] {
        let described = |method, end: &str, what: &str, summary: &str| {
            let base =
                if versioned { "/v2/models/{model_name}/versions/{model_version}" } else { "/v2/models/{model_name}" };
            let operation = operation(method, &format!("{base}{end}"), &format!("{what}{id}"), summary)
                .authorized()
                .path_parameter("model_name", MODEL_NAME)
                .problems(&[404]);
            if versioned { operation.path_parameter("model_version", "Which version") } else { operation }
        };
        all.extend([
            described(Get, "", "model_metadata", "What a model takes and gives")
                .answers::<ModelMetadata>(200, "What it takes and gives"),
            described(Get, "/ready", "model_ready", "Whether a model may be asked")
                .answers::<ModelReady>(200, "It may")
                .problems(&[409]),
            described(Get, "/stats", "model_statistics", "What became of the requests to a model")
                .answers::<ModelStatistics>(200, "Of each version"),
            described(Post, "/infer", "infer", "Scores feature vectors or recordings")
                .header("Inference-Header-Content-Length", "Bytes of JSON, where raw tensors follow it")
                .body::<InferRequest>()
                .answers_or_raw::<InferAnswer>(
                    200,
                    "The scores; raw tensors follow the JSON where the client wants that",
                )
                .problems(&[409]),
        ]);
    }
    all
}

const MODEL_NAME: &str = "The model, as the index has it";

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
