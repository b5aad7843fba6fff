//! The stores that the suite runs on, each empty and for one test.

use crate::domain::entropy::Entropy;
use crate::storage::objects::{Folder, Objects};
use std::any::Any;

/// Largest read of the tests.
pub(super) const MAX_READ: usize = 24 << 20;
/// Bytes that a bucket of the tests takes in parts.
pub(super) const IN_PARTS: usize = 9 << 20;

/// Runs each test on a folder and, with the feature `aws`, on a server that speaks S3.
macro_rules! on_each_store {
    ($($test:ident)*) => {
        mod on_a_folder {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test($crate::storage::objects::tests::stores::folder()).await;
            })*
        }

        #[cfg(feature = "aws")]
        mod on_moto {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test($crate::storage::objects::tests::stores::moto().await).await;
            })*
        }
    };
}
pub(in crate::storage) use on_each_store;

/// A store, and what it needs to live.
pub(in crate::storage) struct Store {
    pub(in crate::storage) objects: Objects,
    _alive: Box<dyn Any + Send>,
}

impl Store {
    fn new(objects: Objects, alive: impl Any + Send) -> Self {
        Self { objects, _alive: Box::new(alive) }
    }
}

pub(in crate::storage) fn folder() -> Store {
    let folder = tempfile::tempdir().unwrap();
    let objects = Folder::open(folder.path(), MAX_READ as u64, &Entropy::from_system()).unwrap();
    Store::new(Objects::Folder(objects), folder)
}

#[cfg(feature = "aws")]
pub(in crate::storage) use servers::*;

#[cfg(feature = "aws")]
mod servers {
    use super::*;
    use crate::storage::objects::ObjectError;
    use crate::storage::objects::bucket::{Bucket, BucketSettings, Encryption, Sizes};
    use aws_sdk_s3::config::Credentials;
    use stance_testkit::s3::{self, ACCESS_KEY, S3sFs, SECRET_KEY};
    use stance_testkit::shared::Shared;
    use std::net::SocketAddr;
    use std::time::Duration;
    use tempfile::TempDir;

    pub(in crate::storage) async fn moto() -> Store {
        let server = Server::moto().await;
        Store::new(server.objects().await, server)
    }

    pub(in crate::storage) async fn s3s_fs() -> Store {
        let server = Server::s3s_fs().await;
        Store::new(server.objects().await, server)
    }

    /// A server with an empty bucket.
    pub(in super::super) struct Server {
        pub(in super::super) address: SocketAddr,
        pub(in super::super) bucket: String,
        /// The folder of s3s-fs, and that of spools.
        pub(in super::super) folder: TempDir,
        _alive: Alive,
    }

    #[expect(dead_code, reason = "held, not read")]
    enum Alive {
        Moto(Shared),
        S3sFs(S3sFs),
    }

    impl Server {
        pub(in super::super) async fn moto() -> Self {
            let shared = tokio::task::spawn_blocking(|| s3::moto().unwrap()).await.unwrap();
            let (address, bucket) = (shared.state().parse().unwrap(), format!("t-{}", Entropy::from_system().uuid()));
            let made = reqwest::Client::new().put(format!("http://{address}/{bucket}")).send().await.unwrap();
            made.error_for_status().unwrap();
            Self { address, bucket, folder: tempfile::tempdir().unwrap(), _alive: Alive::Moto(shared) }
        }

        pub(in super::super) async fn s3s_fs() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("bucket")).unwrap();
            let server = S3sFs::start(folder.path()).await.unwrap();
            Self { address: server.address(), bucket: "bucket".to_owned(), folder, _alive: Alive::S3sFs(server) }
        }

        pub(in super::super) fn settings(&self) -> BucketSettings {
            BucketSettings {
                bucket: self.bucket.clone(),
                prefix: "pre fix".to_owned(),
                endpoint: Some(format!("http://{}", self.address)),
                region: Some("us-east-1".to_owned()),
                path_style: true,
                encryption: Encryption::Default,
                timeout: Duration::from_secs(30),
                max_attempts: 4,
                max_read: MAX_READ as u64,
                spool: self.folder.path().join("spool"),
            }
        }

        pub(in super::super) async fn objects(&self) -> Objects {
            open(self.settings(), Sizes::default()).await.unwrap()
        }
    }

    pub(in super::super) async fn open(settings: BucketSettings, sizes: Sizes) -> Result<Objects, ObjectError> {
        open_as(settings, sizes, SECRET_KEY).await
    }

    pub(in super::super) async fn open_as(
        settings: BucketSettings,
        sizes: Sizes,
        secret: &str,
    ) -> Result<Objects, ObjectError> {
        let credentials = Credentials::new(ACCESS_KEY, secret, None, None, "test");
        let bucket = Bucket::open_with(settings, &Entropy::from_system(), Some(credentials), sizes).await?;
        Ok(Objects::Bucket(bucket))
    }
}
