//! What is told of an event as a whole, and the secrets that links are signed with.

use super::*;

pub(super) async fn the_first_secret_of_a_purpose_stays(database: &Database) {
    assert_eq!(database.secret_or("links", &[1; 32], now()).await.unwrap(), [1; 32]);
    assert_eq!(database.secret_or("links", &[2; 32], later(1)).await.unwrap(), [1; 32]);
    assert_eq!(database.secret_or("other", &[3; 32], now()).await.unwrap(), [3; 32]);
}

pub(super) async fn an_event_is_told_of_as_a_whole(database: &Database) {
    let ann = PatientId::new("p-1").unwrap();
    assert!(database.event_record(id(1), &ann).await.unwrap().is_none());
    let result = TestResult {
        id: id(1),
        patient: ann.clone(),
        test_type: Movement::new("sit-to-stand").unwrap(),
        doctor_score: Some(40),
        notes: Some("steady".into()),
        start_time: later(9),
        end_time: later(10),
    };
    database.put_test_result(&result, now()).await.unwrap();
    let record = database.event_record(id(1), &ann).await.unwrap().unwrap();
    assert_eq!((record.event.notes.as_deref(), record.patient.id.as_str()), (Some("steady"), "p-1"));
    assert_eq!(record.recording, None);

    for n in [2, 3] {
        database.accept_recording(&new(n, "p-1", Some(50.0)), now()).await.unwrap();
        convert_next(database).await;
    }
    let training = lease(database, JobKind::Train, 1).await.remove(0);
    let model = model("v", "p-1", 2);
    database.finish_training(training.fence, &model, now()).await.unwrap();
    let card = CardRow { version: model.version.clone(), card: model.card.clone(), retired_at: None };
    assert_eq!(database.cards_of_patient(&ann, 10).await.unwrap(), [card]);

    database.accept_recording(&new(1, "p-1", None), now()).await.unwrap();
    let received = database.event_record(id(1), &ann).await.unwrap().unwrap().recording.unwrap();
    assert_eq!((received.status, received.quality, received.score), (RecordingStatus::Received, None, None));
    assert_eq!(received.raw_key, new(1, "p-1", None).raw_key);
    convert_next(database).await;
    let job = lease(database, JobKind::Score, 1).await.remove(0);
    let score = Score { upper: None, ..score(71.5, Some((60.0, 80.0)), &model.version) };
    database.finish_scoring(job.fence, job.subject, &score, later(20)).await.unwrap();
    let record = database.event_record(id(1), &ann).await.unwrap().unwrap();
    assert_eq!(record.event.balance_score, Some(72));
    let recorded = record.recording.unwrap();
    let scored = Scored { score, at: later(20), model: Some((2, model.leave_one_out_error)) };
    assert_eq!((recorded.status, recorded.score), (RecordingStatus::Scored, Some(scored)));
    let quality = recorded.quality.unwrap();
    assert_eq!((quality.samples, quality.constant_axes), (10, vec!["mx".to_owned()]));
    assert!(database.event_record(id(1), &PatientId::new("p-2").unwrap()).await.unwrap().is_none());

    let failure = Failure { code: "no_samples".into(), message: "there are no samples".into() };
    database.accept_landed(&new(4, "p-1", None), Some(&failure), now()).await.unwrap();
    let failed = database.event_record(id(4), &ann).await.unwrap().unwrap().recording.unwrap();
    assert_eq!((failed.status, failed.failure), (RecordingStatus::Failed, Some(failure)));
    let events = database.events_of_patient(&ann, 10).await.unwrap();
    assert_eq!((events.len(), events.last()), (4, Some(&id(1))));
    assert_eq!(database.events_of_patient(&ann, 2).await.unwrap().len(), 2);
}
