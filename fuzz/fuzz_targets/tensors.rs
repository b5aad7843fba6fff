//! Requests of the Open Inference Protocol: no bytes make the reader panic, and what it takes is what it says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use stance_models::tensors::{InferRequest, TensorData};

fuzz_target!(|input: (Option<u16>, &[u8])| {
    let (json, body) = input;
    let Ok(request) = InferRequest::read(body, json.map(usize::from)) else { return };
    for tensor in &request.inputs {
        let elements = match &tensor.data {
            TensorData::Numbers(numbers) => numbers.len(),
            TensorData::Texts(texts) => texts.len(),
        };
        assert_eq!(elements, tensor.shape.iter().product::<usize>());
        // Every element took at least a bit of the body.
        assert!(elements <= body.len());
    }
});
