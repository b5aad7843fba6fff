//! Bodies: encodings, bombs, broken connections.

use crate::harness::{Program, document, eventually, fresh_id};
use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENT: &str = "patient-1";

#[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
async fn encode(encoding: &str, body: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    match encoding {
        "gzip" => GzipEncoder::new(body).take(1 << 30).read_to_end(&mut encoded).await,
        "zstd" => ZstdEncoder::new(body).take(1 << 30).read_to_end(&mut encoded).await,
        "br" => BrotliEncoder::new(body).take(1 << 30).read_to_end(&mut encoded).await,
        other => panic!("{other}"),
    }
    .unwrap();
    encoded
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_are_kept_decoded() {
    let program = Program::start();
    let clinic = program.clinic_with(&[PATIENT]).await;
    for encoding in ["gzip", "zstd", "br"] {
        let body = document(PATIENT, fresh_id()).to_string();
        let encoded = encode(encoding, body.as_bytes()).await;
        let answer = clinic.upload_with(encoded.clone(), &[("content-encoding", encoding)]).await;
        assert_eq!(answer.status, 202, "{encoding}: {answer:?}");
        let id = answer.body["test_event_id"].as_str().unwrap().to_owned();
        let raw = program.objects().into_iter().find(|(key, _)| key.ends_with(&format!("{id}.json"))).unwrap().1;
        assert_eq!(std::fs::read_to_string(raw).unwrap(), body);
        // The same recording, not encoded: the same bytes.
        assert_eq!(clinic.upload(body).await.status, 200);

        let cut = encoded[..encoded.len() / 2].to_vec();
        let answer = clinic.upload_with(cut, &[("content-encoding", encoding)]).await;
        assert_eq!((answer.status, answer.code()), (400, "encoding_broken"), "{encoding}: {answer:?}");
        let answer = clinic.upload_with("{\"not\": \"encoded\"}", &[("content-encoding", encoding)]).await;
        assert_eq!((answer.status, answer.code()), (400, "encoding_broken"), "{encoding}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_body_that_grows_beyond_the_cap_is_refused() {
    let program = Program::start_with(&[("uploads.max_bytes", "1000000")]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let bomb = vec![b' '; 50_000_000];
    for encoding in ["gzip", "zstd", "br"] {
        let encoded = encode(encoding, &bomb).await;
        assert!(encoded.len() < 100_000);
        let answer = clinic.upload_with(encoded, &[("content-encoding", encoding)]).await;
        assert_eq!((answer.status, answer.code()), (413, "body_too_large"), "{encoding}");
    }
    let answer = clinic.upload_with(vec![b' '; 1_000_001], &[]).await;
    assert_eq!((answer.status, answer.code()), (413, "body_too_large"));
    assert_eq!(program.objects(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_short_leaves_nothing() {
    let program = Program::start();
    let clinic = program.clinic_with(&[PATIENT]).await;
    let address = program.url().strip_prefix("http://").unwrap();
    let body = document(PATIENT, fresh_id()).to_string().repeat(20);
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /v1/recordings HTTP/1.1\r\nhost: stance\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        clinic.token,
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body.as_bytes()[..body.len() / 2]).await.unwrap();
    eventually("the body is arriving", || async { (program.metric("stance_uploads_open").await > 0.0).then_some(()) })
        .await;
    drop(stream);
    eventually("it is given up", || async {
        (program.metric("stance_uploads_open").await == 0.0 && program.objects().is_empty()).then_some(())
    })
    .await;
    assert_eq!(program.count("SELECT count(*) FROM recordings").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_stalls_is_given_up() {
    let program = Program::start_with(&[("uploads.idle_timeout_seconds", "1")]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let mut stream = TcpStream::connect(program.url().strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "POST /v1/recordings HTTP/1.1\r\nhost: stance\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n{{",
        clinic.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4_096];
    let read =
        tokio::time::timeout(std::time::Duration::from_secs(20), stream.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("upload_stalled"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_uploads_than_may_be_open_are_told_to_come_back() {
    let program = Program::start_with(&[("uploads.max_open", "1")]);
    let clinic = program.clinic_with(&[PATIENT]).await;
    let mut stream = TcpStream::connect(program.url().strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "POST /v1/recordings HTTP/1.1\r\nhost: stance\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n{{",
        clinic.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    eventually("it is open", || async { (program.metric("stance_uploads_open").await > 0.0).then_some(()) }).await;
    let answer = clinic.upload(document(PATIENT, fresh_id()).to_string()).await;
    assert_eq!((answer.status, answer.code()), (503, "busy"));
    assert_eq!(answer.headers["retry-after"], "1");
}
