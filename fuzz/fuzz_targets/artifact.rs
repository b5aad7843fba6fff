//! Whatever bytes claim to be a model artifact are read or refused, never more. The first byte chooses how much of the artifact is made
//! properly around the rest, so that what is inside is reached, too.
#![no_main]

use std::io::{Read, Write};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stance_models::artifact::{CARD_ENTRY, MODEL_ENTRY, pack, unpack};
use stance_models::card::FORMAT_VERSION;
use stance_models::features::FEATURES;
use stance_models::prior::{Experience, Prior};
use stance_models::training::{Knowledge, TrainParams, Trained, TrainingSet, train_with};

fn set(who: usize) -> TrainingSet {
    let value = |i: usize, j: usize| ((who * 7 + i * 31 + j * 17) as f64 * 0.7).sin() + i as f64;
    TrainingSet {
        ids: (0..6).map(|i| i.to_string()).collect(),
        features: (0..6).map(|i| (0..FEATURES).map(|j| value(i, j)).collect()).collect(),
        scores: (0..6).map(|i| 50.0 + 5.0 * value(i, 0)).collect(),
    }
}

/// The two entries of a good artifact, of a model with every part that there is.
static GOOD: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let others = [set(1), set(2), set(3)];
    let prior = Prior::learn(&others.each_ref().map(|set| Experience { set, groups: None })).expect("three people");
    let knowledge = Knowledge { prior: Some(&prior), groups: None };
    let Trained { model, card } = train_with(&set(0), &TrainParams::default(), &knowledge).expect("six recordings");
    assert!(model.common().is_some() && model.envelope().is_some() && !model.kernels().is_empty());
    let packed = pack(&model, &card).expect("a model");
    let mut archive = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut archive).expect("memory");
    let mut contents = tar::Archive::new(archive.as_slice())
        .entries()
        .expect("memory")
        .map(|entry| {
            let mut content = Vec::new();
            entry.expect("memory").read_to_end(&mut content).expect("memory");
            content
        })
        .collect::<Vec<_>>()
        .into_iter();
    (contents.next().expect("a model"), contents.next().expect("a card"))
});

fuzz_target!(|bytes: &[u8]| {
    let Some((how, rest)) = bytes.split_first() else { return };
    let (model, card) = &*GOOD;
    let artifact = match how % 7 {
        0 => rest.to_vec(),
        1 => gzip(rest),
        2 => gzip(&archive(model, rest)),
        3 => gzip(&archive(&[&model[..8], rest].concat(), card)),
        // A card of another format than it was packed with, and numbers that begin as that format does.
        6 => gzip(&archive(&[b"STANCEM", rest].concat(), &of_format(card, rest.first().copied().unwrap_or(b'2')))),
        4 => gzip(&archive(&patched(model, rest), card)),
        _ => gzip(&archive(model, &patched(card, rest))),
    };
    if let Ok((model, _)) = unpack(&artifact) {
        let _ = model.predict(&vec![1.0; FEATURES]);
        assert!(model.size_bytes() < 1 << 20);
    }
});

/// The card with that digit as its format.
fn of_format(card: &[u8], digit: u8) -> Vec<u8> {
    let text = String::from_utf8_lossy(card);
    let of = |version: &dyn std::fmt::Display| format!("\"format_version\": {version}");
    text.replacen(&of(&FORMAT_VERSION), &of(&char::from(digit)), 1).into_bytes()
}

/// A place (two bytes) and a value, again and again; a place beyond the end cuts the end off.
fn patched(good: &[u8], patches: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for patch in patches.chunks_exact(3) {
        let place = usize::from(u16::from_le_bytes([patch[0], patch[1]]));
        match bytes.get_mut(place) {
            Some(byte) => *byte = patch[2],
            None => bytes.truncate(bytes.len().saturating_sub(usize::from(patch[2]))),
        }
    }
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::none());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn archive(model: &[u8], card: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in [(MODEL_ENTRY, model), (CARD_ENTRY, card)] {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, content).expect("memory");
    }
    archive.into_inner().expect("memory")
}
