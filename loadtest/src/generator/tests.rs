use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

fn length(axes: &[Vec<f64>; 9], sensor: usize) -> Vec<f64> {
    let [x, y, z] = [0, 1, 2].map(|axis| &axes[3 * sensor + axis]);
    x.iter().zip(y).zip(z).map(|((x, y), z)| (x * x + y * y + z * z).sqrt()).collect()
}

fn recorded(person: u64, quality: f64, seed: u64) -> GeneratedRecording {
    Exercise::sit_to_stand().record(&Person::from_seed(person), quality, seed)
}

/// Mean of a property over people and performances.
fn over_people(quality: f64, property: impl Fn(&GeneratedRecording) -> f64) -> f64 {
    let values: Vec<_> = (0..8).map(|seed| property(&recorded(seed, quality, 100 + seed))).collect();
    mean(&values)
}

#[test]
fn the_same_seeds_make_the_same_recording_and_others_another() {
    assert_eq!(recorded(1, 0.5, 2), recorded(1, 0.5, 2));
    assert_ne!(recorded(1, 0.5, 2).axes, recorded(1, 0.5, 3).axes);
    assert_ne!(recorded(1, 0.5, 2).axes, recorded(4, 0.5, 2).axes);
    assert_ne!(recorded(1, 0.5, 2).test_event_id, recorded(1, 0.5, 3).test_event_id);
}

#[test]
fn gravity_is_there_and_turns_with_the_trunk() {
    for person in 0..6 {
        let recording = recorded(person, 0.7, 9);
        let force = mean(&length(&recording.axes, 0));
        assert!((force - 9.81).abs() < 0.2, "person {person}: {force} m/s²");
        // Bent forward by more than half a radian, the screen faces the floor: z shows part of gravity, negative.
        let lowest = recording.axes[2].iter().copied().fold(f64::INFINITY, f64::min);
        assert!(lowest < -9.81 * 0.35, "person {person}: {lowest} m/s²");
        let upright = recording.axes[1].iter().filter(|value| **value > 8.8).count();
        assert!(upright > recording.len() / 4, "person {person}: upright for {upright} samples");
    }
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (a_mean, b_mean) = (mean(a), mean(b));
    mean(&a.iter().zip(b).map(|(a, b)| (a - a_mean) * (b - b_mean)).collect::<Vec<_>>()) / (deviation(a) * deviation(b))
}

/// What a gyroscope shows about `x` is how fast the trunk bends: its integral is the pitch.
fn integrated_pitch(recording: &GeneratedRecording, bias: f64) -> Vec<f64> {
    let (rate, seconds) = (&recording.axes[3], recording.seconds());
    let mut pitch = vec![0.0];
    for sample in 1..seconds.len() {
        pitch.push(pitch[sample - 1] + (rate[sample] - bias) * (seconds[sample] - seconds[sample - 1]));
    }
    pitch
}

/// The pitch that the direction of a vector in the plane of `y` and `z` shows.
fn shown_pitch(up: &[f64], out: &[f64]) -> Vec<f64> {
    out.iter().zip(up).map(|(out, up)| (-out).atan2(*up)).collect()
}

#[test]
fn gyroscope_gravity_and_magnetic_field_tell_of_one_rotation() {
    for quality in [0.1, 0.9] {
        let recording = recorded(3, quality, 5);
        let [_, gyroscope, iron] = Person::from_seed(3).bias;
        // The field points down: turned around, it is near the phone's own up, as gravity's push is.
        let [up, out] =
            [1, 2].map(|axis| recording.axes[6 + axis].iter().map(|value| iron[axis] - value).collect::<Vec<_>>());
        let field = correlation(&integrated_pitch(&recording, gyroscope[0]), &shown_pitch(&up, &out));
        assert!(field > 0.98, "quality {quality}: {field}");
        let [up, out] = [1, 2].map(|axis| &recording.axes[axis]);
        let gravity = correlation(&integrated_pitch(&recording, gyroscope[0]), &shown_pitch(up, out));
        assert!(gravity > 0.85, "quality {quality}: {gravity}");
    }
}

#[test]
fn the_magnetic_field_is_the_earths_beside_the_phones_iron() {
    let recording = recorded(2, 0.8, 1);
    let person = Person::from_seed(2);
    let mut axes = recording.axes.clone();
    for (axis, iron) in axes[6..].iter_mut().zip(person.bias[2]) {
        axis.iter_mut().for_each(|value| *value -= iron);
    }
    let field = length(&axes, 2);
    assert!((mean(&field) - 50.16).abs() < 1.0, "{} µT", mean(&field));
}

#[test]
fn who_is_better_is_quicker_and_steadier_and_scored_higher() {
    // Rises a minute: how often gravity, seen over half a second, comes to lie along the trunk. A try that fails does not
    // get there.
    let rises = |recording: &GeneratedRecording| {
        let upright: Vec<f64> = recording.axes[1].windows(50).map(mean).collect();
        upright.windows(2).filter(|pair| pair[0] < 9.0 && pair[1] >= 9.0).count() as f64
    };
    assert!(over_people(0.9, rises) > 1.5 * over_people(0.1, rises));
    assert!((25.0..40.0).contains(&over_people(0.9, rises)), "as many as a healthy person");
    // Standing sway and tremor: the roll's rate, which rising hardly touches.
    let roll = |recording: &GeneratedRecording| deviation(&recording.axes[5]);
    assert!(over_people(0.1, roll) > 2.0 * over_people(0.9, roll));
    for (quality, expected) in [(0.0, 5.0), (0.5, 50.0), (1.0, 95.0)] {
        let score = over_people(quality, |recording| f64::from(recording.score()));
        assert!((score - expected).abs() < 3.0, "{quality}: {score}");
    }
}

#[test]
fn the_clock_jitters_near_its_rate_and_never_goes_back() {
    let mut repeated = 0;
    for person in 0..5 {
        let recording = recorded(person, 0.5, 3);
        let steps: Vec<_> = recording.seconds().windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(steps.iter().all(|step| *step >= 0.0));
        let rate = 1.0 / mean(&steps);
        assert!((98.0..101.5).contains(&rate), "{rate} Hz");
        assert!(deviation(&steps) > 0.000_2 && deviation(&steps) < 0.002, "{} s", deviation(&steps));
        repeated += steps.iter().filter(|step| **step == 0.0).count();
    }
    assert!((5..120).contains(&repeated), "{repeated} repeated timestamps in 30,000");
}

#[test]
fn the_document_is_as_a_phone_sends_it() {
    let recording = recorded(5, 0.4, 8).of_patient("us-west-2:p").scored_by_clinician();
    let text = recording.to_json();
    assert!((1_000_000..1_500_000).contains(&text.len()), "{} bytes", text.len());
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["user_id"], "us-west-2:p");
    assert_eq!(document["movement"], "sit-to-stand");
    assert_eq!(document["training"], true);
    assert_eq!(document["clinic_score"], recording.score().to_string());
    assert_eq!(document["testID"], recording.test_event_id().to_string());
    assert_eq!(recording.test_event_id().get_version_num(), 4);
    for key in ["ts", "ax", "ay", "az", "gx", "gy", "gz", "mx", "my", "mz"] {
        assert_eq!(document[key].as_array().unwrap().len(), 6_000, "{key}");
    }
    let first = document["ts"][0].as_str().unwrap();
    let parsed = DateTime::parse_from_str(first, "%Y-%m-%d %H:%M:%S%.f %:z").unwrap();
    assert_eq!(parsed.timestamp_micros(), recording.started().timestamp_micros());
    let unscored: Value = serde_json::from_str(&recorded(5, 0.4, 8).to_json()).unwrap();
    assert_eq!((unscored["training"].as_bool(), unscored.get("clinic_score")), (Some(false), None));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn every_recording_is_finite_and_of_its_length(
        person: u64, seed: u64, quality in -1.0..2.0_f64, samples in 0_usize..700,
    ) {
        let recording = Exercise::sit_to_stand().samples(samples).record(&Person::from_seed(person), quality, seed);
        prop_assert_eq!(recording.len(), samples.max(1));
        prop_assert!(recording.score() <= 100);
        for axis in recording.axes() {
            prop_assert_eq!(axis.len(), recording.len());
            prop_assert!(axis.iter().all(|value| value.is_finite() && value.abs() < 400.0));
        }
        prop_assert!(recording.seconds().is_sorted());
    }
}
