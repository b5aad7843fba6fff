//! The lake's file formats: a recording as Parquet and as CSV, both made whole in memory, and one axis read back.

mod axis;
mod csv;
mod parquet;

pub use axis::{AxisSamples, FetchedAxis, LakeReadError, open_axis};
pub use csv::to_csv;
pub use parquet::{LakeError, to_parquet};
