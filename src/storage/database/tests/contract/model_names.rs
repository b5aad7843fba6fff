//! Models by name.

use super::*;
use crate::domain::access::ModelScope;
use crate::domain::ids::ModelName;

/// Trains a model from two recordings.
async fn trained(database: &Database, first: u128, patient: &str, version: &str, count: i64) {
    for n in [first, first + 1] {
        database.accept_recording(&new(n, patient, Some(50.0)), now()).await.unwrap();
        convert_next(database).await;
    }
    let training = lease(database, JobKind::Train, 1).await.remove(0);
    database.finish_training(training.fence, &model(version, patient, count), now()).await.unwrap();
}

pub(super) async fn models_have_one_name_for_all_versions_and_who_may_not_see_them_does_not(database: &Database) {
    let (ann, bob) = (PatientId::new("p-1").unwrap(), PatientId::new("p-2").unwrap());
    let walk = Movement::new("sit-to-stand").unwrap();
    let name = |n: u128| ModelName::from(uuid::Uuid::from_u128(n));
    for (patient, n) in [(&ann, 7), (&bob, 8), (&ann, 9)] {
        // The last of them has a name already.
        database.name_model(&name(n), patient, &walk).await.unwrap();
    }
    trained(database, 1, "p-1", "v2", 2).await;
    trained(database, 3, "p-1", "v4", 4).await;
    trained(database, 11, "p-2", "v2-of-bob", 2).await;

    let version = |text: &str| ModelVersion::new(text).unwrap();
    let named = async |n, version: Option<ModelVersion>| {
        let found = database.named_model(&name(n), version.as_ref()).await.unwrap();
        found.map(|found| (found.patient, found.model.version.to_string()))
    };
    assert_eq!(named(7, None).await, Some((ann.clone(), "v4".into())), "the newest");
    assert_eq!(named(7, Some(version("v2"))).await, Some((ann.clone(), "v2".into())));
    assert_eq!(named(8, Some(version("v2"))).await, None, "another's version");
    assert_eq!(named(9, None).await, None);
    let versions = database.model_versions(&name(7), 10).await.unwrap();
    let versions: Vec<_> = versions.iter().map(|listed| (listed.version.as_str(), listed.retired)).collect();
    assert_eq!(versions, [("v4", false), ("v2", false)]);

    let clinic = CareProviderId::new("c-models").unwrap();
    database.create_care_provider(&CareProvider { id: clinic.clone(), email: None }, now()).await.unwrap();
    let link = PatientLink { care_provider: clinic.clone(), patient: bob.clone() };
    database.link_patient(&link, now()).await.unwrap();
    let listed = async |scope: ModelScope, after: &str, names| {
        let listed = database.list_models(&scope, after, names, 100).await.unwrap();
        listed.into_iter().map(|model| model.version.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(listed(ModelScope::Everyone, "", 9).await, ["v4", "v2", "v2-of-bob"]);
    assert_eq!(listed(ModelScope::Everyone, "", 1).await, ["v4", "v2"]);
    assert_eq!(listed(ModelScope::Everyone, name(7).as_str(), 9).await, ["v2-of-bob"]);
    assert_eq!(listed(ModelScope::PatientsOf(clinic), "", 9).await, ["v2-of-bob"]);
    assert_eq!(listed(ModelScope::Of(ann), "", 9).await, ["v4", "v2"]);
}
