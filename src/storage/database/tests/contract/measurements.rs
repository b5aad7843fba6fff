//! Scores and measurements over time.

use super::*;
use crate::domain::recording::Axis;

fn scored(n: u128, movement: &str, seconds: i64) -> TestResult {
    TestResult {
        id: id(n),
        patient: PatientId::new("p-1").unwrap(),
        test_type: Movement::new(movement).unwrap(),
        doctor_score: None,
        notes: None,
        start_time: later(seconds),
        end_time: later(seconds + 10),
    }
}

pub(super) async fn a_score_is_set_by_hand_on_the_patients_own_event(database: &Database) {
    let (ann, bob) = (PatientId::new("p-1").unwrap(), PatientId::new("p-2").unwrap());
    assert_eq!(database.event_patient(id(1)).await.unwrap(), None);
    database.put_test_result(&scored(1, "sit-to-stand", 0), now()).await.unwrap();
    assert_eq!(database.event_patient(id(1)).await.unwrap(), Some(ann.clone()));
    assert!(database.put_balance_score(id(1), &bob, 10, now()).await.unwrap().is_none());
    let event = database.put_balance_score(id(1), &ann, 70, now()).await.unwrap().unwrap();
    assert_eq!((event.id, event.balance_score), (id(1), Some(70)));

    // Who looks for what changed finds it.
    database.accept_recording(&new(2, "p-1", None), later(1)).await.unwrap();
    assert!(database.put_balance_score(id(2), &bob, 10, later(2)).await.unwrap().is_none());
    assert_eq!(database.recording_state(id(2)).await.unwrap().unwrap().updated_at, later(1), "nothing was written");
    database.put_balance_score(id(2), &ann, 71, later(3)).await.unwrap().unwrap();
    let state = database.recording_state(id(2)).await.unwrap().unwrap();
    assert_eq!((state.balance_score, state.updated_at), (Some(71), later(3)));
}

pub(super) async fn stats_are_of_the_scores_in_the_window(database: &Database) {
    let ann = PatientId::new("p-1").unwrap();
    for (n, movement, seconds, score) in [
        (1, "sit-to-stand", 0, Some(50)),
        (2, "sit-to-stand", 10, Some(61)),
        (3, "walk", 20, Some(90)),
        (4, "walk", 5, None),
    ] {
        database.put_test_result(&scored(n, movement, seconds), now()).await.unwrap();
        if let Some(score) = score {
            database.put_balance_score(id(n), &ann, score, now()).await.unwrap();
        }
    }
    let stats = async |from, to, movement: Option<&str>| {
        let movement = movement.map(|name| Movement::new(name).unwrap());
        let window = Window { from: later(from), to: later(to) };
        database.score_stats(&ann, window, movement.as_ref()).await.unwrap().unwrap()
    };
    assert_eq!(stats(0, 20, None).await, ScoreStats { mean: Some(67.0), range: Some(40) });
    assert_eq!(stats(0, 20, Some("sit-to-stand")).await, ScoreStats { mean: Some(55.5), range: Some(11) });
    assert_eq!(stats(1, 19, None).await, ScoreStats { mean: Some(61.0), range: Some(0) });
    assert_eq!(stats(21, 30, None).await, ScoreStats { mean: None, range: None });
    let nobody = PatientId::new("nobody").unwrap();
    let window = Window { from: later(0), to: later(20) };
    assert_eq!(database.score_stats(&nobody, window, None).await.unwrap(), None);
}

pub(super) async fn ranges_are_of_a_day_and_a_movement(database: &Database) {
    let day = |month, day| Day { year: 2026, month, day };
    let recordings = [
        (1, "sit-to-stand", day(1, 31), (-1.0, 1.0)),
        (2, "sit-to-stand", day(1, 31), (-0.5, 2.5)),
        (3, "walk", day(1, 31), (-9.0, 9.0)),
        (4, "sit-to-stand", day(2, 1), (0.0, 0.25)),
    ];
    for (n, movement, day, range) in recordings {
        let movement = Movement::new(movement).unwrap();
        database.accept_recording(&NewRecording { movement, day, ..new(n, "p-1", None) }, now()).await.unwrap();
        let job = lease(database, JobKind::Convert, 1).await.remove(0);
        let mut found = conversion();
        found.quality.ranges[1] = range;
        database.finish_conversion(job.fence, job.subject, &found, RULE, now()).await.unwrap();
    }
    // Not converted: it has no range yet.
    database.accept_recording(&NewRecording { day: day(3, 1), ..new(5, "p-1", None) }, now()).await.unwrap();
    let ann = PatientId::new("p-1").unwrap();
    let listed = |ranges: Vec<DayRange>| -> Vec<_> {
        let one = |range: DayRange| (range.day.month, range.movement.to_string(), range.lowest, range.highest);
        ranges.into_iter().map(one).collect()
    };
    let all = [
        (1, "sit-to-stand".to_owned(), -1.0, 2.5),
        (1, "walk".to_owned(), -9.0, 9.0),
        (2, "sit-to-stand".to_owned(), 0.0, 0.25),
    ];
    assert_eq!(listed(database.day_ranges(&ann, Axis::Ay, 10).await.unwrap().unwrap()), all);
    assert_eq!(
        listed(database.day_ranges(&ann, Axis::Ay, 2).await.unwrap().unwrap()),
        all[2..],
        "a day without a range counts"
    );
    let other = database.day_ranges(&ann, Axis::Gz, 10).await.unwrap().unwrap();
    assert_eq!((other.len(), other[0].lowest, other[0].highest), (3, -1.0, 1.0));
    assert_eq!(database.day_ranges(&PatientId::new("p-2").unwrap(), Axis::Ay, 10).await.unwrap(), Some(Vec::new()));
    assert_eq!(database.day_ranges(&PatientId::new("nobody").unwrap(), Axis::Ay, 10).await.unwrap(), None);
}
