//! What the page says, in words.

use super::words::{self, Group};
use crate::documents::wording::{counted, date, time, title};
use crate::domain::ids::PatientId;
use crate::domain::verdict::Verdict;
use crate::storage::database::KnownModel;
use chrono::{DateTime, Utc};
use stance_models::card::{ModelCard, WeightedCandidate};
use stance_models::estimators::Target;

/// Fewer recordings than this are few.
const FEW: usize = 10;
/// Points of the score within which errors are counted.
const WITHIN: [u32; 4] = [2, 5, 10, 20];

/// What the page says. It holds personal data: it has no `Debug`.
pub(super) struct Content {
    /// The movement.
    pub(super) title: String,
    pub(super) version: String,
    /// When the page was made.
    pub(super) made: String,
    pub(super) serves: bool,
    /// Whether it serves, and why.
    pub(super) standing: String,
    pub(super) facts: Vec<(&'static str, String)>,
    /// How far its scores are off.
    pub(super) accuracy: Vec<String>,
    /// Predicted less true, points of the score, the oldest recording first.
    pub(super) errors: Vec<f64>,
    pub(super) half_width: f64,
    pub(super) spread: Vec<Within>,
    /// What it does not know.
    pub(super) unknown: Vec<String>,
    /// The heaviest first.
    pub(super) candidates: Vec<Candidate>,
    pub(super) features: Vec<Group>,
    /// What made it, for who wants to make it again.
    pub(super) software: Vec<String>,
}

/// How many left-out recordings were off by no more than so many points.
pub(super) struct Within {
    pub(super) points: u32,
    pub(super) count: usize,
    pub(super) share: String,
}

/// A part of the average that the model is.
pub(super) struct Candidate {
    pub(super) what: &'static str,
    pub(super) looks_at: &'static str,
    pub(super) begins_with: &'static str,
    pub(super) weight: String,
}

impl Content {
    pub(super) fn new(patient: &PatientId, model: &KnownModel, card: &ModelCard, at: DateTime<Utc>) -> Self {
        Self {
            title: title(model.movement.as_str()),
            version: model.version.to_string(),
            made: time(at),
            serves: model.serves,
            standing: standing(model),
            facts: vec![
                ("Patient ID", patient.to_string()),
                ("Movement", model.movement.to_string()),
                ("Trained", time(trained_at(model, card))),
                ("Learned from", learned_from(card)),
                ("Other patients' experience", others(card)),
            ],
            accuracy: accuracy(card),
            errors: card.left_out_errors.clone(),
            half_width: card.interval_half_width,
            spread: spread(&card.left_out_errors),
            unknown: unknown(card),
            candidates: candidates(card),
            features: words::groups(card),
            software: software(card),
        }
    }
}

fn trained_at(model: &KnownModel, card: &ModelCard) -> DateTime<Utc> {
    card.trained_at.as_deref().and_then(|time| time.parse().ok()).unwrap_or(model.created_at)
}

fn standing(model: &KnownModel) -> String {
    if let Some(at) = model.retired_at {
        let why = match (model.verdict, model.outdated_at.filter(|outdated| *outdated <= at)) {
            (_, Some(_)) => "a recording of another patient that it learned from was deleted",
            (Verdict::Provisional, None) => "a model that learned from the patient's own recordings took its place",
            (_, None) => "a recording that it learned from was deleted",
        };
        return format!("Retired on {}: {why}. It scores nothing any more.", date(at));
    }
    let mut said = match (model.serves, model.pinned, model.verdict) {
        (true, true, _) => "In use: an operator has it score the recordings of this movement, whatever newer version comes.",
        (true, false, Verdict::Provisional) => {
            "In use, provisionally: it scores the recordings of this movement until there is a model that learned from the \
             patient's own."
        }
        (true, false, _) => "In use: it scores the recordings of this movement that arrive now.",
        (false, _, Verdict::NoBetterThanMean) => {
            "Not in use: on recordings that were left out it was no better than always giving the mean score."
        }
        (false, _, Verdict::WorseThanCurrent) => {
            "Not in use: on the same recordings it was further off than the version that was in use."
        }
        (false, _, Verdict::Withdrawn) => "Not in use: an operator took it back.",
        (false, _, Verdict::Serves | Verdict::Provisional) => "Not in use: another version scores this movement.",
    }
    .to_owned();
    if model.outdated_at.is_some() {
        said.push_str(" A recording of another patient that it learned from was deleted: it is being trained anew.");
    }
    said
}

fn learned_from(card: &ModelCard) -> String {
    match card.recordings {
        0 => "No recording of this patient".to_owned(),
        count => format!("{} of this patient, scored by a clinician", counted(count, "recording", "recordings")),
    }
}

/// The share of the average that begins with what other patients' recordings have in common.
fn share_of_others(card: &ModelCard) -> f64 {
    let all: f64 = card.candidates.iter().map(|weighted| weighted.weight).sum();
    let of_others = card.candidates.iter().filter(|weighted| weighted.candidate.target == Target::Remainder);
    let share = of_others.map(|weighted| weighted.weight).sum::<f64>() / all;
    if card.provisional || !share.is_finite() { 1.0 } else { share }
}

fn others(card: &ModelCard) -> String {
    let Some(prior) = card.prior else { return "None: it learned from this patient alone".to_owned() };
    format!(
        "{} of the model begins with what {} of {} of one care provider have in common",
        percent(share_of_others(card)),
        counted(prior.recordings, "recording", "recordings"),
        counted(prior.people, "other patient", "other patients"),
    )
}

fn accuracy(card: &ModelCard) -> Vec<String> {
    let within = format!("Nine of ten scores lie within ± {:.1} points of the clinician's.", card.interval_half_width);
    let wider =
        "Each score carries this interval; it is wider where a recording is unlike those that the model learned from.";
    if card.folds == 0 {
        let unknown = "How far scores of this patient are off is not known: it learned from none of their recordings.";
        return vec![
            format!("{within} This was so of other patients, each left out in turn."),
            wider.into(),
            unknown.into(),
        ];
    }
    let (error, mean) = (card.leave_one_out_error, card.baseline_error);
    let left_out = if card.folds == card.recordings {
        "Each recording was left out once and scored by a model of the others".to_owned()
    } else {
        format!("In {} rounds recordings were left out and scored by a model of the others", card.folds)
    };
    let mut said = vec![
        within,
        wider.to_owned(),
        format!("{left_out}: scores were off by {error:.1} points on average, on a scale of 0 to 100."),
    ];
    said.push(if error < mean {
        let less = percent(1.0 - error / mean);
        format!("Always giving the mean of the other scores would be off by {mean:.1} points: the model is off by {less} less.")
    } else {
        format!("Always giving the mean of the other scores would be off by {mean:.1} points: the model is no better.")
    });
    let furthest = card.left_out_errors.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()));
    if let Some(furthest) = furthest {
        let side = if furthest > 0.0 { "too high" } else { "too low" };
        said.push(format!("The furthest was {:.1} points {side}.", furthest.abs()));
    }
    said
}

fn spread(errors: &[f64]) -> Vec<Within> {
    if errors.is_empty() {
        return Vec::new();
    }
    let within = |points: u32| {
        let count = errors.iter().filter(|error| error.abs() <= f64::from(points)).count();
        #[expect(clippy::cast_precision_loss, reason = "few recordings")]
        let share = count as f64 / errors.len() as f64;
        Within { points, count, share: percent(share) }
    };
    WITHIN.into_iter().map(within).collect()
}

fn unknown(card: &ModelCard) -> Vec<String> {
    let mut said = Vec::new();
    if card.provisional {
        said.push(
            "This patient: it learned from none of their recordings that a clinician scored. Scores are provisional."
                .to_owned(),
        );
    } else if card.recordings < FEW {
        let count = counted(card.recordings, "recording is", "recordings are");
        said.push(format!("Much of this patient: {count} few. More scored recordings make it more certain."));
    }
    said.push(format!("What came after {}: a person changes, and it knows what was recorded until then.", {
        card.trained_at.as_deref().and_then(|time| time.parse().ok()).map_or("it was trained".to_owned(), date)
    }));
    said.push(
        "Recordings unlike those that it learned from, such as of a phone worn elsewhere: their scores are marked, and \
         should not be relied on."
            .to_owned(),
    );
    said.push(
        "Why a score is what it is: it follows the scores of a clinician, is no better than they were, and is no diagnosis."
            .to_owned(),
    );
    said
}

fn candidates(card: &ModelCard) -> Vec<Candidate> {
    let mut sorted: Vec<&WeightedCandidate> = card.candidates.iter().collect();
    sorted.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let row = |WeightedCandidate { candidate, weight }: &WeightedCandidate| Candidate {
        what: words::estimator(candidate),
        looks_at: words::looks_at(candidate),
        begins_with: words::begins_with(candidate.target),
        weight: percent(*weight),
    };
    sorted.into_iter().map(row).collect()
}

fn software(card: &ModelCard) -> Vec<String> {
    let of_itself = [
        format!("features {}", card.feature_set),
        format!("artifact format {}", card.format_version),
        format!("seed {}", card.seed),
    ];
    let crates = card.software.iter().map(|(name, version)| format!("{name} {version}"));
    of_itself.into_iter().chain(crates).collect()
}

/// A share, 0 to 1, in whole percent.
fn percent(share: f64) -> String {
    match share * 100.0 {
        none if none <= 0.0 => "0 %".to_owned(),
        little if little < 1.0 => "under 1 %".to_owned(),
        percent => format!("{percent:.0} %"),
    }
}
