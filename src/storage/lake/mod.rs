//! The lake: a recording as Parquet and as CSV, both made whole in memory; SQL over all of them (`sql`).

#[cfg(feature = "lake")]
pub mod compaction;
mod csv;
mod parquet;
#[cfg(feature = "lake")]
pub mod sql;

pub use csv::to_csv;
pub use parquet::{LakeError, to_parquet};
