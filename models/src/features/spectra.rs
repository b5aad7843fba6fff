//! Where in frequency the power of a movement lies, seen from the ground: as [`super::per_axis`], but for signals that do not depend
//! on how the phone was held.

use super::motion::Motion;
use super::per_axis::{bands, edges};
use crate::signal::SignalPlans;

/// Acceleration along and across gravity, rotation about any axis and about gravity.
const SIGNALS: [&str; 4] = ["vertical", "horizontal", "rotation", "yaw"];

pub(super) const FEATURES: usize = SIGNALS.len() * super::per_axis::BANDS;

pub(super) fn names() -> impl Iterator<Item = String> {
    SIGNALS.into_iter().flat_map(|signal| edges().map(move |(low, high)| format!("{signal}_log_power_{low}_{high}_hz")))
}

/// Appends natural logarithms of band powers in (m/s²)² and (rad/s)².
pub(super) fn features(plans: &mut SignalPlans, motion: &Motion, fs: f64, into: &mut Vec<f64>) {
    let root = |squares: &[f64]| squares.iter().map(|v| v.sqrt()).collect::<Vec<f64>>();
    let (horizontal, rotation) = (root(&motion.horizontal_squared), root(&motion.rotation_squared));
    for signal in [&motion.vertical, &horizontal, &rotation, &motion.yaw] {
        into.extend(bands(plans, signal, fs));
    }
}
