//! Patients, who cares for them, and their test events.

use super::*;

pub(super) async fn a_placeholder_is_filled_in_once(database: &Database) {
    for (n, who) in [(1, "a"), (2, "b")] {
        database.accept_landed(&new(n, who, None), None, now()).await.unwrap();
    }
    let known = Patient { first_name: Some("Ann".into()), ..patient("a") };
    database.create_patient(&known, now()).await.unwrap();
    assert!(database.patient(&known.id).await.unwrap().unwrap() == known);
    let twice = database.create_patient(&known, now()).await;
    assert!(matches!(twice, Err(DatabaseError::Duplicate(_))), "{twice:?}");
    database.accept_landed(&new(3, "a", None), None, now()).await.unwrap();
    assert!(database.create_patient(&patient("a"), now()).await.is_err(), "it stays filled in");

    let role = Role::Patient(PatientId::new("b").unwrap());
    let (email, first_name) = ("b@example.org".to_owned(), Some("Bob".to_owned()));
    let account = NewAccount {
        id: AccountId::from(id_of(1)),
        email: email.clone(),
        password_hash: String::new(),
        role,
        first_name: first_name.clone(),
        last_name: None,
        confirmation: Confirmation::Vouched,
    };
    database.create_account(&account, now()).await.unwrap();
    let filled = database.patient(&PatientId::new("b").unwrap()).await.unwrap().unwrap();
    assert!(filled == Patient { email: Some(email), first_name, ..patient("b") });
    assert!(database.create_patient(&patient("b"), now()).await.is_err());
}

pub(super) async fn patients_are_listed_by_name_to_who_cares_for_them(database: &Database) {
    let clinic = CareProviderId::new("c-1").unwrap();
    database.create_care_provider(&CareProvider { id: clinic.clone(), email: None }, now()).await.unwrap();
    assert!(database.care_provider(&clinic).await.unwrap().is_some());
    let twice = database.create_patient(&patient("p-1"), now()).await;
    assert!(matches!(twice, Err(DatabaseError::Duplicate(_))), "{twice:?}");
    for (id, last, first) in [("x", Some("a"), None), ("y", Some("Z"), Some("B")), ("z", Some("Z"), None)] {
        let named = Patient { last_name: last.map(Into::into), first_name: first.map(Into::into), ..patient(id) };
        database.create_patient(&named, now()).await.unwrap();
    }
    for id in ["x", "y", "z", "p-1", "p-1"] {
        let link = PatientLink { care_provider: clinic.clone(), patient: PatientId::new(id).unwrap() };
        database.link_patient(&link, now()).await.unwrap();
    }
    let nobody = PatientLink { care_provider: clinic.clone(), patient: PatientId::new("nobody").unwrap() };
    let linked = database.link_patient(&nobody, now()).await;
    assert!(matches!(linked, Err(DatabaseError::MissingReference(_))), "{linked:?}");
    let listed = database.patients_of(&clinic, 10).await.unwrap();
    assert_eq!(listed.iter().map(|patient| patient.id.as_str()).collect::<Vec<_>>(), ["p-1", "z", "y", "x"]);
    assert_eq!(database.patients_of(&clinic, 2).await.unwrap().len(), 2);
    let (known, other) = (PatientId::new("p-1").unwrap(), PatientId::new("p-2").unwrap());
    assert!(database.is_linked(&clinic, &known).await.unwrap() && !database.is_linked(&clinic, &other).await.unwrap());
    assert_eq!(database.first_care_provider(&known).await.unwrap(), Some(clinic));
    assert_eq!(database.first_care_provider(&other).await.unwrap(), None);
    let consented = database.record_consent(&known, "2026-02-01").await.unwrap().unwrap();
    assert_eq!(consented.privacy_consent_date.as_deref(), Some("2026-02-01"));
    assert!(database.record_consent(&PatientId::new("nobody").unwrap(), "x").await.unwrap().is_none());
}

pub(super) async fn test_events_are_changed_by_their_patient_and_listed_in_time(database: &Database) {
    let (ann, bob) = (PatientId::new("p-1").unwrap(), PatientId::new("p-2").unwrap());
    let result = |n: u128, seconds| TestResult {
        id: id(n),
        patient: ann.clone(),
        test_type: Movement::new("sit-to-stand").unwrap(),
        doctor_score: Some(40),
        notes: Some("nul \0 inside".into()),
        start_time: later(seconds),
        end_time: later(seconds + 10),
    };
    for (n, seconds) in [(1, 30), (2, 10), (3, 20), (4, 20)] {
        assert!(database.put_test_result(&result(n, seconds), now()).await.unwrap().is_some());
    }
    let changed = TestResult { doctor_score: None, notes: None, ..result(1, 5) };
    let changed = database.put_test_result(&changed, now()).await.unwrap().unwrap();
    assert_eq!((changed.doctor_score, changed.start_time), (Some(40), Some(later(5))));
    assert!(changed.notes.is_some_and(|notes| notes.starts_with("nul ")));
    assert!(
        database.put_test_result(&TestResult { patient: bob.clone(), ..result(1, 1) }, now()).await.unwrap().is_none()
    );
    assert!(database.test_event(id(1), &ann).await.unwrap().is_some());
    assert!(database.test_event(id(1), &bob).await.unwrap().is_none());

    let list = async |filter: TestEventFilter| -> Vec<TestEventId> {
        database.test_events(&ann, &filter).await.unwrap().into_iter().map(|event| event.id).collect()
    };
    let all = TestEventFilter { limit: 10, ..TestEventFilter::default() };
    assert_eq!(list(all.clone()).await, [id(1), id(2), id(3), id(4)]);
    assert_eq!(list(TestEventFilter { latest_first: true, limit: 3, ..all.clone() }).await, [id(4), id(3), id(2)]);
    let some = TestEventFilter { from: Some(later(10)), to: Some(later(19)), ..all.clone() };
    assert_eq!(list(some).await, [id(2)]);
    let other = TestEventFilter { test_type: Some(Movement::new("gait").unwrap()), ..all };
    assert_eq!(list(other).await, []);

    // A recording that comes for the event fills in what it lacks.
    let upload = new(1, "p-1", Some(90.0));
    assert_eq!(database.accept_recording(&upload, now()).await.unwrap(), Acceptance::Accepted);
    assert_eq!(database.test_event(id(1), &ann).await.unwrap().unwrap().doctor_score, Some(40));
}

pub(super) async fn test_types_are_listed_by_name(database: &Database) {
    let gait = |seconds| TestType {
        name: Movement::new("gait").unwrap(),
        instructions: Some("walk".into()),
        duration_in_seconds: seconds,
    };
    database.put_test_type(&gait(Some(10))).await.unwrap();
    database.put_test_type(&gait(None)).await.unwrap();
    let types = database.test_types(10).await.unwrap();
    assert_eq!(types[0], gait(None));
    assert_eq!((types.len(), types[1].name.as_str(), types[1].duration_in_seconds), (2, "sit-to-stand", Some(60)));
    database.ping().await.unwrap();
}

pub(super) async fn tests_are_assigned_once_and_taken_away(database: &Database) {
    let ann = PatientId::new("p-1").unwrap();
    let (known, unknown) = (Movement::new("sit-to-stand").unwrap(), Movement::new("fly").unwrap());
    for _ in 0..2 {
        assert!(database.assign_test(&ann, &known, now()).await.unwrap());
    }
    assert!(!database.assign_test(&ann, &unknown, now()).await.unwrap());
    let nobody = database.assign_test(&PatientId::new("nobody").unwrap(), &known, now()).await;
    assert!(matches!(nobody, Err(DatabaseError::MissingReference(_))), "{nobody:?}");
    let both = [ann.clone(), PatientId::new("p-2").unwrap()];
    let of_both = database.tests_assigned_to(&both, 10).await.unwrap();
    assert_eq!(of_both.iter().map(|(who, test)| (who, &test.name)).collect::<Vec<_>>(), [(&ann, &known)]);
    let assigned = database.assigned_tests(&ann, 10).await.unwrap();
    assert_eq!((assigned.len(), &assigned[0].name, assigned[0].duration_in_seconds), (1, &known, Some(60)));
    assert_eq!(database.assigned_tests(&PatientId::new("p-2").unwrap(), 10).await.unwrap(), []);
    assert!(database.unassign_test(&ann, &known).await.unwrap());
    assert!(!database.unassign_test(&ann, &known).await.unwrap());
    assert_eq!(database.assigned_tests(&ann, 10).await.unwrap(), []);
}

pub(super) async fn the_directory_names_everybody_and_tells_more_to_who_cares(database: &Database) {
    let (clinic, other) = (CareProviderId::new("c-1").unwrap(), CareProviderId::new("c-2").unwrap());
    for id in [&clinic, &other] {
        database.create_care_provider(&CareProvider { id: id.clone(), email: None }, now()).await.unwrap();
    }
    let ann = Patient {
        email: Some("ann@example.org".into()),
        first_name: Some("Ann".into()),
        privacy_consent_date: Some("2026-01-01".into()),
        ..patient("ann")
    };
    database.create_patient(&ann, now()).await.unwrap();
    let link = PatientLink { care_provider: clinic.clone(), patient: ann.id.clone() };
    database.link_patient(&link, now()).await.unwrap();
    let named = Patient { email: None, privacy_consent_date: None, ..ann.clone() };
    for (reader, expected) in [(Some(&clinic), &ann), (Some(&other), &named), (None, &ann)] {
        let listed = database.directory(reader, 10).await.unwrap();
        assert_eq!(listed.iter().map(|patient| patient.id.as_str()).collect::<Vec<_>>(), ["p-1", "p-2", "ann"]);
        assert!(listed[2] == *expected);
    }
    assert_eq!(database.directory(Some(&clinic), 2).await.unwrap().len(), 2);
}
