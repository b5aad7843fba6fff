//! Whatever bytes claim to be a model artifact are read or refused, never more. The first byte chooses how much of the container is
//! made properly around the rest, so that what is inside is reached, too.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use stance_models::artifact::{CARD_ENTRY, MODEL_ENTRY, unpack};
use stance_models::features::FEATURES;

fuzz_target!(|bytes: &[u8]| {
    let Some((how, rest)) = bytes.split_first() else { return };
    let artifact = match how % 4 {
        0 => rest.to_vec(),
        1 => gzip(rest),
        _ => {
            // Two bytes part the model from its card.
            let at = rest.first_chunk::<2>().map_or(0, |two| usize::from(u16::from_le_bytes(*two)));
            let (model, card) = rest.get(2..).unwrap_or_default().split_at_checked(at).unwrap_or((rest, b"{}"));
            gzip(&archive(model, card))
        }
    };
    if let Ok((model, _)) = unpack(&artifact) {
        let _ = model.predict(&vec![1.0; FEATURES]);
        assert!(model.size_bytes() < 1 << 20);
    }
});

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::fast());
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
