//! What owners do with their accounts, and admins with those of others.

use crate::harness::{Answer, CLINIC, Client, PASSWORD, Program, fresh_id};
use serde_json::{Value, json};
use std::time::Duration;
use totp_rs::{Builder, Secret, Totp};

const NEW_PASSWORD: &str = "a different battery";

#[expect(clippy::disallowed_methods, reason = "an authenticator app shows the time at which the program checks it")]
fn now() -> u64 {
    chrono::Utc::now().timestamp().unsigned_abs()
}

/// An authenticator app with the secret that it was shown.
struct App(Totp);

impl App {
    fn scanned(secret: &Value) -> Self {
        let secret = Secret::try_from_base32(secret.as_str().unwrap()).unwrap();
        Self(Builder::new().with_secret(secret).build().unwrap())
    }

    /// The digits of a step: 0 is now.
    fn shows(&self, step: i64) -> String {
        self.0.generate(now().checked_add_signed(30 * step).unwrap()).to_string()
    }

    /// Waits where the step is about to end: what follows is done within one.
    async fn fresh_step() {
        let left = 30 - now() % 30;
        if left < 12 {
            tokio::time::sleep(Duration::from_secs(left + 1)).await;
        }
    }
}

async fn sign_in(client: &Client, more: Value) -> Answer {
    let mut body = json!({ "email": CLINIC.0, "password": PASSWORD });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    client.post_json("/v1/sessions", &body).await
}

fn said(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.code())
}

async fn put(client: &Client, path: &str, body: Value) -> Answer {
    let sent = client.request(reqwest::Method::PUT, path).json(&body).send().await.unwrap();
    let (status, headers) = (sent.status().as_u16(), sent.headers().clone());
    Answer { status, headers, body: sent.json().await.unwrap_or(Value::Null) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_needed_from_its_first_code_and_no_code_holds_twice() {
    let program = Program::start();
    let clinic = program.clinic().await;
    let nobody = Client::anonymous(program.url());
    let enrol = "/v1/accounts/current/totp";
    assert_eq!(
        said(&clinic.post_json(enrol, &json!({ "password": "wrong password!" })).await),
        (401, "wrong_credentials")
    );
    let early = clinic.post_json("/v1/accounts/current/totp/confirm", &json!({ "totp": "000000" })).await;
    assert_eq!(said(&early), (409, "no_second_factor"));
    let enrolled = clinic.post_json(enrol, &json!({ "password": PASSWORD })).await;
    assert_eq!(enrolled.status, 200, "{enrolled:?}");
    let uri = enrolled.body["uri"].as_str().unwrap();
    assert!(uri.starts_with("otpauth://totp/Stance:clinic") && uri.contains("issuer=Stance"), "{uri}");
    assert_eq!(sign_in(&nobody, json!({})).await.status, 200, "it does not count yet");

    let app = App::scanned(&enrolled.body["secret"]);
    App::fresh_step().await;
    let confirm =
        async |totp: String| clinic.post_json("/v1/accounts/current/totp/confirm", &json!({ "totp": totp })).await;
    assert_eq!(said(&confirm("12345".to_owned()).await), (401, "wrong_second_factor"));
    let confirmed = confirm(app.shows(-1)).await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let recovery: Vec<_> = confirmed.body["recovery_codes"].as_array().unwrap().clone();
    assert_eq!(recovery.len(), 10);
    assert_eq!(said(&clinic.post_json(enrol, &json!({ "password": PASSWORD })).await), (409, "second_factor_there"));

    assert_eq!(said(&sign_in(&nobody, json!({})).await), (401, "second_factor_required"));
    let wrong = sign_in(&nobody, json!({ "password": "wrong password!", "totp": app.shows(0) })).await;
    assert_eq!(said(&wrong), (401, "wrong_credentials"));
    assert_eq!(
        said(&sign_in(&nobody, json!({ "totp": app.shows(-1) })).await),
        (401, "wrong_second_factor"),
        "it was used"
    );
    assert_eq!(said(&sign_in(&nobody, json!({ "totp": app.shows(5) })).await), (401, "wrong_second_factor"));
    let totp = app.shows(0);
    assert_eq!(sign_in(&nobody, json!({ "totp": totp })).await.status, 200);
    assert_eq!(said(&sign_in(&nobody, json!({ "totp": totp })).await), (401, "wrong_second_factor"), "a replay");

    assert_eq!(sign_in(&nobody, json!({ "recovery_code": recovery[0] })).await.status, 200);
    assert_eq!(said(&sign_in(&nobody, json!({ "recovery_code": recovery[0] })).await), (401, "wrong_second_factor"));
    let remove = async |body: Value| clinic.post_json("/v1/accounts/current/totp/remove", &body).await;
    assert_eq!(said(&remove(json!({ "password": PASSWORD })).await), (422, "invalid_body"));
    assert_eq!(said(&remove(json!({ "password": PASSWORD, "totp": "000000" })).await), (401, "wrong_second_factor"));
    assert_eq!(remove(json!({ "password": PASSWORD, "recovery_code": recovery[1] })).await.status, 204);
    assert_eq!(sign_in(&nobody, json!({})).await.status, 200);
    assert_eq!(program.count("SELECT count(*) FROM recovery_codes").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_a_second_factor_is_bounded_and_an_admin_helps_who_lost_theirs() {
    let program = Program::start_with(&[("auth.max_second_factor_failures", "3")]);
    let clinic = program.clinic().await;
    let nobody = Client::anonymous(program.url());
    let enrolled = clinic.post_json("/v1/accounts/current/totp", &json!({ "password": PASSWORD })).await;
    let app = App::scanned(&enrolled.body["secret"]);
    App::fresh_step().await;
    let confirmed = clinic.post_json("/v1/accounts/current/totp/confirm", &json!({ "totp": app.shows(0) })).await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    for _ in 0..3 {
        assert_eq!(said(&sign_in(&nobody, json!({ "totp": "00000" })).await), (401, "wrong_second_factor"));
    }
    assert_eq!(said(&sign_in(&nobody, json!({ "totp": app.shows(1) })).await), (429, "too_many_attempts"));

    program.create_account("root@example.org", "admin", &[]);
    let root = Client::sign_in(program.url(), "root@example.org").await;
    let account = clinic.get("/v1/accounts/current").await.body;
    assert_eq!(account["second_factor"], true);
    let totp = format!("/v1/admin/accounts/{}/totp", account["account_id"].as_str().unwrap());
    assert_eq!(said(&clinic.delete(&totp).await), (403, "forbidden"));
    assert_eq!(root.delete(&totp).await.status, 204);
    assert_eq!(said(&root.delete(&totp).await), (404, "not_found"));
    assert_eq!(sign_in(&nobody, json!({})).await.status, 200);
    let (done, text) = program.run(&["admin", "remove-totp", "--email", CLINIC.0], "");
    assert!(!done && text.contains("no second factor"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_other_sessions_and_owners_see_and_end_theirs() {
    let program = Program::start();
    let here = program.clinic().await;
    let there = Client::sign_in(program.url(), CLINIC.0).await;
    let third = Client::sign_in(program.url(), CLINIC.0).await;
    program.create_account("other@example.org", "admin", &[]);
    let other = Client::sign_in(program.url(), "other@example.org").await;
    let sessions =
        async |client: &Client| client.get("/v1/sessions").await.body["sessions"].as_array().unwrap().clone();
    assert_eq!((sessions(&here).await.len(), sessions(&other).await.len()), (3, 1));
    let current = |listed: &[Value]| {
        let current: Vec<_> = listed.iter().filter(|session| session["current"] == true).collect();
        assert_eq!(current.len(), 1);
        format!("/v1/sessions/{}", current[0]["session_id"].as_str().unwrap())
    };
    let of_third = current(&sessions(&third).await);
    assert_eq!(said(&other.delete(&of_third).await), (404, "not_found"), "another's is like none");
    assert_eq!(said(&here.delete(&format!("/v1/sessions/{}", fresh_id())).await), (404, "not_found"));
    assert_eq!(said(&here.delete("/v1/sessions/nonsense").await), (404, "not_found"));
    assert_eq!(here.delete(&of_third).await.status, 204);
    assert_eq!(third.get("/v1/sessions").await.status, 401);
    assert_eq!(sessions(&here).await.len(), 2);

    let path = "/v1/accounts/current/password";
    let change = |password: &str, new: &str| json!({ "password": password, "new_password": new });
    assert_eq!(said(&put(&here, path, change("wrong password!", NEW_PASSWORD)).await), (401, "wrong_credentials"));
    assert_eq!(said(&put(&here, path, change(PASSWORD, "clinic@example.org")).await), (422, "password_too_weak"));
    assert_eq!(put(&here, path, change(PASSWORD, NEW_PASSWORD)).await.status, 204);
    assert_eq!(there.get("/v1/sessions").await.status, 401);
    assert_eq!(sessions(&here).await.len(), 1);
    assert_eq!(said(&sign_in(&here, json!({})).await), (401, "wrong_credentials"));
    assert_eq!(sign_in(&here, json!({ "password": NEW_PASSWORD })).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_gives_roles_and_a_changed_role_ends_the_sessions() {
    let program = Program::start();
    let clinic = program.clinic().await;
    program.create_account("root@example.org", "admin", &[]);
    program.create_account("ann@example.org", "patient", &["--patient-id", "ann"]);
    let (root, ann) = (
        Client::sign_in(program.url(), "root@example.org").await,
        Client::sign_in(program.url(), "ann@example.org").await,
    );
    let listed = root.get("/v1/admin/accounts").await;
    let accounts = listed.body["accounts"].as_array().unwrap().clone();
    assert_eq!((accounts.len(), &listed.body["next"]), (3, &Value::Null));
    assert!(!listed.body.to_string().contains("argon2"));
    let mut seen = Vec::new();
    let mut next = Value::Null;
    loop {
        let after = next.as_str().map(|id| format!("&after={id}")).unwrap_or_default();
        let page = root.get(&format!("/v1/admin/accounts?limit=1{after}")).await.body;
        seen.extend(page["accounts"].as_array().unwrap().clone());
        next = page["next"].clone();
        if next.is_null() {
            break;
        }
    }
    assert_eq!(seen, accounts, "page for page");
    for other in [&clinic, &ann] {
        assert_eq!(said(&other.get("/v1/admin/accounts").await), (403, "forbidden"));
    }

    let id = |email: &str| {
        let found = accounts.iter().find(|account| account["email"] == email).unwrap();
        found["account_id"].as_str().unwrap().to_owned()
    };
    let role = |email: &str| format!("/v1/admin/accounts/{}/role", id(email));
    let admin = json!({ "role": "admin" });
    assert_eq!(said(&put(&ann, &role("ann@example.org"), admin.clone()).await), (403, "forbidden"));
    assert_eq!(
        said(&put(&root, &role("root@example.org"), json!({ "role": "patient", "patient_id": "x" })).await),
        (409, "own_role")
    );
    let unknown = put(&root, &format!("/v1/admin/accounts/{}/role", fresh_id()), admin).await;
    assert_eq!(said(&unknown), (404, "not_found"));
    for wrong in [
        json!({ "role": "king" }),
        json!({ "role": "patient" }),
        json!({ "role": "admin", "patient_id": "p" }),
        json!({}),
    ] {
        assert_eq!(said(&put(&root, &role("ann@example.org"), wrong.clone()).await), (422, "invalid_body"), "{wrong}");
    }
    let changed =
        put(&root, &role("ann@example.org"), json!({ "role": "care_provider", "care_provider_id": "c-2" })).await;
    assert_eq!((changed.status, &changed.body["care_provider_id"]), (200, &json!("c-2")), "{changed:?}");
    assert_eq!(ann.get("/v1/accounts/current").await.status, 401, "the sessions ended");
    let ann = Client::sign_in(program.url(), "ann@example.org").await;
    assert_eq!(ann.get("/v1/accounts/current").await.body["role"], "care_provider");
    ann.adopt("c-2", "p-1").await;

    let (done, text) = program.run(&["admin", "set-role", "--email", "ann@example.org", "--role", "admin"], "");
    assert!(done && text.contains("admin account"), "{text}");
    assert_eq!(ann.get("/v1/accounts/current").await.status, 401);
    let to_patient = |email: &str| program.run(&["admin", "set-role", "--email", email, "--role", "patient"], "");
    assert!(to_patient("root@example.org").0, "ann is left");
    let (done, text) = to_patient("ann@example.org");
    assert!(!done && text.contains("the last account of an admin"), "{text}");
    let (done, text) = program.run(&["admin", "set-role", "--email", "ghost@example.org", "--role", "admin"], "");
    assert!(!done && text.contains("no account"), "{text}");
}
