//! The HTTP surface against its description: `/openapi.json` is what the program serves.

use crate::harness::{Client, Program};
use reqwest::Method;
use serde_json::Value;
use std::collections::BTreeSet;

const METHODS: [&str; 6] = ["get", "post", "put", "patch", "delete", "head"];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_described_is_served_and_what_is_not_is_refused_with_the_methods_that_are() {
    let program = Program::start();
    let nobody = Client::anonymous(program.url());
    let description = nobody.get("/openapi.json").await;
    assert_eq!((description.status, description.headers["content-type"].as_bytes()), (200, &b"application/json"[..]));
    let paths = description.body["paths"].as_object().unwrap();
    assert!(paths.len() > 10, "{paths:?}");
    for (path, item) in paths {
        let described: BTreeSet<String> = item.as_object().unwrap().keys().cloned().collect();
        // A part of a path stands for any text.
        let filled: String =
            path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/");
        for name in METHODS {
            let method = Method::from_bytes(name.to_uppercase().as_bytes()).unwrap();
            let response = nobody.request(method, &filled).send().await.unwrap();
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap_or_default();
            if described.contains(name) {
                assert!(item[name]["responses"].get(status.to_string()).is_some(), "{name} {path}: {status}");
                assert_ne!(body["code"], "no_such_route", "{name} {path}");
                continue;
            }
            assert_eq!(status, 405, "{name} {path}");
            let allowed: BTreeSet<String> = headers
                .get_all("allow")
                .iter()
                .flat_map(|value| value.to_str().unwrap().split(','))
                .map(|method| method.trim().to_lowercase())
                .collect();
            assert_eq!(allowed, described, "{name} {path}");
            if name != "head" {
                assert_eq!(body["code"], "method_not_allowed", "{name} {path}");
                assert_eq!(headers["content-type"], "application/problem+json");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_can_be_switched_off() {
    let program = Program::start_with(&[("http.openapi", "false")]);
    let answer = Client::anonymous(program.url()).get("/openapi.json").await;
    assert_eq!((answer.status, answer.code()), (404, "no_such_route"));
}
