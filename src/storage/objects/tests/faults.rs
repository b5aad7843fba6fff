//! Between the program and the bucket something goes wrong.

use super::stores::{Server, open};
use super::*;
use crate::storage::objects::bucket::{BucketSettings, Sizes};
use stance_testkit::faults::{Mode, Proxy};

/// A body that goes in one part, and one that goes in two, the last of which is small.
const LENGTHS: [usize; 2] = [1_000, (5 << 20) + 1];
const SIZES: Sizes = Sizes { in_parts_over: 100_000, part: 5 << 20, in_memory: 8 << 20 };

struct Road {
    server: Server,
    proxy: Proxy,
    objects: Objects,
}

impl Road {
    async fn to(server: Server, max_attempts: u32) -> Self {
        let proxy = Proxy::http(server.address).await.unwrap();
        let endpoint = Some(format!("http://{}", proxy.address()));
        let settings = BucketSettings { endpoint, max_attempts, ..server.settings() };
        let objects = open(settings, SIZES).await.unwrap();
        Self { server, proxy, objects }
    }

    /// What is there by a road without faults: keys and how long the objects are.
    async fn there(&self) -> Vec<Listed> {
        self.server.objects().await.list("", None).await.unwrap().objects
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_a_write_ends_well() {
    for server in [Server::s3s_fs().await, Server::moto().await] {
        let road = Road::to(server, 3).await;
        for (length, line) in LENGTHS.into_iter().zip([["PUT ", "PutObject"], ["POST ", "uploadId="]]) {
            let bytes = noise(length);
            let name = key(&format!("{length}"));
            road.proxy.set(Mode::lose_answers_to(&line));
            let before = road.proxy.faults();
            road.objects.keep(&staged(&road.objects, &bytes).await, &name).await.unwrap();
            assert!(road.proxy.faults() > before, "the answer was not lost");
            road.proxy.set(Mode::Pass);
            assert!(road.objects.get(&name, Some(Digest::of(&bytes))).await.unwrap() == bytes);
            let other = road.objects.keep(&staged(&road.objects, &bytes).await, &name).await;
            assert!(matches!(other, Err(ObjectError::Exists)), "another write is told apart: {other:?}");
        }
        assert_eq!(road.there().await.len(), LENGTHS.len(), "each is there once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_asks_to_slow_down_is_asked_again_later() {
    let road = Road::to(Server::s3s_fs().await, 10).await;
    road.proxy.set(Mode::SlowDown);
    let writes = LENGTHS.map(|length| {
        let objects = road.objects.clone();
        tokio::spawn(async move {
            let staged = staged(&objects, &noise(length)).await;
            objects.keep(&staged, &key(&format!("{length}"))).await
        })
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    road.proxy.set(Mode::Pass);
    for write in writes {
        write.await.unwrap().unwrap();
    }
    assert!(road.proxy.faults() >= 2);
    assert_eq!(road.there().await.len(), LENGTHS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_stays_away_is_unavailable_and_comes_back() {
    let road = Road::to(Server::s3s_fs().await, 2).await;
    road.objects.put(&key("there"), "x".into()).await.unwrap();
    for mode in [Mode::Refuse, Mode::SlowDown, Mode::Status(500), Mode::Status(503)] {
        road.proxy.set(mode.clone());
        let kept = road.objects.keep(&staged(&road.objects, b"x").await, &key("new")).await;
        let outcomes = [
            kept,
            road.objects.get(&key("there"), None).await.map(drop),
            road.objects.delete(&key("there")).await,
            road.objects.list("", None).await.map(drop),
            road.objects.ping().await,
        ];
        for outcome in outcomes {
            assert!(matches!(outcome, Err(ObjectError::Unavailable(_))), "{mode:?}: {outcome:?}");
        }
    }
    road.proxy.set(Mode::Delay(Duration::from_millis(200)));
    assert_eq!(road.objects.get(&key("there"), None).await.unwrap(), "x");
    assert_eq!(road.there().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_body_is_never_returned_as_the_whole() {
    let road = Road::to(Server::s3s_fs().await, 2).await;
    let bytes = noise(200_001);
    road.objects.put(&key("1"), bytes.clone().into()).await.unwrap();
    for mode in [Mode::TruncateBody, Mode::ShortenBody, Mode::CutAfter(50_000), Mode::CutAfter(100)] {
        road.proxy.set(mode.clone());
        let whole = road.objects.get(&key("1"), None).await;
        let range = road.objects.get_range(&key("1"), 100..150_000).await;
        for read in [whole, range] {
            let refused = matches!(read, Err(ObjectError::Unavailable(_) | ObjectError::Corrupt));
            assert!(refused, "{mode:?}: {:?}", read.map(|bytes| bytes.len()));
        }
    }
    road.proxy.set(Mode::Pass);
    assert!(road.objects.get(&key("1"), None).await.unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_in_parts_that_fails_leaves_nothing() {
    let road = Road::to(Server::moto().await, 2).await;
    road.proxy.set(Mode::lose_answers_to(&["PUT ", "partNumber=2"]));
    let kept = road.objects.keep(&staged(&road.objects, &noise(LENGTHS[1])).await, &key("1")).await;
    assert!(matches!(kept, Err(ObjectError::Unavailable(_))), "{kept:?}");
    assert!(road.there().await.is_empty());
    let url = format!("http://{}/{}?uploads", road.server.address, road.server.bucket);
    let mut left = String::new();
    for _ in 0..100 {
        left = reqwest::get(&url).await.unwrap().text().await.unwrap();
        if !left.contains("<Upload>") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the upload was not aborted: {left}");
}
