//! Rising from a chair and sitting down, as the chest moves.
//!
//! A rise has the phases of Schenkman and others (1990): the trunk bends forward, momentum passes to the legs, the body
//! extends, and sway settles. Whoever is less able bends further and slower, waits before rising, gives up and tries
//! again, wavers, leans to the stronger side and lets go on the way down.

use super::noise::{normal, slow_envelope};
use super::person::Person;
use super::track::{Move, Track};
use rand::Rng;
use rand::rngs::StdRng;

/// The chest over time, in the world: `height` up, `forward` out of the chair, `aside` to the left, in metres; `pitch`
/// forward, `roll` to the right, `yaw` to the left, in radians.
#[derive(Debug)]
pub(super) struct Motion {
    pub(super) height: Track,
    pub(super) forward: Track,
    pub(super) aside: Track,
    pub(super) pitch: Track,
    pub(super) roll: Track,
    pub(super) yaw: Track,
}

/// Rises and sits down until the times are over.
pub(super) fn perform(random: &mut StdRng, person: &Person, quality: f64, times: &[f64]) -> Motion {
    let samples = times.len();
    let mut motion = Motion {
        height: Track::resting(samples, 0.0),
        forward: Track::resting(samples, 0.0),
        aside: Track::resting(samples, 0.0),
        pitch: Track::resting(samples, person.mount.0 + 0.10 * (1.0 - quality)),
        roll: Track::resting(samples, person.mount.1),
        yaw: Track::resting(samples, person.heading),
    };
    let end = times.last().copied().unwrap_or_default();
    let style = Style::of(person, quality);
    let mut now = normal(random, 0.9, 0.2).max(0.3);
    let mut done = 0.0;
    while now < end {
        // Tiring: the last rises of a minute are slower than the first, the more the worse it goes.
        let tired = 1.0 + 0.015 * done * (1.0 - quality);
        now = repetition(random, &style, tired, &mut motion, times, now);
        done += 1.0;
    }
    waver(random, person, quality, &mut motion, times);
    motion
}

/// How this person moves at this quality.
struct Style {
    rise: f64,
    lean: f64,
    asymmetry: f64,
    rising_seconds: f64,
    standing_seconds: f64,
    sitting_seconds: f64,
    hesitation_seconds: f64,
    attempt_fails: f64,
    unsteadiness: f64,
    /// How hard the body meets the seat, 0 to 1.
    drop: f64,
}

impl Style {
    fn of(person: &Person, quality: f64) -> Self {
        let lack = 1.0 - quality;
        Self {
            rise: person.rise,
            lean: person.lean + 0.25 * lack,
            asymmetry: person.asymmetry * (0.3 + 1.4 * lack),
            rising_seconds: person.pace * (1.15 + 1.9 * lack),
            standing_seconds: person.pace * (0.5 + 0.9 * lack),
            sitting_seconds: person.pace * (1.25 + 1.3 * lack),
            hesitation_seconds: person.pace * (0.25 + 1.5 * lack * lack),
            attempt_fails: 0.45 * lack * lack,
            unsteadiness: 0.04 + 0.14 * lack,
            drop: 0.15 + 0.6 * lack,
        }
    }
}

/// One rise and one way down; when it is over.
fn repetition(random: &mut StdRng, style: &Style, tired: f64, motion: &mut Motion, times: &[f64], start: f64) -> f64 {
    let mut vary = |middle: f64| (middle * normal(random, 1.0, style.unsteadiness)).max(0.3 * middle);
    let lean = vary(style.lean);
    let rise = vary(style.rise * 0.97).min(style.rise * 1.04);
    let rising = vary(style.rising_seconds * tired);
    let standing = vary(style.standing_seconds);
    let sitting = vary(style.sitting_seconds * tired);
    let pause = vary(style.hesitation_seconds * tired);
    let side = vary(1.0) * style.asymmetry;
    let mut now = start;

    // A try that does not get off the seat: forward, and back.
    if random.random_bool(style.attempt_fails.clamp(0.0, 1.0)) {
        let reach = lean * random.random_range(0.35..0.7);
        now = there_and_back(&mut motion.pitch, times, now, 0.45 * rising, 0.1, reach);
        motion.forward.add(times, Move { start: now - rising, duration: 0.45 * rising, size: 0.12 * reach });
        motion.forward.add(times, Move { start: now - 0.45 * rising, duration: 0.45 * rising, size: -0.12 * reach });
        now += 0.4 * pause;
    }

    // Bending forward for the first two fifths, extending for the rest; the seat is left at a third.
    motion.pitch.add(times, Move { start: now, duration: 0.45 * rising, size: lean });
    motion.pitch.add(times, Move { start: now + 0.45 * rising, duration: 0.6 * rising, size: -lean });
    motion.forward.add(times, Move { start: now, duration: 0.7 * rising, size: 0.28 });
    motion.height.add(times, Move { start: now, duration: 0.4 * rising, size: -0.06 * lean });
    motion.height.add(times, Move { start: now + 0.33 * rising, duration: 0.67 * rising, size: rise + 0.06 * lean });
    there_and_back(&mut motion.roll, times, now + 0.2 * rising, 0.35 * rising, 0.1 * rising, side);
    now += rising + standing;

    // Down: bending again, the height let go; the last centimetres fall.
    motion.pitch.add(times, Move { start: now, duration: 0.5 * sitting, size: 0.8 * lean });
    motion.pitch.add(times, Move { start: now + 0.55 * sitting, duration: 0.6 * sitting, size: -0.8 * lean });
    motion.forward.add(times, Move { start: now, duration: 0.9 * sitting, size: -0.28 });
    let fallen = 0.12 * style.drop * rise;
    motion.height.add(times, Move { start: now + 0.1 * sitting, duration: 0.85 * sitting, size: fallen - rise });
    motion.height.add(times, Move { start: now + 0.92 * sitting, duration: 0.16, size: -1.25 * fallen });
    motion.height.add(times, Move { start: now + 0.92 * sitting + 0.14, duration: 0.22, size: 0.25 * fallen });
    now + 1.15 * sitting + pause
}

/// A move and its undoing; when it is over.
fn there_and_back(track: &mut Track, times: &[f64], start: f64, duration: f64, hold: f64, size: f64) -> f64 {
    track.add(times, Move { start, duration, size });
    let back = start + duration + hold;
    track.add(times, Move { start: back, duration, size: -size });
    back + duration
}

/// What never rests: sway (power falling with frequency below 1.5 Hz), breath, and tremor that comes and goes.
fn waver(random: &mut StdRng, person: &Person, quality: f64, motion: &mut Motion, times: &[f64]) {
    let lack = 1.0 - quality;
    let sway = person.sway * (0.35 + 1.3 * lack);
    let tracks = [
        (&mut motion.pitch, 0.006),
        (&mut motion.roll, 0.007),
        (&mut motion.yaw, 0.010),
        (&mut motion.aside, 0.005),
        (&mut motion.forward, 0.005),
    ];
    for (track, size) in tracks {
        for _ in 0..6 {
            let frequency: f64 = random.random_range(0.12..1.5);
            let phase = random.random_range(0.0..std::f64::consts::TAU);
            track.add_wave(times, frequency, phase, size * sway * 0.4 / (0.25 + frequency), None);
        }
    }
    let breath = random.random_range(0.22..0.32);
    motion.pitch.add_wave(times, breath, 0.0, 0.004, None);
    let (frequency, worst) = person.tremor;
    let envelope = slow_envelope(random, times, 2.5);
    let size = worst * (0.1 + 0.9 * lack);
    for (track, share, phase) in
        [(&mut motion.roll, 1.0, 0.0), (&mut motion.pitch, 0.7, 0.9), (&mut motion.yaw, 0.5, 2.1)]
    {
        track.add_wave(times, frequency, phase, size * share, Some(&envelope));
    }
    // A trembling trunk moves the phone, half a metre above the hip, along with it.
    motion.aside.add_wave(times, frequency, 0.0, 0.10 * size, Some(&envelope));
    motion.forward.add_wave(times, frequency, 0.9, 0.07 * size, Some(&envelope));
}
