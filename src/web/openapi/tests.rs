use super::*;
use std::collections::BTreeSet;
use std::path::Path;

/// The folder of the sources.
fn web() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web")
}

/// Where the surface changes on purpose: `RENEW=1 cargo nextest run description_in_the_repository`, and look at the difference.
#[test]
fn the_description_in_the_repository_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
    let served = printed();
    if std::env::var_os("RENEW").is_some() {
        std::fs::write(path, &served).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == served, "{path} is not what is served:\n{served}");
}

#[test]
fn every_route_of_the_source_is_described_and_nothing_else() {
    let (mut open, mut routes) = (vec![web()], BTreeSet::new());
    while let Some(folder) = open.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap_or_default();
            // Methods follow their resource, up to the next one.
            for after in text.split("web::resource(\"").skip(1) {
                let Some((route, rest)) = after.split_once('"') else { continue };
                let rest = rest.split(".service(").next().unwrap_or_default();
                for method in ["get", "post", "put", "patch", "delete", "head"] {
                    if rest.contains(&format!("web::{method}()")) {
                        routes.insert(format!("{method} {route}"));
                    }
                }
            }
        }
    }
    let description = serde_json::to_value(description()).unwrap();
    let described: BTreeSet<String> = description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
        .collect();
    assert_eq!(described, routes);
}
