//! What serves, what is provisional, and what others have taught.

use super::*;
use crate::domain::ids::ModelName;

const FROM_OTHERS: TrainingRule = TrainingRule { from_others: true, ..RULE };
const GRACE: Grace =
    Grace { conversion: TimeDelta::seconds(90), training: TimeDelta::seconds(600), report: TimeDelta::seconds(40) };

fn p1() -> PatientId {
    PatientId::new("p-1").unwrap()
}

fn movement() -> Movement {
    Movement::new("sit-to-stand").unwrap()
}

/// A recording, converted by a rule by which models learn from others, too.
async fn convert(database: &Database, n: u128, who: &str, clinic_score: Option<f64>) -> AfterConversion {
    database.accept_recording(&new(n, who, clinic_score), now()).await.unwrap();
    let job = lease(database, JobKind::Convert, 1).await.remove(0);
    database.finish_conversion(job.fence, job.subject, &conversion(), FROM_OTHERS, now()).await.unwrap()
}

async fn serving(database: &Database) -> Option<String> {
    let serving = database.serving_model(&p1(), &movement()).await.unwrap();
    serving.map(|(model, _)| model.version.to_string())
}

/// What a recording's score is waited for with, or was given by.
async fn status(database: &Database, n: u128) -> RecordingStatus {
    database.recording_state(id(n)).await.unwrap().unwrap().status
}

/// Scores what waits with the model that comes with it.
async fn score_next(database: &Database) -> (TestEventId, String) {
    let job = lease(database, JobKind::Score, 1).await.remove(0);
    let model = job.model.clone().unwrap();
    let score = Score { provisional: model.provisional, ..score(70.0, None, &model.version) };
    assert_eq!(database.finish_scoring(job.fence, job.subject, &score, now()).await.unwrap(), AfterScoring::Scored);
    (job.subject, model.version.to_string())
}

pub(super) async fn a_model_serves_by_its_verdict_and_by_an_operators_word(database: &Database) {
    use Decided::{NoModel, NotPinned, Retired, Serving};
    let version = |version: &str| ModelVersion::new(version).unwrap();
    let decide = async |name: &str, what| database.decide(&version(name), what, now()).await.unwrap();
    let name = ModelName::new("m").unwrap();
    database.name_model(&name, &p1(), &movement()).await.unwrap();
    let named = async || {
        let named = database.named_model(&name, None).await.unwrap();
        named.map(|named| named.model.version.to_string())
    };
    let learn = async |first: u128, name: &str, last: i64, verdict| {
        for n in [first, first + 1] {
            convert(database, n, "p-1", Some(50.0)).await;
        }
        let job = lease(database, JobKind::Train, 1).await.remove(0);
        let model = NewModel { last_ordinal: last, verdict, ..model(name, "p-1", last) };
        database.finish_training(job.fence, &model, now()).await.unwrap()
    };
    assert_eq!(convert(database, 9, "p-1", None).await, AfterConversion::AwaitsModel);
    // One that is no better than the mean is kept, and nothing is scored by it.
    assert_eq!(learn(1, "v2", 2, Verdict::NoBetterThanMean).await, Some(0));
    assert_eq!((serving(database).await, status(database, 9).await), (None, RecordingStatus::AwaitingModel));
    assert_eq!(convert(database, 10, "p-1", None).await, AfterConversion::AwaitsModel);
    // Whoever asks for that very version gets it.
    assert!(database.named_model(&name, Some(&version("v2"))).await.unwrap().is_some());
    assert_eq!(named().await, None);

    assert_eq!(learn(3, "v4", 4, Verdict::Serves).await, Some(2));
    for n in [9, 10] {
        assert_eq!(score_next(database).await, (id(n), "v4".into()));
    }
    assert_eq!(learn(5, "v6", 6, Verdict::WorseThanCurrent).await, Some(0));
    assert_eq!(serving(database).await.as_deref(), Some("v4"));
    assert_eq!(learn(7, "v8", 8, Verdict::Serves).await, Some(0));
    assert_eq!(serving(database).await.as_deref(), Some("v8"));
    assert_eq!(named().await.as_deref(), Some("v8"));

    assert_eq!(decide("v6", Decision::Pin).await, Serving(Some(version("v6"))));
    assert_eq!(decide("v4", Decision::Pin).await, Serving(Some(version("v4"))));
    assert_eq!(named().await.as_deref(), Some("v4"));
    let known = database.models_of(&p1(), None, 10).await.unwrap();
    let known: Vec<_> = known.iter().map(|m| (m.version.as_str(), m.verdict, m.pinned, m.serves)).collect();
    let expected = [
        ("v8", Verdict::Serves, false, false),
        ("v6", Verdict::WorseThanCurrent, false, false),
        ("v4", Verdict::Serves, true, true),
        ("v2", Verdict::NoBetterThanMean, false, false),
    ];
    assert_eq!(known, expected);
    let (whose, one) = database.known_model(&version("v4")).await.unwrap().unwrap();
    assert_eq!((whose, one.pinned, one.serves), (p1(), true, true));

    assert_eq!(decide("v6", Decision::Unpin).await, NotPinned);
    assert_eq!(decide("v4", Decision::Unpin).await, Serving(Some(version("v8"))));
    assert_eq!(decide("v8", Decision::Withdraw).await, Serving(Some(version("v4"))));
    assert_eq!(convert(database, 11, "p-1", None).await, AfterConversion::ScoreQueued);
    // Nothing serves: what was queued waits.
    assert_eq!(decide("v4", Decision::Withdraw).await, Serving(None));
    assert_eq!(status(database, 11).await, RecordingStatus::AwaitingModel);
    assert_eq!(lease(database, JobKind::Score, 10).await, []);
    // Pinned, one that was withdrawn serves, and what waited is queued.
    assert_eq!(decide("v2", Decision::Pin).await, Serving(Some(version("v2"))));
    assert_eq!(score_next(database).await, (id(11), "v2".into()));
    assert_eq!(decide("v3", Decision::Pin).await, NoModel);

    let request = DeletionRequest { id: id(1), patient: p1(), what: Deleted::Event, rule: RULE, grace: GRACE };
    assert!(database.delete_event(&request, now()).await.unwrap());
    for what in [Decision::Pin, Decision::Unpin, Decision::Withdraw] {
        assert_eq!(decide("v2", what).await, Retired);
    }
}

/// A model without a recording of the patient's own.
fn provisional(name: &str, sources: &[ModelSource]) -> NewModel {
    NewModel {
        first_ordinal: 0,
        verdict: Verdict::Provisional,
        score_range: None,
        sources: sources.to_vec(),
        ..model(name, "p-1", 0)
    }
}

/// Three others of the care provider with three training recordings each, from the 100th on.
async fn others(database: &Database) -> Vec<ModelSource> {
    let clinic = CareProviderId::new("c-1").unwrap();
    database.create_care_provider(&CareProvider { id: clinic.clone(), email: None }, now()).await.unwrap();
    let link = |patient: &PatientId| PatientLink { patient: patient.clone(), care_provider: clinic.clone() };
    database.link_patient(&link(&p1()), now()).await.unwrap();
    let mut sources = Vec::new();
    for other in 0..3 {
        let who = format!("other-{other}");
        add_patient(database, &who).await;
        let patient = PatientId::new(who.as_str()).unwrap();
        database.link_patient(&link(&patient), now()).await.unwrap();
        for n in 0..3 {
            convert(database, 100 + 10 * other + n, &who, Some(50.0)).await;
        }
        sources.push(ModelSource { patient, first: 1, last: 3, generation: 0 });
    }
    for training in lease(database, JobKind::Train, 10).await {
        database.end_job(training.fence).await.unwrap();
    }
    sources
}

pub(super) async fn a_provisional_score_holds_until_there_is_a_model_of_ones_own(database: &Database) {
    assert_eq!(convert(database, 1, "p-1", None).await, AfterConversion::AwaitsModel);
    let sources = others(database).await;
    let teachers = async |clinic: &str| database.teachers(&p1(), clinic, &movement(), 10).await.unwrap();
    let expected: Vec<_> = sources.iter().map(|source| source.patient.clone()).collect();
    assert_eq!(teachers("c-1").await, expected);
    assert_eq!(teachers("c-2").await, [], "nothing crosses from one care provider to another");
    // Who is another's as well is taught by neither: both would see it.
    let elsewhere = CareProviderId::new("c-2").unwrap();
    database.create_care_provider(&CareProvider { id: elsewhere.clone(), email: None }, now()).await.unwrap();
    let shared = PatientId::new("p-2").unwrap();
    for care_provider in [CareProviderId::new("c-1").unwrap(), elsewhere] {
        let link = PatientLink { patient: shared.clone(), care_provider };
        database.link_patient(&link, now()).await.unwrap();
    }
    for clinic in ["c-1", "c-2"] {
        assert_eq!(database.teachers(&shared, clinic, &movement(), 10).await.unwrap(), []);
    }
    assert_eq!(convert(database, 20, "p-2", None).await, AfterConversion::AwaitsModel);
    // Where it came from before anybody was linked, nobody can teach.
    assert_eq!(database.ask_for_provisional("c-1", &movement(), now()).await.unwrap(), 0);
    assert_eq!(convert(database, 2, "p-1", None).await, AfterConversion::ProvisionalQueued);
    assert_eq!(database.ask_for_provisional("c-1", &movement(), now()).await.unwrap(), 0, "it is asked for already");
    let job = lease(database, JobKind::Train, 10).await.remove(0);
    assert_eq!((job.subject, job.lane.as_str()), (id(2), "c-1"));
    database.end_training_without_model(job.fence, &p1(), &movement(), now()).await.unwrap();
    assert_eq!(database.ask_for_provisional("c-1", &movement(), now()).await.unwrap(), 1);
    let job = lease(database, JobKind::Train, 10).await.remove(0);
    let provisional = provisional("v0", &sources);
    assert_eq!(database.finish_training(job.fence, &provisional, now()).await.unwrap(), Some(2));
    assert_eq!(serving(database).await.as_deref(), Some("v0"));
    // They stand in two lanes, which take turns.
    let mut scored = [score_next(database).await, score_next(database).await];
    scored.sort();
    assert_eq!(scored, [1, 2].map(|n| (id(n), "v0".to_owned())));
    let state = database.recording_state(id(1)).await.unwrap().unwrap();
    assert!(state.score.unwrap().provisional);
    assert_eq!((state.status, state.balance_score), (RecordingStatus::Scored, None), "the event keeps none");
    assert_eq!(convert(database, 3, "p-1", None).await, AfterConversion::ScoreQueued);
    let under_way = lease(database, JobKind::Score, 1).await.remove(0);

    // One of the patient's own comes: all that was provisional is scored anew.
    assert_eq!(convert(database, 4, "p-1", Some(50.0)).await, AfterConversion::TrainingQueued);
    let job = lease(database, JobKind::Train, 1).await.remove(0);
    let few = NewModel { verdict: Verdict::Provisional, ..model("v1", "p-1", 1) };
    assert_eq!(database.finish_training(job.fence, &few, now()).await.unwrap(), Some(0));
    assert_eq!(serving(database).await.as_deref(), Some("v1"), "it knows more of the patient");
    assert_eq!(convert(database, 5, "p-1", Some(50.0)).await, AfterConversion::TrainingQueued);
    let job = lease(database, JobKind::Train, 1).await.remove(0);
    assert_eq!(database.finish_training(job.fence, &model("v2", "p-1", 2), now()).await.unwrap(), Some(2));
    let late = Score { provisional: true, ..score(70.0, None, &ModelVersion::new("v0").unwrap()) };
    let late = database.finish_scoring(under_way.fence, id(3), &late, now()).await.unwrap();
    assert_eq!(late, AfterScoring::ModelRetired);
    database.return_jobs(&[under_way.fence]).await.unwrap();
    let mut scored = [score_next(database).await, score_next(database).await, score_next(database).await];
    scored.sort();
    assert_eq!(scored, [1, 2, 3].map(|n| (id(n), "v2".to_owned())));
    let state = database.recording_state(id(1)).await.unwrap().unwrap();
    assert_eq!((state.score.unwrap().provisional, state.balance_score), (false, Some(70)));
}

pub(super) async fn what_others_taught_is_learned_anew_when_it_is_deleted(database: &Database) {
    let sources = others(database).await;
    let taught = |name: &str| NewModel { sources: sources.clone(), ..model(name, "p-1", 2) };
    for n in [1, 2] {
        convert(database, n, "p-1", Some(50.0)).await;
    }
    let job = lease(database, JobKind::Train, 1).await.remove(0);
    assert_eq!(database.finish_training(job.fence, &taught("v2"), now()).await.unwrap(), Some(0));
    let delete = async |n: u128, who: &PatientId| {
        let request =
            DeletionRequest { id: id(n), patient: who.clone(), what: Deleted::Event, rule: RULE, grace: GRACE };
        assert!(database.delete_event(&request, now()).await.unwrap());
    };
    delete(100, &sources[0].patient).await;
    let (model, outdated) = database.serving_model(&p1(), &movement()).await.unwrap().unwrap();
    assert_eq!((model.version.as_str(), outdated), ("v2", true), "it serves on until it was trained anew");
    let jobs = lease(database, JobKind::Train, 10).await;
    let anew = jobs.into_iter().find(|job| job.subject == id(2)).unwrap();

    // The training that saw what was deleted is refused, and the one that did not is kept.
    assert_eq!(database.finish_training(anew.fence, &taught("v2-1"), now()).await.unwrap(), None);
    let found = database.training_recordings(&sources[0].patient, &movement(), i64::MAX, 30).await.unwrap();
    let mut without = taught("v2-2");
    without.sources[0] =
        ModelSource { first: found.newest[0].ordinal, generation: found.generation, ..sources[0].clone() };
    let outdated = async || database.outdated_artifacts(&p1(), &movement()).await.unwrap();
    assert_eq!(outdated().await, [taught("v2").artifact_key]);
    database.retire_outdated(&p1(), &movement(), now()).await.unwrap();
    assert_eq!((outdated().await, serving(database).await), (vec![], None));
    assert_eq!(database.finish_training(anew.fence, &without, later(1)).await.unwrap(), Some(0));
    assert_eq!(serving(database).await.as_deref(), Some("v2-2"));

    // What it did not learn from is nothing to it.
    convert(database, 150, "other-1", Some(50.0)).await;
    delete(150, &sources[1].patient).await;
    assert!(outdated().await.is_empty());
    // One that was given up begins anew with the next that is deleted.
    delete(111, &sources[1].patient).await;
    let asked = async || lease(database, JobKind::Train, 10).await.into_iter().find(|job| job.subject == id(2));
    let held = asked().await.unwrap();
    let failure = Failure { code: "training_failed".into(), message: "given up".into() };
    database.fail_job(&held, &Outcome::Dead(failure), now()).await.unwrap();
    assert!(asked().await.is_none());
    delete(120, &sources[2].patient).await;
    let held = asked().await.unwrap();

    // Of several versions the one that serves goes on; the others are retired, and their artifacts go.
    let mut newer = taught("v2-3");
    newer.sources = vec![ModelSource { first: 4, last: 4, generation: 2, ..sources[1].clone() }];
    convert(database, 151, "other-1", Some(50.0)).await;
    newer.sources[0].last = 5;
    assert_eq!(database.finish_training(held.fence, &newer, later(2)).await.unwrap(), Some(0));
    let older = taught("v2-2").artifact_key.to_string();
    assert_eq!(outdated().await.len(), 1, "the one that is not trained anew yet");
    delete(151, &sources[1].patient).await;
    let pending = database.pending_deletion(id(151)).await.unwrap().unwrap();
    assert!(!pending.keys.iter().any(|key| key.to_string() == older), "it did not learn from that");
    assert_eq!(serving(database).await.as_deref(), Some("v2-3"));
    assert!(asked().await.is_some());
}

pub(super) async fn who_had_a_training_recording_deleted_gets_a_provisional_model_all_the_same(database: &Database) {
    let sources = others(database).await;
    convert(database, 1, "p-1", Some(50.0)).await;
    let delete = async |n: u128, who: &PatientId| {
        let request =
            DeletionRequest { id: id(n), patient: who.clone(), what: Deleted::Event, rule: RULE, grace: GRACE };
        assert!(database.delete_event(&request, now()).await.unwrap());
        database.pending_deletion(id(n)).await.unwrap().unwrap()
    };
    delete(1, &p1()).await;
    assert_eq!(convert(database, 2, "p-1", None).await, AfterConversion::ProvisionalQueued);
    assert_eq!(convert(database, 3, "p-1", None).await, AfterConversion::AwaitsModel, "it is asked for already");
    // Its subject goes: it is asked for with another.
    delete(2, &p1()).await;
    let job = lease(database, JobKind::Train, 1).await.remove(0);
    assert_eq!(job.subject, id(3));
    assert_eq!(database.finish_training(job.fence, &provisional("v0", &sources), now()).await.unwrap(), Some(1));
    assert_eq!(score_next(database).await, (id(3), "v0".into()));

    // What it learned from goes, and the last recording that it could score.
    delete(100, &sources[0].patient).await;
    let job = lease(database, JobKind::Train, 1).await.remove(0);
    assert_eq!(job.subject, id(3));
    let artifact = provisional("v0", &[]).artifact_key;
    assert!(delete(3, &p1()).await.keys.contains(&artifact), "nobody would train it anew");
    assert_eq!(serving(database).await, None);
    assert_eq!(convert(database, 4, "p-1", None).await, AfterConversion::AwaitsModel, "two do not teach");
    convert(database, 103, "other-0", Some(50.0)).await;
    assert_eq!(convert(database, 5, "p-1", None).await, AfterConversion::ProvisionalQueued);
    let job = lease(database, JobKind::Train, 1).await.remove(0);
    let again = [&[ModelSource { first: 2, last: 4, generation: 1, ..sources[0].clone() }], &sources[1..]].concat();
    assert_eq!(database.finish_training(job.fence, &provisional("v0-1", &again), now()).await.unwrap(), Some(2));
    for n in [4, 5] {
        delete(n, &p1()).await;
    }
    // Nothing is left to score: it is retired at once.
    let artifact = provisional("v0-1", &[]).artifact_key;
    assert!(delete(101, &sources[0].patient).await.keys.contains(&artifact));

    // An operator's word ends a scoring that is under way.
    convert(database, 103 + 1, "other-0", Some(50.0)).await;
    convert(database, 6, "p-1", None).await;
    let job = lease(database, JobKind::Train, 1).await.remove(0);
    assert_eq!(database.finish_training(job.fence, &provisional("v0-2", &[]), now()).await.unwrap(), Some(1));
    let under_way = lease(database, JobKind::Score, 1).await.remove(0);
    let version = ModelVersion::new("v0-2").unwrap();
    database.decide(&version, Decision::Withdraw, now()).await.unwrap();
    let late = database.finish_scoring(under_way.fence, id(6), &score(70.0, None, &version), now()).await;
    assert!(matches!(late, Err(DatabaseError::Fenced)), "{late:?}");
    assert_eq!(database.withdrawn_up_to(&p1(), &movement()).await.unwrap(), Some(0));
}

pub(super) async fn a_provisional_model_that_was_taken_back_is_one_still(database: &Database) {
    let sources = others(database).await;
    assert_eq!(convert(database, 1, "p-1", None).await, AfterConversion::ProvisionalQueued);
    let job = lease(database, JobKind::Train, 1).await.remove(0);
    let made = provisional("v0", &sources);
    assert_eq!(database.finish_training(job.fence, &made, now()).await.unwrap(), Some(1));
    database.decide(&made.version, Decision::Withdraw, now()).await.unwrap();
    assert_eq!((serving(database).await, status(database, 1).await), (None, RecordingStatus::AwaitingModel));
    // Pinned all the same, it scores as what it is …
    database.decide(&made.version, Decision::Pin, now()).await.unwrap();
    assert!(database.serving_model(&p1(), &movement()).await.unwrap().unwrap().0.provisional);
    assert_eq!(score_next(database).await, (id(1), "v0".into()));
    assert!(database.recording_state(id(1)).await.unwrap().unwrap().score.unwrap().provisional);
    assert_eq!(database.known_model(&made.version).await.unwrap().unwrap().1.verdict, Verdict::Withdrawn);
    // … and unpinned it gives way to one of the patient's own.
    database.decide(&made.version, Decision::Unpin, now()).await.unwrap();
    for n in [2, 3] {
        convert(database, n, "p-1", Some(50.0)).await;
    }
    let job = lease(database, JobKind::Train, 1).await.remove(0);
    assert_eq!(database.finish_training(job.fence, &model("v2", "p-1", 2), now()).await.unwrap(), Some(1));
    assert_eq!(database.decide(&made.version, Decision::Pin, now()).await.unwrap(), Decided::Retired);
    assert_eq!(score_next(database).await, (id(1), "v2".into()));
}

pub(super) async fn features_of_a_former_set_are_replaced(database: &Database) {
    convert(database, 1, "p-1", None).await;
    database.replace_features(id(1), "set-2", &[0.1, f64::MIN_POSITIVE]).await.unwrap();
    let features = database.recording(id(1)).await.unwrap().unwrap().features;
    assert_eq!(features, Some(("set-2".to_owned(), vec![0.1, f64::MIN_POSITIVE])));
}
