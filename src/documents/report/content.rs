//! What a report says, in words. Two reports of the same content differ in nothing but when they were made.

use crate::documents::wording::{cautions, date, time, title};
use crate::domain::ids::TestEventId;
use crate::domain::recording::Day;
use crate::domain::score::{Band, RecordingStatus};
use crate::storage::database::{EventRecord, Patient, QualityReport, Recorded, Scored};
use chrono::NaiveDate;
use serde::Serialize;

/// Changes when the same content is drawn in another way: reports that were kept are made anew then.
const LAYOUT: u32 = 1;
/// Characters of the longest name.
const LONGEST_NAME: usize = 200;

/// What a report says. It holds personal data: it has no `Debug`.
#[derive(Serialize)]
pub struct Content {
    pub(super) id: String,
    /// The movement.
    pub(super) title: String,
    /// The local day.
    pub(super) date: String,
    /// Who, for the head of a page.
    pub(super) who: String,
    pub(super) patient: Vec<Fact>,
    pub(super) test: Vec<Fact>,
    pub(super) score: ShownScore,
    pub(super) clinician: Option<f64>,
    pub(super) quality: Vec<String>,
    pub(super) notes: Option<String>,
    pub(super) signals: Signals,
}

/// A value with what it is.
#[derive(Serialize)]
pub(super) struct Fact {
    pub(super) label: &'static str,
    pub(super) value: String,
}

/// The computed score, or why there is none.
#[derive(Serialize)]
pub(super) enum ShownScore {
    /// A score.
    Scored {
        /// As it is saved: 0 to 100.
        value: i32,
        /// Where it lies.
        band: &'static str,
        /// Its 90 % interval.
        interval: Option<(f64, f64)>,
        /// What must be known before one relies on it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        cautions: Vec<&'static str>,
        /// What is to be said of it.
        lines: Vec<String>,
    },
    /// None.
    Absent(&'static str),
}

/// The nine plots, or why there are none.
#[derive(Serialize)]
pub(super) enum Signals {
    /// Of the recording with that digest.
    Drawn(String),
    /// None.
    Absent(String),
}

impl Content {
    /// What is to be said of the event. The patient's name is the row's; where the row has none it is `named`, and the
    /// report says that it was given with the request.
    #[must_use]
    pub fn new(record: &EventRecord, named: &str) -> Self {
        let (event, recorded) = (&record.event, record.recording.as_ref());
        let name = name_of(&record.patient);
        let given = named.trim().chars().take(LONGEST_NAME).collect::<String>();
        let (label, name) = match (name, given.is_empty()) {
            (Some(name), _) => ("Name", Some(name)),
            (None, false) => ("Name, as given with the request", Some(given)),
            (None, true) => ("Name", None),
        };
        let who = name.clone().unwrap_or_else(|| event.patient.to_string());
        let mut patient = vec![Fact { label, value: name.unwrap_or_else(|| "not known".into()) }];
        patient.push(Fact { label: "Patient ID", value: event.patient.to_string() });
        let date = match (recorded, event.start_time) {
            (Some(recorded), _) => day(recorded.day),
            (None, Some(start)) => date(start),
            (None, None) => "Date not known".into(),
        };
        Self {
            id: event.id.to_string(),
            title: title(event.test_type.as_str()),
            date,
            who,
            patient,
            test: test(record),
            score: score(record),
            clinician: event.doctor_score.map(f64::from).or(recorded.and_then(|recorded| recorded.clinic_score)),
            quality: quality(recorded),
            notes: event.notes.clone().filter(|notes| !notes.trim().is_empty()),
            signals: match recorded {
                None => Signals::Absent("No recording has arrived for this test.".into()),
                Some(Recorded { status: RecordingStatus::Failed, quality: None, .. }) => {
                    Signals::Absent("The recording could not be processed, so its signals are not shown.".into())
                }
                Some(recorded) => Signals::Drawn(blake3::Hash::from_bytes(recorded.digest.0).to_hex().to_string()),
            },
        }
    }

    /// Whether it shows the recording's signals.
    #[must_use]
    pub fn has_signals(&self) -> bool {
        matches!(self.signals, Signals::Drawn(_))
    }

    /// The same without the signals, because the recording cannot be read.
    #[must_use]
    pub fn without_signals(mut self) -> Self {
        self.signals = Signals::Absent("The recording cannot be read at present, so its signals are not shown.".into());
        self
    }

    /// Stands in the PDF's metadata and tells whether a PDF says this.
    #[must_use]
    pub fn mark(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&LAYOUT.to_le_bytes());
        hasher.update(&serde_json::to_vec(self).unwrap_or_default());
        format!("stance-report-{}", hasher.finalize().to_hex())
    }
}

fn name_of(patient: &Patient) -> Option<String> {
    let parts = [&patient.first_name, &patient.last_name].into_iter().flatten().map(|part| part.trim());
    let name = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    (!name.is_empty()).then_some(name)
}

fn test(record: &EventRecord) -> Vec<Fact> {
    let event = &record.event;
    let mut facts = vec![Fact { label: "Movement", value: event.test_type.to_string() }];
    if let Some(start) = event.start_time {
        facts.push(Fact { label: "Started", value: time(start) });
    }
    if let (Some(start), Some(end)) = (event.start_time, event.end_time) {
        let seconds = (end - start).num_milliseconds();
        #[expect(clippy::cast_precision_loss, reason = "a test lasts far less than 2^53 milliseconds")]
        facts.push(Fact { label: "Duration", value: format!("{:.1} s", seconds as f64 / 1_000.0) });
    }
    if let Some(recorded) = &record.recording {
        facts.push(Fact { label: "Recording received", value: time(recorded.received_at) });
    }
    facts
}

fn score(record: &EventRecord) -> ShownScore {
    let saved = record.event.balance_score;
    let scored = record.recording.as_ref().and_then(|recorded| recorded.score.as_ref());
    match (saved, scored) {
        (saved, Some(scored)) => {
            let value = saved.unwrap_or_else(|| scored.score.balance_score());
            ShownScore::Scored {
                value,
                band: Band::of(value.into()).name(),
                interval: scored.score.lower.zip(scored.score.upper),
                cautions: cautions(&scored.score),
                lines: lines(scored),
            }
        }
        (Some(value), None) => ShownScore::Scored {
            value,
            band: Band::of(value.into()).name(),
            interval: None,
            cautions: Vec::new(),
            lines: vec!["It was entered: no model gave it.".into()],
        },
        (None, None) => ShownScore::Absent(match record.recording.as_ref().map(|recorded| recorded.status) {
            None => "No score: no recording has arrived for this test.",
            Some(RecordingStatus::Received | RecordingStatus::Converted | RecordingStatus::Scored) => {
                "No score yet: it is being computed."
            }
            Some(RecordingStatus::Training) => {
                "Not computed: a clinician scored this recording, and the patient's model learns from it."
            }
            Some(RecordingStatus::AwaitingModel) => {
                "No score yet: there is no model of this patient for this movement. It is scored when there is one."
            }
            Some(RecordingStatus::Failed) => "No score: the recording could not be processed.",
        }),
    }
}

fn lines(Scored { score, at, model }: &Scored) -> Vec<String> {
    let value = match (score.lower, score.upper) {
        (Some(lower), Some(upper)) => {
            format!("Computed {:.1}; 90 % interval {lower:.1} to {upper:.1}, on a scale of 0 to 100.", score.value)
        }
        _ => format!("Computed {:.1}, on a scale of 0 to 100; the model gives no interval.", score.value),
    };
    let mut lines = vec![value];
    match model {
        Some((0, _)) => {
            lines.push(format!("Model {}, trained from no recording of this patient.", score.model_version));
            lines.push("How far its scores of this patient are off is not known.".into());
        }
        Some((recordings, error)) => {
            lines.push(format!("Model {}, trained from {recordings} recordings of this patient.", score.model_version));
            lines.push(format!("Mean error of the model {error:.1} points (each recording left out once)."));
        }
        None => lines.push(format!("Model {}.", score.model_version)),
    }
    lines.push(format!("Scored {}.", time(*at)));
    lines
}

fn quality(recorded: Option<&Recorded>) -> Vec<String> {
    // That there is no recording is said where its signals would be.
    let Some(recorded) = recorded else { return Vec::new() };
    let mut said = Vec::new();
    if let Some(failure) = &recorded.failure {
        said.push(format!("Processing failed: {} ({}).", failure.message.trim_end_matches('.'), failure.code));
    }
    match &recorded.quality {
        Some(quality) => assessed(quality, &mut said),
        None if recorded.failure.is_none() => said.push("The recording is not assessed yet.".into()),
        None => {}
    }
    said
}

fn assessed(quality: &QualityReport, said: &mut Vec<String>) {
    let samples = thousands(quality.samples);
    said.push(match quality.effective_rate_hz {
        Some(rate) => {
            format!("{samples} samples in {:.1} s: {rate:.1} a second on average.", quality.duration_seconds)
        }
        None => format!("{samples} samples; no time passes between the first and the last."),
    });
    let longest = quality.longest_gap_seconds;
    said.push(match quality.gaps {
        0 => format!("No gaps: the longest interval between two samples is {longest:.3} s."),
        1 => format!("One gap (an interval over three times the usual one) of {longest:.3} s. Lines break there."),
        gaps => format!(
            "{} gaps (intervals over three times the usual one), the longest of {longest:.3} s. Lines break there.",
            thousands(gaps)
        ),
    });
    said.push(format!("Intervals vary by {:.1} ms (standard deviation).", quality.jitter_seconds * 1_000.0));
    match quality.non_monotonic {
        0 => {}
        1 => said.push("One timestamp is not later than the one before.".into()),
        count => said.push(format!("{} timestamps are not later than the one before.", thousands(count))),
    }
    match quality.constant_axes.as_slice() {
        [] => said.push("Every axis carries a signal.".into()),
        [axis] => said.push(format!("Axis {axis} never changes: its sensor gave no signal.")),
        axes => said.push(format!("Axes {} never change: their sensors gave no signal.", axes.join(", "))),
    }
}

fn day(Day { year, month, day }: Day) -> String {
    NaiveDate::from_ymd_opt(year, month, day).map(|day| day.format("%-d %B %Y").to_string()).unwrap_or_default()
}

/// A count with a narrow space between thousands.
fn thousands(count: i64) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push('\u{2009}');
        }
        shown.push(digit);
    }
    shown
}

/// The title of a report, for a list of documents: nothing of it says who.
pub(super) fn document_title(content: &Content) -> String {
    format!("Movement test report: {}, {}", content.title, content.date)
}

/// A report's name in the footer.
pub(super) fn event_line(id: &str) -> String {
    debug_assert!(id.parse::<TestEventId>().is_ok());
    format!("Test event {id}")
}
