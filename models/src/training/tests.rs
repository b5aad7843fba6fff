use proptest::prelude::*;

use super::*;
use crate::estimators::Estimator;
use crate::estimators::gaussian_process::Intercept;
use crate::prior::Experience;

/// Scores follow feature 1 (active time) exactly where `signal`, and nothing otherwise; other features are fixed noise.
fn set(n: usize, signal: bool) -> TrainingSet {
    let mut state = 7_u64;
    let mut noise = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24) - 0.5
    };
    let mut set = TrainingSet::default();
    for i in 0..n {
        let mut features: Vec<f64> = (0..FEATURES).map(|_| noise()).collect();
        let score = 50.0 + 40.0 * noise();
        if signal {
            features[1] = score / 10.0;
            features[0] = score / 8.0;
        }
        set.ids.push(format!("recording-{i}"));
        set.features.push(features);
        set.scores.push(score);
    }
    set
}

#[test]
fn signal_is_learnt_and_noise_is_not() {
    let learnt = train(&set(30, true), &TrainParams::default()).unwrap();
    assert!(learnt.card.leave_one_out_error < 0.5 * learnt.card.baseline_error, "{:?}", learnt.card);
    let noise = train(&set(30, false), &TrainParams::default()).unwrap();
    // An honest error is told even where it is worse than the mean's: such a model is not to be promoted.
    assert!(noise.card.leave_one_out_error < 1.2 * noise.card.baseline_error, "{:?}", noise.card);
    assert!(noise.card.leave_one_out_error > 0.7 * noise.card.baseline_error);
}

#[test]
fn training_is_deterministic() {
    let params = TrainParams { seed: 3, trained_at: Some("2025-01-01T00:00:00Z".into()) };
    let (a, b) = (train(&set(12, true), &params).unwrap(), train(&set(12, true), &params).unwrap());
    assert_eq!(a, b);
    assert_eq!(a.card.seed, 3);
}

#[test]
fn two_recordings_or_equal_scores_give_the_mean() {
    let two = train(&set(2, true), &TrainParams::default()).unwrap();
    assert_eq!(two.card.candidates.len(), 1);
    assert_eq!(two.card.candidates[0].candidate.estimator, Estimator::Mean);
    let mut equal = set(10, false);
    equal.scores = vec![70.0; 10];
    let equal_model = train(&equal, &TrainParams::default()).unwrap().model;
    let prediction = equal_model.predict(&equal.features[0]).unwrap();
    assert_eq!((prediction.lower, prediction.value, prediction.upper), (70.0, 70.0, 70.0));
}

#[test]
fn only_the_newest_recordings_count() {
    let all = set(230, true);
    let trained = train(&all, &TrainParams::default()).unwrap();
    assert_eq!(trained.card.training_recordings, all.ids[30..]);
    assert_eq!(trained.card.folds, 200);
}

#[test]
fn inconsistent_sets_are_refused() {
    assert_eq!(train(&set(1, true), &TrainParams::default()).unwrap_err(), TrainError::TooFew(1));
    let mut bad = set(5, true);
    bad.scores[2] = 100.5;
    assert_eq!(train(&bad, &TrainParams::default()).unwrap_err(), TrainError::OutOfRange("recording-2".into()));
    bad.features[1].pop();
    assert!(matches!(train(&bad, &TrainParams::default()), Err(TrainError::Shape(_))));
    bad.ids.pop();
    assert!(matches!(train(&bad, &TrainParams::default()), Err(TrainError::Shape(_))));
}

#[test]
fn few_recordings_lean_on_the_prior_and_many_on_ones_own() {
    // Ten people whose score is their level and 10 a unit of feature 1; somebody whose slope is 20.
    let person = |who: usize, n: usize, slope: f64| {
        let mut set = set(n, false);
        for (i, features) in set.features.iter_mut().enumerate() {
            features.rotate_left((who * 13 + i * 5) % 101);
            features[1] = ((who * 31 + i * 17) as f64 * 0.77).sin();
            set.scores[i] = 50.0 + (who as f64 - 5.0) + slope * features[1] + 0.3 * ((i * 7) as f64).cos();
        }
        set
    };
    let sets: Vec<TrainingSet> = (0..10).map(|who| person(who, 10, 10.0)).collect();
    let experiences: Vec<Experience<'_>> = sets.iter().map(|set| Experience { set, groups: None }).collect();
    let prior = Prior::learn(&experiences).unwrap();
    let slope = |model: &TrainedModel, like: &[f64]| {
        let (mut low, mut high) = (like.to_vec(), like.to_vec());
        (low[1], high[1]) = (-0.5, 0.5);
        model.predict(&high).unwrap().value - model.predict(&low).unwrap().value
    };
    let knowledge = Knowledge { prior: Some(&prior), groups: None };
    let own = person(11, 40, 20.0);
    let take = |n: usize| TrainingSet {
        ids: own.ids[..n].to_vec(),
        features: own.features[..n].to_vec(),
        scores: own.scores[..n].to_vec(),
    };
    let trained = |n| train_with(&take(n), &TrainParams::default(), &knowledge).unwrap();
    let slopes = [2, 6, 40].map(|n| slope(&trained(n).model, &own.features[0]));
    assert!(slopes[0] > 8.0 && slopes[0] < 12.0, "{slopes:?}");
    assert!(slopes[1] > slopes[0] && slopes[2] > slopes[1] && slopes[2] > 15.0, "{slopes:?}");
    // Nobody's recordings at all: provisional, and said to be.
    let nobody = provisional(&prior, &TrainParams::default()).unwrap();
    assert!(nobody.card.provisional && nobody.card.recordings == 0);
    assert!((slope(&nobody.model, &own.features[0]) - 10.0).abs() < 2.0);
    assert!(nobody.card.interval_half_width > trained(6).card.interval_half_width / 4.0);
    assert_eq!(trained(2).card.prior.unwrap().people, 10);
}

/// Everything that is measured of a person follows the score, beside noise and how they are.
fn of_person(who: usize, n: usize) -> TrainingSet {
    let mut set = set(n, false);
    for (i, (features, score)) in set.features.iter_mut().zip(&mut set.scores).enumerate() {
        let course = ((who * 31 + i * 17) as f64 * 0.77).sin();
        *score = 50.0 + 3.0 * (who as f64 - 2.0) + 15.0 * course;
        features.rotate_left((who * 13 + i * 5) % 101);
        for (j, feature) in features.iter_mut().enumerate() {
            *feature += 2.0 * course + ((who * 7 + j) as f64).sin();
        }
    }
    set
}

#[test]
fn what_others_know_is_not_followed_to_where_none_of_them_has_been() {
    let others: Vec<TrainingSet> = (0..4).map(|person| of_person(person, 12)).collect();
    let experiences: Vec<_> = others.iter().map(|set| Experience { set, groups: None }).collect();
    let prior = Prior::learn(&experiences).unwrap();
    // One who holds the phone as nobody else does: in every feature in turn far beyond all others, and always alike.
    for far in [0, 1, 12, 40, 121, 150] {
        for n in [1, 4, 12] {
            let mut set = of_person(9, n);
            for (i, features) in set.features.iter_mut().enumerate() {
                features[far] = 1_000.0 + (i as f64) / 10.0;
            }
            let knowledge = Knowledge { prior: Some(&prior), groups: None };
            let trained = train_with(&set, &TrainParams::default(), &knowledge).unwrap();
            for (features, score) in set.features.iter().zip(&set.scores) {
                let off = trained.model.predict(features).unwrap().value - score;
                assert!(off.abs() < 15.0, "feature {far}, {n} recordings: one that it learnt from is {off:.1} off");
            }
        }
    }
}

#[test]
fn what_is_left_out_has_no_say_in_what_is_said_of_it() {
    let set = of_person(3, 14);
    let rows: Vec<&[f64]> = set.features.iter().map(Vec::as_slice).collect();
    let predicted: Vec<f64> = (0..14).map(|i| 45.0 + f64::from(i)).collect();
    // Two of an execution are left out together; of twelve executions two folds hold two.
    let names: Vec<String> = (0..14).map(|i: usize| i.saturating_sub(2).to_string()).collect();
    let units = units(14, Some(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!((units.len(), folds(&units).len()), (12, 10));
    for common in [None, Some((predicted.as_slice(), Intercept::Shrunk(1.0)))] {
        let all = nested(&rows, &set.scores, &units, common, folds(&units));
        let mut left_out: Vec<usize> = all.iter().flat_map(|nested| nested.out.iter().copied()).collect();
        left_out.sort_unstable();
        assert_eq!(left_out, (0..14).collect::<Vec<_>>(), "each once");
        for Nested { out, predicted, errors } in all {
            let mut scores = set.scores.clone();
            out.iter().for_each(|i| scores[*i] = 100.0 - scores[*i] / 3.0);
            let again = nested(&rows, &scores, &units, common, [out.clone()]).remove(0);
            assert_eq!((&again.predicted, &again.errors), (&predicted, &errors), "{out:?}");
            // What is in has: the check can fail.
            let inside = (0..14).find(|i| !out.contains(i)).unwrap();
            let mut scores = set.scores.clone();
            scores[inside] = 0.0;
            assert_ne!(nested(&rows, &scores, &units, common, [out]).remove(0).predicted, predicted);
        }
    }
}

#[test]
fn two_people_make_no_prior() {
    let sets = [set(10, true), set(12, true)];
    let experiences: Vec<Experience<'_>> = sets.iter().map(|set| Experience { set, groups: None }).collect();
    assert_eq!(Prior::learn(&experiences), None);
}

#[test]
fn what_belongs_together_is_left_out_together() {
    // Each recording is there twice, and scores are noise: who leaves out one of two learns its score from the other.
    let single = set(12, false);
    let twice = TrainingSet {
        ids: (0..24).map(|i| i.to_string()).collect(),
        features: single.features.iter().flat_map(|f| [f.clone(), f.iter().map(|v| v + 1e-3).collect()]).collect(),
        scores: single.scores.iter().flat_map(|s| [*s, *s]).collect(),
    };
    let groups: Vec<String> = (0..24).map(|i| (i / 2).to_string()).collect();
    let error = |groups: Option<&[String]>| {
        let knowledge = Knowledge { prior: None, groups };
        let card = train_with(&twice, &TrainParams::default(), &knowledge).unwrap().card;
        card.leave_one_out_error / card.baseline_error
    };
    assert!(error(Some(&groups)) > 0.7, "{}", error(Some(&groups)));
    assert!(error(None) < error(Some(&groups)));
}

#[test]
fn a_model_of_thirty_recordings_holds_at_most_twenty_kilobytes() {
    let others: Vec<TrainingSet> = (0..4).map(|person| of_person(person, 12)).collect();
    let experiences: Vec<_> = others.iter().map(|set| Experience { set, groups: None }).collect();
    let prior = Prior::learn(&experiences).unwrap();
    for set in [set(30, true), set(30, false), of_person(9, 30)] {
        for prior in [None, Some(&prior)] {
            let trained = train_with(&set, &TrainParams::default(), &Knowledge { prior, groups: None }).unwrap();
            let size = trained.model.size_bytes();
            assert!(size <= 20_000, "{size}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Few distinct values, some absurd: what is degenerate most easily.
    #[test]
    fn any_set_trains_a_model_of_finite_scores(
        rows in prop::collection::vec((prop::collection::vec(0..7_usize, 40), 0..=100_u8), 2..12)
    ) {
        const VALUES: [f64; 7] = [0.0, 1.0, -1.0, 1e9, -1e9, 1e-9, 0.5];
        let features: Vec<Vec<f64>> =
            rows.iter().map(|(picks, _)| (0..FEATURES).map(|j| VALUES[picks[j % picks.len()]]).collect()).collect();
        let set = TrainingSet {
            ids: (0..rows.len()).map(|i| i.to_string()).collect(),
            scores: rows.iter().map(|(_, score)| f64::from(*score)).collect(),
            features,
        };
        let trained = train(&set, &TrainParams::default()).unwrap();
        for features in &set.features {
            let found = trained.model.predict(features).unwrap();
            prop_assert!(found.lower <= found.value && found.value <= found.upper);
        }
        prop_assert!(trained.card.leave_one_out_error.is_finite() && trained.card.interval_half_width.is_finite());
        let packed = crate::artifact::pack(&trained.model, &trained.card).unwrap();
        prop_assert_eq!(crate::artifact::unpack(&packed).unwrap(), (trained.model, trained.card));
    }
}
