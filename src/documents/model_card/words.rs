//! Candidates and features in words.

use stance_models::card::ModelCard;
use stance_models::estimators::{Candidate, Estimator, KernelName, Target};
use stance_models::features::Block;

/// What a candidate is.
pub(super) fn estimator(candidate: &Candidate) -> &'static str {
    match (candidate.estimator, candidate.target) {
        (Estimator::Mean, Target::Score) => "Mean score",
        (Estimator::Mean, Target::Remainder) => "Level of the patient",
        (Estimator::Ridge { .. }, _) => "Ridge regression",
        (Estimator::ElasticNet { .. }, _) => "Elastic net",
        (Estimator::Pls, _) => "Partial least squares",
        (Estimator::SupportVector { .. }, _) => "Support vector regression",
        (Estimator::GaussianProcess { kernel: KernelName::Linear }, _) => "Gaussian process, straight lines",
        (Estimator::GaussianProcess { kernel: KernelName::SquaredExponential }, _) => "Gaussian process, smooth curves",
    }
}

/// What a candidate looks at.
pub(super) fn looks_at(candidate: &Candidate) -> &'static str {
    if candidate.estimator == Estimator::Mean {
        return "scores alone";
    }
    match candidate.block {
        Block::Times => "how long it took",
        Block::Whole => "the movement as a whole",
        Block::Movement => "the movement as a whole and its course",
        Block::OrientationFree => "the movement, its course and its frequencies, however the phone is held",
        Block::PerAxis => "each axis of the phone's sensors",
        Block::Both => "the movement as a whole and each axis",
        Block::All => "everything",
    }
}

/// What a candidate begins with.
pub(super) fn begins_with(target: Target) -> &'static str {
    match target {
        Target::Score => "the patient's own scores",
        Target::Remainder => "other patients' experience",
    }
}

/// Features that belong together.
pub(super) struct Group {
    pub(super) name: &'static str,
    /// How many the model was given.
    pub(super) given: usize,
    /// How many have a weight.
    pub(super) used: usize,
    /// Which have one, in words.
    pub(super) which: Vec<String>,
}

const TIMES: &str = "How long it took";
const WHOLE: &str = "The movement as a whole";
const COURSE: &str = "The course of the movement";
const SPECTRA: &str = "Frequencies, seen from the ground";
const ACCELEROMETER: &str = "Accelerometer, along the phone's axes";
const GYROSCOPE: &str = "Gyroscope, about the phone's axes";
const MAGNETOMETER: &str = "Magnetometer, along the phone's axes";
/// Those of a set that this program does not know.
const OTHERS: &str = "Others";
const GROUPS: [&str; 8] = [TIMES, WHOLE, COURSE, SPECTRA, ACCELEROMETER, GYROSCOPE, MAGNETOMETER, OTHERS];

/// The features of a card by what they are about; groups without any are left out.
pub(super) fn groups(card: &ModelCard) -> Vec<Group> {
    let group = |name: &'static str| {
        let of =
            |names: &[String]| names.iter().filter(|feature| place(feature).0 == name).cloned().collect::<Vec<_>>();
        let (given, used) = (of(&card.feature_names), of(&card.features_used));
        Group { name, given: given.len(), used: used.len(), which: which(&used) }
    };
    GROUPS.into_iter().map(group).filter(|group| group.given > 0).collect()
}

/// Features in words, in order; of several with the same words, how many.
fn which(used: &[String]) -> Vec<String> {
    let mut said: Vec<(String, usize)> = Vec::new();
    for words in used.iter().map(|feature| place(feature).1) {
        match said.last_mut() {
            Some((last, count)) if *last == words => *count += 1,
            _ => said.push((words, 1)),
        }
    }
    said.into_iter().map(|(words, count)| if count > 1 { format!("{words} ({count})") } else { words }).collect()
}

/// The group of a feature, and what it is in words.
fn place(feature: &str) -> (&'static str, String) {
    if let Some((group, words)) = of_the_movement(feature) {
        return (group, words.to_owned());
    }
    let Some((signal, _)) = feature.split_once('_') else { return (OTHERS, feature.to_owned()) };
    match signal {
        "vertical" | "horizontal" => (SPECTRA, format!("{signal} acceleration")),
        "rotation" => (SPECTRA, "rotation".to_owned()),
        "yaw" => (SPECTRA, "turning".to_owned()),
        "ax" | "ay" | "az" => (ACCELEROMETER, axis(signal)),
        "gx" | "gy" | "gz" => (GYROSCOPE, axis(signal)),
        "mx" | "my" | "mz" => (MAGNETOMETER, axis(signal)),
        _ => (OTHERS, feature.to_owned()),
    }
}

fn axis(name: &str) -> String {
    format!("axis {}", name.get(1..).unwrap_or_default())
}

fn of_the_movement(feature: &str) -> Option<(&'static str, &'static str)> {
    Some(match feature {
        "duration" => (TIMES, "length of the recording"),
        "active_time" => (TIMES, "time in motion, by rotation"),
        "active_time_acceleration" => (TIMES, "time in motion, by acceleration"),
        "active_time_low" => (TIMES, "time in motion from the first stir on"),
        "posture_time" => (TIMES, "time away from the first and last posture"),
        "log_rms_vertical_acceleration" => (WHOLE, "strength of vertical acceleration"),
        "log_rms_horizontal_acceleration" => (WHOLE, "strength of horizontal acceleration"),
        "log_rms_yaw" => (WHOLE, "strength of turning"),
        "log_rms_rotation" => (WHOLE, "strength of rotation"),
        "log_rms_jerk" => (WHOLE, "jerk"),
        "step_period" => (WHOLE, "time between steps"),
        "step_regularity" => (WHOLE, "regularity of steps"),
        "spectral_entropy_vertical" => (WHOLE, "spread of vertical frequencies"),
        "spectral_entropy_yaw" => (WHOLE, "spread of turning frequencies"),
        "log_peak_rotation" => (WHOLE, "peak of rotation"),
        "tilt_peak" => (COURSE, "largest tilt"),
        "tilt_mean" => (COURSE, "mean tilt"),
        "moving_share" => (COURSE, "share of the time in motion"),
        "log_bouts" => (COURSE, "number of bouts"),
        "turned" => (COURSE, "angle turned in all"),
        "turn_peak" => (COURSE, "fastest turn"),
        "log_rotation_path" => (COURSE, "rotation in all"),
        "cycle_period" => (COURSE, "time of a repetition"),
        "cycle_regularity" => (COURSE, "regularity of repetitions"),
        "log_peak_acceleration" => (COURSE, "peak of acceleration"),
        "log_tail_acceleration" => (COURSE, "how much acceleration is in peaks"),
        "log_tail_rotation" => (COURSE, "how much rotation is in peaks"),
        "log_jerk_ratio" => (COURSE, "smoothness"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use stance_models::features::names;

    #[test]
    fn every_feature_of_the_set_has_its_words() {
        let (mut counts, mut words) = ([0; GROUPS.len()], std::collections::BTreeSet::new());
        for name in names() {
            let (group, said) = place(&name);
            counts[GROUPS.iter().position(|known| *known == group).unwrap()] += 1;
            words.insert((group, said));
        }
        assert_eq!(counts, [5, 10, 13, 36, 36, 36, 36, 0]);
        assert_eq!(words.len(), 28 + 4 + 9);
        assert_eq!(place("ax_of_tomorrow").0, ACCELEROMETER);
        assert_eq!(place("heart_rate"), (OTHERS, "heart_rate".to_owned()));
    }
}
