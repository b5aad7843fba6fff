//! The container contract of Amazon SageMaker: the test plays the platform.

use crate::harness::{eventually, fresh_id, recording};
use crate::inference::{Served, output};
use reqwest::Method;
use serde_json::{Value, json};
use stance_models::model::TrainedModel;
use stance_models::tensors::HEADER_LENGTH;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENT: &str = "patient-1";

/// `/opt/ml` of a container.
struct OptMl(TempDir);

impl OptMl {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn write(&self, below: &str, content: impl AsRef<[u8]>) {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Unpacks an artifact where the platform would; the `url` to load it from.
    fn unpack(&self, artifact: &[u8], name: &str) -> String {
        let folder = format!("models/{name}/model");
        for (entry, content) in stance_models::entries::split(artifact).unwrap() {
            self.write(&format!("{folder}/{entry}"), content);
        }
        self.path(&folder).to_str().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stance"));
        command.args(arguments).arg("--root").arg(self.0.path()).stdin(Stdio::null());
        command
    }

    fn train(&self) -> (bool, String) {
        let output = self.command(&["train"]).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn failure(&self) -> Option<String> {
        std::fs::read_to_string(self.path("output/failure")).ok()
    }

    /// Ten recordings with scores, as a training job gets them.
    fn with_training_data() -> Self {
        let root = Self::new();
        root.write("input/config/hyperparameters.json", json!({ "seed": "7", "sagemaker_region": "x" }).to_string());
        root.write("input/config/inputdataconfig.json", json!({ "training": {} }).to_string());
        root.write("input/config/resourceconfig.json", json!({ "current_host": "algo-1" }).to_string());
        for n in 0..10_u32 {
            let quality = f64::from(n) / 10.0;
            let document = recording(PATIENT, fresh_id(), quality, Some(100.0 * quality), 300);
            root.write(&format!("input/data/training/user_id={PATIENT}/{n}.json"), document.to_string());
        }
        root
    }
}

/// A container that serves.
struct Container {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Container {
    fn start(root: &OptMl, arguments: &[&str]) -> Self {
        let mut command = root.command(&[&["model-server", "serve", "--port", "0"], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let port = first.trim().rsplit(':').next().unwrap().parse::<u16>();
        let url = format!("http://127.0.0.1:{}", port.unwrap_or_else(|_| panic!("it did not start: {first:?}")));
        Self { child, url, http: reqwest::Client::new() }
    }

    async fn ask(&self, method: Method, path: &str, body: impl Into<reqwest::Body>, kind: &str) -> (u16, Value) {
        let request = self.http.request(method, format!("{}{path}", self.url)).header("content-type", kind).body(body);
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, "", "application/json").await
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask(Method::POST, path, body.to_string(), "application/json").await
    }

    async fn load(&self, name: &str, url: &str) -> u16 {
        self.post("/models", &json!({ "model_name": name, "url": url })).await.0
    }

    async fn delete(&self, name: &str) -> u16 {
        self.ask(Method::DELETE, &format!("/models/{name}"), "", "application/json").await.0
    }

    fn signal(&self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The artifact of a training.
fn artifact() -> Vec<u8> {
    let root = OptMl::with_training_data();
    let (trained, text) = root.train();
    assert!(trained, "{text}");
    let entries: Vec<_> = std::fs::read_dir(root.path("model"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap()))
        .collect();
    stance_models::entries::join(&entries).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_loads_lists_asks_and_unloads_many_models() {
    let (root, artifact) = (OptMl::new(), artifact());
    let mut container = Container::start(&root, &[]);
    assert_eq!(container.get("/ping").await.0, 200);
    let url = root.unpack(&artifact, "first");
    assert_eq!(container.load("first", &url).await, 200);
    assert_eq!(container.load("first", &url).await, 409);
    assert_eq!(container.get("/models/first").await, (200, json!({ "modelName": "first", "modelUrl": url })));
    assert_eq!(container.get("/models/other").await.0, 404);

    let document = recording(PATIENT, fresh_id(), 0.4, None, 300);
    let (status, alone) = container.post("/models/first/invoke", &document).await;
    assert_eq!(status, 200, "{alone}");
    let scored = alone["predictions"][0]["score"].as_f64().unwrap();
    assert!((scored - 40.0).abs() < 25.0, "quality 0.4 was scored {scored}");
    let many = json!({ "instances": [{ "recording": document }, { "recording": document }] });
    let (_, many) = container.post("/models/first/invoke", &many).await;
    assert_eq!(many["predictions"], json!([alone["predictions"][0], alone["predictions"][0]]));
    let width = stance_models::features::FEATURES;
    let rows = json!({ "instances": [vec![0.5; width], vec![1.5; width]] });
    let (_, by_json) = container.post("/models/first/invoke", &rows).await;
    let csv = format!("{}\n{}\n", vec!["0.5"; width].join(","), vec!["1.5"; width].join(","));
    let (status, by_csv) = container.ask(Method::POST, "/models/first/invoke", csv, "text/csv").await;
    assert_eq!(status, 200, "{by_csv}");
    let lines: Vec<&str> = by_csv.as_str().unwrap().lines().collect();
    assert_eq!(lines.len(), 2, "{by_csv}");
    for (line, predicted) in lines.iter().zip(by_json["predictions"].as_array().unwrap()) {
        let numbers: Vec<f64> = line.split(',').map(|number| number.parse().unwrap()).collect();
        let expected = ["score", "lower", "upper"].map(|key| predicted[key].as_f64().unwrap());
        assert_eq!(numbers, expected);
    }
    assert_eq!(container.post("/models/other/invoke", &rows).await.0, 404);
    for bad in [json!({}), json!({ "instances": [[1, 2]] }), json!({ "instances": [{ "recording": {} }] }), json!(7)] {
        let (status, answer) = container.post("/models/first/invoke", &bad).await;
        assert!(status == 400 && answer["error"].is_string(), "{bad}: {status} {answer}");
    }

    // Pages: 250 models, from one folder.
    for n in 0..249 {
        assert_eq!(container.load(&format!("m-{n:03}"), &url).await, 200);
    }
    let (mut names, mut token) = (Vec::new(), None::<String>);
    let mut pages = 0;
    loop {
        let query = token.map(|token| format!("?next_page_token={token}")).unwrap_or_default();
        let (_, page) = container.get(&format!("/models{query}")).await;
        names.extend(page["models"].as_array().unwrap().iter().map(|m| m["modelName"].as_str().unwrap().to_owned()));
        pages += 1;
        token = page["nextPageToken"].as_str().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!((pages, names.len()), (3, 250));
    assert!(names.is_sorted());

    assert_eq!(container.delete("first").await, 200);
    assert_eq!(container.delete("first").await, 404);
    assert_eq!(container.post("/models/first/invoke", &rows).await.0, 404);
    assert_eq!(container.load("first", &url).await, 200, "and back again");

    let begun = Instant::now();
    container.signal();
    assert!(container.child.wait().unwrap().success() && begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_room_is_507_and_room_is_made_by_unloading() {
    let (root, artifact) = (OptMl::new(), artifact());
    let container = Container::start(&root, &["--memory-mib", "1"]);
    let url = root.unpack(&artifact, "m");
    let mut loaded = 0;
    let status = loop {
        let status = container.load(&format!("m-{loaded}"), &url).await;
        if status != 200 {
            break status;
        }
        loaded += 1;
        assert!(loaded < 10_000);
    };
    assert_eq!(status, 507);
    assert!(loaded >= 50, "a model takes at most 20 kB, and {loaded} fit into 1 MiB");
    assert_eq!(container.load("another", &url).await, 507);
    assert_eq!(container.delete("m-0").await, 200);
    assert_eq!(container.load("another", &url).await, 200);
    assert_eq!(container.get("/ping").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_pinged_while_it_loads_and_one_of_many_loads_at_once_is_the_one() {
    let (root, artifact) = (OptMl::new(), artifact());
    let container = Container::start(&root, &[]);
    let url = root.unpack(&artifact, "m");
    let loads = futures_util::future::join_all((0..40).map(|n| {
        let (container, url) = (&container, &url);
        async move { container.load(if n < 20 { "same" } else { "" }, url).await }
    }));
    let pings = async {
        for _ in 0..20 {
            let begun = Instant::now();
            assert_eq!(container.get("/ping").await.0, 200);
            assert!(begun.elapsed() < Duration::from_secs(2));
        }
    };
    let (statuses, ()) = tokio::join!(loads, pings);
    let (same, nameless) = statuses.split_at(20);
    assert_eq!(same.iter().filter(|status| **status == 200).count(), 1, "{same:?}");
    assert_eq!(same.iter().filter(|status| **status == 409).count(), 19, "{same:?}");
    assert!(nameless.iter().all(|status| *status == 400), "{nameless:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_artifacts_and_folders_are_refused_and_the_container_lives_on() {
    let (root, artifact) = (OptMl::new(), artifact());
    let container = Container::start(&root, &[]);
    let mut entries = stance_models::entries::split(&artifact).unwrap();
    root.write("models/empty/model/.keep", "");
    root.write("models/garbage/model/model", "garbage");
    root.write("models/packed/model/model.tar.gz", &artifact);
    root.write("models/cut/model/model.tar.gz", &artifact[..artifact.len() / 2]);
    root.write("models/huge/model/model", vec![0; 5 << 20]);
    root.write("models/stranger/model/evil.sh", "rm -rf /");
    for (name, content) in &mut entries {
        root.write(&format!("models/strange/model/{name}"), &content);
        root.write(&format!("elsewhere/{name}"), &content);
    }
    root.write("models/strange/model/evil.sh", "rm -rf /");
    std::fs::create_dir_all(root.path("models/link")).unwrap();
    std::os::unix::fs::symlink(root.path("elsewhere"), root.path("models/link/model")).unwrap();
    let at = |name: &str| root.path(&format!("models/{name}/model")).to_str().unwrap().to_owned();
    for name in ["empty", "garbage", "cut", "huge", "stranger", "strange", "link", "nowhere", "../elsewhere"] {
        let (status, answer) = container.post("/models", &json!({ "model_name": "m", "url": at(name) })).await;
        assert!(status == 400 && answer["error"].is_string(), "{name}: {status} {answer}");
    }
    let outside = root.path("elsewhere").to_str().unwrap().to_owned();
    for url in [outside.as_str(), "/etc", "", "models"] {
        assert_eq!(container.load("m", url).await, 400, "{url}");
    }
    assert_eq!(container.load("m", &at("packed")).await, 200);
    assert_eq!(container.get("/models").await.1["models"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_for_one_model_serves_what_was_trained() {
    let root = OptMl::with_training_data();
    let (trained, text) = root.train();
    assert!(trained && root.failure().is_none(), "{text}");
    let container = Container::start(&root, &[]);
    assert_eq!(container.get("/ping").await.0, 200);
    let document = recording(PATIENT, fresh_id(), 0.8, None, 300);
    let (status, answer) = container.post("/invocations", &document).await;
    let scored = answer["predictions"][0]["score"].as_f64().unwrap();
    assert!(status == 200 && (scored - 80.0).abs() < 25.0, "{answer}");
    drop(container);

    root.write("model/model", "garbage");
    let output = root.command(&["model-server", "serve", "--port", "0"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("the model cannot be served"), "{text}");
}

#[test]
fn training_twice_makes_one_model_and_its_data_are_not_changed() {
    let root = OptMl::with_training_data();
    assert!(root.train().0);
    let model = std::fs::read(root.path("model/model")).unwrap();
    assert!(root.train().0);
    assert_eq!(std::fs::read(root.path("model/model")).unwrap(), model);
    let card: Value = serde_json::from_slice(&std::fs::read(root.path("model/model_card.json")).unwrap()).unwrap();
    assert_eq!((&card["recordings"], &card["seed"]), (&json!(10), &json!(7)));
}

#[test]
fn bad_data_say_what_is_wrong_and_leave_no_model() {
    type Spoil = fn(&OptMl);
    let cases: [(&str, Spoil); 8] = [
        ("bad.json: the document ends before its end", |root| {
            root.write("input/data/training/bad.json", "{\"user_id\":")
        }),
        ("no clinician's score", |root| {
            let document = recording(PATIENT, fresh_id(), 0.5, None, 100);
            root.write("input/data/training/unscored.json", document.to_string());
        }),
        ("another patient", |root| {
            let document = recording("somebody-else", fresh_id(), 0.5, Some(50.0), 100);
            root.write("input/data/training/z.json", document.to_string());
        }),
        ("twice", |root| {
            let one = root.path(&format!("input/data/training/user_id={PATIENT}/0.json"));
            std::fs::copy(one, root.path("input/data/training/again.json")).unwrap();
        }),
        ("there is no hyperparameter \"trees\"", |root| {
            root.write("input/config/hyperparameters.json", "{\"trees\":\"100\"}");
        }),
        ("seed", |root| root.write("input/config/hyperparameters.json", "{\"seed\":\"many\"}")),
        ("hyperparameters.json cannot be read", |root| root.write("input/config/hyperparameters.json", "{\"seed\":7}")),
        ("no recordings", |root| {
            std::fs::remove_dir_all(root.path("input/data/training")).unwrap();
            std::fs::create_dir_all(root.path("input/data/training")).unwrap();
        }),
    ];
    for (expected, spoil) in cases {
        let root = OptMl::with_training_data();
        spoil(&root);
        let (trained, text) = root.train();
        let failure = root.failure().unwrap_or_default();
        assert!(!trained && failure.contains(expected) && text.contains(expected), "{expected}: {failure} / {text}");
        assert!(failure.chars().count() <= 1_024 && !failure.contains(PATIENT), "{failure}");
        assert!(!root.path("model/model").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn training_that_is_stopped_ends_soon_and_leaves_no_model() {
    let root = OptMl::with_training_data();
    let mut child =
        root.command(&["train"]).env("FAILPOINTS", "train=sleep(100000)").stderr(Stdio::null()).spawn().unwrap();
    eventually("it listens to signals", || async { catches_terminate(child.id()).then_some(()) }).await;
    let begun = Instant::now();
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert!(!child.wait().unwrap().success());
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(root.failure().unwrap().contains("stopped"));
    assert!(!root.path("model/model").exists());
}

/// Whether a process has said what it does on SIGTERM.
fn catches_terminate(pid: u32) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim();
    u64::from_str_radix(caught, 16).unwrap_or(0) & (1 << 14) != 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_gets_the_same_score_to_the_last_bit_by_every_door() {
    let served = Served::new(&[]).await;
    let (key, _) = served.program.objects().into_iter().find(|(key, _)| key.ends_with(".tar.gz")).unwrap();
    let artifact = served.program.object(&key).await;
    let root = OptMl::new();
    let container = Container::start(&root, &[]);
    assert_eq!(container.load("m", &root.unpack(&artifact, "m")).await, 200);
    for quality in [0.13, 0.5, 0.77] {
        let document = recording(PATIENT, fresh_id(), quality, None, 300);
        let pool = served.clinic.upload_and_wait(document.to_string()).await;
        assert_eq!(pool.recording_status(), "scored", "{pool:?}");
        let pool = ["value", "lower", "upper"].map(|key| pool.body["score"][key].as_f64().unwrap().to_bits());
        let v2 = served.infer(&[document.to_string()]).await;
        let v2 = ["score", "lower", "upper"].map(|name| output(&v2, name)[0].to_bits());
        let (_, by_container) = container.post("/models/m/invoke", &document).await;
        let predicted = &by_container["predictions"][0];
        let by_container = ["score", "lower", "upper"].map(|key| predicted[key].as_f64().unwrap().to_bits());
        assert_eq!((v2, by_container), (pool, pool), "quality {quality}");
    }
}

/// Feature vectors in the range that the model follows, of doubles that need all seventeen digits.
fn awkward(model: &TrainedModel, rows: usize) -> Vec<Vec<f64>> {
    let mut state = 7_u64;
    let mut between = |low: f64, high: f64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (high - low) * (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..rows)
        .map(|_| model.linear().terms.iter().map(|term| between(term.low, term.high.max(1e-3))).collect())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn features_get_the_same_score_to_the_last_bit_in_every_format() {
    let served = Served::new(&[]).await;
    let (key, _) = served.program.objects().into_iter().find(|(key, _)| key.ends_with(".tar.gz")).unwrap();
    let artifact = served.program.object(&key).await;
    let (model, _) = stance_models::artifact::unpack(&artifact).unwrap();
    let root = OptMl::new();
    let container = Container::start(&root, &[]);
    assert_eq!(container.load("m", &root.unpack(&artifact, "m")).await, 200);

    let rows = awkward(&model, 20);
    let bits = |numbers: [f64; 3]| numbers.map(f64::to_bits);
    let predicted = rows.iter().map(|row| model.predict(row).unwrap());
    let expected: Vec<_> = predicted.map(|found| bits([found.value, found.lower, found.upper])).collect();
    let lines: Vec<String> =
        rows.iter().map(|row| row.iter().map(|v| format!("{v:.16e}")).collect::<Vec<_>>().join(",")).collect();

    let csv = container.ask(Method::POST, "/models/m/invoke", lines.join("\n"), "text/csv").await.1;
    let numbers = |line: &str| line.split(',').map(|number| number.parse().unwrap()).collect::<Vec<f64>>();
    let by_csv: Vec<_> = csv.as_str().unwrap().lines().map(|line| bits(numbers(line).try_into().unwrap())).collect();
    assert_eq!(by_csv, expected, "CSV");

    let instances = format!("{{\"instances\":[[{}]]}}", lines.join("],["));
    let (_, answer) = container.ask(Method::POST, "/models/m/invoke", instances, "application/json").await;
    let of = |row: &Value| bits(["score", "lower", "upper"].map(|key| row[key].as_f64().unwrap()));
    assert_eq!(answer["predictions"].as_array().unwrap().iter().map(of).collect::<Vec<_>>(), expected, "instances");

    let shape = json!([rows.len(), rows[0].len()]);
    let protocol = format!(
        "{{\"inputs\":[{{\"name\":\"features\",\"datatype\":\"FP64\",\"shape\":{shape},\"data\":[{}]}}]}}",
        lines.join(",")
    );
    let of_outputs = |answer: &Value| -> Vec<_> {
        let [score, lower, upper] = ["score", "lower", "upper"].map(|name| output(answer, name));
        (0..rows.len()).map(|row| bits([score[row], lower[row], upper[row]])).collect()
    };
    let (_, answer) = container.ask(Method::POST, "/models/m/invoke", protocol.clone(), "application/json").await;
    assert_eq!(of_outputs(&answer), expected, "the protocol in the container");

    let url = format!("{}/v2/models/{}/infer", served.program.url(), served.name);
    let ask = |body: Vec<u8>| reqwest::Client::new().post(&url).bearer_auth(&served.clinic.token).body(body);
    let answer = ask(protocol.into_bytes()).header("content-type", "application/json").send().await.unwrap();
    assert_eq!(of_outputs(&answer.json().await.unwrap()), expected, "the protocol's JSON");

    let raw: Vec<u8> = rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    let head = json!({ "parameters": { "binary_data_output": true }, "inputs": [{ "name": "features",
        "datatype": "FP64", "shape": shape, "parameters": { "binary_data_size": raw.len() } }] })
    .to_string();
    let (length, body) = (head.len().to_string(), [head.into_bytes(), raw].concat());
    let answer = ask(body).header(HEADER_LENGTH, length).send().await.unwrap();
    let json: usize = answer.headers()[HEADER_LENGTH].to_str().unwrap().parse().unwrap();
    let raw = answer.bytes().await.unwrap().split_off(json);
    let doubles: Vec<u64> = raw.chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap())).collect();
    let [score, lower, upper] = [0, 1, 2].map(|output| &doubles[output * rows.len()..(output + 1) * rows.len()]);
    let by_tensor: Vec<_> = (0..rows.len()).map(|row| [score[row], lower[row], upper[row]]).collect();
    assert_eq!(by_tensor, expected, "binary tensors");
}
