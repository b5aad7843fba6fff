//! Who is recorded: what stays the same from one recording of a person to the next.

use chrono::{FixedOffset, Offset, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A person with a phone: the body, the habit of moving, the way the strap sits, and the phone's sensors.
#[derive(Debug, Clone)]
pub struct Person {
    seed: u64,
    /// Factor on every duration: below 1 is a quick person.
    pub(super) pace: f64,
    /// How far the chest rises from sitting to standing, in metres.
    pub(super) rise: f64,
    /// How far the trunk bends forward to rise, in radians.
    pub(super) lean: f64,
    /// Factor on the sway while standing.
    pub(super) sway: f64,
    /// Tremor: frequency in Hz, and the amplitude of the trunk's angle at its worst, in radians.
    pub(super) tremor: (f64, f64),
    /// How much the body leans to one side while rising, in radians; the sign is the side.
    pub(super) asymmetry: f64,
    /// Tilt of the strapped phone against the trunk: forward and sideways, in radians.
    pub(super) mount: (f64, f64),
    /// Heading of the chair, in radians from magnetic north.
    pub(super) heading: f64,
    /// Samples a second that this phone reaches.
    pub(super) sampling_rate: f64,
    /// What a sensor at rest shows: accelerometer in m/s², gyroscope in rad/s, magnetometer (hard iron) in µT.
    pub(super) bias: [[f64; 3]; 3],
    /// Standard deviation of the noise of each sensor, in the same units.
    pub(super) noise: [f64; 3],
    /// Minutes east of Greenwich.
    offset_minutes: i32,
}

impl Person {
    /// The person of this number: always the same one.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut around = |middle: f64, spread: f64| middle + spread * random.random_range(-1.0..1.0);
        let pace = around(1.0, 0.18);
        let rise = around(0.38, 0.06);
        let lean = around(0.62, 0.14);
        let sway = around(1.0, 0.45);
        let tremor = (around(5.0, 0.9), around(0.010, 0.008));
        let asymmetry = around(0.0, 0.09);
        let mount = (around(0.06, 0.1), around(0.0, 0.06));
        let heading = around(0.0, std::f64::consts::PI);
        let sampling_rate = around(99.6, 0.9);
        let bias =
            [[0.0, 0.06], [0.0, 0.006], [0.0, 28.0]].map(|[middle, spread]| [(); 3].map(|()| around(middle, spread)));
        let noise = [around(0.03, 0.012), around(0.003, 0.001), around(0.45, 0.15)];
        let offset_minutes = [-480, -300, 0, 60, 330].into_iter().nth(random.random_range(0..5)).unwrap_or_default();
        Self {
            seed,
            pace,
            rise,
            lean,
            sway,
            tremor,
            asymmetry,
            mount,
            heading,
            sampling_rate,
            bias,
            noise,
            offset_minutes,
        }
    }

    /// The number that the person was made from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// An id of the form that phones send.
    #[must_use]
    pub fn patient_id(&self) -> String {
        format!("person-{}", self.seed)
    }

    pub(super) fn zone(&self) -> FixedOffset {
        FixedOffset::east_opt(self.offset_minutes * 60).unwrap_or_else(|| Utc.fix())
    }
}
