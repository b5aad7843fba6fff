//! A made recording as the phone's app would send it.

use chrono::{DateTime, Datelike, FixedOffset, TimeDelta};
use serde::Serialize;
use uuid::Uuid;

/// A recording that was made, not measured.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedRecording {
    pub(super) test_event_id: Uuid,
    pub(super) patient: String,
    pub(super) movement: &'static str,
    pub(super) begun: DateTime<FixedOffset>,
    pub(super) seconds: Vec<f64>,
    pub(super) axes: [Vec<f64>; 9],
    pub(super) score: u8,
    pub(super) training: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    user_id: &'a str,
    movement: &'a str,
    #[serde(rename = "testID")]
    test_id: Uuid,
    training: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    clinic_score: Option<String>,
    start_date: String,
    ts: Vec<String>,
    ax: &'a [f64],
    ay: &'a [f64],
    az: &'a [f64],
    gx: &'a [f64],
    gy: &'a [f64],
    gz: &'a [f64],
    mx: &'a [f64],
    my: &'a [f64],
    mz: &'a [f64],
}

impl GeneratedRecording {
    /// Of this patient.
    #[must_use]
    pub fn of_patient(self, patient: impl Into<String>) -> Self {
        Self { patient: patient.into(), ..self }
    }

    /// Begun then.
    #[must_use]
    pub fn begun(self, begun: DateTime<FixedOffset>) -> Self {
        Self { begun, ..self }
    }

    /// With the clinician's score: a training recording.
    #[must_use]
    pub fn scored_by_clinician(self) -> Self {
        Self { training: true, ..self }
    }

    /// The id that the phone gave it.
    #[must_use]
    pub fn test_event_id(&self) -> Uuid {
        self.test_event_id
    }

    /// When it began.
    #[must_use]
    pub fn started(&self) -> DateTime<FixedOffset> {
        self.begun
    }

    /// Length in samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seconds.len()
    }

    /// Whether there is no sample: never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seconds.is_empty()
    }

    /// Seconds from the first sample, as the phone's clock shows them; never descending.
    #[must_use]
    pub fn seconds(&self) -> &[f64] {
        &self.seconds
    }

    /// `ax ay az` in m/s², `gx gy gz` in rad/s, `mx my mz` in µT.
    #[must_use]
    pub fn axes(&self) -> &[Vec<f64>; 9] {
        &self.axes
    }

    /// What the clinician would say, 0 to 100, whether or not the document carries it.
    #[must_use]
    pub fn score(&self) -> u8 {
        self.score
    }

    /// The document that the app uploads.
    ///
    /// # Panics
    /// Never: text and finite numbers can always be written.
    #[must_use]
    pub fn to_json(&self) -> String {
        let [ax, ay, az, gx, gy, gz, mx, my, mz] = &self.axes;
        let document = Document {
            user_id: &self.patient,
            movement: self.movement,
            test_id: self.test_event_id,
            training: self.training,
            clinic_score: self.training.then(|| self.score.to_string()),
            start_date: format!("{}-{}-{}", self.begun.year(), self.begun.month(), self.begun.day()),
            ts: self.timestamps(),
            ax,
            ay,
            az,
            gx,
            gy,
            gz,
            mx,
            my,
            mz,
        };
        #[expect(clippy::expect_used, reason = "text and finite numbers can always be written")]
        serde_json::to_string(&document).expect("plain data")
    }

    /// `2023-04-25 12:04:52.228840 -07:00`, one a sample.
    fn timestamps(&self) -> Vec<String> {
        self.seconds
            .iter()
            .map(|seconds| {
                let time = self.begun + TimeDelta::microseconds((seconds * 1e6).round() as i64);
                time.format("%Y-%m-%d %H:%M:%S%.6f %:z").to_string()
            })
            .collect()
    }
}
