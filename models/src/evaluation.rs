//! How good models are, measured as they would be used: each group of recordings is predicted by a model that saw nothing of it.

use linfa_linalg::cholesky::SolveCInplace;
use ndarray::{Array2, Axis};
use serde::Serialize;

use crate::estimators::design::mean_and_sd;
use crate::model::SCORE_RANGE;
use crate::prior::{Experience, Prior};
use crate::training::{Knowledge, TrainParams, TrainingSet, provisional, train_with};

/// A recording with its true score.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub person: String,
    /// Recordings of one group are never split between training and test.
    pub group: String,
    /// The true score, 0 to 100.
    pub score: f64,
    /// Feature vector.
    pub features: Vec<f64>,
    /// The 900 features of the cloud system, or none where they are not to be compared with.
    pub extremes: Vec<f64>,
}

/// A way to predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The patient's recordings and the prior of the other people.
    WithPrior,
    /// The patient's recordings alone.
    OwnAlone,
    /// The prior of the other people alone: what a patient without a scored recording gets.
    Provisional,
    /// The mean of the patient's other scores.
    PersonMean,
    /// A line through duration and score.
    LengthAlone,
    /// The cloud system's 900 features with ridge regression.
    CloudRidge,
}

impl Method {
    /// Every method, in the order of a table.
    pub const ALL: [Self; 6] =
        [Self::WithPrior, Self::OwnAlone, Self::Provisional, Self::PersonMean, Self::LengthAlone, Self::CloudRidge];

    /// Its name in a table.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::WithPrior => "own recordings and others' prior",
            Self::OwnAlone => "own recordings alone",
            Self::Provisional => "others' prior alone (provisional)",
            Self::PersonMean => "the person's mean",
            Self::LengthAlone => "length alone",
            Self::CloudRidge => "900 features with ridge",
        }
    }
}

/// One prediction of a recording that the model had not seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Held {
    /// Which recording.
    pub id: String,
    /// Whose it is.
    pub person: String,
    /// Its true score.
    pub score: f64,
    /// What was predicted.
    pub value: f64,
    /// The 90 % interval, where the method has one.
    pub interval: Option<(f64, f64)>,
    /// Whether it was flagged as unlike the training recordings.
    pub unlike_training: bool,
}

/// What a method reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The method.
    pub method: Method,
    /// Number of predictions.
    pub recordings: usize,
    /// Mean absolute error in score points, averaged over people.
    pub mean_absolute_error: f64,
    /// Spearman's rank correlation of prediction and score within a person, averaged over people; where it has a meaning.
    pub rank_correlation: Option<f64>,
    /// Share of recordings inside their 90 % interval.
    pub coverage: Option<f64>,
    /// Mean width of the interval in score points.
    pub mean_width: Option<f64>,
    /// Share of recordings flagged as unlike training.
    pub unlike_training: Option<f64>,
    /// Each prediction.
    pub predictions: Vec<Held>,
}

/// Recordings of one person that remain for training at least; a group that leaves fewer is not evaluated.
const MIN_TRAINING: usize = 2;

/// Leaves each group of each person out in turn. `step` is called after each with how many are done and how many there are. Empty
/// where no person has enough recordings; methods that could predict nothing are left out.
pub fn leave_one_group_out(observations: &[Observation], mut step: impl FnMut(usize, usize)) -> Vec<Outcome> {
    let people = distinct(observations.iter().map(|o| o.person.as_str()));
    let folds: Vec<(&str, &str)> = people
        .iter()
        .flat_map(|person| {
            let groups = distinct(observations.iter().filter(|o| o.person == *person).map(|o| o.group.as_str()));
            groups.into_iter().map(|group| (*person, group))
        })
        .collect();
    let mut found: Vec<(Method, Vec<Held>)> = Method::ALL.map(|method| (method, Vec::new())).into();
    let mut prior: Option<(&str, Option<Prior>)> = None;
    for (done, (person, group)) in folds.iter().enumerate() {
        let is_out = |o: &&Observation| o.group == *group;
        let (held, own): (Vec<_>, Vec<_>) = observations.iter().filter(|o| o.person == *person).partition(is_out);
        if own.len() >= MIN_TRAINING {
            // A group of several people leaves the prior, too, which then is another in each fold.
            let shared = observations.iter().any(|o| o.person != *person && o.group == *group);
            if shared || prior.as_ref().is_none_or(|(of, _)| of != person) {
                let others = people.iter().filter(|p| *p != person);
                let sets: Vec<(TrainingSet, Vec<String>)> =
                    others.map(|p| set(observations.iter().filter(|o| o.person == *p && o.group != *group))).collect();
                let experiences: Vec<Experience<'_>> =
                    sets.iter().map(|(set, groups)| Experience { set, groups: Some(groups) }).collect();
                prior = Some((if shared { "" } else { person }, Prior::learn(&experiences)));
            }
            let learnt = prior.as_ref().and_then(|(_, prior)| prior.as_ref());
            for (method, predictions) in &mut found {
                predictions.extend(predict(*method, &own, &held, learnt).into_iter().flatten());
            }
        }
        step(done + 1, folds.len());
    }
    found.retain(|(_, predictions)| !predictions.is_empty());
    found.into_iter().map(|(method, predictions)| Outcome::of(method, predictions)).collect()
}

fn distinct<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found: Vec<&str> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if seen.insert(name) {
            found.push(name);
        }
    }
    found
}

fn set<'a>(observations: impl Iterator<Item = &'a Observation>) -> (TrainingSet, Vec<String>) {
    let (mut set, mut groups) = (TrainingSet::default(), Vec::new());
    for o in observations {
        set.ids.push(o.id.clone());
        set.features.push(o.features.clone());
        set.scores.push(o.score);
        groups.push(o.group.clone());
    }
    (set, groups)
}

/// Predictions of a method for what was held out; `None` where it cannot predict.
fn predict(method: Method, own: &[&Observation], held: &[&Observation], prior: Option<&Prior>) -> Option<Vec<Held>> {
    let scores: Vec<f64> = own.iter().map(|o| o.score).collect();
    let params = TrainParams::default();
    let bare = |o: &Observation, value: f64| Held {
        id: o.id.clone(),
        person: o.person.clone(),
        score: o.score,
        value: value.clamp(SCORE_RANGE.0, SCORE_RANGE.1),
        interval: None,
        unlike_training: false,
    };
    let trained = |prior: Option<&Prior>| {
        let (set, groups) = set(own.iter().copied());
        train_with(&set, &params, &Knowledge { prior, groups: Some(&groups) }).ok()
    };
    let model = match method {
        Method::WithPrior => trained(Some(prior?))?.model,
        Method::OwnAlone => trained(None)?.model,
        Method::Provisional => provisional(prior?, &params).ok()?.model,
        Method::PersonMean => {
            let (mean, _) = mean_and_sd(&scores);
            return Some(held.iter().map(|o| bare(o, mean)).collect());
        }
        Method::LengthAlone => {
            let line = Line::through(own.iter().filter_map(|o| o.features.first().copied()), &scores);
            return held.iter().map(|o| Some(bare(o, line.at(*o.features.first()?)))).collect();
        }
        Method::CloudRidge => {
            return cloud_ridge(own, held, &scores)
                .map(|values| held.iter().zip(values).map(|(o, value)| bare(o, value)).collect());
        }
    };
    held.iter()
        .map(|o| {
            let found = model.predict(&o.features).ok()?;
            let (interval, unlike_training) = (Some((found.lower, found.upper)), found.is_unlike_training());
            Some(Held { interval, unlike_training, ..bare(o, found.value) })
        })
        .collect()
}

/// A least-squares line.
struct Line {
    mean: f64,
    level: f64,
    slope: f64,
}

impl Line {
    fn through(x: impl Iterator<Item = f64>, y: &[f64]) -> Self {
        let x: Vec<f64> = x.collect();
        let ((mean, sd), (level, _)) = (mean_and_sd(&x), mean_and_sd(y));
        let covariance = x.iter().zip(y).map(|(x, y)| (x - mean) * (y - level)).sum::<f64>() / x.len().max(1) as f64;
        Self { mean, level, slope: if sd > 1e-9 { covariance / (sd * sd) } else { 0.0 } }
    }

    fn at(&self, x: f64) -> f64 {
        self.level + self.slope * (x - self.mean)
    }
}

/// Ridge regression as that system has it: features as they are, a squared penalty of 1.
fn cloud_ridge(own: &[&Observation], held: &[&Observation], scores: &[f64]) -> Option<Vec<f64>> {
    let width = own.first()?.extremes.len();
    let rows = |of: &[&Observation]| {
        let values: Vec<f64> = of.iter().flat_map(|o| o.extremes.iter().copied()).collect();
        Array2::from_shape_vec((of.len(), width), values).ok()
    };
    let (own, held) = (rows(own)?, rows(held)?);
    if width == 0 {
        return None;
    }
    let centre = own.mean_axis(Axis(0))?;
    let (own, held) = (own - &centre, held - &centre);
    let (level, _) = mean_and_sd(scores);
    let targets = Array2::from_shape_fn((scores.len(), 1), |(i, _)| scores.get(i).map_or(0.0, |score| score - level));
    let mut gram = own.dot(&own.t());
    gram.diag_mut().mapv_inplace(|d| d + 1.0);
    let dual = gram.solvec_into(targets).ok()?;
    Some(held.dot(&own.t()).dot(&dual).iter().map(|value| level + value).collect())
}

impl Outcome {
    fn of(method: Method, predictions: Vec<Held>) -> Self {
        let people = distinct(predictions.iter().map(|p| p.person.as_str()));
        let of_person = |person: &str| predictions.iter().filter(|p| p.person == person).collect::<Vec<_>>();
        let error = |person: &&str| mean(of_person(person).iter().map(|p| (p.value - p.score).abs()));
        let correlations: Vec<f64> = people.iter().filter_map(|person| spearman(&of_person(person))).collect();
        let with_interval = predictions.iter().filter_map(|p| Some((p, p.interval?)));
        let share = |holds: &dyn Fn(&Held, (f64, f64)) -> f64| {
            let values: Vec<f64> = with_interval.clone().map(|(p, interval)| holds(p, interval)).collect();
            (!values.is_empty()).then(|| mean(values.into_iter()))
        };
        Self {
            method,
            recordings: predictions.len(),
            mean_absolute_error: mean(people.iter().map(error)),
            // The mean without a recording is the lower the higher that was: its correlation says nothing.
            rank_correlation: (method != Method::PersonMean && !correlations.is_empty())
                .then(|| mean(correlations.iter().copied())),
            coverage: share(&|p, (low, high)| if (low..=high).contains(&p.score) { 1.0 } else { 0.0 }),
            mean_width: share(&|_, (low, high)| high - low),
            unlike_training: share(&|p, _| if p.unlike_training { 1.0 } else { 0.0 }),
            predictions,
        }
    }
}

/// Spearman's rank correlation of predictions and scores; `None` of fewer than three, or where either does not vary.
fn spearman(predictions: &[&Held]) -> Option<f64> {
    if predictions.len() < 3 {
        return None;
    }
    let (a, b) = (ranks(predictions.iter().map(|p| p.value)), ranks(predictions.iter().map(|p| p.score)));
    let ((mean_a, sd_a), (mean_b, sd_b)) = (mean_and_sd(&a), mean_and_sd(&b));
    let covariance = mean(a.iter().zip(&b).map(|(a, b)| (a - mean_a) * (b - mean_b)));
    (sd_a > 0.0 && sd_b > 0.0).then(|| covariance / (sd_a * sd_b))
}

/// Ranks from 1; equal values share their mean rank.
fn ranks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let values: Vec<f64> = values.collect();
    let rank = |v: &f64| {
        let below = values.iter().filter(|other| *other < v).count() as f64;
        let equal = values.iter().filter(|other| *other == v).count() as f64;
        below + f64::midpoint(equal, 1.0)
    };
    values.iter().map(rank).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
    sum / f64::max(n, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::FEATURES;

    /// Five people whose scores are their level and a common slope of feature 1; a group is a pair of recordings.
    fn observations() -> Vec<Observation> {
        let noise = |i: usize, j: usize| ((i * 131 + j * 29) as f64 * 0.37).sin();
        (0..50)
            .map(|i| {
                let (person, place) = (i / 10, i % 10);
                let mut features: Vec<f64> = (0..FEATURES).map(|j| noise(i, j)).collect();
                features[0] = 10.0 + noise(i, 1000);
                features[1] = 8.0 + noise(place / 2, 77);
                let score = 40.0 + 5.0 * person as f64 + 6.0 * (features[1] - 8.0);
                Observation {
                    id: i.to_string(),
                    person: format!("p{person}"),
                    group: format!("p{person}-{}", place / 2),
                    score,
                    features,
                    extremes: (0..900).map(|j| noise(i, j + 2000)).collect(),
                }
            })
            .collect()
    }

    #[test]
    fn every_recording_is_predicted_once_by_every_method() {
        let (observations, mut steps) = (observations(), Vec::new());
        let outcomes = leave_one_group_out(&observations, |done, of| steps.push((done, of)));
        assert_eq!(outcomes.iter().map(|o| o.method).collect::<Vec<_>>(), Method::ALL);
        assert!(outcomes.iter().all(|o| o.recordings == 50));
        assert_eq!(steps.last(), Some(&(25, 25)));
        let error = |method| outcomes.iter().find(|o| o.method == method).unwrap().mean_absolute_error;
        assert!(error(Method::WithPrior) < 0.3 * error(Method::PersonMean), "{}", error(Method::WithPrior));
        assert!(error(Method::OwnAlone) < error(Method::PersonMean));
        assert!(outcomes[0].coverage.unwrap() > 0.8);
        assert_eq!(outcomes[3].coverage, None);
    }

    #[test]
    fn what_is_held_out_has_no_say() {
        // A score that was changed is predicted as before.
        let mut changed = observations();
        let before = leave_one_group_out(&changed, |_, _| ());
        for o in changed.iter_mut().filter(|o| o.group == "p0-0") {
            o.score = 99.0;
        }
        let after = leave_one_group_out(&changed, |_, _| ());
        for (before, after) in before.iter().zip(&after) {
            for (b, a) in before.predictions.iter().zip(&after.predictions).take(2) {
                assert_eq!((b.value, b.interval), (a.value, a.interval), "{:?}", before.method);
            }
        }
    }

    #[test]
    fn ranks_share_ties() {
        assert_eq!(ranks([3.0, 1.0, 3.0, 2.0].into_iter()), [3.5, 1.0, 3.5, 2.0]);
    }

    #[test]
    fn a_single_recording_is_not_evaluated() {
        assert!(leave_one_group_out(&observations()[..1], |_, _| ()).is_empty());
    }
}
