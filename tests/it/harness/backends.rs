//! Where programs keep their rows and objects: each in its own folder, or all of a test in the same place.

use stance_testkit::faults::Proxy;
use stance_testkit::s3::{ACCESS_KEY, SECRET_KEY};
use stance_testkit::{Bucket, Postgres, Queue};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// What the keys of a bucket of the tests begin with.
const PREFIX: &str = "clinic one";

/// What the programs of a test share. Dropped with the last of them, it is removed.
#[derive(Debug, Default)]
pub(crate) struct Backends {
    postgres: Option<Postgres>,
    bucket: Option<Bucket>,
    queue: Option<Queue>,
    folder: Option<TempDir>,
    roads: Option<Roads>,
}

/// The ways from the programs to what they share. What goes wrong on one, all of them meet.
#[derive(Debug)]
pub(crate) struct Roads {
    pub(crate) database: Proxy,
    pub(crate) bucket: Proxy,
    pub(crate) queue: Proxy,
}

impl Backends {
    /// Nothing is shared: SQLite and a folder in each program's data folder.
    pub(crate) fn embedded() -> Arc<Self> {
        Arc::default()
    }

    /// PostgreSQL, and a folder.
    pub(crate) fn postgres_and_folder() -> Arc<Self> {
        let folder = Some(tempfile::tempdir().unwrap());
        Arc::new(Self { postgres: Some(Postgres::database()), folder, ..Self::default() })
    }

    /// PostgreSQL and a bucket.
    pub(crate) async fn production() -> Arc<Self> {
        let bucket = Some(Bucket::new().await);
        Arc::new(Self { postgres: Some(Postgres::database()), bucket, ..Self::default() })
    }

    /// PostgreSQL, a bucket, and a queue that hears of every object that is put into it and gives a message up after so
    /// many deliveries; what is said on the way can be disturbed.
    pub(crate) async fn production_with_queue(deliveries: u32) -> Arc<Self> {
        let backends = Self::with_queue(Postgres::database(), deliveries).await;
        Arc::new(backends)
    }

    /// [`Backends::production_with_queue`], with a PostgreSQL server that may be stopped.
    pub(crate) async fn production_with_server() -> Arc<Self> {
        Arc::new(Self::with_queue(Postgres::with_server(), 10).await)
    }

    async fn with_queue(postgres: Postgres, deliveries: u32) -> Self {
        let (bucket, queue) = (Bucket::new().await, Queue::new(deliveries).await);
        bucket.tell(&queue).await;
        let roads = Roads {
            database: Proxy::tcp(postgres.address()).await.unwrap(),
            bucket: Proxy::http(bucket.address()).await.unwrap(),
            queue: Proxy::http(bucket.address()).await.unwrap(),
        };
        Self {
            postgres: Some(postgres),
            bucket: Some(bucket),
            queue: Some(queue),
            roads: Some(roads),
            ..Self::default()
        }
    }

    /// The settings that lead a program there.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        let mut settings = Vec::new();
        let mut set = |key: &str, value: String| settings.push((key.to_owned(), value));
        let by = |road: fn(&Roads) -> &Proxy, direct: SocketAddr| {
            self.roads.as_ref().map_or(direct, |roads| road(roads).address())
        };
        if let Some(postgres) = &self.postgres {
            set("database.url", postgres.url_by(by(|roads| &roads.database, postgres.address())));
            // Short, so that what a killed process held is taken up within a test.
            set("queue.lease_seconds", "4".to_owned());
            set("queue.tick_ms", "200".to_owned());
        }
        if let Some(bucket) = &self.bucket {
            set("objects.url", self.bucket_url());
            set("objects.endpoint", format!("http://{}", by(|roads| &roads.bucket, bucket.address())));
            set("objects.path_style", "true".to_owned());
        }
        if let Some(queue) = &self.queue {
            set("ingest.sqs_url", queue.url());
            set("ingest.sqs_endpoint", format!("http://{}", by(|roads| &roads.queue, queue.address())));
            // As the lease: what a killed process had in hand comes back within a test.
            set("ingest.sqs_hidden_seconds", "5".to_owned());
        }
        if let Some(folder) = &self.folder {
            set("objects.url", format!("file://{}", folder.path().display()));
        }
        settings
    }

    /// The environment that a program finds there.
    pub(super) fn environment(&self) -> &'static [(&'static str, &'static str)] {
        match self.bucket {
            Some(_) => &[
                ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
                ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
                ("AWS_REGION", "us-east-1"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
            ],
            None => &[],
        }
    }

    pub(crate) fn postgres(&self) -> &Postgres {
        self.postgres.as_ref().unwrap()
    }

    pub(crate) fn bucket(&self) -> &Bucket {
        self.bucket.as_ref().unwrap()
    }

    pub(crate) fn queue(&self) -> &Queue {
        self.queue.as_ref().unwrap()
    }

    pub(crate) fn roads(&self) -> &Roads {
        self.roads.as_ref().unwrap()
    }

    /// Whether there are rows in PostgreSQL.
    pub(super) fn postgres_url(&self) -> Option<String> {
        self.postgres.as_ref().map(Postgres::url)
    }

    /// The bucket and the prefix, as the configuration names them.
    pub(crate) fn bucket_url(&self) -> String {
        format!("s3://{}/{PREFIX}", self.bucket().name())
    }

    /// The whole key of an object in the bucket.
    pub(crate) fn key(&self, key: &str) -> String {
        format!("{PREFIX}/{key}")
    }

    /// Every object's key, sorted, for a program with that data folder.
    pub(super) async fn keys(&self, data: &Path) -> Vec<String> {
        match &self.bucket {
            Some(bucket) => {
                let begin = self.key("");
                bucket.keys().await.into_iter().map(|key| key.strip_prefix(&begin).unwrap().to_owned()).collect()
            }
            None => files(&self.root(data)).into_iter().map(|(key, _)| key).collect(),
        }
    }

    /// The bytes of an object.
    pub(super) async fn object(&self, data: &Path, key: &str) -> Vec<u8> {
        match &self.bucket {
            Some(bucket) => bucket.get(&self.key(key)).await,
            None => std::fs::read(self.root(data).join(key)).unwrap(),
        }
    }

    fn root(&self, data: &Path) -> PathBuf {
        self.folder.as_ref().map_or_else(|| data.join("objects"), |folder| folder.path().to_owned())
    }
}

/// Every file below a folder, by what its path adds to that of the folder; sorted.
pub(super) fn files(root: &Path) -> Vec<(String, PathBuf)> {
    let mut open = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                open.push(path);
            } else {
                files.push((path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), path));
            }
        }
    }
    files.sort();
    files
}
