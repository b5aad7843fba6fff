use super::*;

fn open(folder: &Path) -> Folder {
    Folder::open(folder, 1 << 20, &Entropy::from_system()).unwrap()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::from_row(format!("a=b/c={name}"))
}

#[tokio::test]
async fn a_changed_object_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.put(&key("1"), "bytes".into()).await.unwrap();
    fs::write(folder.path().join("a=b/c=1"), b"bitez").unwrap();
    assert!(matches!(store.get(&key("1"), Some(Digest::of(b"bytes"))).await, Err(ObjectError::Corrupt)));
}

#[tokio::test]
async fn a_start_removes_what_killed_processes_left_and_nothing_of_living_ones() {
    let folder = tempfile::tempdir().unwrap();
    let staging = folder.path().join(staging::STAGING);
    fs::create_dir_all(staging.join("left")).unwrap();
    fs::write(staging.join("left/0.part"), b"half").unwrap();
    fs::write(staging.join("0.part"), b"half").unwrap();
    let first = open(folder.path());
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 1, "its own");
    let staged = first.stage().write(b"under way".to_vec()).await.unwrap();

    let second = open(folder.path());
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 2, "one each");
    drop(second);
    first.keep(&staged, &key("1")).await.unwrap();
    assert_eq!(first.get(&key("1"), None).await.unwrap(), "under way");
    drop(first);
    drop(staged);
    assert_eq!(fs::read_dir(&staging).unwrap().count(), 0);
}

#[tokio::test]
async fn processes_that_open_one_folder_at_once_do_not_take_each_others_staging() {
    let folder = tempfile::tempdir().unwrap();
    let openings = (0..32).map(|_| {
        let path = folder.path().to_owned();
        tokio::task::spawn_blocking(move || open(&path))
    });
    let stores = futures_util::future::join_all(openings).await;
    for (n, store) in stores.into_iter().enumerate() {
        store.unwrap().put(&key(&n.to_string()), "x".into()).await.unwrap();
    }
}

#[tokio::test]
async fn keys_are_ordered_by_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for name in ["a/b", "a.b", "a0", "ab/c"] {
        store.put(&ObjectKey::from_row(name.to_owned()), "x".into()).await.unwrap();
    }
    let page = store.list("a", None).await.unwrap();
    let keys: Vec<_> = page.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys, ["a.b", "a/b", "a0", "ab/c"]);
}
