//! The lake: a recording as Parquet and as CSV, both made whole in memory, and one axis read back; SQL over all of them (`sql`).

mod axis;
#[cfg(feature = "lake")]
pub mod compaction;
mod csv;
mod parquet;
#[cfg(feature = "lake")]
pub mod sql;

pub use axis::{AxisSamples, FetchedAxis, LakeReadError, open_axis};
pub use csv::to_csv;
pub use parquet::{LakeError, to_parquet};
