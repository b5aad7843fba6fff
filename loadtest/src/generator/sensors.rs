//! What the phone shows of a motion: its clock, accelerometer, gyroscope and magnetometer.

use super::noise::normal;
use super::person::Person;
use super::sit_to_stand::Motion;
use rand::Rng;
use rand::rngs::StdRng;

/// Standard gravity, m/s² (CGPM 1901).
const GRAVITY: f64 = 9.806_65;
/// The earth's field in middle latitudes: to magnetic north and downwards, in µT.
const FIELD: (f64, f64) = (20.0, 46.0);

/// When the samples were taken, in seconds from the first.
#[derive(Debug)]
pub(super) struct SampleClock {
    /// In truth; ascending.
    pub(super) truth: Vec<f64>,
    /// As the phone stamps them: whole microseconds, never descending, now and then repeated.
    pub(super) stamped: Vec<f64>,
}

/// A clock near `rate` samples a second whose intervals jitter by about 4 %, that now and then comes late and catches
/// up, and now and then gives two samples one time.
pub(super) fn sample_clock(random: &mut StdRng, samples: usize, rate: f64) -> SampleClock {
    let interval = 1.0 / rate;
    let mut truth = Vec::with_capacity(samples);
    let mut stamped: Vec<f64> = Vec::with_capacity(samples);
    let mut late = 0.0;
    for sample in 0..samples {
        let due = sample as f64 * interval;
        late = if random.random_bool(0.000_8) {
            random.random_range(1.0..2.5) * interval
        } else {
            f64::max(0.0, late - 0.6 * interval)
        };
        let jitter = normal(random, 0.0, 0.03).clamp(-0.3, 0.3) * interval;
        let after = truth.last().map_or(0.0, |last: &f64| *last + 0.05 * interval);
        let time = f64::max(due + late + jitter, after);
        truth.push(time);
        let last = stamped.last().copied().unwrap_or(0.0);
        let shown = if sample > 0 && random.random_bool(0.001) { last } else { (time * 1e6).round() / 1e6 };
        stamped.push(shown.max(last));
    }
    let first = truth.first().copied().unwrap_or(0.0);
    truth.iter_mut().for_each(|time| *time -= first);
    let first = stamped.first().copied().unwrap_or(0.0);
    stamped.iter_mut().for_each(|time| *time -= first);
    SampleClock { truth, stamped }
}

/// The nine axes in the order of the format: `ax ay az` in m/s², `gx gy gz` in rad/s, `mx my mz` in µT.
pub(super) fn measure(random: &mut StdRng, person: &Person, motion: &Motion) -> [Vec<f64>; 9] {
    let samples = motion.height.value.len();
    let mut axes = [(); 9].map(|()| Vec::with_capacity(samples));
    for sample in 0..samples {
        let state = State::at(motion, sample);
        let truth = [state.specific_force(), state.angular_rate(), state.field()];
        for (sensor, values) in truth.into_iter().enumerate() {
            let bias = person.bias.get(sensor).copied().unwrap_or_default();
            let deviation = person.noise.get(sensor).copied().unwrap_or_default();
            for (axis, (value, bias)) in values.into_iter().zip(bias).enumerate() {
                if let Some(column) = axes.get_mut(3 * sensor + axis) {
                    column.push(value + bias + normal(random, 0.0, deviation));
                }
            }
        }
    }
    axes
}

/// One instant of the motion.
struct State {
    /// Pitch, roll and yaw, and their rates.
    angles: [f64; 3],
    rates: [f64; 3],
    /// Acceleration to the left, up and forward, before the yaw.
    acceleration: [f64; 3],
}

impl State {
    fn at(motion: &Motion, sample: usize) -> Self {
        let of = |column: &Vec<f64>| column.get(sample).copied().unwrap_or_default();
        Self {
            angles: [of(&motion.pitch.value), of(&motion.roll.value), of(&motion.yaw.value)],
            rates: [of(&motion.pitch.rate), of(&motion.roll.rate), of(&motion.yaw.rate)],
            acceleration: [
                of(&motion.aside.acceleration),
                of(&motion.height.acceleration),
                of(&motion.forward.acceleration),
            ],
        }
    }

    /// A vector of the chest's upright frame (left, up, forward: right-handed) in the phone's: pitched, then rolled.
    fn to_phone(&self, [left, up, forward]: [f64; 3]) -> [f64; 3] {
        let [pitch, roll, _] = self.angles;
        let (sine, cosine) = pitch.sin_cos();
        let (up, forward) = (cosine * up + sine * forward, cosine * forward - sine * up);
        let (sine, cosine) = roll.sin_cos();
        [cosine * left + sine * up, cosine * up - sine * left, forward]
    }

    /// What an accelerometer shows: acceleration, and gravity's push upwards.
    fn specific_force(&self) -> [f64; 3] {
        let [left, up, forward] = self.acceleration;
        self.to_phone([left, up + GRAVITY, forward])
    }

    /// What a gyroscope shows: the rates of the angles, each about its own axis, in the phone's frame.
    fn angular_rate(&self) -> [f64; 3] {
        let [pitch_rate, roll_rate, yaw_rate] = self.rates;
        let [_, roll, _] = self.angles;
        let (sine, cosine) = roll.sin_cos();
        let [x, y, z] = self.to_phone([0.0, yaw_rate, 0.0]);
        [x + cosine * pitch_rate, y - sine * pitch_rate, z + roll_rate]
    }

    /// What a magnetometer without iron nearby shows.
    fn field(&self) -> [f64; 3] {
        let (north, down) = FIELD;
        let [_, _, yaw] = self.angles;
        let (sine, cosine) = yaw.sin_cos();
        self.to_phone([-north * sine, -down, north * cosine])
    }
}
