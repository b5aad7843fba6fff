//! Accounts and sessions.

use crate::harness::{CLINIC, Client, PASSWORD, Program, document, fresh_id};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_signs_up_signs_in_and_uploads_for_themselves() {
    let program = Program::start();
    let nobody = Client::anonymous(program.url());
    let account = json!({ "email": "Ann@Example.org", "password": PASSWORD, "first_name": "Ann", "last_name": "Lee" });
    let made = nobody.post_json("/v1/accounts", &account).await;
    assert_eq!(made.status, 201, "{made:?}");
    let again = nobody.post_json("/v1/accounts", &account).await;
    assert_eq!(again.status, 409, "{again:?}");
    let ann = Client::sign_in(program.url(), "ann@example.org").await;
    let patient = made.body["patient_id"].as_str().unwrap();
    let answer = ann.upload(document(patient, fresh_id()).to_string()).await;
    assert_eq!(answer.status, 202, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_session() {
    let program = Program::start();
    program.create_account(CLINIC.0, "care-provider", &["--care-provider-id", CLINIC.1]);
    let nobody = Client::anonymous(program.url());
    let credentials = json!({ "email": CLINIC.0, "password": PASSWORD });
    let first = nobody.post_json("/v1/sessions", &credentials).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.body["token_type"], "Bearer");
    assert!(first.body["expires_in"].as_u64().unwrap() > 0);
    let refresh = |token: serde_json::Value| json!({ "refresh_token": token });
    let second = nobody.post_json("/v1/sessions/refresh", &refresh(first.body["refresh_token"].clone())).await;
    assert_eq!(second.status, 200, "{second:?}");
    assert_ne!(second.body["refresh_token"], first.body["refresh_token"]);
    let reused = nobody.post_json("/v1/sessions/refresh", &refresh(first.body["refresh_token"].clone())).await;
    assert_eq!(reused.status, 401, "{reused:?}");
    let after = nobody.post_json("/v1/sessions/refresh", &refresh(second.body["refresh_token"].clone())).await;
    assert_eq!(after.status, 401, "the session ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_ended_opens_nothing() {
    let program = Program::start();
    let clinic = program.clinic().await;
    let query = json!({ "query": "{ getAllAvailableTests { test_type } }" });
    assert_eq!(clinic.post_json("/graphql", &query).await.status, 200);
    assert_eq!(clinic.delete("/v1/sessions/current").await.status, 204);
    assert_eq!(clinic.post_json("/graphql", &query).await.status, 401);
    assert_eq!(clinic.delete("/v1/sessions/current").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_a_password_is_slowed_down_for_the_guesser_only() {
    let program = Program::start_with(&[("auth.max_failures", "3")]);
    program.create_account(CLINIC.0, "care-provider", &["--care-provider-id", CLINIC.1]);
    program.create_account("other@example.org", "admin", &[]);
    let nobody = Client::anonymous(program.url());
    let guess = |email: &str| json!({ "email": email, "password": "not the password" });
    for _ in 0..3 {
        assert_eq!(nobody.post_json("/v1/sessions", &guess(CLINIC.0)).await.status, 401);
    }
    let refused = nobody.post_json("/v1/sessions", &json!({ "email": CLINIC.0, "password": PASSWORD })).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(refused.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    let unknown = nobody.post_json("/v1/sessions", &guess("nobody@example.org")).await;
    let known = nobody.post_json("/v1/sessions", &guess("other@example.org")).await;
    assert_eq!(
        (unknown.status, unknown.body),
        (known.status, known.body),
        "an unknown address looks like a wrong password"
    );
    Client::sign_in(program.url(), "other@example.org").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_set_holds_public_keys_only_and_forged_tokens_open_nothing() {
    let program = Program::start();
    let clinic = program.clinic().await;
    let keys = Client::anonymous(program.url()).get("/.well-known/jwks.json").await;
    let key = &keys.body["keys"][0];
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")));
    assert!(key["d"].is_null() && key["kid"].is_string());

    let [head, claims, signature] = clinic.token.split('.').collect::<Vec<_>>()[..] else { panic!("no JWT") };
    // {"alg":"none","typ":"JWT"}
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    for token in [
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{head}.{claims}.{}", "A".repeat(signature.len())),
        format!("{head}.{claims}"),
        "x".repeat(10_000),
        "..".to_owned(),
    ] {
        let forger = Client { token, ..clinic.clone() };
        let answer = forger.get(&format!("/v1/recordings/{}", fresh_id())).await;
        assert_eq!((answer.status, answer.code()), (401, "unauthenticated"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weak_passwords_and_broken_bodies_are_refused_clearly() {
    let program = Program::start();
    let nobody = Client::anonymous(program.url());
    for (body, status, word) in [
        (json!({ "email": "a@example.org", "password": "short" }), 422, "password"),
        (json!({ "email": "a@example.org" }), 422, "password"),
        (json!({ "email": "no address", "password": PASSWORD }), 422, "mail"),
        (json!(["a"]), 422, "body"),
    ] {
        let answer = nobody.post_json("/v1/accounts", &body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.to_string().contains(word), "{answer:?}");
    }
}
