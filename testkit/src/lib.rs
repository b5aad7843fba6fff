//! What the tests of Stance need around it: servers that are started once a run, and faults between them and us.

#[expect(clippy::unwrap_used, reason = "for tests, where a panic is the failure")]
mod bucket;
#[expect(clippy::unwrap_used, reason = "for tests, where a panic is the failure")]
pub mod cognito;
pub mod faults;
mod install;
#[expect(clippy::unwrap_used, reason = "for tests, where a panic is the failure")]
pub mod mail;
pub mod node;
#[expect(clippy::unwrap_used, clippy::panic, reason = "for tests, where a panic is the failure")]
mod postgres;
pub mod python;
pub mod s3;
pub mod shared;

pub use bucket::{Bucket, Queue};
pub use postgres::Postgres;
