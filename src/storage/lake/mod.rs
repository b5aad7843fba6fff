//! The lake's file formats: a recording as Parquet and as CSV, both made whole in memory.

mod csv;
mod parquet;

pub use csv::to_csv;
pub use parquet::{LakeError, to_parquet};
