//! Codes by mail, through a real SMTP server.

use crate::harness::{Answer, Client, PASSWORD, Program, eventually};
use serde_json::{Value, json};
use stance_testkit::mail::{CREDENTIALS, MailServer};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const NEW_PASSWORD: &str = "a different battery";

/// Settings that lead to the server.
fn to(server: &MailServer, more: &[(&str, &str)]) -> Vec<(String, String)> {
    let port = server.port().to_string();
    let settings = [
        ("mail.delivery", "smtp"),
        ("mail.server", "localhost"),
        ("mail.port", port.as_str()),
        ("mail.security", "none"),
        ("mail.from", "Clinic <no-reply@clinic.example>"),
        ("mail.tick_seconds", "1"),
    ];
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    settings.iter().chain(more).map(owned).collect()
}

fn started(settings: &[(String, String)]) -> Program {
    let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    Program::start_with(&settings)
}

/// The code of the mail of that number to the recipient, once it is there.
async fn code(server: &MailServer, recipient: &str, number: usize) -> String {
    let mail = eventually("the mail arrives", async || server.mails_to(recipient).get(number).cloned()).await;
    let content = mail["content"].as_str().unwrap();
    content.lines().find_map(|line| line.strip_prefix("    ")).unwrap().trim().to_owned()
}

async fn sign_up(client: &Client, email: &str) -> Answer {
    client.post_json("/v1/accounts", &json!({ "email": email, "password": PASSWORD })).await
}

async fn sign_in(client: &Client, email: &str, password: &str) -> (u16, String) {
    let answer = client.post_json("/v1/sessions", &json!({ "email": email, "password": password })).await;
    (answer.status, answer.code().to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

async fn post(client: &Client, path: &str, body: Value) -> (u16, String) {
    let answer = client.post_json(path, &body).await;
    (answer.status, answer.code().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_signs_in_once_its_address_is_confirmed_by_a_mailed_code() {
    let server = MailServer::start("none");
    let program = started(&to(&server, &[("auth.confirm_email", "true")]));
    let nobody = Client::anonymous(program.url());
    assert_eq!(sign_up(&nobody, "Ann@example.org").await.status, 201);
    assert_eq!(sign_in(&nobody, "ann@example.org", PASSWORD).await, refused(403, "email_not_confirmed"));
    assert_eq!(sign_in(&nobody, "ann@example.org", "wrong password!").await, refused(401, "wrong_credentials"));
    let sent = code(&server, "ann@example.org", 0).await;
    let mail = server.mails_to("ann@example.org").remove(0);
    assert_eq!(mail["from"], "no-reply@clinic.example");
    let confirm = |code: &str| json!({ "email": "ann@example.org", "code": code });
    let path = "/v1/accounts/confirmation";
    assert_eq!(post(&nobody, path, confirm("AAAA-AAAA")).await, refused(422, "wrong_code"));
    assert_eq!(post(&nobody, path, confirm("no code at all")).await, refused(422, "wrong_code"));
    assert_eq!(post(&nobody, path, confirm(&sent.to_lowercase().replace('-', " "))).await.0, 204);
    assert_eq!(post(&nobody, path, confirm(&sent)).await, refused(422, "wrong_code"), "it holds once");
    let ann = Client::sign_in(program.url(), "ann@example.org").await;
    assert_eq!(ann.get("/v1/accounts/current").await.body["email_confirmed"], true);
    // One that an operator made needs none.
    program.create_account("root@example.org", "admin", &[]);
    Client::sign_in(program.url(), "root@example.org").await;
    // Nor is anybody who is confirmed written to again.
    assert_eq!(post(&nobody, "/v1/accounts/confirmation/request", json!({ "email": "ann@example.org" })).await.0, 202);
    eventually("the mail is dealt with", async || {
        (program.metric("stance_mails_total{outcome=\"to_nobody\"}").await > 0.0).then_some(())
    })
    .await;
    assert_eq!(server.mails_to("ann@example.org").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_password_is_reset_by_a_mailed_code_that_ends_every_session() {
    let server = MailServer::start("none");
    let program = started(&to(&server, &[]));
    let nobody = Client::anonymous(program.url());
    assert_eq!(sign_up(&nobody, "ann@example.org").await.status, 201);
    let ann = Client::sign_in(program.url(), "ann@example.org").await;

    let request = "/v1/accounts/reset/request";
    let known = nobody.post_json(request, &json!({ "email": "ann@example.org" })).await;
    let unknown = nobody.post_json(request, &json!({ "email": "nobody@example.org" })).await;
    assert_eq!((known.status, &known.body), (202, &unknown.body));
    assert_eq!((unknown.status, known.headers.len()), (202, unknown.headers.len()));
    let sent = code(&server, "ann@example.org", 0).await;
    eventually("nobody is not written to", async || {
        (program.metric("stance_mails_total{outcome=\"to_nobody\"}").await > 0.0).then_some(())
    })
    .await;
    assert!(server.mails_to("nobody@example.org").is_empty());
    let kept = program.count("SELECT count(*) FROM account_codes WHERE code_hash LIKE '$argon2id$%'").await;
    assert_eq!(kept, 1, "as a hash");

    let reset = |email: &str, code: &str, password: &str| json!({ "email": email, "code": code, "password": password });
    let path = "/v1/accounts/reset";
    let weak = post(&nobody, path, reset("ann@example.org", &sent, "password1234")).await;
    assert_eq!(weak, refused(422, "password_too_weak"), "and the code holds still");
    let wrong = nobody.post_json(path, &reset("ann@example.org", "AAAA-AAAA", NEW_PASSWORD)).await;
    let unknown = nobody.post_json(path, &reset("nobody@example.org", &sent, NEW_PASSWORD)).await;
    assert_eq!((wrong.status, wrong.code()), (422, "wrong_code"));
    assert_eq!((unknown.status, &unknown.body), (wrong.status, &wrong.body));
    let of_another_kind =
        post(&nobody, "/v1/accounts/confirmation", json!({ "email": "ann@example.org", "code": sent })).await;
    assert_eq!(of_another_kind, refused(422, "wrong_code"));
    assert_eq!(post(&nobody, path, reset("ann@example.org", &sent, NEW_PASSWORD)).await.0, 204);
    assert_eq!(post(&nobody, path, reset("ann@example.org", &sent, PASSWORD)).await, refused(422, "wrong_code"));

    assert_eq!(ann.get("/v1/accounts/current").await.status, 401, "the sessions ended");
    assert_eq!(sign_in(&nobody, "ann@example.org", PASSWORD).await, refused(401, "wrong_credentials"));
    assert_eq!(sign_in(&nobody, "ann@example.org", NEW_PASSWORD).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_cannot_be_guessed_and_only_the_newest_holds() {
    let server = MailServer::start("none");
    let program = started(&to(&server, &[("auth.max_failures", "3"), ("auth.max_mails_per_address", "4")]));
    let nobody = Client::anonymous(program.url());
    sign_up(&nobody, "ann@example.org").await;
    let ask = async || post(&nobody, "/v1/accounts/reset/request", json!({ "email": "ann@example.org" })).await;
    assert_eq!(ask().await.0, 202);
    let first = code(&server, "ann@example.org", 0).await;
    assert_eq!(ask().await.0, 202);
    let second = code(&server, "ann@example.org", 1).await;
    let reset = async |code: &str| {
        let body = json!({ "email": "ann@example.org", "code": code, "password": NEW_PASSWORD });
        post(&nobody, "/v1/accounts/reset", body).await
    };
    assert_eq!(reset(&first).await, refused(422, "wrong_code"), "a newer one was sent");
    for _ in 0..2 {
        assert_eq!(reset("AAAA-AAAA").await, refused(422, "wrong_code"));
    }
    assert_eq!(reset(&second).await, refused(429, "too_many_attempts"));
    // That keeps nobody from signing in, and asking is bounded, too.
    assert_eq!(sign_in(&nobody, "ann@example.org", PASSWORD).await.0, 200);
    // They are counted apart from where its owner signed in.
    for _ in 0..4 {
        assert_eq!(ask().await.0, 202);
    }
    assert_eq!(ask().await, refused(429, "too_many_attempts"));
}

#[tokio::test(flavor = "multi_thread")]
async fn confirmations_that_anybody_asks_for_do_not_keep_a_reset_from_being_mailed() {
    let server = MailServer::start("none");
    let program = started(&to(&server, &[("auth.max_mails_per_account", "2")]));
    let nobody = Client::anonymous(program.url());
    sign_up(&nobody, "ann@example.org").await;
    let ask = async |path: &str| post(&nobody, path, json!({ "email": "ann@example.org" })).await.0;
    for number in 0..2 {
        assert_eq!(ask("/v1/accounts/confirmation/request").await, 202);
        code(&server, "ann@example.org", number).await;
        eventually("it is done with", async || (program.count("SELECT count(*) FROM mails").await == 0).then_some(()))
            .await;
    }
    for _ in 0..3 {
        assert_eq!(ask("/v1/accounts/confirmation/request").await, 202);
    }
    assert_eq!(ask("/v1/accounts/reset/request").await, 202);
    let sent = code(&server, "ann@example.org", 2).await;
    let reset = json!({ "email": "ann@example.org", "code": sent, "password": NEW_PASSWORD });
    assert_eq!(post(&nobody, "/v1/accounts/reset", reset).await.0, 204);
    assert_eq!(server.mails_to("ann@example.org").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_resets_their_password_signs_in_where_they_had_guessed_and_others_guess() {
    let server = MailServer::start("none");
    let bounds = [("auth.max_failures", "2"), ("auth.max_failures_per_address", "4")];
    let program = started(&to(&server, &bounds));
    let nobody = Client::anonymous(program.url());
    sign_up(&nobody, "ann@example.org").await;
    for _ in 0..2 {
        assert_eq!(sign_in(&nobody, "ann@example.org", NEW_PASSWORD).await, refused(401, "wrong_credentials"));
    }
    assert_eq!(sign_in(&nobody, "ann@example.org", PASSWORD).await, refused(429, "too_many_attempts"));
    assert_eq!(post(&nobody, "/v1/accounts/reset/request", json!({ "email": "ann@example.org" })).await.0, 202);
    let sent = code(&server, "ann@example.org", 0).await;
    let reset = json!({ "email": "ann@example.org", "code": sent, "password": NEW_PASSWORD });
    assert_eq!(post(&nobody, "/v1/accounts/reset", reset).await.0, 204);
    for guess in ["a@example.org", "b@example.org"] {
        assert_eq!(sign_in(&nobody, guess, PASSWORD).await, refused(401, "wrong_credentials"));
    }
    assert_eq!(sign_in(&nobody, "c@example.org", PASSWORD).await, refused(429, "too_many_attempts"));
    assert_eq!(sign_in(&nobody, "ann@example.org", NEW_PASSWORD).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_use_one_code_at_once_one_fails_and_that_is_on_the_record() {
    let server = MailServer::start("none");
    let program = started(&to(&server, &[]));
    let nobody = Client::anonymous(program.url());
    sign_up(&nobody, "ann@example.org").await;
    assert_eq!(post(&nobody, "/v1/accounts/reset/request", json!({ "email": "ann@example.org" })).await.0, 202);
    let sent = code(&server, "ann@example.org", 0).await;
    let reset = || json!({ "email": "ann@example.org", "code": sent, "password": NEW_PASSWORD });
    let path = "/v1/accounts/reset";
    let (one, other) = tokio::join!(post(&nobody, path, reset()), post(&nobody, path, reset()));
    let mut answers = [one, other];
    answers.sort();
    assert_eq!(answers, [refused(204, ""), refused(422, "wrong_code")]);
    let noted = "SELECT result || ' ' || coalesce(detail, '') FROM audit_records
                 WHERE operation = 'reset_password' ORDER BY position";
    let mut noted = program.texts(noted).await;
    noted.sort();
    assert_eq!(noted, ["allowed ", "allowed ", "failed wrong_code"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_passwords_of_who_has_no_code_are_looked_at_a_bounded_number_of_times() {
    let program = Program::start_with(&[("auth.max_failures_per_address", "3")]);
    let nobody = Client::anonymous(program.url());
    let reset = json!({ "email": "nobody@example.org", "code": "AAAA-AAAA", "password": "password1234" });
    for _ in 0..3 {
        assert_eq!(post(&nobody, "/v1/accounts/reset", reset.clone()).await, refused(422, "password_too_weak"));
    }
    assert_eq!(post(&nobody, "/v1/accounts/reset", reset).await, refused(429, "too_many_attempts"));
    assert_eq!(sign_in(&nobody, "nobody@example.org", PASSWORD).await, refused(401, "wrong_credentials"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_from_before_addresses_had_to_be_confirmed_end_with_their_token() {
    let mut program = Program::start();
    let nobody = Client::anonymous(program.url());
    sign_up(&nobody, "ann@example.org").await;
    let credentials = json!({ "email": "ann@example.org", "password": PASSWORD });
    let began = nobody.post_json("/v1/sessions", &credentials).await;
    let refresh = async |client: &Client, tokens: &Answer| {
        client.post_json("/v1/sessions/refresh", &json!({ "refresh_token": tokens.body["refresh_token"] })).await
    };
    let again = refresh(&nobody, &began).await;
    assert_eq!(again.status, 200, "{again:?}");
    program.kill();
    program.set("auth.confirm_email", "true");
    program.resume();
    let refused = refresh(&nobody.at(program.url()), &again).await;
    assert_eq!((refused.status, refused.code()), (401, "unauthenticated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_was_promised_is_sent_after_the_program_was_killed() {
    let server = MailServer::start("none");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut program = started(&to(&server, &[("mail.port", &closed), ("mail.timeout_seconds", "1")]));
    let nobody = Client::anonymous(program.url());
    sign_up(&nobody, "ann@example.org").await;
    let request = json!({ "email": "ann@example.org" });
    assert_eq!(post(&nobody, "/v1/accounts/reset/request", request).await.0, 202);
    eventually("it is tried in vain", async || {
        (program.metric("stance_mails_total{outcome=\"postponed\"}").await > 0.0).then_some(())
    })
    .await;
    program.kill();
    program.set("mail.port", &server.port().to_string());
    program.resume();
    code(&server, "ann@example.org", 0).await;
    eventually("it is done with", async || (program.count("SELECT count(*) FROM mails").await == 0).then_some(()))
        .await;
    assert_eq!(server.mails_to("ann@example.org").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailer_that_panics_is_replaced_and_sends_what_waits() {
    let server = MailServer::start("none");
    let mut program = started(&to(&server, &[]));
    sign_up(&Client::anonymous(program.url()), "ann@example.org").await;
    program.kill();
    program.resume_with_failpoints("mailer=1*panic");
    let request = json!({ "email": "ann@example.org" });
    assert_eq!(post(&Client::anonymous(program.url()), "/v1/accounts/reset/request", request).await.0, 202);
    code(&server, "ann@example.org", 0).await;
    assert!(program.metric("stance_actor_restarts_total{actor=\"mailer\",cause=\"died\"}").await > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_server_is_named_mails_are_printed_and_work() {
    let program = Program::stopped(&[]);
    let printed = program.folder().join("printed");
    let mut command = program.command(&["serve"]);
    command.env("STANCE__HTTP__BIND", "127.0.0.1:0").stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(std::fs::File::create(&printed).unwrap()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let nobody = Client::anonymous(first.trim().rsplit(' ').next().unwrap());
    sign_up(&nobody, "ann@example.org").await;
    assert_eq!(sign_in(&nobody, "ann@example.org", PASSWORD).await.0, 200, "nobody is asked to confirm");
    let request = json!({ "email": "ann@example.org" });
    assert_eq!(post(&nobody, "/v1/accounts/reset/request", request).await.0, 202);
    let code = eventually("the code is printed", async || {
        let text = std::fs::read_to_string(&printed).unwrap();
        text.lines().find_map(|line| line.strip_prefix("    ")).map(str::to_owned)
    })
    .await;
    let reset = json!({ "email": "ann@example.org", "code": code, "password": NEW_PASSWORD });
    assert_eq!(post(&nobody, "/v1/accounts/reset", reset).await.0, 204);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_later_is_asked_again_and_one_that_refuses_is_not() {
    let server = MailServer::start("none");
    let program = started(&to(&server, &[]));
    let nobody = Client::anonymous(program.url());
    for email in ["later@example.org", "refused@example.org"] {
        sign_up(&nobody, email).await;
        assert_eq!(post(&nobody, "/v1/accounts/reset/request", json!({ "email": email })).await.0, 202);
    }
    let sent = code(&server, "later@example.org", 0).await;
    let reset = json!({ "email": "later@example.org", "code": sent, "password": NEW_PASSWORD });
    assert_eq!(post(&nobody, "/v1/accounts/reset", reset).await.0, 204);
    eventually("every mail is done with", async || {
        (program.count("SELECT count(*) FROM mails").await == 0).then_some(())
    })
    .await;
    assert!(program.metric("stance_mails_total{outcome=\"given_up\"}").await >= 1.0);
    assert!(program.metric("stance_mails_total{outcome=\"postponed\"}").await >= 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_go_over_tls_to_a_server_that_is_known_and_to_no_other() {
    for security in ["starttls", "tls"] {
        let server = MailServer::start(security);
        let authority = server.authority().to_str().unwrap().to_owned();
        let secured = [
            ("mail.security", security),
            ("mail.user", CREDENTIALS.0),
            ("mail.password", CREDENTIALS.1),
            ("mail.timeout_seconds", "5"),
        ];
        let request = json!({ "email": "ann@example.org" });

        let wary = started(&to(&server, &secured));
        let nobody = Client::anonymous(wary.url());
        sign_up(&nobody, "ann@example.org").await;
        post(&nobody, "/v1/accounts/reset/request", request.clone()).await;
        eventually("it does not trust the server", async || {
            (wary.metric("stance_mails_total{outcome=\"postponed\"}").await > 0.0).then_some(())
        })
        .await;
        assert!(server.mails_to("ann@example.org").is_empty(), "{security}");
        drop(wary);

        let program = started(&to(&server, &[&secured[..], &[("mail.ca_file", &authority)]].concat()));
        let nobody = Client::anonymous(program.url());
        sign_up(&nobody, "ann@example.org").await;
        post(&nobody, "/v1/accounts/reset/request", request).await;
        code(&server, "ann@example.org", 0).await;
        let mail = server.mails_to("ann@example.org").remove(0);
        assert_eq!((&mail["tls"], &mail["user"]), (&json!(true), &json!(CREDENTIALS.0)), "{security}");
        let (_, shown) = program.run(&["config", "show"], "");
        assert!(!shown.contains(CREDENTIALS.1), "a password is not printed");
    }
}
