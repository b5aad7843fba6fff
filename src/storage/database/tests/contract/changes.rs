//! What live updates read.

use super::*;

pub(super) async fn what_changed_is_found_with_who_cares_for_its_patient(database: &Database) {
    let patients = ["p-1", "p-2"].map(|id| PatientId::new(id).unwrap());
    for (name, cared_for) in [("c-1", &patients[..]), ("c-2", &patients[..1])] {
        let care_provider = CareProviderId::new(name).unwrap();
        database.create_care_provider(&CareProvider { id: care_provider.clone(), email: None }, now()).await.unwrap();
        for patient in cared_for {
            let link = PatientLink { care_provider: care_provider.clone(), patient: patient.clone() };
            database.link_patient(&link, now()).await.unwrap();
        }
    }
    let nobody = PatientId::new("nobody").unwrap();
    let mut linked = database.care_providers_of(&[patients.as_slice(), &[nobody]].concat()).await.unwrap();
    linked.values_mut().for_each(|care_providers| care_providers.sort());
    let [first, second] = ["c-1", "c-2"].map(|id| CareProviderId::new(id).unwrap());
    let expected = [(patients[0].clone(), vec![first.clone(), second]), (patients[1].clone(), vec![first])];
    assert_eq!(linked, expected.into_iter().collect());

    for (n, patient) in [(1, "p-1"), (2, "p-2"), (3, "p-1")] {
        let at = later(i64::try_from(n).unwrap());
        database.accept_recording(&new(n, patient, None), at).await.unwrap();
    }
    // Many change at one time: a page ends among them, and the next goes on behind it.
    for n in [0, 12, 13, 14, 15] {
        database.accept_recording(&new(n, "p-2", None), later(4)).await.unwrap();
    }
    let (mut changed, mut after) = (Vec::new(), ChangePlace::before(later(2)));
    loop {
        let page = database.changed_since(after, 2).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = *last;
        changed.extend(page);
    }
    let expected = [(2, 2), (3, 3), (0, 4), (12, 4), (13, 4), (14, 4), (15, 4)];
    assert_eq!(changed, expected.map(|(n, at)| ChangePlace { at: later(at), id: id(n) }));
    let mut states = database.recording_states(&[id(1), id(3), id(4)]).await.unwrap();
    states.sort_by_key(|state| state.updated_at);
    assert_eq!(states.iter().map(|state| state.test_event_id).collect::<Vec<_>>(), [id(1), id(3)]);
    assert_eq!(states.first(), database.recording_state(id(1)).await.unwrap().as_ref());
}
