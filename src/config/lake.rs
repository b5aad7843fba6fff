//! `lake.*`: who answers SQL over the lake, with which bounds, and how files are compacted.

use super::sections::section;
use serde::{Deserialize, Serialize};

/// Who runs SQL over the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LakeEngine {
    /// This process.
    Datafusion,
    /// Amazon Athena.
    Athena,
}

section!(
    /// Amazon Athena, where it answers queries.
    AthenaConfig {
        /// The database of its data catalogue.
        database: String = "stance".into(),
        /// The table over the recordings' own Parquet files.
        table: String = "samples".into(),
        /// Workgroup; Athena's own where absent.
        workgroup: Option<String> = None,
        /// Where it keeps results, `s3://BUCKET/PREFIX`; what the workgroup says where absent.
        output: Option<String> = None,
        /// Address of a server other than Amazon's.
        endpoint: Option<String> = None,
        /// Region; none takes `AWS_REGION`, the profile's or the machine's.
        region: Option<String> = None,
    }
);

section!(
    /// SQL over the lake.
    LakeConfig {
        /// `datafusion` or `athena`.
        engine: LakeEngine = LakeEngine::Datafusion,
        /// Amazon Athena.
        athena: AthenaConfig = AthenaConfig::default(),
        /// Bytes of memory that one query may have.
        memory_bytes: usize = 256 << 20,
        /// Queries at once; further ones are told to come back.
        at_once: usize = 2,
        /// Threads that queries run on; 0 is as many as there are processors.
        threads: usize = 0,
        /// Seconds that a query may take until its last row is taken.
        deadline_seconds: u64 = 60,
        /// Rows of a result.
        max_rows: u64 = 1_000_000,
        /// Bytes of a result.
        max_result_bytes: u64 = 256 << 20,
        /// Files that a table of a query may read.
        max_files: u32 = 200_000,
        /// Seconds between compactions; 0 is never.
        compact_every_seconds: u64 = 3_600,
        /// New recordings of a patient, movement and month that are compacted at once; fewer wait for a day.
        compact_recordings: u32 = 8,
        /// Samples of the largest compacted file.
        compact_samples: u64 = 4_000_000,
        /// Seconds that a replaced file stays for the queries that read it.
        compact_grace_seconds: u64 = 900,
    }
);
