//! FHIR R4 (4.0.1) resources: a patient, the model that scored, and an observation for each score.
//! <https://hl7.org/fhir/R4/observation.html>

use super::wording::cautions;
use crate::domain::score::{Band, RecordingStatus, Score};
use crate::storage::database::{CardRow, EventRecord, Patient, Recorded, Scored};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

/// Identifies a patient.
const PATIENT_SYSTEM: &str = "urn:stance:patient-id";
/// Identifies a version of a model.
const MODEL_SYSTEM: &str = "urn:stance:model-version";
/// Identifies an observation.
const OBSERVATION_SYSTEM: &str = "urn:stance:observation-id";
/// What is observed.
const CODES: &str = "urn:stance:observation";
/// Which band of the scale a score lies in.
const BANDS: &str = "urn:stance:score-band";
/// Whether a score is to be trusted.
const TRUST: &str = "urn:stance:trust";
/// Units (UCUM); a score counts in units of its own, which UCUM writes in braces.
const UCUM: &str = "http://unitsofmeasure.org";
const SCORE_UNIT: &str = "{score}";
/// Longest id of a resource.
const LONGEST_ID: usize = 64;

/// The id of a resource (`[A-Za-z0-9\-\.]{1,64}`) of what has that name: the name itself where it is one, or else its
/// BLAKE3, so that two names never share one.
#[must_use]
pub fn id(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    // A name that looks like a digest is digested, too; and one of dots is a path to some.
    let taken = name.starts_with("b3-") || name.bytes().all(|byte| byte == b'.');
    if !taken && name.len() <= LONGEST_ID && name.bytes().all(plain) {
        return name.to_owned();
    }
    let digest = blake3::hash(name.as_bytes()).to_hex();
    format!("b3-{}", digest.get(..40).unwrap_or_default())
}

/// The patient.
#[must_use]
pub fn patient(patient: &Patient) -> Value {
    let mut resource = json!({
        "resourceType": "Patient",
        "id": id(patient.id.as_str()),
        "identifier": [{ "system": PATIENT_SYSTEM, "value": patient.id.as_str() }],
    });
    let mut name = Map::new();
    if let Some(last) = text(patient.last_name.as_deref()) {
        name.insert("family".to_owned(), last.into());
    }
    if let Some(first) = text(patient.first_name.as_deref()) {
        name.insert("given".to_owned(), json!([first]));
    }
    if !name.is_empty() {
        put(&mut resource, "name", json!([name]));
    }
    if let Some(email) = text(patient.email.as_deref()) {
        put(&mut resource, "telecom", json!([{ "system": "email", "value": email }]));
    }
    resource
}

/// A version of the patient's model, as the device that observes.
#[must_use]
pub fn device(card: &CardRow) -> Value {
    let version = card.version.as_str();
    json!({
        "resourceType": "Device",
        "id": id(version),
        "identifier": [{ "system": MODEL_SYSTEM, "value": version }],
        // One that was retired scores no more.
        "status": if card.retired_at.is_some() { "inactive" } else { "active" },
        "deviceName": [{ "name": "Stance movement score model", "type": "model-name" }],
        "type": { "text": "Software: a score of movement, trained for one patient" },
        "version": [{ "value": version }],
    })
}

/// What was observed at an event, a line each: the computed score or why there is none, and the clinician's score.
#[must_use]
pub fn observations(record: &EventRecord) -> String {
    let computed = record.recording.as_ref().filter(|recorded| recorded.status != RecordingStatus::Training);
    let computed = computed.map(|recorded| computed_score(record, recorded));
    computed.into_iter().chain(clinicians_score(record)).map(|resource| format!("{resource}\n")).collect()
}

fn computed_score(record: &EventRecord, recorded: &Recorded) -> Value {
    let id = record.event.id.to_string();
    let status = match recorded.status {
        // Of a model that is to be replaced by one that knows the patient.
        RecordingStatus::Scored if recorded.score.as_ref().is_some_and(|scored| scored.score.provisional) => {
            "preliminary"
        }
        RecordingStatus::Scored => "final",
        RecordingStatus::Failed => "cancelled",
        RecordingStatus::Received
        | RecordingStatus::Converted
        | RecordingStatus::AwaitingModel
        | RecordingStatus::Training => "registered",
    };
    let mut resource = observation(record, &id, status, ("balance-score", "Balance score"));
    match &recorded.score {
        Some(scored) => put_score(&mut resource, scored),
        None => put(&mut resource, "dataAbsentReason", absent(recorded.status)),
    }
    let issued = recorded.score.as_ref().map_or(recorded.updated_at, |scored| scored.at);
    put(&mut resource, "issued", instant(issued).into());
    resource
}

fn put_score(resource: &mut Value, scored: &Scored) {
    let score = &scored.score;
    put(resource, "valueQuantity", quantity(score.value));
    put(resource, "interpretation", interpretation(Band::of(score.value)));
    let ends = [
        ("interval-lower", "Lower end of the 90 % interval", score.lower),
        ("interval-upper", "Upper end of the 90 % interval", score.upper),
    ];
    let ends = ends.into_iter().filter_map(|(code, display, end)| Some(component(code, display, quantity(end?))));
    let components: Vec<Value> = ends.chain(score.novelty.map(|novelty| distance(novelty, score))).collect();
    if !components.is_empty() {
        put(resource, "component", components.into());
    }
    for caution in cautions(score) {
        note(resource, caution);
    }
    let version = score.model_version.as_str();
    let mut device = json!({ "type": "Device", "display": format!("Model {version}"),
                             "identifier": { "system": MODEL_SYSTEM, "value": version } });
    if scored.model.is_some() {
        put(&mut device, "reference", format!("Device/{}", id(version)).into());
    }
    put(resource, "device", device);
}

fn component(code: &str, display: &str, value: Value) -> Value {
    json!({ "code": { "coding": [{ "system": CODES, "code": code, "display": display }] }, "valueQuantity": value })
}

/// How far the recording lies from those that the model learned from, and whether that is too far.
fn distance(novelty: f64, score: &Score) -> Value {
    let (code, display) =
        if score.unlike_training { ("unlike-training", "unlike training") } else { ("like-training", "like training") };
    let value = json!({ "value": thousandth(novelty), "system": UCUM, "code": "1" });
    let mut component = component("novelty", "Distance from the recordings that the model learned from", value);
    let coding = json!({ "system": TRUST, "code": code, "display": display });
    put(&mut component, "interpretation", json!([{ "coding": [coding], "text": display }]));
    component
}

/// The clinician's score: that of the event, or the one that came with the recording.
fn clinicians_score(record: &EventRecord) -> Option<Value> {
    let of_recording = record.recording.as_ref().and_then(|recorded| recorded.clinic_score);
    let score = record.event.doctor_score.map(f64::from).or(of_recording)?;
    let id = format!("{}-clinician", record.event.id);
    let mut resource = observation(record, &id, "final", ("clinician-score", "Clinician's score"));
    put(&mut resource, "valueQuantity", quantity(score));
    put(&mut resource, "method", json!({ "text": "Judgement of a clinician" }));
    Some(resource)
}

/// What all observations have.
fn observation(record: &EventRecord, id: &str, status: &str, (code, display): (&str, &str)) -> Value {
    let event = &record.event;
    let mut resource = json!({
        "resourceType": "Observation",
        "id": id,
        "identifier": [{ "system": OBSERVATION_SYSTEM, "value": id }],
        "status": status,
        "category": [{ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                    "code": "exam", "display": "Exam" }] }],
        "code": { "coding": [{ "system": CODES, "code": code, "display": display }],
                  "text": format!("{display}, {}", event.test_type) },
        "subject": { "reference": format!("Patient/{}", self::id(event.patient.as_str())), "type": "Patient",
                     "identifier": { "system": PATIENT_SYSTEM, "value": event.patient.as_str() } },
    });
    if let Some(start) = event.start_time {
        put(&mut resource, "effectiveDateTime", instant(start).into());
    }
    if let Some(notes) = text(event.notes.as_deref()) {
        note(&mut resource, &notes);
    }
    resource
}

/// One more note.
fn note(resource: &mut Value, said: &str) {
    let note = json!({ "text": said });
    match resource.get_mut("note").and_then(Value::as_array_mut) {
        Some(notes) => notes.push(note),
        None => put(resource, "note", json!([note])),
    }
}

fn thousandth(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// A score, to a thousandth.
fn quantity(value: f64) -> Value {
    json!({ "value": thousandth(value), "unit": "score", "system": UCUM, "code": SCORE_UNIT })
}

/// The band in our words, and in HL7's where they have one.
fn interpretation(band: Band) -> Value {
    const HL7: &str = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation";
    let mut codings = Vec::from_iter(match band {
        Band::Ok => Some(("N", "Normal")),
        Band::Watch => None,
        Band::Low => Some(("L", "Low")),
        Band::VeryLow => Some(("LL", "Critical low")),
    })
    .into_iter()
    .map(|(code, display)| json!({ "system": HL7, "code": code, "display": display }))
    .collect::<Vec<_>>();
    codings.push(json!({ "system": BANDS, "code": band.name().replace(' ', "-"), "display": band.name() }));
    json!([{ "coding": codings, "text": band.name() }])
}

/// Why there is no score.
fn absent(status: RecordingStatus) -> Value {
    let (code, display, text) = match status {
        RecordingStatus::Failed => ("error", "Error", "The recording could not be processed"),
        RecordingStatus::AwaitingModel => ("temp-unknown", "Temporarily Unknown", "The patient has no model yet"),
        RecordingStatus::Received
        | RecordingStatus::Converted
        | RecordingStatus::Training
        | RecordingStatus::Scored => ("temp-unknown", "Temporarily Unknown", "The score is being computed"),
    };
    json!({ "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/data-absent-reason",
                         "code": code, "display": display }], "text": text })
}

/// A text that FHIR takes: not empty, and without control characters but tab and line ends.
fn text(text: Option<&str>) -> Option<String> {
    let kept: String = text?.chars().filter(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r')).collect();
    (!kept.trim().is_empty()).then_some(kept)
}

fn instant(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn put(resource: &mut Value, key: &str, value: Value) {
    if let Some(object) = resource.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_was_retired_is_no_active_device() {
        let card = |retired_at| CardRow {
            version: crate::domain::ids::ModelVersion::new("m-1").unwrap(),
            card: "{}".to_owned(),
            retired_at,
        };
        assert_eq!(device(&card(None))["status"], "active");
        assert_eq!(device(&card(DateTime::from_timestamp(0, 0)))["status"], "inactive");
    }

    #[test]
    fn a_score_that_is_not_to_be_relied_on_says_so() {
        let put = |provisional, unlike_training, novelty| {
            let score = Score {
                value: 70.0,
                lower: Some(50.0),
                upper: None,
                provisional,
                unlike_training,
                novelty,
                model_version: crate::domain::ids::ModelVersion::new("m-1").unwrap(),
                backend: "local",
            };
            let at = DateTime::from_timestamp(0, 0).unwrap();
            let mut resource = json!({ "note": [{ "text": "Walks well." }] });
            put_score(&mut resource, &Scored { score, at, model: None });
            resource
        };
        let codes = |resource: &Value| {
            let components = resource["component"].as_array().unwrap().iter();
            components.map(|component| component["code"]["coding"][0]["code"].clone()).collect::<Vec<_>>()
        };
        let usual = put(false, false, None);
        assert_eq!((usual["note"].as_array().unwrap().len(), codes(&usual)), (1, vec![json!("interval-lower")]));
        let unlike = put(true, true, Some(2.123_456));
        let notes = unlike["note"].as_array().unwrap();
        assert_eq!(notes[0]["text"], "Walks well.");
        assert!(notes[1]["text"].as_str().unwrap().starts_with("Provisional: "), "{notes:?}");
        assert!(notes[2]["text"].as_str().unwrap().contains("unlike those that the model learned from"), "{notes:?}");
        let novelty = &unlike["component"][1];
        assert_eq!(novelty["valueQuantity"]["value"], 2.123);
        assert_eq!(novelty["interpretation"][0]["coding"][0]["code"], "unlike-training");
        let like = put(false, false, Some(1.0));
        assert_eq!(like["component"][1]["interpretation"][0]["text"], "like training");
    }

    #[test]
    fn every_name_has_an_id_of_its_own_that_fhir_takes() {
        let names = ["p-1", "us-west-2:1ec6234a-232a-415d-9d31-f059c2cc4afa", "Zoë", "..", ".", "b3-x", "a b", "a_b"];
        let ids: Vec<_> = names.into_iter().map(id).collect();
        for id in &ids {
            let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
            assert!(plain && (1..=64).contains(&id.len()) && !id.starts_with('.'), "{id}");
        }
        assert_eq!(ids[0], "p-1");
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), names.len());
    }
}
