//! Where objects are kept: the same keys in a bucket and in a folder. Made from checked identities only.

use super::ids::{ModelVersion, Movement, PatientId, TestEventId};
use super::recording::Day;
use std::fmt;

/// The key of an object: relative, `/`-separated, each part a `name=value` or a fixed word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// The raw JSON of a recording; training recordings are kept apart.
    #[must_use]
    pub fn raw(patient: &PatientId, movement: &Movement, day: Day, training: bool, id: TestEventId) -> Self {
        let Day { year, month, day } = day;
        Self(if training {
            format!("recording_data/patientID={patient}/movement={movement}/training/test_event_id={id}.json")
        } else {
            format!(
                "recording_data/patientID={patient}/movement={movement}/year={year}/month={month}/day={day}/test_event_id={id}.json"
            )
        })
    }

    /// The recording as Parquet.
    #[must_use]
    pub fn parquet(patient: &PatientId, movement: &Movement, day: Day, id: TestEventId) -> Self {
        Self::tabular("parquet_data", "parquet", patient, movement, day, id)
    }

    /// The recording as CSV.
    #[must_use]
    pub fn csv(patient: &PatientId, movement: &Movement, day: Day, id: TestEventId) -> Self {
        Self::tabular("csv_data", "csv", patient, movement, day, id)
    }

    /// Recordings of a month, compacted into one Parquet file. The name tells one that was made of these from one that was made
    /// of others.
    #[must_use]
    pub fn compacted(patient: &PatientId, movement: &Movement, (year, month): (i32, u32), name: &str) -> Self {
        Self(format!(
            "parquet_data/compacted_tests/user_id={patient}/movement={movement}/year={year}/month={month}/samples_{name}.parquet"
        ))
    }

    /// The PDF report of a test event.
    #[must_use]
    pub fn pdf(patient: &PatientId, id: TestEventId) -> Self {
        Self(format!("pdf_reports/user_id={patient}/test_event_{id}.pdf"))
    }

    /// A trained model.
    #[must_use]
    pub fn model(movement: &Movement, patient: &PatientId, version: &ModelVersion) -> Self {
        Self(format!("saved_models/movement={movement}/user_id={patient}/{version}.tar.gz"))
    }

    /// A key that was made by one of the constructors and kept in the database.
    #[must_use]
    pub fn from_row(key: String) -> Self {
        Self(key)
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn tabular(root: &str, ending: &str, patient: &PatientId, movement: &Movement, day: Day, id: TestEventId) -> Self {
        let Day { year, month, day } = day;
        Self(format!(
            "{root}/patient_tests/user_id={patient}/movement={movement}/year={year}/month={month}/day={day}/test_event_id={id}/test_event_{id}.{ending}"
        ))
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
