//! What every store of objects must do: one suite for the folder and, with the feature `aws`, for two independent servers
//! that speak S3.

#[cfg(feature = "aws")]
mod bucket;
#[cfg(feature = "aws")]
mod faults;
pub(in crate::storage) mod stores;

use super::*;
use stores::Store;
use tokio::task::JoinSet;

/// Runs each test on each store.
macro_rules! contract {
    ($($test:ident)*) => {
        stores::on_each_store! { $($test)* }

        #[cfg(feature = "aws")]
        mod on_s3s_fs {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::stores::s3s_fs().await).await;
            })*
        }
    };
}

contract! {
    a_staged_object_appears_whole_or_not_at_all
    a_kept_object_is_never_replaced
    what_can_be_made_again_is_replaced
    other_bytes_than_the_digest_says_are_corrupt
    a_range_is_cut_at_the_end
    a_listing_goes_on_beyond_a_page_in_the_order_of_the_keys
    what_is_deleted_is_gone_and_may_be_deleted_again
    of_eight_at_once_exactly_one_is_kept
    a_large_object_arrives_whole
    an_empty_object_is_an_object
    keys_with_odd_characters_survive
    an_object_that_is_too_large_is_not_read
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::from_row(name.to_owned())
}

/// Bytes that compress badly and repeat nowhere near.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut bytes);
    bytes
}

async fn staged(objects: &Objects, bytes: &[u8]) -> Staged {
    let mut staged = objects.stage();
    for piece in bytes.chunks(1 << 20) {
        staged = staged.write(piece.to_vec()).await.unwrap();
    }
    staged
}

async fn keys(objects: &Objects, prefix: &str) -> Vec<String> {
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let page = objects.list(prefix, after.as_ref()).await.unwrap();
        assert!(page.objects.len() <= PAGE);
        keys.extend(page.objects.into_iter().map(|object| object.key.as_str().to_owned()));
        after = page.next;
        if after.is_none() {
            return keys;
        }
    }
}

async fn a_staged_object_appears_whole_or_not_at_all(store: Store) {
    let objects = &store.objects;
    objects.ping().await.unwrap();
    drop(staged(objects, b"half").await);
    assert!(matches!(objects.get(&key("a=b/1"), None).await, Err(ObjectError::NotFound)));

    let whole = objects.stage().write(b"who".to_vec()).await.unwrap().write(b"le".to_vec()).await.unwrap();
    assert_eq!((whole.len(), whole.digest(), whole.read().unwrap()), (5, Digest::of(b"whole"), "whole".into()));
    whole.sync().done().await.unwrap();
    objects.keep(&whole, &key("a=b/1")).await.unwrap();
    drop(whole);
    assert_eq!(objects.get(&key("a=b/1"), Some(Digest::of(b"whole"))).await.unwrap(), "whole");
    assert_eq!(keys(objects, "").await, ["a=b/1"], "and nothing else");
}

async fn a_kept_object_is_never_replaced(store: Store) {
    let objects = &store.objects;
    objects.keep(&staged(objects, b"first").await, &key("1")).await.unwrap();
    for again in ["second", "first"] {
        let outcome = objects.keep(&staged(objects, again.as_bytes()).await, &key("1")).await;
        assert!(matches!(outcome, Err(ObjectError::Exists)), "{outcome:?}");
    }
    assert_eq!(objects.get(&key("1"), None).await.unwrap(), "first");
}

async fn what_can_be_made_again_is_replaced(store: Store) {
    let objects = &store.objects;
    for text in ["first", "second"] {
        objects.put(&key("a/1"), text.into()).await.unwrap();
        assert_eq!(objects.get(&key("a/1"), Some(Digest::of(text.as_bytes()))).await.unwrap(), text);
    }
}

async fn other_bytes_than_the_digest_says_are_corrupt(store: Store) {
    let objects = &store.objects;
    objects.put(&key("1"), "bytes".into()).await.unwrap();
    let read = objects.get(&key("1"), Some(Digest::of(b"bitez"))).await;
    assert!(matches!(read, Err(ObjectError::Corrupt)), "{read:?}");
}

async fn a_range_is_cut_at_the_end(store: Store) {
    let objects = &store.objects;
    objects.put(&key("1"), "0123456789".into()).await.unwrap();
    for (range, expected) in
        [(0..4, "0123"), (3..4, "3"), (8..99, "89"), (10..12, ""), (4..4, ""), (0..10, "0123456789")]
    {
        assert_eq!(objects.get_range(&key("1"), range.clone()).await.unwrap(), expected, "{range:?}");
    }
    assert!(matches!(objects.get_range(&key("2"), 0..4).await, Err(ObjectError::NotFound)));
    assert_eq!(objects.size(&key("1")).await.unwrap(), 10);
    assert!(matches!(objects.size(&key("2")).await, Err(ObjectError::NotFound)));
    for (bytes, expected) in [(1, "9"), (4, "6789"), (10, "0123456789")] {
        assert_eq!(objects.get_tail(&key("1"), bytes).await.unwrap(), (expected.into(), 10), "{bytes}");
    }
    assert!(matches!(objects.get_tail(&key("2"), 4).await, Err(ObjectError::NotFound)));
}

async fn a_listing_goes_on_beyond_a_page_in_the_order_of_the_keys(store: Store) {
    const COUNT: usize = 2_500;
    let objects = &store.objects;
    let mut puts = JoinSet::new();
    let mut expected: Vec<String> = (0..COUNT).map(|n| format!("raw/p={}/t={n}.json", n % 7)).collect();
    for name in expected.iter().cloned().chain(["other/1".to_owned(), "raw.json".to_owned()]) {
        if puts.len() >= 16 {
            puts.join_next().await.unwrap().unwrap();
        }
        let objects = objects.clone();
        puts.spawn(async move { objects.put(&key(&name), "{}".into()).await.unwrap() });
    }
    puts.join_all().await;
    expected.sort();
    assert_eq!(keys(objects, "raw/").await, expected);
    assert_eq!(keys(objects, "raw/p=0/").await.len(), COUNT.div_ceil(7));
    assert_eq!(keys(objects, "").await.len(), COUNT + 2);
    assert_eq!(keys(objects, "nothing/").await, [""; 0]);
    let first = objects.list("raw/", None).await.unwrap();
    assert_eq!((first.objects.len(), first.objects[0].bytes), (PAGE, 2));
    let rest = objects.list("raw/", Some(&key(&expected[2_400]))).await.unwrap();
    assert_eq!((rest.objects.len(), rest.objects[0].key.as_str(), rest.next), (99, &*expected[2_401], None));
}

async fn what_is_deleted_is_gone_and_may_be_deleted_again(store: Store) {
    let objects = &store.objects;
    let all = [key("a/1"), key("a/2"), key("b/1")];
    for key in &all {
        objects.put(key, "x".into()).await.unwrap();
    }
    objects.delete(&all[0]).await.unwrap();
    assert!(matches!(objects.get(&all[0], None).await, Err(ObjectError::NotFound)));
    objects.delete(&all[0]).await.unwrap();
    objects.delete_all(&all).await.unwrap();
    assert_eq!(keys(objects, "").await, [""; 0]);
    objects.keep(&staged(objects, b"again").await, &all[0]).await.unwrap();
}

async fn of_eight_at_once_exactly_one_is_kept(store: Store) {
    for large in [false, true] {
        let mut writers = JoinSet::new();
        for n in 0..8 {
            let objects = store.objects.clone();
            writers.spawn(async move {
                let text = format!("{n}").repeat(if large { stores::IN_PARTS } else { 1 });
                let staged = staged(&objects, text.as_bytes()).await;
                (objects.keep(&staged, &key(&format!("raced/{large}"))).await, text)
            });
        }
        let mut winners = Vec::new();
        for (outcome, text) in writers.join_all().await {
            match outcome {
                Ok(()) => winners.push(text),
                other => assert!(matches!(other, Err(ObjectError::Exists)), "{other:?}"),
            }
        }
        assert_eq!(winners.len(), 1);
        assert!(store.objects.get(&key(&format!("raced/{large}")), None).await.unwrap() == winners[0]);
    }
}

async fn a_large_object_arrives_whole(store: Store) {
    let objects = &store.objects;
    let bytes = noise((20 << 20) + 17);
    let digest = Digest::of(&bytes);
    objects.keep(&staged(objects, &bytes).await, &key("large")).await.unwrap();
    assert!(objects.get(&key("large"), Some(digest)).await.unwrap() == bytes);
    let (start, end) = ((8 << 20) - 5, (8 << 20) + 5);
    assert!(objects.get_range(&key("large"), start as u64..end as u64).await.unwrap() == bytes[start..end]);
    let again = objects.keep(&staged(objects, &bytes).await, &key("large")).await;
    assert!(matches!(again, Err(ObjectError::Exists)), "{again:?}");
    objects.put(&key("large"), noise(9 << 20).into()).await.unwrap();
    assert_eq!(objects.list("", None).await.unwrap().objects, [Listed { key: key("large"), bytes: 9 << 20 }]);
}

async fn an_empty_object_is_an_object(store: Store) {
    let objects = &store.objects;
    objects.keep(&objects.stage(), &key("kept")).await.unwrap();
    objects.put(&key("put"), Bytes::new()).await.unwrap();
    for name in ["kept", "put"] {
        assert_eq!(objects.get(&key(name), Some(Digest::of(b""))).await.unwrap(), "");
    }
    assert!(matches!(objects.keep(&objects.stage(), &key("kept")).await, Err(ObjectError::Exists)));
}

/// How a link answers in these tests.
fn as_csv() -> Shown {
    Shown { media_type: "text/csv; charset=utf-8", disposition: "attachment; filename=\"a.csv\"".to_owned() }
}

async fn keys_with_odd_characters_survive(store: Store) {
    let objects = &store.objects;
    let mut odd = [
        "raw/patientID=us-west-2:1ec6234a-232a/movement=sit-to-stand/t.json",
        "raw/patientID=Zoë Müller & 猫/movement=a+b%2F c/t.json",
        "raw/patientID=#?!*'()[]{}^`|~@$,;\"<>/t.json",
        "raw/patientID=..a.%00/t .json",
    ];
    odd.sort_unstable();
    for name in odd {
        objects.keep(&staged(objects, name.as_bytes()).await, &key(name)).await.unwrap();
        assert_eq!(objects.get(&key(name), None).await.unwrap(), name);
        assert_eq!(objects.get_range(&key(name), 0..3).await.unwrap(), "raw");
        if let Some(link) = objects.link(&key(name), Duration::from_secs(60), &as_csv()).await.unwrap() {
            let read = reqwest::get(link).await.unwrap().error_for_status().unwrap();
            assert_eq!(read.text().await.unwrap(), name);
        }
    }
    assert_eq!(keys(objects, "raw/patientID=").await, odd);
    for name in odd {
        objects.delete(&key(name)).await.unwrap();
    }
    assert_eq!(keys(objects, "").await, [""; 0]);
}

async fn an_object_that_is_too_large_is_not_read(store: Store) {
    let objects = &store.objects;
    let length = stores::MAX_READ + 1;
    objects.put(&key("1"), vec![0; length].into()).await.unwrap();
    assert!(matches!(objects.get(&key("1"), None).await, Err(ObjectError::TooLarge)));
    assert_eq!(objects.get_range(&key("1"), 0..9).await.unwrap().len(), 9);
    assert_eq!(objects.get_tail(&key("1"), 9).await.unwrap().1, length as u64);
    assert!(matches!(objects.get_tail(&key("1"), length as u64).await, Err(ObjectError::TooLarge)));
}
