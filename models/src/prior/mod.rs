//! What the patients of one care provider have in common in one movement: empirical Bayes.
//!
//! `score = level of the person + features · common slopes + what is the person's own + noise`. Slopes are learnt from differences
//! within people, so that they are not about who a person is; levels vary between people with a variance that is learnt, too. A
//! patient's model is fitted to what the prior leaves, with its level shrunk towards the common one: with few recordings the common
//! part leads, with many one's own. Everything that says how good the prior is comes from people left out of it.

mod pooled;

use self::pooled::Pooled;
use crate::card::PriorSummary;
use crate::estimators::gaussian_process::Intercept;
use crate::features::FEATURES;
use crate::interval::{conformal_quantile, mean_square, shrunk_variance, student_t};
use crate::members::{Nested, average, errors, folds, members, nested, units};
use crate::model::{Linear, ModelError, Term, TrainedModel, Unchecked};
use crate::novelty::{Envelope, Known};
use crate::training_set::TrainingSet;

/// People that a prior is learnt from at least.
pub const MIN_PEOPLE: usize = 3;
/// People that a prior is learnt from at most: the first given.
pub const MAX_PEOPLE: usize = 60;
/// Recordings of one person that count at most: the newest.
pub const MAX_OF_ONE: usize = 30;
/// Recordings of one person below which it says nothing of slopes.
const MIN_OF_ONE: usize = 3;
/// People are left out one at a time, or in as many folds.
const FOLDS: usize = 12;
/// Variance between people is no less than this share of the noise: three people may agree by luck.
const LEAST_BETWEEN: f64 = 0.05;
/// How many recordings the common error variance counts for in a person's own.
const COMMON_WEIGHT: f64 = 4.0;
/// Errors of people left out that an interval is calibrated on at least; of fewer, Student's t.
const MIN_CALIBRATION: usize = 30;
/// Models that an interval is calibrated on at most, of all people together, each trained without a fold of a person's recordings; one a
/// person at least.
const MAX_CALIBRATION: usize = 120;

/// What is common to the patients of one care provider in one movement.
#[derive(Debug, Clone, PartialEq)]
pub struct Prior {
    /// Common slopes; the intercept is the mean level.
    slopes: Linear,
    /// Variance of levels between people over that of the noise.
    level_ratio: f64,
    /// Mean squared error, left out, of a person's model.
    error_variance: f64,
    /// Half width of a 90 % interval over the root of a person's error variance, found on people left out; `None` of too few.
    factor: Option<f64>,
    /// For who has no scored recording: predictor and half width.
    provisional: Linear,
    provisional_half_width: f64,
    /// Of each feature: mean over people, and standard deviation within a person and over all.
    means: Vec<f64>,
    within: Vec<f64>,
    overall: Vec<f64>,
    people: usize,
    recordings: usize,
}

/// A person's training set, and which of its recordings belong together, as in [`crate::training::Knowledge`].
#[derive(Debug, Clone, Copy)]
pub struct Experience<'a> {
    /// The recordings.
    pub set: &'a TrainingSet,
    /// A name for each; each alone where this is not given.
    pub groups: Option<&'a [String]>,
}

/// One person's recordings.
struct Person<'a> {
    rows: Vec<&'a [f64]>,
    scores: Vec<f64>,
    /// Positions that are left out together.
    units: Vec<Vec<usize>>,
}

impl Prior {
    /// Learns from the training sets of several people, whose features and scores are taken to be checked. `None` where fewer than
    /// [`MIN_PEOPLE`] have enough recordings, or where nothing varies.
    #[must_use]
    pub fn learn(experiences: &[Experience<'_>]) -> Option<Self> {
        let people: Vec<Person<'_>> = experiences.iter().filter_map(Person::of).take(MAX_PEOPLE).collect();
        if people.len() < MIN_PEOPLE {
            return None;
        }
        let pooled = Pooled::of(&people)?;
        let folds = people.len().min(FOLDS);
        let slopes = pooled.slopes(&people, folds)?;
        let whole = slopes.last()?;
        // Each fold's slopes and level from the others, and what they leave of its people.
        let judged: Vec<Judged<'_>> = people
            .iter()
            .enumerate()
            .filter_map(|(i, person)| {
                let slopes = slopes.get(i % folds)?;
                let others = || people.iter().enumerate().filter(|(j, _)| j % folds != i % folds).map(|(_, p)| p);
                let level = mean(others().map(|p| p.level(slopes)));
                let mean_score = mean(others().map(|p| mean(p.scores.iter().copied())));
                let predicted: Vec<f64> = person.rows.iter().map(|row| slopes.predict(row) + level).collect();
                Some(Judged { person, predicted, mean_score })
            })
            .collect();
        let recordings: usize = people.iter().map(|p| p.rows.len()).sum();
        let noise = judged.iter().map(Judged::within_squares).sum::<f64>() / (recordings - people.len()).max(1) as f64;
        let between = mean(judged.iter().map(|j| j.level().powi(2)));
        let few = mean(people.iter().map(|p| 1.0 / p.rows.len() as f64));
        if noise.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) {
            return None;
        }
        let level_ratio = ((between - noise * few) / noise).max(LEAST_BETWEEN);
        let errors: Vec<Vec<f64>> = judged.iter().map(|j| j.left_out_errors(Intercept::Shrunk(level_ratio))).collect();
        let error_variance = mean(errors.iter().map(|e| mean_square(e)));
        let levelled = Linear { intercept: mean(people.iter().map(|p| p.level(whole))), ..whole.clone() };
        let (provisional, provisional_half_width) = provisional(&levelled, &people, &judged);
        let prior = Self {
            slopes: levelled,
            level_ratio,
            error_variance,
            factor: factor(&judged, Intercept::Shrunk(level_ratio), &errors),
            provisional,
            provisional_half_width,
            means: pooled.means,
            within: pooled.within,
            overall: pooled.overall,
            people: people.len(),
            recordings,
        };
        (prior.slopes.is_finite() && error_variance.is_finite() && level_ratio.is_finite()).then_some(prior)
    }

    /// A model for a patient without a scored recording of one's own. Its interval is that of people left out of the prior.
    ///
    /// # Errors
    /// [`ModelError`] where its numbers are not finite.
    pub fn provisional(&self) -> Result<TrainedModel, ModelError> {
        let known = Known { means: &self.means, deviations: &self.overall, rows: self.recordings as f64 };
        Unchecked {
            linear: self.provisional.clone(),
            envelope: Envelope::around(&[], Some(known)),
            half_width: self.provisional_half_width,
            ..Unchecked::default()
        }
        .try_into()
    }

    /// What a card tells of it.
    pub(crate) fn summary(&self) -> PriorSummary {
        PriorSummary { people: self.people, recordings: self.recordings }
    }

    /// Its prediction for a recording of somebody of whom nothing is known.
    pub(crate) fn slopes(&self) -> &Linear {
        &self.slopes
    }

    /// How a person's own level is shrunk.
    pub(crate) fn intercept(&self) -> Intercept {
        Intercept::Shrunk(self.level_ratio)
    }

    /// Half width of the interval of a person: by the errors of the fits, each left out, where a factor was found on such; otherwise by
    /// those of models that saw nothing of what they predict.
    pub(crate) fn half_width(&self, of_fits: &[f64], of_models: &[f64]) -> f64 {
        let (factor, errors) = match self.factor {
            Some(factor) => (factor, of_fits),
            None => (student_t(of_models.len() + COMMON_WEIGHT as usize), of_models),
        };
        factor * shrunk_variance(errors, self.error_variance, COMMON_WEIGHT).sqrt()
    }

    /// What is known of features, standing for as many rows as a person's own level is worth.
    pub(crate) fn known(&self) -> Known<'_> {
        Known { means: &self.means, deviations: &self.within, rows: COMMON_WEIGHT }
    }
}

impl<'a> Person<'a> {
    fn of(Experience { set, groups }: &Experience<'a>) -> Option<Self> {
        let from = set.ids.len().saturating_sub(MAX_OF_ONE);
        let rows: Vec<&[f64]> = set.features.iter().skip(from).map(Vec::as_slice).collect();
        let scores: Vec<f64> = set.scores.iter().skip(from).copied().collect();
        let groups: Option<Vec<&str>> = groups.map(|groups| groups.iter().skip(from).map(String::as_str).collect());
        let units = units(rows.len(), groups.as_deref());
        let fits = units.len() >= MIN_OF_ONE
            && rows.len() == scores.len()
            && groups.is_none_or(|groups| groups.len() == rows.len())
            && rows.iter().all(|row| row.len() == FEATURES);
        fits.then_some(Self { rows, scores, units })
    }

    /// Mean of what slopes leave of the scores.
    fn level(&self, slopes: &Linear) -> f64 {
        mean(self.rows.iter().zip(&self.scores).map(|(row, score)| score - slopes.predict(row)))
    }
}

/// A person, seen by a prior that was learnt from others.
struct Judged<'a> {
    person: &'a Person<'a>,
    predicted: Vec<f64>,
    /// Mean of the others' mean scores.
    mean_score: f64,
}

impl Judged<'_> {
    fn remainders(&self) -> impl Iterator<Item = f64> {
        self.person.scores.iter().zip(&self.predicted).map(|(score, predicted)| score - predicted)
    }

    fn level(&self) -> f64 {
        mean(self.remainders())
    }

    fn within_squares(&self) -> f64 {
        let level = self.level();
        self.remainders().map(|r| (r - level) * (r - level)).sum()
    }

    /// Errors, left out, of the model that the person would get.
    fn left_out_errors(&self, intercept: Intercept) -> Vec<f64> {
        let Person { rows, scores, units } = self.person;
        let members = members(rows, scores, units, Some((&self.predicted, intercept)));
        errors(&average(&members, scores, units).left_out, scores)
    }

    /// Errors on folds left out of the person's model, weights included, each over the root of the variance that the model's own errors
    /// tell, as [`Prior::half_width`] has it. `common`: the error variance of others. Of at most so many folds, evenly spread; `first`:
    /// which of them is the first.
    fn scaled_errors(&self, intercept: Intercept, common: f64, first: usize, most: usize) -> Vec<f64> {
        let Person { rows, scores, units } = self.person;
        let folds = folds(units);
        let (of, taken) = (folds.len(), folds.len().min(most));
        let chosen = (0..taken).filter_map(|k| folds.get((first + k * of / taken) % of).cloned());
        let of_fold = |Nested { out, predicted, errors: of_fits }: Nested| {
            let scale = shrunk_variance(&of_fits, common, COMMON_WEIGHT).sqrt().max(1e-9);
            let scores: Vec<f64> = out.iter().filter_map(|i| scores.get(*i).copied()).collect();
            errors(&predicted, &scores).into_iter().map(move |error| error / scale)
        };
        nested(rows, scores, units, Some((&self.predicted, intercept)), chosen).into_iter().flat_map(of_fold).collect()
    }
}

/// The better of slopes with the mean level and the mean score alone, judged on people left out, and its half width.
fn provisional(levelled: &Linear, people: &[Person<'_>], judged: &[Judged<'_>]) -> (Linear, f64) {
    let by_slopes: Vec<f64> = judged.iter().flat_map(|j| errors(&j.predicted, &j.person.scores)).collect();
    let mean_of_others = |j: &Judged<'_>| errors(&vec![j.mean_score; j.person.scores.len()], &j.person.scores);
    let by_mean: Vec<f64> = judged.iter().flat_map(mean_of_others).collect();
    let (linear, errors) = if mean_square(&by_slopes) < mean_square(&by_mean) {
        (levelled.clone(), by_slopes)
    } else {
        let intercept = mean(people.iter().map(|p| mean(p.scores.iter().copied())));
        (Linear { intercept, terms: vec![Term::default(); FEATURES] }, by_mean)
    };
    // A person's errors are much alike: as evidence, there are as many as people.
    let of_people = student_t(people.len().saturating_sub(1).max(1)) * mean_square(&errors).sqrt();
    (linear, conformal_quantile(&errors).unwrap_or_default().max(of_people))
}

/// The quantile that intervals need so that they cover: of the errors of everybody's models on what these were trained without, each
/// over the root of the variance that the model would have told. `errors`: of everybody's fits, each left out.
fn factor(judged: &[Judged<'_>], intercept: Intercept, errors: &[Vec<f64>]) -> Option<f64> {
    let most = (MAX_CALIBRATION / judged.len().max(1)).max(1);
    let of_person = |(i, judged): (usize, &Judged<'_>)| {
        let others = errors.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, errors)| mean_square(errors));
        judged.scaled_errors(intercept, mean(others), i, most)
    };
    let scaled: Vec<f64> = judged.iter().enumerate().flat_map(of_person).collect();
    conformal_quantile(&scaled).filter(|_| scaled.len() >= MIN_CALIBRATION)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), v| (sum + v, n + 1.0));
    sum / f64::max(n, 1.0)
}
