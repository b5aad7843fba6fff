//! What only a bucket does, and what it says when it may not.

use super::stores::{Server, open, open_as};
use super::*;
use crate::storage::objects::bucket::{BucketSettings, Sizes};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_link_reads_one_object_until_it_ends() {
    let server = Server::s3s_fs().await;
    let objects = server.objects().await;
    objects.put(&key("a b/1"), "text".into()).await.unwrap();
    let link = objects.link(&key("a b/1"), Duration::from_secs(2), &as_csv()).await.unwrap().unwrap();
    let read = reqwest::get(&link).await.unwrap();
    assert_eq!((read.status().as_u16(), &*read.text().await.unwrap()), (200, "text"));
    let other = reqwest::get(link.replace("/1?", "/2?")).await.unwrap();
    assert_eq!(other.status(), 403, "it is signed for one key");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(reqwest::get(&link).await.unwrap().status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_or_not_ours_says_so() {
    let server = Server::s3s_fs().await;
    let moto = Server::moto().await;
    let missing = BucketSettings { bucket: "missing".to_owned(), ..moto.settings() };
    let missing = open(missing, Sizes::default()).await.unwrap();
    let stranger = open_as(server.settings(), Sizes::default(), "wrong").await.unwrap();
    for (objects, expected) in [(missing, "there is no such bucket"), (stranger, "the credentials are not accepted")] {
        let (got, put) =
            (objects.get(&key("secret-key"), None).await, objects.put(&key("secret-key"), "".into()).await);
        for outcome in [objects.ping().await, got.map(drop), put] {
            let Err(error @ ObjectError::Refused(_)) = outcome else { panic!("{outcome:?}") };
            let text = format!("{error} {error:?}");
            assert!(text.contains(expected) && !text.contains("secret-key"), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_or_silent_is_unavailable_in_time() {
    let server = Server::s3s_fs().await;
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for address in [silent.local_addr().unwrap(), closed] {
        let settings = BucketSettings {
            endpoint: Some(format!("http://{address}")),
            timeout: Duration::from_secs(2),
            ..server.settings()
        };
        let objects = open(settings, Sizes::default()).await.unwrap();
        let begun = Instant::now();
        let read = objects.get(&key("1"), None).await;
        assert!(matches!(read, Err(ObjectError::Unavailable(_))), "{read:?}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
        let kept = objects.keep(&staged(&objects, b"x").await, &key("1")).await;
        assert!(matches!(kept, Err(ObjectError::Unavailable(_))), "{kept:?}");
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_was_changed_in_the_store_is_corrupt() {
    let server = Server::s3s_fs().await;
    let objects = server.objects().await;
    objects.put(&key("1"), "bytes".into()).await.unwrap();
    std::fs::write(server.folder.path().join("bucket/pre fix/1"), "bitez").unwrap();
    let read = objects.get(&key("1"), None).await;
    assert!(matches!(read, Err(ObjectError::Corrupt)), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_staged_has_no_name() {
    let server = Server::s3s_fs().await;
    let objects = server.objects().await;
    let staged = staged(&objects, b"a patient's").await;
    assert_eq!(std::fs::read_dir(server.folder.path().join("spool")).unwrap().count(), 0);
    assert_eq!(staged.read().unwrap(), "a patient's");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_told_to_encrypt() {
    let server = Server::moto().await;
    for (encryption, expected) in
        [(Encryption::Aes256, "AES256"), (Encryption::Kms(Some("key-1".to_owned())), "aws:kms")]
    {
        let settings = BucketSettings { encryption, ..server.settings() };
        let objects = open(settings, Sizes::default()).await.unwrap();
        for (name, length) in [("small", 10), ("large", stores::IN_PARTS)] {
            objects.put(&key(name), noise(length).into()).await.unwrap();
            let link = objects.link(&key(name), Duration::from_secs(60), &as_csv()).await.unwrap().unwrap();
            let answer = reqwest::get(link).await.unwrap().error_for_status().unwrap();
            assert_eq!(answer.headers()["x-amz-server-side-encryption"], expected, "{name}");
        }
    }
}
