//! A user pool of Amazon Cognito in moto: real RS256 tokens, and its real key set. And forged tokens, some of them with moto's
//! own key, to see what else a verifier looks at.

use crate::s3::{moto, python};
use crate::shared::Shared;
use reqwest::Client;
use serde_json::{Value, json};
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

const REGION: &str = "us-east-1";
const PASSWORD: &str = "Correct-horse-1";

/// Reads a list of tokens to make and prints them: header and claims are taken as they are.
const FORGE: &str = r#"
import base64, hashlib, hmac, json, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from joserfc import jwk
from moto.utilities.utils import load_resource

def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")

pool_key = jwk.RSAKey.import_key(load_resource("cognitoidp/resources/jwks-private.json"))
private = serialization.load_pem_private_key(pool_key.as_pem(private=True), None)
public = pool_key.as_pem(private=False)
another = rsa.generate_private_key(public_exponent=65537, key_size=2048)
tokens = []
for token in json.load(sys.stdin):
    message = b".".join(encoded(json.dumps(token[part]).encode()) for part in ("header", "claims"))
    signer = token["signer"]
    if signer == "nobody":
        signature = b""
    elif signer == "public_key_as_secret":
        signature = hmac.new(public, message, hashlib.sha256).digest()
    else:
        key = private if signer == "pool" else another
        signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    tokens.append((message + b"." + encoded(signature)).decode())
print(json.dumps(tokens))
"#;

/// By whom a forged token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The pool's own key, RS256.
    Pool,
    /// A key of somebody else, RS256.
    Another,
    /// HS256 with the pool's public key, as PEM, for the secret.
    PublicKeyAsSecret,
    /// The signature is empty.
    Nobody,
}

/// The tokens of a sign-in.
#[derive(Debug, Clone)]
pub struct CognitoTokens {
    /// Says who somebody is.
    pub id: String,
    /// Opens a service.
    pub access: String,
}

/// A user pool with one app client.
#[derive(Debug)]
pub struct Cognito {
    pool: String,
    client: String,
    address: SocketAddr,
    http: Client,
    _moto: Shared,
}

impl Cognito {
    /// A new pool, with the custom attributes `identity_id` and `user_type`; starts moto where it does not run.
    ///
    /// # Panics
    /// When moto cannot be started.
    pub async fn new() -> Self {
        let moto = tokio::task::spawn_blocking(|| moto().unwrap()).await.unwrap();
        let mut cognito = Self {
            pool: String::new(),
            client: String::new(),
            address: moto.state().parse().unwrap(),
            http: Client::new(),
            _moto: moto,
        };
        let attribute = |name: &str| json!({ "Name": name, "AttributeDataType": "String" });
        let schema = [attribute("identity_id"), attribute("user_type")];
        let made = cognito.ask("CreateUserPool", json!({ "PoolName": "clinic", "Schema": schema })).await;
        made["UserPool"]["Id"].as_str().unwrap().clone_into(&mut cognito.pool);
        cognito.client = cognito.another_client().await;
        cognito
    }

    /// The claim `iss` of its tokens.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("https://cognito-idp.{REGION}.amazonaws.com/{}", self.pool)
    }

    /// The app client's id: whom tokens are for.
    #[must_use]
    pub fn client(&self) -> &str {
        &self.client
    }

    /// Where moto publishes its keys.
    #[must_use]
    pub fn key_set_url(&self) -> String {
        format!("http://{}/{}/.well-known/jwks.json", self.address, self.pool)
    }

    /// Its key set.
    ///
    /// # Panics
    /// When it is not published.
    pub async fn key_set(&self) -> Value {
        self.http.get(self.key_set_url()).send().await.unwrap().json().await.unwrap()
    }

    /// One more app client; its id.
    ///
    /// # Panics
    /// When it cannot be made.
    pub async fn another_client(&self) -> String {
        let flows = ["ALLOW_ADMIN_USER_PASSWORD_AUTH"];
        let wanted = json!({ "UserPoolId": self.pool, "ClientName": "app", "ExplicitAuthFlows": flows });
        let made = self.ask("CreateUserPoolClient", wanted).await;
        made["UserPoolClient"]["ClientId"].as_str().unwrap().to_owned()
    }

    /// Makes a user with custom attributes and groups, and signs them in.
    ///
    /// # Panics
    /// When that is not done.
    pub async fn user(&self, name: &str, attributes: &[(&str, &str)], groups: &[&str]) -> CognitoTokens {
        let attributes: Vec<_> =
            attributes.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
        let user = |more: Value| {
            let mut asked = json!({ "UserPoolId": self.pool, "Username": name });
            asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            asked
        };
        self.ask("AdminCreateUser", user(json!({ "UserAttributes": attributes }))).await;
        self.ask("AdminSetUserPassword", user(json!({ "Password": PASSWORD, "Permanent": true }))).await;
        for group in groups {
            // It may be there.
            drop(self.try_ask("CreateGroup", json!({ "UserPoolId": self.pool, "GroupName": group })).await);
            self.ask("AdminAddUserToGroup", user(json!({ "GroupName": group }))).await;
        }
        self.sign_in(name, &self.client).await
    }

    /// Signs a user in with an app client.
    ///
    /// # Panics
    /// When that is not done.
    pub async fn sign_in(&self, name: &str, client: &str) -> CognitoTokens {
        let asked = json!({
            "UserPoolId": self.pool, "ClientId": client, "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
            "AuthParameters": { "USERNAME": name, "PASSWORD": PASSWORD },
        });
        let signed_in = self.ask("AdminInitiateAuth", asked).await;
        let token = |kind: &str| signed_in["AuthenticationResult"][kind].as_str().unwrap().to_owned();
        CognitoTokens { id: token("IdToken"), access: token("AccessToken") }
    }

    async fn ask(&self, action: &str, body: Value) -> Value {
        let answer = self.try_ask(action, body).await.error_for_status().unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
    }

    async fn try_ask(&self, action: &str, body: Value) -> reqwest::Response {
        let signed =
            format!("AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/cognito-idp/aws4_request, Signature=0");
        self.http
            .post(format!("http://{}/", self.address))
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("AWSCognitoIdentityProviderService.{action}"))
            .header("authorization", signed)
            .body(body.to_string())
            .send()
            .await
            .unwrap()
    }
}

/// Makes tokens with these headers and claims.
///
/// # Panics
/// When the Python environment cannot be made.
#[must_use]
pub fn forge(wanted: &[(Value, Value, Signer)]) -> Vec<String> {
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(header, claims, signer)| {
            let signer = match signer {
                Signer::Pool => "pool",
                Signer::Another => "another",
                Signer::PublicKeyAsSecret => "public_key_as_secret",
                Signer::Nobody => "nobody",
            };
            json!({ "header": header, "claims": claims, "signer": signer })
        })
        .collect();
    let mut forger = Command::new(python().unwrap())
        .args(["-c", FORGE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    forger.stdin.take().unwrap().write_all(Value::from(wanted).to_string().as_bytes()).unwrap();
    let output = forger.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}
