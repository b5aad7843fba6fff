//! The documents that requests carry and answers hold, for their description. Bodies are read key by key, so that a fault
//! names its key; here they are written down.

#![expect(dead_code, reason = "they are described, never made")]

pub(super) use super::inference_documents::{
    InferAnswer, InferRequest, InferenceServer, Live, LoadRequest, ModelIndex, ModelIndexRequest, ModelMetadata,
    ModelReady, ModelStatistics, ServerReady,
};
use std::collections::BTreeMap;
use utoipa::openapi::schema::{ArrayBuilder, OneOfBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

/// Why a request was not done (RFC 9457).
#[derive(ToSchema)]
pub(super) struct Problem {
    r#type: String,
    title: String,
    status: u16,
    /// A sentence for a person.
    detail: String,
    /// Stable, in `snake_case`.
    code: String,
    /// Where a document breaks its rules.
    errors: Option<Vec<Fault>>,
    /// `detail` again, from the inference server: its protocol has it there.
    error: Option<String>,
}

/// A place in a document, and what is wrong there.
#[derive(ToSchema)]
pub(super) struct Fault {
    /// JSON pointer (RFC 6901).
    pointer: String,
    detail: String,
}

/// A patient who makes an account.
#[derive(ToSchema)]
pub(super) struct NewAccount {
    email: String,
    /// 12 to 128 characters.
    password: String,
    first_name: Option<String>,
    last_name: Option<String>,
}

/// An account that was made.
#[derive(ToSchema)]
pub(super) struct MadeAccount {
    account_id: String,
    role: String,
    patient_id: String,
}

/// What one signs in with.
#[derive(ToSchema)]
pub(super) struct Credentials {
    email: String,
    password: String,
    /// What the authenticator app shows, where the account has a second factor.
    totp: Option<String>,
    /// Instead of `totp`, where the app is lost.
    recovery_code: Option<String>,
}

/// An account's e-mail address.
#[derive(ToSchema)]
pub(super) struct EmailAddress {
    email: String,
}

/// A code that was mailed.
#[derive(ToSchema)]
pub(super) struct MailedCode {
    email: String,
    code: String,
}

/// A code that was mailed, and a new password.
#[derive(ToSchema)]
pub(super) struct Reset {
    email: String,
    code: String,
    /// 12 to 128 characters.
    password: String,
}

/// An account.
#[derive(ToSchema)]
pub(super) struct Account {
    account_id: String,
    email: String,
    /// `patient`, `care_provider` or `admin`.
    role: String,
    patient_id: Option<String>,
    care_provider_id: Option<String>,
    email_confirmed: bool,
    second_factor: bool,
    created_at: String,
}

/// A page of accounts.
#[derive(ToSchema)]
pub(super) struct AccountPage {
    accounts: Vec<Account>,
    /// What to give as `after` for the next page.
    next: Option<String>,
}

/// What an account shall be.
#[derive(ToSchema)]
pub(super) struct GivenRole {
    /// `patient`, `care_provider` or `admin`.
    role: String,
    /// With `patient`.
    patient_id: Option<String>,
    /// With `care_provider`.
    care_provider_id: Option<String>,
}

/// One's password and a new one.
#[derive(ToSchema)]
pub(super) struct NewPassword {
    password: String,
    /// 12 to 128 characters.
    new_password: String,
}

/// One's password, again.
#[derive(ToSchema)]
pub(super) struct OwnPassword {
    password: String,
}

/// What an authenticator app is told.
#[derive(ToSchema)]
pub(super) struct Enrolment {
    /// Base32.
    secret: String,
    /// An `otpauth://` address.
    uri: String,
}

/// What the authenticator app shows now.
#[derive(ToSchema)]
pub(super) struct Totp {
    totp: String,
}

/// Codes for when the app is lost; each holds once.
#[derive(ToSchema)]
pub(super) struct RecoveryCodes {
    recovery_codes: Vec<String>,
}

/// One's password, and the second factor or a recovery code.
#[derive(ToSchema)]
pub(super) struct RemovedFactor {
    password: String,
    totp: Option<String>,
    recovery_code: Option<String>,
}

/// One's open sessions.
#[derive(ToSchema)]
pub(super) struct Sessions {
    sessions: Vec<Session>,
}

/// A sign-in.
#[derive(ToSchema)]
pub(super) struct Session {
    session_id: String,
    created_at: String,
    expires_at: String,
    /// Whether the token is of this one.
    current: bool,
}

/// A query over the lake.
#[derive(ToSchema)]
pub(super) struct LakeQuery {
    sql: String,
    /// `table`, `csv`, `json` or `arrow`; without it `Accept` says.
    format: Option<String>,
}

/// A session's newest refresh token.
#[derive(ToSchema)]
pub(super) struct RefreshToken {
    refresh_token: String,
}

/// The tokens of a session.
#[derive(ToSchema)]
pub(super) struct Tokens {
    access_token: String,
    refresh_token: String,
    token_type: String,
    /// Seconds that the access token holds.
    expires_in: u64,
}

/// Public keys (RFC 7517).
#[derive(ToSchema)]
pub(super) struct KeySet {
    keys: Vec<BTreeMap<String, String>>,
}

/// A recording: columns of equal length.
#[derive(ToSchema)]
pub(super) struct Recording {
    /// The patient.
    user_id: String,
    /// Such as `sit-to-stand`.
    movement: String,
    /// A UUID made on the phone: the same again is the same recording.
    #[schema(rename = "testID")]
    test_id: String,
    /// Whether a clinician gave a score.
    training: bool,
    /// 0 to 100, where `training` is true.
    #[schema(value_type = Option<f64>)]
    clinic_score: Option<f64>,
    /// Local calendar day, as `2023-04-25`.
    start_date: String,
    /// One time a sample, as `2023-04-25 12:04:52.228840 -07:00`.
    ts: Vec<String>,
    /// Accelerometer, m/s².
    ax: Vec<f64>,
    ay: Vec<f64>,
    az: Vec<f64>,
    /// Gyroscope, rad/s.
    gx: Vec<f64>,
    gy: Vec<f64>,
    gz: Vec<f64>,
    /// Magnetometer, µT.
    mx: Vec<f64>,
    my: Vec<f64>,
    mz: Vec<f64>,
}

/// Where a recording stands.
#[derive(ToSchema)]
pub(super) struct RecordingStatus {
    test_event_id: String,
    patient_id: String,
    movement: String,
    status: StatusName,
    balance_score: Option<i32>,
    score: Option<RecordingScore>,
    samples: i64,
    sampling_rate_hz: Option<f64>,
    failure: Option<RecordingFailure>,
    received_at: String,
    updated_at: String,
}

/// The steps of a recording.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum StatusName {
    Received,
    Converted,
    Training,
    AwaitingModel,
    Scored,
    Failed,
}

/// A score with its 90 % interval, each 0 to 100.
#[derive(ToSchema)]
pub(super) struct RecordingScore {
    value: f64,
    lower: Option<f64>,
    upper: Option<f64>,
    model_version: String,
    /// `local` or `sagemaker`.
    backend: String,
    /// Whether it is by a model without a scored recording of the patient's own: it gives way to that of the patient's own model.
    provisional: bool,
    /// Whether the recording is unlike those that the model knows: not to be relied on.
    unlike_training: bool,
    /// How far the recording lies from those, over how far these lie from one another.
    novelty: Option<f64>,
}

/// Why a recording failed.
#[derive(ToSchema)]
pub(super) struct RecordingFailure {
    code: String,
    message: String,
}

/// A GraphQL request.
#[derive(ToSchema)]
pub(super) struct GraphqlRequest {
    query: Option<String>,
    /// The digest of a document that is known beforehand, in the place of `query`.
    #[schema(rename = "documentId")]
    document_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    variables: Option<BTreeMap<String, String>>,
    #[schema(rename = "operationName")]
    operation_name: Option<String>,
    #[schema(value_type = Option<Object>)]
    extensions: Option<BTreeMap<String, String>>,
}

/// A GraphQL request, or a list of them.
pub(super) struct GraphqlRequests;

/// The answer of a GraphQL request, or a list of them.
pub(super) struct GraphqlAnswers;

impl PartialSchema for GraphqlRequests {
    fn schema() -> RefOr<Schema> {
        one_or_several::<GraphqlRequest>()
    }
}

impl ToSchema for GraphqlRequests {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((GraphqlRequest::name().into_owned(), GraphqlRequest::schema()));
    }
}

impl PartialSchema for GraphqlAnswers {
    fn schema() -> RefOr<Schema> {
        one_or_several::<GraphqlAnswer>()
    }
}

impl ToSchema for GraphqlAnswers {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((GraphqlAnswer::name().into_owned(), GraphqlAnswer::schema()));
    }
}

fn one_or_several<T: ToSchema>() -> RefOr<Schema> {
    let one = Ref::from_schema_name(T::name());
    let several = ArrayBuilder::new().items(one.clone()).min_items(Some(1));
    OneOfBuilder::new().item(one).item(several).into()
}

/// A GraphQL answer.
#[derive(ToSchema)]
pub(super) struct GraphqlAnswer {
    #[schema(value_type = Option<Object>)]
    data: Option<BTreeMap<String, String>>,
    #[schema(value_type = Option<Vec<Object>>)]
    errors: Option<Vec<String>>,
}

/// A model of a patient, with its card.
#[derive(ToSchema)]
pub(super) struct ModelCard {
    model_version: String,
    patient_id: String,
    movement: String,
    created_at: String,
    /// It scores none since then.
    retired_at: Option<String>,
    /// Since when a recording of another patient that it learned from is deleted: it serves until it was trained anew.
    outdated_at: Option<String>,
    /// `serves`, `provisional`, `no_better_than_mean`, `worse_than_current` or `withdrawn`.
    verdict: String,
    /// Whether an operator has it serve, whatever comes.
    pinned: bool,
    /// Whether it scores the recordings that come now.
    serves: bool,
    /// As it was made with the model: what it learned from, how far its scores are off, what it is made of.
    #[schema(value_type = Object)]
    card: BTreeMap<String, String>,
}

/// That it is alive.
#[derive(ToSchema)]
pub(super) struct Alive {
    status: String,
}

/// What is ready.
#[derive(ToSchema)]
pub(super) struct Ready {
    ready: bool,
    database: bool,
    objects: bool,
    actors: bool,
}
