//! Servers that the tests start for themselves, found among the machine's programs. For tests only.

#![expect(clippy::unwrap_used, clippy::panic, reason = "for tests, where a panic is the failure")]

mod postgres;

pub use postgres::Postgres;
