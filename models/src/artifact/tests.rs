use proptest::prelude::*;

use super::*;
use crate::features::FEATURES;
use crate::model::{Linear, Term};
use crate::prior::{Experience, Prior};
use crate::training::{Knowledge, TrainParams, Trained, TrainingSet, train, train_with};

fn set(who: usize) -> TrainingSet {
    let value = |i: usize, j: usize| i as f64 * 1.37 + (who as f64 + i as f64 * j as f64).sin();
    TrainingSet {
        ids: (0..6).map(|i| format!("recording-{i}")).collect(),
        scores: [50.0, 55.5, 61.0, 64.0, 71.25, 77.0].iter().map(|score| score + who as f64).collect(),
        features: (0..6).map(|i| (0..FEATURES).map(|j| value(i, j)).collect()).collect(),
    }
}

fn params() -> TrainParams {
    TrainParams { seed: 1, trained_at: Some("2025-05-01T10:00:00Z".into()) }
}

/// Of a patient's own recordings and of what others know: every part that a model can have.
fn trained() -> Trained {
    let others = [set(1), set(2), set(3)];
    let prior = Prior::learn(&others.each_ref().map(|set| Experience { set, groups: None })).unwrap();
    let trained = train_with(&set(0), &params(), &Knowledge { prior: Some(&prior), groups: None }).unwrap();
    let model = &trained.model;
    assert!(model.common().is_some() && model.envelope().is_some() && !model.kernels().is_empty());
    trained
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::fast());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

fn tar_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for (name, content) in entries {
        append(&mut archive, name, content).unwrap();
    }
    archive.into_inner().unwrap()
}

/// An artifact whose card was changed as JSON.
fn with_card(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let Trained { model, card } = trained();
    let mut card = serde_json::to_value(&card).unwrap();
    change(&mut card);
    gzip(&tar_of(&[(MODEL_ENTRY, &encode(&model)), (CARD_ENTRY, &serde_json::to_vec(&card).unwrap())]))
}

#[test]
fn what_was_packed_is_unpacked() {
    let Trained { model, card } = trained();
    let packed = pack(&model, &card).unwrap();
    assert_eq!(packed, pack(&model, &card).unwrap());
    assert_eq!(unpack(&packed).unwrap(), (model, card));
    assert!(packed.len() < 24 << 10, "{}", packed.len());
}

#[test]
fn foreign_cards_are_refused() {
    assert!(unpack(&with_card(|_| ())).is_ok());
    assert!(matches!(
        unpack(&with_card(|c| c["format_version"] = 4.into())),
        Err(ArtifactError::FormatVersion { found: 4 })
    ));
    assert!(matches!(
        unpack(&with_card(|c| c["feature_set"] = "other-1".into())),
        Err(ArtifactError::FeatureSet { .. })
    ));
    assert!(matches!(unpack(&with_card(|c| c["feature_names"] = vec!["x"].into())), Err(ArtifactError::Mismatch(_))));
    assert!(matches!(unpack(&with_card(|c| c["recordings"] = 7.into())), Err(ArtifactError::Mismatch(_))));
    assert!(matches!(unpack(&with_card(|c| c["seed"] = "no".into())), Err(ArtifactError::Card(_))));
}

#[test]
fn foreign_entries_are_refused() {
    let Trained { model, card } = trained();
    let (model, card) = (encode(&model), serde_json::to_vec(&card).unwrap());
    let unpacked = |entries: &[(&str, &[u8])]| unpack(&gzip(&tar_of(entries)));
    assert!(matches!(unpacked(&[(MODEL_ENTRY, &model)]), Err(ArtifactError::MissingEntry(CARD_ENTRY))));
    assert!(matches!(unpacked(&[(CARD_ENTRY, &card)]), Err(ArtifactError::MissingEntry(MODEL_ENTRY))));
    let both = [(MODEL_ENTRY, model.as_slice()), (CARD_ENTRY, &card)];
    for extra in ["a", "dir/model", MODEL_ENTRY, CARD_ENTRY] {
        assert!(
            matches!(unpacked(&[both[0], both[1], (extra, b"x")]), Err(ArtifactError::UnexpectedEntry(_))),
            "{extra}"
        );
    }
    let mut link = Header::new_ustar();
    link.set_entry_type(EntryType::Symlink);
    link.set_size(0);
    let mut archive = Builder::new(Vec::new());
    archive.append_link(&mut link, MODEL_ENTRY, "/etc/passwd").unwrap();
    assert!(matches!(unpack(&gzip(&archive.into_inner().unwrap())), Err(ArtifactError::UnexpectedEntry(_))));
}

#[test]
fn malformed_models_are_refused() {
    let Trained { model, card } = trained();
    let (good, card) = (encode(&model), serde_json::to_vec(&card).unwrap());
    let unpacked = |model: &[u8]| unpack(&gzip(&tar_of(&[(MODEL_ENTRY, model), (CARD_ENTRY, &card)])));
    assert!(unpacked(&good).is_ok());
    let malformed = |bytes: &[u8]| match unpacked(bytes) {
        Err(ArtifactError::Malformed(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(malformed(&[]), Malformed::Magic);
    for length in 8..good.len() {
        assert_eq!(malformed(&good[..length]), Malformed::Short);
    }
    assert_eq!(malformed(&[good.as_slice(), &[0]].concat()), Malformed::Long);
    // Each count in the head, beyond its bound.
    for at in [8, 12, 16, 20] {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(malformed(&bytes), Malformed::Count { found: 0xffff_ffff, .. }));
    }
    for bad in [f64::NAN, f64::INFINITY] {
        let mut bytes = good.clone();
        let at = bytes.len() - 8;
        bytes[at..].copy_from_slice(&bad.to_le_bytes());
        assert!(matches!(unpacked(&bytes), Err(ArtifactError::Model(ModelError::NotFinite))));
    }
    let short = encode(&TrainedModel::new(Linear { intercept: 1.0, terms: vec![Term::default(); 3] }, 1.0).unwrap());
    assert!(matches!(unpacked(&short), Err(ArtifactError::Mismatch(_))));
}

#[test]
fn bombs_and_tails_are_refused() {
    let bomb = gzip(&vec![0; MAX_UNPACKED + 1]);
    assert!(bomb.len() < MAX_PACKED);
    assert!(matches!(unpack(&bomb), Err(ArtifactError::TooLarge)));
    assert!(matches!(unpack(&vec![0; MAX_PACKED + 1]), Err(ArtifactError::TooLarge)));
    let Trained { model, card } = trained();
    let mut tail = pack(&model, &card).unwrap();
    tail.push(0);
    assert!(matches!(unpack(&tail), Err(ArtifactError::Trailing)));
    for length in 0..tail.len() - 1 {
        assert!(unpack(&tail[..length]).is_err(), "{length}");
    }
}

/// A model of format 1 as the programs of its time wrote it: 120 features.
fn oldest(features: usize) -> Vec<u8> {
    let mut model = b"STANCEM1".to_vec();
    model.extend((features as u32).to_le_bytes());
    let terms = (0..features).flat_map(|i| if i == 1 { [2.0, 0.0, 50.0] } else { [0.0; 3] });
    model.extend([6.5, 10.0].into_iter().chain(terms).flat_map(f64::to_le_bytes));
    let names = &names()[..features.min(FORMER_FEATURES)];
    let card = serde_json::json!({
        "format_version": 1, "feature_set": "stance-motion-1", "feature_names": names, "features_used": ["active_time"],
        "candidate": {"block": "times", "estimator": {"name": "ridge", "strength": 0.1}},
        "training_recordings": ["a", "b"], "recordings": 2, "seed": 1, "trained_at": null, "leave_one_out_error": 3.0,
        "baseline_error": 6.0, "folds": 2, "interval_half_width": 6.5, "software": {},
    });
    gzip(&tar_of(&[(MODEL_ENTRY, &model), (CARD_ENTRY, &serde_json::to_vec(&card).unwrap())]))
}

#[test]
fn models_of_the_format_before_are_the_same() {
    let Trained { model, card } = train(&set(0), &params()).unwrap();
    // Format 2 had no common parts, and did not count them.
    let mut numbers = encode(&model);
    numbers[7] = b'2';
    assert_eq!(numbers.drain(20..24).collect::<Vec<_>>(), [0; 4]);
    let packed = |format_version: u32| {
        let card = serde_json::to_vec(&ModelCard { format_version, ..card.clone() }).unwrap();
        gzip(&tar_of(&[(MODEL_ENTRY, &numbers), (CARD_ENTRY, &card)]))
    };
    assert_eq!(unpack(&packed(2)).unwrap().0, model);
    // Card and numbers must be of one format.
    assert!(matches!(unpack(&packed(1)), Err(ArtifactError::Malformed(Malformed::Magic))));
    assert!(matches!(unpack(&packed(3)), Err(ArtifactError::Malformed(Malformed::Magic))));
}

#[test]
fn a_model_of_a_newer_format_is_said_to_be_one() {
    let Trained { model, card } = trained();
    let mut numbers = encode(&model);
    numbers[7] = b'4';
    let card = serde_json::to_vec(&ModelCard { format_version: 4, ..card }).unwrap();
    let read = unpack(&gzip(&tar_of(&[(MODEL_ENTRY, &numbers), (CARD_ENTRY, &card)])));
    assert!(matches!(read, Err(ArtifactError::FormatVersion { found: 4 })), "{read:?}");
}

#[test]
fn models_of_the_oldest_format_still_score() {
    let (model, card) = unpack(&oldest(FORMER_FEATURES)).unwrap();
    assert_eq!((card.format_version, card.candidates.len(), card.provisional), (1, 1, false));
    let mut features = vec![9.0; FEATURES];
    features[1] = 20.0;
    let found = model.predict(&features).unwrap();
    assert_eq!((found.lower, found.value, found.upper), (43.5, 50.0, 56.5));
    assert!(matches!(unpack(&oldest(FORMER_FEATURES - 1)), Err(ArtifactError::Mismatch(_))));
    // And none is written any more.
    assert!(matches!(pack(&model, &card), Err(ArtifactError::FormatVersion { found: 1 })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(unpack(&bytes).is_err());
        prop_assert!(unpack(&gzip(&bytes)).is_err());
    }

    #[test]
    fn changed_bytes_never_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), outside: bool) {
        let Trained { model, card } = {
            static TRAINED: std::sync::OnceLock<Trained> = std::sync::OnceLock::new();
            TRAINED.get_or_init(trained).clone()
        };
        let packed = pack(&model, &card).unwrap();
        let mut bytes = if outside { packed } else { decompress(&packed).unwrap() };
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let bytes = if outside { bytes } else { gzip(&bytes) };
        if let Ok((model, _)) = unpack(&bytes) {
            prop_assert!(model.linear().is_finite());
        }
    }
}
