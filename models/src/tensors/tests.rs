use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(json: &serde_json::Value) -> Result<InferRequest, TensorError> {
    InferRequest::read(json.to_string().as_bytes(), None)
}

fn input(shape: &[u64], datatype: &str, data: serde_json::Value) -> serde_json::Value {
    json!({ "inputs": [{ "name": "features", "shape": shape, "datatype": datatype, "data": data }] })
}

#[test]
fn data_may_be_flat_or_nested_and_is_read_to_the_last_bit() {
    // The first is one that a quick reader of JSON misses by one step of its last bit.
    let numbers = [9_007_199.254_740_993, 0.1 + 0.2, -5e-324, 1.797_693_134_862_315_7e308, 0.0, -1.25];
    let nested: Vec<_> = numbers.chunks(3).collect();
    for data in [json!(numbers), json!(nested)] {
        let request = read(&input(&[2, 3], "FP64", data)).unwrap();
        assert_eq!(request.inputs[0].data, TensorData::Numbers(numbers.to_vec()));
        assert_eq!(request.inputs[0].shape, [2, 3]);
    }
}

#[test]
fn raw_tensors_follow_the_json() {
    let json =
        json!({ "id": "7", "parameters": { "binary_data_output": true, "timeout": 5, "priority": 2 }, "inputs": [
        { "name": "a", "shape": [2], "datatype": "FP32", "parameters": { "binary_data_size": 8 } },
        { "name": "b", "shape": [1, 2], "datatype": "BYTES", "parameters": { "binary_data_size": 11 } },
        { "name": "c", "shape": [2], "datatype": "INT16", "parameters": { "binary_data_size": 4 } },
        { "name": "d", "shape": [2], "datatype": "BYTES", "data": ["é\"]", ""] },
    ], "outputs": [{ "name": "score", "parameters": { "binary_data": false } }, { "name": "lower" }] })
        .to_string();
    let mut body = json.clone().into_bytes();
    body.extend([1.5_f32, -2.0].iter().flat_map(|x| x.to_le_bytes()));
    body.extend(b"\x03\0\0\0abc\0\0\0\0");
    body.extend([-2_i16, 7].iter().flat_map(|x| x.to_le_bytes()));
    let request = InferRequest::read(&body, Some(json.len())).unwrap();
    let data: Vec<_> = request.inputs.iter().map(|input| input.data.clone()).collect();
    let texts = |texts: &[&str]| TensorData::Texts(texts.iter().map(|text| text.as_bytes().to_vec()).collect());
    let numbers = |numbers: &[f64]| TensorData::Numbers(numbers.to_vec());
    assert_eq!(data, [numbers(&[1.5, -2.0]), texts(&["abc", ""]), numbers(&[-2.0, 7.0]), texts(&["é\"]", ""])]);
    assert_eq!((request.id.as_deref(), request.timeout_us, request.priority), (Some("7"), Some(5), 2));
    let wanted: Vec<_> = request.outputs.iter().map(|output| (output.name.as_str(), output.binary)).collect();
    assert_eq!((wanted, request.binary_outputs), (vec![("score", Some(false)), ("lower", None)], true));

    body.push(0);
    assert_eq!(InferRequest::read(&body, Some(json.len())), Err(TensorError::Trailing(1)));
    let short = InferRequest::read(&body[..json.len() + 3], Some(json.len())).unwrap_err();
    assert_eq!(short.to_string(), "input 'a': its bytes are not all there");
    assert_eq!(InferRequest::read(b"{}", Some(3)), Err(TensorError::HeaderLength));
}

#[test]
fn what_does_not_fit_together_is_refused_by_name() {
    let raw = |size: u64| json!({ "binary_data_size": size });
    let of = |shape: &[u64], datatype: &str, parameters| json!({ "inputs": [{ "name": "features", "shape": shape, "datatype": datatype, "parameters": parameters }] });
    for (request, reason) in [
        (input(&[3], "FP64", json!([1, 2])), "its data are not as many as its shape says"),
        (input(&[2], "FP64", json!([1, "2"])), "its data must be numbers"),
        (input(&[2], "FP64", json!([1, true])), "its data must be numbers"),
        (input(&[1], "FP64", json!([[{ "a": 1 }]])), "its data must be numbers"),
        (input(&[1], "BYTES", json!([1])), "its data must be strings"),
        (input(&[1], "FP64", json!(1)), "its data must be an array"),
        (input(&[1], "COMPLEX", json!([1])), "its datatype is not known here"),
        (input(&[1; 9], "FP64", json!([1])), "it has too many dimensions"),
        (input(&[u64::MAX, 2], "FP64", json!([1])), "its shape is none"),
        (of(&[1], "FP64", raw(8)), "its bytes are not all there"),
        (of(&[0], "FP64", raw(u64::MAX)), "its bytes are not all there"),
        (of(&[1], "FP64", json!({})), "it has no data"),
    ] {
        assert_eq!(read(&request).unwrap_err().to_string(), format!("input 'features': {reason}"), "{request}");
    }
    assert!(matches!(read(&json!({ "inputs": 1 })), Err(TensorError::Json { .. })));
    let many = json!({ "inputs": vec![json!({ "name": "a", "shape": [0], "datatype": "FP64", "data": [] }); 17] });
    assert_eq!(read(&many), Err(TensorError::TooMany("inputs")));
}

#[test]
fn an_answer_is_json_and_raw_tensors_as_they_are_wanted() {
    let output = |name, binary| Output { name: std::borrow::Cow::Borrowed(name), numbers: vec![0.1, 99.5], binary };
    let mut answer = InferAnswer {
        model_name: "m",
        model_version: "v1",
        id: Some("7"),
        provisional: Some(true),
        outputs: vec![output("score", false), output("lower", true)],
    };
    let Encoded { body, json } = answer.encode().unwrap();
    let (text, raw) = body.split_at(json.unwrap());
    let expected = json!({ "model_name": "m", "model_version": "v1", "id": "7",
        "parameters": { "provisional": true }, "outputs": [
        { "name": "score", "datatype": "FP64", "shape": [2], "data": [0.1, 99.5] },
        { "name": "lower", "datatype": "FP64", "shape": [2], "parameters": { "binary_data_size": 16 } },
    ] });
    assert_eq!(serde_json::from_slice::<serde_json::Value>(text).unwrap(), expected);
    assert_eq!(raw, [0.1_f64.to_le_bytes(), 99.5_f64.to_le_bytes()].concat());
    answer.outputs.pop();
    assert_eq!(answer.encode().unwrap().json, None);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..400), json in 0..500_usize) {
        drop(InferRequest::read(&body, None));
        drop(InferRequest::read(&body, Some(json)));
    }

    #[test]
    fn no_raw_part_makes_it_panic(
        raw in prop::collection::vec(any::<u8>(), 0..200), size in any::<u64>(), shape in prop::collection::vec(0..40_u64, 0..4),
        kind in prop::sample::select(vec!["BOOL", "UINT8", "INT64", "FP32", "FP64", "BYTES"]),
    ) {
        for size in [size, raw.len() as u64] {
            let json = json!({ "inputs": [{ "name": "x", "shape": shape, "datatype": kind,
                                            "parameters": { "binary_data_size": size } }] }).to_string();
            let body = [json.as_bytes(), &raw].concat();
            if let Ok(request) = InferRequest::read(&body, Some(json.len())) {
                let count: usize = request.inputs[0].shape.iter().product();
                match &request.inputs[0].data {
                    TensorData::Numbers(numbers) => prop_assert_eq!(numbers.len(), count),
                    TensorData::Texts(texts) => prop_assert_eq!(texts.len(), count),
                }
            }
        }
    }
}
