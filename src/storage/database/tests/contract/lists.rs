//! Lists: pages, searches, summaries, averages.

use super::*;
use crate::domain::averages::{Period, Window};

async fn add_named(database: &Database, id: &str, first: Option<&str>, last: Option<&str>, email: Option<&str>) {
    let named = Patient {
        email: email.map(Into::into),
        first_name: first.map(Into::into),
        last_name: last.map(Into::into),
        ..patient(id)
    };
    database.create_patient(&named, now()).await.unwrap();
}

async fn add_score(database: &Database, n: u128, who: &str, movement: &str, time: DateTime<Utc>, score: i32) {
    let mut new = new(n, who, None);
    new.movement = Movement::new(movement).unwrap();
    new.taken = (time.timestamp_micros(), time.timestamp_micros() + 1);
    database.accept_recording(&new, now()).await.unwrap();
    let convert = lease(database, JobKind::Convert, 1).await.remove(0);
    database.finish_conversion(convert.fence, convert.subject, &conversion(), RULE, now()).await.unwrap();
    // Where there is a model, its score is the next job.
    let job = lease(database, JobKind::Score, 1).await.remove(0);
    let version = job.model.unwrap().version.clone();
    let value = f64::from(score);
    let score = self::score(value, Some((value - 1.0, value + 1.0)), &version);
    database.finish_scoring(job.fence, job.subject, &score, now()).await.unwrap();
}

/// A first model of the movement, of two training recordings.
async fn add_model(database: &Database, n: u128, who: &str, movement: &str) {
    for n in [n, n + 1] {
        let mut new = new(n, who, Some(50.0));
        new.movement = Movement::new(movement).unwrap();
        database.accept_recording(&new, now()).await.unwrap();
        convert_next(database).await;
    }
    let training = lease(database, JobKind::Train, 1).await.remove(0);
    let mut model = model(&format!("v-{n}"), who, 2);
    model.movement = Movement::new(movement).unwrap();
    database.finish_training(training.fence, &model, now()).await.unwrap();
}

pub(super) async fn patients_are_paged_by_name_and_found_by_what_they_begin_with(database: &Database) {
    let clinic = CareProviderId::new("c-1").unwrap();
    database.create_care_provider(&CareProvider { id: clinic.clone(), email: None }, now()).await.unwrap();
    for (id, first, last, email) in [
        ("x-1", Some("Ann"), Some("Lee"), Some("ann@example.org")),
        ("x-2", Some("Leela"), Some("ADAMS"), None),
        ("x-3", Some("Bob"), Some("lee"), Some("LEE@example.org")),
        ("Lee-4", None, None, None),
    ] {
        add_named(database, id, first, last, email).await;
    }
    for id in ["x-1", "x-2", "x-3", "p-1"] {
        let link = PatientLink { care_provider: clinic.clone(), patient: PatientId::new(id).unwrap() };
        database.link_patient(&link, now()).await.unwrap();
    }
    // Every page of a list, two at a time, and what each page says of the total.
    let list = async |care_provider: Option<&CareProviderId>, search: Option<&str>| {
        let filter = PatientListFilter { care_provider: care_provider.cloned(), search: search.map(Into::into) };
        let (mut found, mut totals, mut after) = (Vec::new(), Vec::new(), PatientPlace::default());
        loop {
            let page = database.patient_page(&filter, &after, 2, 100).await.unwrap();
            totals.push(page.total);
            let Some((_, place)) = page.entries.last() else { break };
            after = place.clone();
            found.extend(page.entries.into_iter().map(|(patient, _)| patient.id.to_string()));
        }
        totals.dedup();
        assert_eq!(totals, [u32::try_from(found.len()).unwrap()], "the same on each page, the empty one too");
        found
    };
    assert_eq!(list(None, None).await, ["Lee-4", "p-1", "p-2", "x-2", "x-1", "x-3"]);
    assert_eq!(list(Some(&clinic), None).await, ["p-1", "x-2", "x-1", "x-3"]);
    // By last name, id, e-mail address and first name; who is found twice is there once.
    assert_eq!(list(None, Some("lEE")).await, ["x-1", "x-3", "Lee-4", "x-2"]);
    assert_eq!(list(Some(&clinic), Some("lee")).await, ["x-1", "x-3", "x-2"]);
    assert_eq!(list(None, Some("lee b")).await, ["x-3"]);
    assert_eq!(list(None, Some("ann@")).await, ["x-1"]);
    assert_eq!(list(None, Some("X-")).await, ["x-1", "x-2", "x-3"]);
    for nothing in ["nn", "%", "_", "lee  ", "'"] {
        assert!(list(None, Some(nothing)).await.is_empty(), "{nothing}");
    }
    let filter = PatientListFilter::default();
    assert_eq!(database.patient_page(&filter, &PatientPlace::default(), 2, 0).await.unwrap().total, 0, "not counted");
    assert_eq!(database.patient_page(&filter, &PatientPlace::default(), 2, 3).await.unwrap().total, 3, "counted to 3");

    // A placeholder that is filled in is found by what it is now.
    database.accept_landed(&new(1, "y-1", None), None, now()).await.unwrap();
    assert_eq!(list(None, Some("y-")).await, ["y-1"]);
    add_named(database, "y-1", None, Some("Young"), None).await;
    assert_eq!(list(None, Some("young")).await, ["y-1"]);

    let ids = |ids: &[&str]| ids.iter().map(|id| PatientId::new(*id).unwrap()).collect::<Vec<_>>();
    let mut known = database.patients_by_id(&ids(&["x-1", "nobody", "p-1"])).await.unwrap();
    known.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(known.iter().map(|patient| patient.id.as_str()).collect::<Vec<_>>(), ["p-1", "x-1"]);
    for (asked, linked) in [(&["x-1", "p-1"][..], true), (&["x-1", "Lee-4"], false), (&["nobody"], false), (&[], true)]
    {
        assert_eq!(database.are_linked(&clinic, ids(asked).iter()).await.unwrap(), linked, "{asked:?}");
    }
}

pub(super) async fn events_are_paged_in_time_and_filtered(database: &Database) {
    let ann = PatientId::new("p-1").unwrap();
    for (n, movement, seconds, notes) in [
        (1, "sit-to-stand", 10, Some("Walks WELL")),
        (2, "gait", 20, None),
        (3, "sit-to-stand", 20, Some("100 %")),
        (4, "sit-to-stand", 30, None),
    ] {
        let result = TestResult {
            id: id(n),
            patient: ann.clone(),
            test_type: Movement::new(movement).unwrap(),
            doctor_score: None,
            notes: notes.map(Into::into),
            start_time: later(seconds),
            end_time: later(seconds + 1),
        };
        database.put_test_result(&result, now()).await.unwrap();
    }
    add_model(database, 11, "p-2", "sit-to-stand").await;
    let failed = new(5, "p-1", None);
    let failure = Failure { code: "x".into(), message: "x".into() };
    database.accept_landed(&failed, Some(&failure), now()).await.unwrap();

    let all = TestEventListFilter {
        test_type: None,
        status: None,
        scored: None,
        search: None,
        from: later(-1_000),
        to: later(1_000),
        order: TimeOrder::LatestFirst,
    };
    let list = async |filter: TestEventListFilter| {
        let (mut found, mut totals, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let page = database.test_event_page(&ann, &filter, after, 2, 100).await.unwrap();
            totals.push(page.total);
            let Some((_, place)) = page.entries.last() else { break };
            after = Some(*place);
            found.extend(page.entries.into_iter().map(|(event, _)| event.id));
        }
        totals.dedup();
        assert_eq!(totals, [u32::try_from(found.len()).unwrap()]);
        found
    };
    let latest = list(all.clone()).await;
    // When the one that failed began is not known: it stands where it became known.
    assert_eq!(latest, [id(4), id(3), id(2), id(1), id(5)]);
    let earliest = list(TestEventListFilter { order: TimeOrder::EarliestFirst, ..all.clone() }).await;
    assert_eq!(earliest, [id(5), id(1), id(2), id(3), id(4)]);
    let gait = Some(Movement::new("gait").unwrap());
    assert_eq!(list(TestEventListFilter { test_type: gait, ..all.clone() }).await, [id(2)]);
    let window = TestEventListFilter { from: later(20), to: later(30), ..all.clone() };
    assert_eq!(list(window).await, [id(4), id(3), id(2)]);
    let status = Some(RecordingStatus::Failed);
    assert_eq!(list(TestEventListFilter { status, ..all.clone() }).await, [id(5)]);
    assert_eq!(list(TestEventListFilter { scored: Some(true), ..all.clone() }).await, []);
    assert_eq!(list(TestEventListFilter { scored: Some(false), ..all.clone() }).await, latest);
    for (search, expected) in [("walks well", vec![id(1)]), ("%", vec![id(3)]), ("nowhere", vec![])] {
        assert_eq!(
            list(TestEventListFilter { search: Some(search.into()), ..all.clone() }).await,
            expected,
            "{search}"
        );
    }

    // An event that comes between two pages moves nothing.
    let first = database.test_event_page(&ann, &all, None, 2, 0).await.unwrap();
    let result = TestResult {
        id: id(6),
        patient: ann.clone(),
        test_type: Movement::new("gait").unwrap(),
        doctor_score: None,
        notes: None,
        start_time: later(100),
        end_time: later(101),
    };
    database.put_test_result(&result, now()).await.unwrap();
    let after = first.entries.last().map(|(_, place)| *place);
    let second = database.test_event_page(&ann, &all, after, 2, 0).await.unwrap();
    assert_eq!(second.entries.iter().map(|(event, _)| event.id).collect::<Vec<_>>(), [id(2), id(1)]);
}

pub(super) async fn what_lists_show_of_patients_and_recordings(database: &Database) {
    let (ann, bob) = (PatientId::new("p-1").unwrap(), PatientId::new("p-2").unwrap());
    add_model(database, 11, "p-1", "sit-to-stand").await;
    for (n, day, score) in [(1, 0, 50), (2, 7, 60), (3, 14, 70)] {
        add_score(database, n, "p-1", "sit-to-stand", later(day * 86_400), score).await;
    }
    let summaries = database.patient_summaries(&[ann.clone(), bob.clone()], 4, 2).await.unwrap();
    assert_eq!(summaries[&bob], PatientSummary { events: 0, scores: vec![] });
    let of_ann = &summaries[&ann];
    assert_eq!(of_ann.events, 4, "counted to 4 of 5");
    assert_eq!(of_ann.scores.iter().map(|score| score.score).collect::<Vec<_>>(), [70, 60]);
    assert_eq!((of_ann.scores[0].event, of_ann.scores[0].time), (id(3), later(14 * 86_400)));

    let mut details = database.recording_details(&[id(1), id(11), id(99)]).await.unwrap();
    details.sort_by_key(|details| details.state.test_event_id);
    let standing: Vec<_> = details.iter().map(|details| (details.state.test_event_id, details.state.status)).collect();
    assert_eq!(standing, [(id(1), RecordingStatus::Scored), (id(11), RecordingStatus::Training)]);
    assert_eq!(details[0].state.score.as_ref().map(|score| (score.lower, score.upper)), Some((Some(49.0), Some(51.0))));
    let quality = details[0].quality.clone().unwrap();
    assert_eq!((quality.gaps, quality.effective_rate_hz, quality.constant_axes), (0, Some(9.0), vec!["mx".into()]));
    let ranges = database.axis_ranges_of(&[id(1), id(2), id(99)]).await.unwrap();
    assert_eq!(ranges.len(), 18);
    assert_eq!((ranges[0].0, &ranges[0].1, ranges[0].2.axis.as_str(), ranges[0].2.lowest), (id(1), &ann, "ax", -1.0));

    // A second model serves from then on.
    for n in [13, 14] {
        database.accept_recording(&new(n, "p-1", Some(50.0)), now()).await.unwrap();
        convert_next(database).await;
    }
    let training = lease(database, JobKind::Train, 1).await.remove(0);
    database.finish_training(training.fence, &model("newest", "p-1", 4), now()).await.unwrap();
    let models = database.models_of(&ann, None, 10).await.unwrap();
    let listed: Vec<_> = models.iter().map(|model| (model.version.as_str(), model.serves)).collect();
    assert_eq!(listed, [("newest", true), ("v-11", false)]);
    assert_eq!((models[0].training_recordings, models[0].card.as_str()), (4, "{}"));
    let known = async |version| database.known_model(&ModelVersion::new(version).unwrap()).await.unwrap();
    assert_eq!(known("v-11").await, Some((ann.clone(), models[1].clone())));
    assert_eq!(known("v-12").await, None);
    let gait = Movement::new("gait").unwrap();
    assert!(database.models_of(&ann, Some(&gait), 10).await.unwrap().is_empty());
    assert!(database.models_of(&bob, None, 10).await.unwrap().is_empty());

    // Scores of another movement that came later than most are between them, and not among them.
    add_model(database, 15, "p-1", "gait").await;
    for (n, day, score) in [(4, 8, 1), (5, 10, 2), (6, 13, 3)] {
        add_score(database, n, "p-1", "gait", later(day * 86_400), score).await;
    }
    let scores = async |most: u32| {
        let summaries = database.patient_summaries(&[ann.clone(), bob.clone()], 20, most).await.unwrap();
        assert_eq!(summaries[&bob].scores, []);
        summaries[&ann].scores.iter().map(|score| (score.movement.to_string(), score.score)).collect::<Vec<_>>()
    };
    let rises = [70, 60, 50].map(|score| ("sit-to-stand".to_owned(), score));
    assert_eq!(scores(3).await, rises);
    assert_eq!(scores(10).await, rises);
}

pub(super) async fn scores_are_averaged_over_weeks_and_months_with_the_change(database: &Database) {
    let ann = PatientId::new("p-1").unwrap();
    add_model(database, 101, "p-1", "sit-to-stand").await;
    add_model(database, 103, "p-1", "gait").await;
    let at = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
    for (n, movement, time, score) in [
        // The week of Monday 2026-02-23, its last moment; the week after; none; the week of 2026-03-16.
        (1, "sit-to-stand", "2026-03-01T23:59:59.999999Z", 40),
        (2, "sit-to-stand", "2026-03-02T00:00:00Z", 50),
        (3, "sit-to-stand", "2026-03-08T12:00:00Z", 61),
        (4, "sit-to-stand", "2026-03-17T12:00:00Z", 70),
        (5, "gait", "2026-03-17T12:00:00Z", 10),
        // In the month before, and outside.
        (6, "sit-to-stand", "2026-02-01T00:00:00Z", 20),
    ] {
        add_score(database, n, "p-1", movement, at(time), score).await;
    }
    let averages = async |period: Period, from: &str, movement: Option<&str>| {
        let window = Window::of(period, at(from), at("2026-03-31T00:00:00Z"));
        let movement = movement.map(|name| Movement::new(name).unwrap());
        let found = database.score_averages(&ann, period, &window, movement.as_ref(), 100).await.unwrap();
        let shown = found
            .into_iter()
            .map(|average| (average.movement.to_string(), average.start, average.mean, average.scores, average.change));
        shown.collect::<Vec<_>>()
    };
    let row = |movement: &str, start: &str, mean: f64, scores: u32, change: Option<f64>| {
        (movement.to_owned(), start.to_owned(), mean, scores, change)
    };
    // The first week is compared with the one before, which is not told.
    assert_eq!(
        averages(Period::Week, "2026-03-04T00:00:00Z", None).await,
        [
            row("gait", "2026-03-16", 10.0, 1, None),
            row("sit-to-stand", "2026-03-02", 55.5, 2, Some(15.5)),
            row("sit-to-stand", "2026-03-16", 70.0, 1, None),
        ]
    );
    let mean = (50.0 + 61.0 + 70.0 + 40.0) / 4.0;
    assert_eq!(
        averages(Period::Month, "2026-03-15T00:00:00Z", Some("sit-to-stand")).await,
        [row("sit-to-stand", "2026-03-01", mean, 4, Some(mean - 20.0))]
    );
    assert_eq!(averages(Period::Month, "2026-02-15T00:00:00Z", Some("sit-to-stand")).await.len(), 2);
}
