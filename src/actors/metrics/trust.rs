//! What tells of scores and models that drift: recordings and scores that leave what the models were trained on.

use super::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use stance_models::novelty::UNLIKE;

/// Bucket bounds of novelty, about the one from which on a recording is unlike training.
const NOVELTY: [f64; 10] = [0.5, 0.75, 1.0, 1.25, 1.5, UNLIKE, 2.0, 2.5, 3.5, 5.0];

/// What a score that was given says of its trust.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreSigns {
    /// How far the recording lies from those of training, where the model knows.
    pub novelty: Option<f64>,
    /// Whether that is too far.
    pub unlike_training: bool,
    /// Whether the model has learned from no recording of the patient's own.
    pub provisional: bool,
    /// Whether the score is beyond those that the model was trained on.
    pub outside_training_range: bool,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VerdictLabels {
    verdict: &'static str,
}

#[derive(Debug)]
pub(super) struct Trust {
    novelty: Histogram,
    unlike_training: Counter,
    provisional: Counter,
    outside_training_range: Counter,
    former_set: Counter,
    models_trained: Family<VerdictLabels, Counter>,
}

impl Trust {
    /// All of them, at zero.
    pub(super) fn new(r: &mut Registry) -> Self {
        let new = Self {
            novelty: Histogram::new(NOVELTY),
            unlike_training: Counter::default(),
            provisional: Counter::default(),
            outside_training_range: Counter::default(),
            former_set: Counter::default(),
            models_trained: Family::default(),
        };
        r.register(
            "score_novelty",
            "How far scored recordings lie from those that their model learned from; beyond 1.75 they are unlike these",
            new.novelty.clone(),
        );
        r.register(
            "scores_unlike_training",
            "Scores of recordings unlike those that their model learned from",
            new.unlike_training.clone(),
        );
        r.register(
            "scores_provisional",
            "Scores by a model that has learned from no recording of the patient's own",
            new.provisional.clone(),
        );
        r.register(
            "scores_outside_training_range",
            "Scores beyond those that their model was trained on",
            new.outside_training_range.clone(),
        );
        r.register(
            "features_former_set",
            "Recordings whose features were of a former set and were computed anew",
            new.former_set.clone(),
        );
        r.register("models_trained", "Trained models, by what was judged of them", new.models_trained.clone());
        new
    }
}

impl Metrics {
    /// A recording was scored.
    pub fn score_given(&self, signs: &ScoreSigns) {
        let trust = &self.0.trust;
        if let Some(novelty) = signs.novelty {
            trust.novelty.observe(novelty);
        }
        for (counter, seen) in [
            (&trust.unlike_training, signs.unlike_training),
            (&trust.provisional, signs.provisional),
            (&trust.outside_training_range, signs.outside_training_range),
        ] {
            counter.inc_by(u64::from(seen));
        }
    }

    /// A recording's features were of a former set, and were computed anew.
    pub fn features_renewed(&self) {
        self.0.trust.former_set.inc();
    }

    /// A model was trained and judged.
    pub fn model_trained(&self, verdict: &'static str) {
        self.0.trust.models_trained.get_or_create(&VerdictLabels { verdict }).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn what_a_score_says_of_its_trust_is_counted() {
        let metrics = Metrics::new();
        let usual = ScoreSigns {
            novelty: Some(1.0),
            unlike_training: false,
            provisional: false,
            outside_training_range: false,
        };
        metrics.score_given(&usual);
        metrics.score_given(&ScoreSigns { novelty: Some(1.8), unlike_training: true, ..usual });
        metrics.score_given(&ScoreSigns { novelty: None, provisional: true, outside_training_range: true, ..usual });
        metrics.model_trained("serves");
        metrics.features_renewed();
        let text = metrics.encode(&[], 0, "", DateTime::UNIX_EPOCH).unwrap();
        for line in [
            "stance_score_novelty_bucket{le=\"1.75\"} 1",
            "stance_score_novelty_bucket{le=\"2.0\"} 2",
            "stance_score_novelty_count 2",
            "stance_scores_unlike_training_total 1",
            "stance_scores_provisional_total 1",
            "stance_scores_outside_training_range_total 1",
            "stance_features_former_set_total 1",
            "stance_models_trained_total{verdict=\"serves\"} 1",
        ] {
            assert!(text.lines().any(|given| given == line), "{line} is not in\n{text}");
        }
    }
}
