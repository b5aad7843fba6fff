//! Single sign-on: tokens of Amazon Cognito, minted by moto with its real key, and of another provider whose keys the test holds.

use crate::harness::{Client, Program, Publisher, Subscriber, document, eventually, fresh_id};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use stance_testkit::cognito::{Cognito, Signer, forge};
use std::time::Duration;

const KEYS: &str = "/keys";

/// A program that takes the tokens of a pool, whose key set somebody publishes who counts.
async fn program_for(cognito: &Cognito, more: &[(&str, &str)]) -> (Program, Publisher) {
    let publisher = Publisher::of(KEYS, &cognito.key_set().await).await;
    let (issuer, url) = (cognito.issuer(), publisher.url(KEYS));
    let settings = [
        ("auth.issuer", issuer.as_str()),
        ("auth.jwks_url", url.as_str()),
        ("auth.audience", cognito.client()),
        ("auth.allow_http_on_loopback", "true"),
        ("auth.roles.admin", "[\"clinic-admins\"]"),
    ];
    (Program::start_with(&[&settings, more].concat()), publisher)
}

fn bearer(program: &Program, token: &str) -> Client {
    Client { token: token.to_owned(), ..Client::anonymous(program.url()) }
}

/// What an access to nobody's recording is answered: 404 to who has a token that holds.
async fn knock(client: &Client) -> (u16, String) {
    let answer = client.get(&format!("/v1/recordings/{}", fresh_id())).await;
    (answer.status, answer.code().to_owned())
}

fn let_in() -> (u16, String) {
    (404, "not_found".to_owned())
}

fn refused() -> (u16, String) {
    (401, "unauthenticated".to_owned())
}

fn busy() -> (u16, String) {
    (503, "busy".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "tokens are of the time at which the program sees them")]
fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_cognito_are_accepted_for_a_patient_a_care_provider_and_an_admin() {
    let cognito = Cognito::new().await;
    let (program, _publisher) = program_for(&cognito, &[]).await;
    let patient = "us-east-1:1ec6234a-232a-415d-9d31-f059c2cc4afa";
    let admin = cognito.user("root", &[], &["clinic-admins"]).await;
    let clinic = cognito.user("clinic", &[("custom:identity_id", "us-east-1:c-1")], &["careProvider"]).await;
    let ann = cognito.user("ann", &[("custom:identity_id", patient)], &["patient"]).await;

    let admin = bearer(&program, &admin.id);
    let make =
        "mutation { createCareProvider(care_provider_id: \"c-1\", email: \"c@example.org\") { care_provider_id } }";
    admin.data(make, json!({})).await;
    let clinic = bearer(&program, &clinic.id);
    clinic.adopt("c-1", patient).await;
    clinic.adopt("c-1", "another").await;
    let forbidden = clinic.graphql("mutation { addTestType(test_type: \"walk\") { test_type } }", json!({})).await;
    assert_eq!(forbidden["errors"][0]["extensions"]["code"], "forbidden");

    let ann = bearer(&program, &ann.id);
    let recording = fresh_id();
    assert_eq!(ann.upload(document(patient, recording).to_string()).await.status, 202);
    assert_eq!(clinic.status(&recording.to_string()).await.status, 200);
    assert_eq!(ann.upload(document("another", fresh_id()).to_string()).await.status, 404, "not their own");
    // As older clients send it.
    let bare = ann.http.get(format!("{}/v1/recordings/{recording}", ann.url)).header("authorization", &ann.token);
    assert_eq!(bare.send().await.unwrap().status(), 200);

    let ended = ann.delete("/v1/sessions/current").await;
    assert_eq!((ended.status, ended.code()), (409, "session_of_provider"));
    let failed = "SELECT count(*) FROM audit_records WHERE operation = 'sign_out' AND result = 'failed'";
    assert_eq!(program.count(failed).await, 1);
    assert_eq!(program.count("SELECT count(*) FROM accounts").await, 0, "nothing is written of who comes with a token");
    assert_eq!(program.count("SELECT count(*) FROM sessions").await, 0);
    // Own accounts are there beside them.
    program.create_account("own@example.org", "admin", &[]);
    assert_eq!(knock(&Client::sign_in(program.url(), "own@example.org").await).await, let_in());
}

#[tokio::test(flavor = "multi_thread")]
async fn access_tokens_and_other_names_of_claims_are_a_matter_of_configuration() {
    let cognito = Cognito::new().await;
    let ann = cognito.user("ann", &[("custom:identity_id", "p-1"), ("custom:user_type", "Patient")], &[]).await;
    let root = cognito.user("root", &[], &["clinic-admins"]).await;
    let (by_type, _publisher) = program_for(&cognito, &[("auth.claims.user_type", "custom:user_type")]).await;
    assert_eq!(knock(&bearer(&by_type, &ann.id)).await, let_in());
    assert_eq!(knock(&bearer(&by_type, &ann.access)).await, refused(), "an access token where id tokens are taken");
    let (by_access, _publisher) = program_for(&cognito, &[("auth.token_use", "access")]).await;
    assert_eq!(knock(&bearer(&by_access, &root.access)).await, let_in());
    assert_eq!(knock(&bearer(&by_access, &root.id)).await, refused());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_claims_name_no_role_is_refused_clearly() {
    let cognito = Cognito::new().await;
    let (program, _publisher) = program_for(&cognito, &[]).await;
    for (name, attributes, groups, word) in [
        ("nobody", [].as_slice(), [].as_slice(), "names a role"),
        ("both", &[("custom:identity_id", "p-1")], &["patient", "careProvider"], "contradict"),
        ("anonymous", &[], &["patient"], "custom:identity_id is missing"),
    ] {
        let tokens = cognito.user(name, attributes, groups).await;
        let answer = bearer(&program, &tokens.id).get(&format!("/v1/recordings/{}", fresh_id())).await;
        assert_eq!((answer.status, answer.code()), (403, "claims_refused"), "{answer:?}");
        assert!(answer.body["detail"].as_str().unwrap().contains(word), "{answer:?}");
        assert!(!answer.body.to_string().contains("p-1"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_are_refused_and_nobody_is_asked_until_the_interval_is_over() {
    let (cognito, other_pool) = (Cognito::new().await, Cognito::new().await);
    let far = [("auth.jwks_refresh_seconds", "3600"), ("auth.jwks_min_interval_seconds", "3600")];
    let (program, publisher) = program_for(&cognito, &far).await;
    let trap = Publisher::of(KEYS, &cognito.key_set().await).await;
    let attributes = [("custom:identity_id", "p-1")];
    let ann = cognito.user("ann", &attributes, &["patient"]).await;
    let elsewhere = other_pool.user("ann", &attributes, &["patient"]).await;
    let other_client = cognito.sign_in("ann", &cognito.another_client().await).await;
    assert_eq!(knock(&bearer(&program, &ann.id)).await, let_in());
    let visits = publisher.visits();
    assert_eq!(visits, 1);

    let header = json!({ "kid": "dummy", "alg": "RS256", "typ": "JWT" });
    let claims = json!({
        "iss": cognito.issuer(), "sub": "s", "aud": cognito.client(), "token_use": "id", "iat": now(), "exp": now() + 600,
        "custom:identity_id": "p-1", "cognito:groups": ["patient"],
    });
    let with_header = |part: &str, value: Value| {
        let mut bent = header.clone();
        bent[part] = value;
        bent
    };
    let with = |claim: &str, value: Value| {
        let mut bent = claims.clone();
        bent[claim] = value;
        bent
    };
    let jku = trap.url(KEYS);
    let key = cognito.key_set().await["keys"][0].clone();
    let forged = [
        ("alg none", with_header("alg", json!("none")), claims.clone(), Signer::Nobody),
        ("alg none, signed", with_header("alg", json!("none")), claims.clone(), Signer::Pool),
        ("alg nOnE", with_header("alg", json!("nOnE")), claims.clone(), Signer::Nobody),
        ("HS256 by the public key", with_header("alg", json!("HS256")), claims.clone(), Signer::PublicKeyAsSecret),
        ("RS256 said, HS256 done", header.clone(), claims.clone(), Signer::PublicKeyAsSecret),
        ("RS512", with_header("alg", json!("RS512")), claims.clone(), Signer::Pool),
        ("ES256", with_header("alg", json!("ES256")), claims.clone(), Signer::Pool),
        ("no signature", header.clone(), claims.clone(), Signer::Nobody),
        ("another key, same kid", header.clone(), claims.clone(), Signer::Another),
        ("unknown kid", with_header("kid", json!("unknown")), claims.clone(), Signer::Another),
        ("unknown kid, right key", with_header("kid", json!("unknown")), claims.clone(), Signer::Pool),
        ("no kid", with_header("kid", Value::Null), claims.clone(), Signer::Pool),
        ("kid that is a path", with_header("kid", json!("../../etc/passwd\n")), claims.clone(), Signer::Pool),
        ("jku", with_header("jku", json!(jku)), claims.clone(), Signer::Pool),
        ("x5u", with_header("x5u", json!(jku)), claims.clone(), Signer::Pool),
        ("jwk", with_header("jwk", key), claims.clone(), Signer::Pool),
        ("crit", with_header("crit", json!(["exp"])), claims.clone(), Signer::Pool),
        ("wrong issuer", header.clone(), with("iss", json!("https://evil.example")), Signer::Pool),
        ("issuer with a slash", header.clone(), with("iss", json!(format!("{}/", cognito.issuer()))), Signer::Pool),
        ("issuer that is ours", header.clone(), with("iss", json!("stance")), Signer::Pool),
        ("issuer that is a URL to ask", header.clone(), with("iss", json!(trap.url(""))), Signer::Pool),
        ("no issuer", header.clone(), with("iss", Value::Null), Signer::Pool),
        ("wrong audience", header.clone(), with("aud", json!("other")), Signer::Pool),
        ("expired", header.clone(), with("exp", json!(now() - 60)), Signer::Pool),
        ("no end", header.clone(), with("exp", Value::Null), Signer::Pool),
        ("not yet", header.clone(), with("nbf", json!(now() + 120)), Signer::Pool),
        ("issued in the future", header.clone(), with("iat", json!(now() + 120)), Signer::Pool),
        ("wrong use", header.clone(), with("token_use", json!("access")), Signer::Pool),
        ("no use", header.clone(), with("token_use", Value::Null), Signer::Pool),
        ("nobody's", header.clone(), with("sub", json!("")), Signer::Pool),
    ];
    let good = (header.clone(), claims.clone(), Signer::Pool);
    let wanted: Vec<_> = forged
        .iter()
        .map(|(_, header, claims, signer)| (header.clone(), claims.clone(), *signer))
        .chain([good])
        .collect();
    let mut tokens = forge(&wanted);
    let good = tokens.pop().unwrap();
    assert_eq!(knock(&bearer(&program, &good)).await, let_in(), "else what follows shows nothing");

    let (rest, signature) = ann.id.rsplit_once('.').unwrap();
    let other_claims = elsewhere.id.split('.').nth(1).unwrap();
    let cut = |text: &str, by: usize| text[..text.len() - by].to_owned();
    let mut all: Vec<(&str, String)> = forged.iter().map(|(name, ..)| *name).zip(tokens).collect();
    all.extend([
        ("another pool", elsewhere.id.clone()),
        ("another client", other_client.id),
        ("an access token", ann.access.clone()),
        ("cut short", cut(&ann.id, 8)),
        ("without its signature", rest.to_owned()),
        ("with nothing for a signature", format!("{rest}.")),
        ("signature twice", format!("{}.{signature}", ann.id)),
        ("claims of another", format!("{}.{other_claims}.{signature}", rest.split('.').next().unwrap())),
        ("padded", format!("{}=", ann.id)),
    ]);
    for (name, token) in &all {
        assert_eq!(knock(&bearer(&program, token)).await, refused(), "{name}");
        let graphql = bearer(&program, token).post_json("/graphql", &json!({ "query": "{ __typename }" })).await;
        assert_eq!(graphql.status, 401, "{name}: {graphql:?}");
    }
    assert_eq!(publisher.visits(), visits, "nobody was asked: the interval is an hour here");
    assert_eq!(trap.visits(), 0);
    assert_eq!(knock(&bearer(&program, &ann.id)).await, let_in());
}

/// An OpenID Connect provider whose keys the test holds. Not Cognito: the address of its keys is in its discovery document.
struct Provider {
    publisher: Publisher,
}

impl Provider {
    async fn with_key(seed: u8) -> Self {
        let provider = Self { publisher: Publisher::start().await };
        provider.publish(&[seed]);
        let discovery = json!({ "issuer": provider.issuer(), "jwks_uri": provider.publisher.url(KEYS) });
        provider.publisher.publish("/.well-known/openid-configuration", &discovery);
        provider
    }

    fn issuer(&self) -> String {
        self.publisher.url("")
    }

    fn publish(&self, seeds: &[u8]) {
        let key = |seed: &u8| {
            let public = SigningKey::from_bytes(&[*seed; 32]).verifying_key();
            let x = base64url(public.as_bytes());
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": format!("key-{seed}"), "x": x })
        };
        self.publisher.publish(KEYS, &json!({ "keys": seeds.iter().map(key).collect::<Vec<_>>() }));
    }

    fn token(&self, seed: u8, kid: &str) -> String {
        self.token_with(seed, kid, json!(now() + 600), &[])
    }

    /// One that ends then and is in these groups besides.
    fn token_with(&self, seed: u8, kid: &str, exp: Value, more: &[String]) -> String {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let der = SigningKey::from_bytes(&[seed; 32]).to_pkcs8_der().unwrap();
        let groups = [&["admins".to_owned()], more].concat();
        let claims = json!({ "iss": self.issuer(), "sub": "root", "aud": ["app"], "exp": exp, "groups": groups });
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(der.as_bytes())).unwrap()
    }

    fn program(&self, more: &[(&str, &str)]) -> Program {
        let issuer = self.issuer();
        let settings = [
            ("auth.issuer", issuer.as_str()),
            ("auth.audience", "app"),
            ("auth.token_use", "unchecked"),
            ("auth.claims.groups", "groups"),
            ("auth.roles.admin", "[\"admins\"]"),
            ("auth.allow_http_on_loopback", "true"),
        ];
        Program::start_with(&[&settings, more].concat())
    }
}

fn base64url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_of_the_provider_is_found_when_a_token_names_it_and_an_old_one_is_forgotten() {
    let provider = Provider::with_key(1).await;
    let program = provider.program(&[("auth.jwks_min_interval_seconds", "1"), ("auth.jwks_refresh_seconds", "3")]);
    let old = bearer(&program, &provider.token(1, "key-1"));
    assert_eq!(knock(&old).await, let_in());
    provider.publish(&[1, 2]);
    let new = bearer(&program, &provider.token(2, "key-2"));
    eventually("the new key is known", async || (knock(&new).await == let_in()).then_some(())).await;
    assert_eq!(knock(&old).await, let_in());
    provider.publish(&[2]);
    eventually("the old key is forgotten", async || (knock(&old).await == refused()).then_some(())).await;
    assert_eq!(knock(&new).await, let_in());
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_names_of_keys_make_the_program_ask_at_most_once_an_interval() {
    let provider = Provider::with_key(1).await;
    let program = provider.program(&[("auth.jwks_min_interval_seconds", "2"), ("auth.jwks_refresh_seconds", "3600")]);
    assert_eq!(knock(&bearer(&program, &provider.token(1, "key-1"))).await, let_in());
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let before = provider.publisher.visits();
    let begun = std::time::Instant::now();
    let storm: Vec<_> = (0..200)
        .map(|n| {
            let client = bearer(&program, &provider.token(9, &format!("made-up-{n}")));
            tokio::spawn(async move { knock(&client).await })
        })
        .collect();
    for answer in storm {
        let answer = answer.await.unwrap();
        assert!(answer == refused() || answer == busy(), "{answer:?}");
    }
    // A look is two requests: for the discovery document and for the keys.
    let most = 2 * (1 + begun.elapsed().as_secs() as usize / 2);
    let asked = provider.publisher.visits() - before;
    assert!((2..=most).contains(&asked), "{asked} of at most {most}");

    // One that was looked for in vain is not looked for again.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let unknown = bearer(&program, &provider.token(9, "made-up"));
    assert_eq!(knock(&unknown).await, refused());
    let asked = provider.publisher.visits();
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(knock(&unknown).await, refused());
    assert_eq!(provider.publisher.visits(), asked);
    assert_eq!(knock(&bearer(&program, &provider.token(1, "key-1"))).await, let_in());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_keys_are_trusted_for_a_while_when_the_provider_is_away() {
    let provider = Provider::with_key(1).await;
    let program = provider.program(&[
        ("auth.jwks_refresh_seconds", "1"),
        ("auth.jwks_min_interval_seconds", "1"),
        ("auth.jwks_max_age_seconds", "5"),
    ]);
    let root = bearer(&program, &provider.token(1, "key-1"));
    assert_eq!(knock(&root).await, let_in());
    provider.publisher.be_away(true);
    let visits = provider.publisher.visits();
    eventually("it is asked in vain", async || (provider.publisher.visits() >= visits + 2).then_some(())).await;
    assert_eq!(knock(&root).await, let_in(), "it holds on");
    eventually("it trusts them no longer", async || (knock(&root).await == busy()).then_some(())).await;
    // That is no fault of the token's, and nothing to sign out for.
    provider.publisher.be_away(false);
    eventually("the provider is back", async || (knock(&root).await == let_in()).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_starts_while_the_provider_is_away_knows_it_when_it_is_back() {
    let provider = Provider::with_key(1).await;
    provider.publisher.be_away(true);
    let program = provider.program(&[("auth.jwks_min_interval_seconds", "1")]);
    let root = bearer(&program, &provider.token(1, "key-1"));
    assert_eq!(knock(&root).await, busy());
    assert_eq!(Client::anonymous(program.url()).get("/readyz").await.status, 200, "own accounts can sign in");
    provider.publisher.be_away(false);
    eventually("the provider is back", async || (knock(&root).await == let_in()).then_some(())).await;
    // What it published for somebody else's address is not followed.
    let liar = Provider::with_key(1).await;
    let discovery = json!({ "issuer": "https://another.example", "jwks_uri": liar.publisher.url(KEYS) });
    liar.publisher.publish("/.well-known/openid-configuration", &discovery);
    let program = liar.program(&[]);
    assert_eq!(knock(&bearer(&program, &liar.token(1, "key-1"))).await, busy());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_keys_outlive_a_restart_and_a_panic_while_the_provider_is_away() {
    let provider = Provider::with_key(1).await;
    let mut program = provider.program(&[("auth.jwks_min_interval_seconds", "1")]);
    let token = provider.token(1, "key-1");
    assert_eq!(knock(&bearer(&program, &token)).await, let_in());
    eventually("they are kept", async || {
        (program.count("SELECT count(*) FROM provider_keys").await == 1).then_some(())
    })
    .await;
    provider.publisher.be_away(true);
    program.kill();
    program.resume_with_failpoints("provider_keys=1*panic");
    let root = bearer(&program, &token);
    eventually("they are recalled", async || (knock(&root).await == let_in()).then_some(())).await;
    let unknown = bearer(&program, &provider.token(2, "key-2"));
    assert_eq!(knock(&unknown).await, busy(), "the actor dies of it");
    assert_eq!(knock(&root).await, let_in());
    provider.publish(&[1, 2]);
    provider.publisher.be_away(false);
    eventually("it is asked again", async || (knock(&unknown).await == let_in()).then_some(())).await;
    let restarts = program.metric("stance_actor_restarts_total{actor=\"provider_keys\",cause=\"died\"}").await;
    assert!((restarts - 1.0).abs() < 0.1, "{restarts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_opens_requests_opens_a_connection_for_live_updates() {
    let provider = Provider::with_key(1).await;
    let program = provider.program(&[]);
    let groups: Vec<_> = (0..200).map(|n| format!("a-group-of-the-clinic-{n}")).collect();
    let token = provider.token_with(1, "key-1", json!(now() as f64 + 600.5), &groups);
    assert!((5_000..8_000).contains(&token.len()), "{}", token.len());
    let just_over = provider.token_with(1, "key-1", json!(now() - 5), &[]);
    for token in [token, just_over] {
        let root = bearer(&program, &token);
        assert_eq!(knock(&root).await, let_in());
        Subscriber::of(&root).connected().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn own_accounts_can_be_switched_off() {
    let provider = Provider::with_key(1).await;
    let mut program = provider.program(&[]);
    program.create_account("own@example.org", "admin", &[]);
    let own = Client::sign_in(program.url(), "own@example.org").await;
    assert_eq!(knock(&own).await, let_in());
    program.kill();
    program.set("auth.own_accounts", "false");
    program.resume();
    let nobody = Client::anonymous(program.url());
    let credentials = json!({ "email": "own@example.org", "password": crate::harness::PASSWORD });
    for path in ["/v1/accounts", "/v1/sessions"] {
        let answer = nobody.post_json(path, &credentials).await;
        assert_eq!((answer.status, answer.code()), (404, "own_accounts_off"), "{path}");
    }
    assert_eq!(knock(&own.at(program.url())).await, refused(), "not even with a token from before");
    assert_eq!(knock(&bearer(&program, &provider.token(1, "key-1"))).await, let_in());
}
