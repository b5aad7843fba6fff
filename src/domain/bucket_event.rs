//! What a bucket tells of objects put into it: Amazon S3's event notification (JSON, version 2.x), and the raw keys that
//! phones use.

use super::ids::{Movement, PatientId, TestEventId};
use super::object_key::ObjectKey;
use super::recording::Day;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// An object of which a notification tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutObject {
    /// The bucket's name.
    pub bucket: String,
    /// The object's key, decoded.
    pub key: String,
}

/// What a notification says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketEvent {
    /// Objects were put; those of other events (removed, restored) are left out.
    Put(Vec<PutObject>),
    /// What a bucket sends when notifications are switched on.
    Test,
}

/// A text that is no notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message is not an event notification of a bucket")]
pub struct NotABucketEvent;

#[derive(Deserialize)]
struct Notification {
    #[serde(rename = "Event")]
    event: Option<String>,
    #[serde(rename = "Records")]
    records: Option<Vec<Record>>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventName")]
    event_name: String,
    s3: Entity,
}

#[derive(Deserialize)]
struct Entity {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
}

impl BucketEvent {
    /// Reads the body of a notification.
    ///
    /// # Errors
    /// [`NotABucketEvent`].
    pub fn read(body: &str) -> Result<Self, NotABucketEvent> {
        let notification: Notification = serde_json::from_str(body).map_err(|_| NotABucketEvent)?;
        match (notification.records, notification.event.as_deref()) {
            (Some(records), _) => Ok(Self::Put(
                records
                    .into_iter()
                    .filter(|record| record.event_name.trim_start_matches("s3:").starts_with("ObjectCreated:"))
                    .map(|record| PutObject { bucket: record.s3.bucket.name, key: decoded(&record.s3.object.key) })
                    .collect(),
            )),
            (None, Some("s3:TestEvent")) => Ok(Self::Test),
            (None, _) => Err(NotABucketEvent),
        }
    }
}

/// Keys are encoded as in a form: a space is a plus.
fn decoded(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// The raw key of a recording, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawKey {
    /// Whose.
    pub patient: PatientId,
    /// Of which movement.
    pub movement: Movement,
    /// The local day; a training recording's key has none.
    pub day: Option<Day>,
    /// Its test event.
    pub id: TestEventId,
    key: ObjectKey,
}

impl RawKey {
    /// Takes a key apart; `None` for a key of another layout. Months and days may carry a leading zero.
    #[must_use]
    pub fn read(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix("recording_data/")?.split('/');
        let mut named = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
        let patient = PatientId::new(named("patientID")?).ok()?;
        let movement = Movement::new(named("movement")?).ok()?;
        let rest: Vec<&str> = parts.collect();
        let (day, file) = match rest.as_slice() {
            ["training", file] => (None, file),
            [year, month, day, file] => {
                let year = year.strip_prefix("year=")?.parse().ok()?;
                let month = month.strip_prefix("month=")?.parse().ok()?;
                let day = day.strip_prefix("day=")?.parse().ok()?;
                (Some(Day::new(year, month, day)?), file)
            }
            _ => return None,
        };
        let id = file.strip_prefix("test_event_id=")?.strip_suffix(".json")?.parse().ok()?;
        Some(Self { patient, movement, day, id, key: ObjectKey::from_row(key.to_owned()) })
    }

    /// The key as it was.
    #[must_use]
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    /// Whether it is where training recordings are kept.
    #[must_use]
    pub fn is_training(&self) -> bool {
        self.day.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "f97e3b64-5b41-4dd8-aa64-c4530cdc0ac2";

    #[test]
    fn a_put_object_is_named_with_its_decoded_key() {
        let body = r#"{"Records":[
            {"eventVersion":"2.1","eventName":"ObjectCreated:CompleteMultipartUpload","s3":{"bucket":{"name":"b"},
             "object":{"key":"recording_data/patientID%3Dus-west-2%3Aab+c/x%2By","size":5}}},
            {"eventVersion":"2.1","eventName":"ObjectRemoved:Delete","s3":{"bucket":{"name":"b"},"object":{"key":"gone"}}}]}"#;
        let key = "recording_data/patientID=us-west-2:ab c/x+y".to_owned();
        assert_eq!(BucketEvent::read(body), Ok(BucketEvent::Put(vec![PutObject { bucket: "b".into(), key }])));
    }

    #[test]
    fn a_test_event_is_told_from_what_is_none() {
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2026-01-31T12:00:00.000Z","Bucket":"b"}"#;
        assert_eq!(BucketEvent::read(test), Ok(BucketEvent::Test));
        for body in ["", "{}", "[]", "hello", r#"{"Event":"other"}"#, r#"{"Records":[{"eventName":"x"}]}"#] {
            assert_eq!(BucketEvent::read(body), Err(NotABucketEvent), "{body}");
        }
    }

    #[test]
    fn both_layouts_are_read() {
        let plain = format!(
            "recording_data/patientID=us-west-2:1/movement=sit-to-stand/year=2023/month=4/day=25/test_event_id={ID}.json"
        );
        let read = RawKey::read(&plain).unwrap();
        assert_eq!((read.patient.as_str(), read.movement.as_str()), ("us-west-2:1", "sit-to-stand"));
        assert_eq!((read.id.to_string().as_str(), read.is_training()), (ID, false));
        assert_eq!(read.key().as_str(), plain);
        let training = format!("recording_data/patientID=p/movement=walk/training/test_event_id={ID}.json");
        assert!(RawKey::read(&training).unwrap().is_training());
    }

    #[test]
    fn foreign_keys_are_none() {
        for key in [
            "recording_data/".to_owned(),
            format!("csv_data/patient_tests/user_id=p/movement=m/year=2023/month=4/day=25/test_event_id={ID}/x.csv"),
            format!("recording_data/patientID=p/movement=m/test_event_id={ID}.json"),
            format!("recording_data/patientID=/movement=m/training/test_event_id={ID}.json"),
            format!("recording_data/patientID=p/movement=m/year=2023/month=13/day=25/test_event_id={ID}.json"),
            format!("recording_data/patientID=p/movement=m/training/test_event_id={ID}.json.tmp"),
            "recording_data/patientID=p/movement=m/training/test_event_id=7.json".to_owned(),
            format!("recording_data/patientID=p/movement=m/training/more/test_event_id={ID}.json"),
        ] {
            assert_eq!(RawKey::read(&key), None, "{key}");
        }
    }

    proptest! {
        #[test]
        fn a_key_that_is_made_is_read_again(patient in "[^/\\p{C}]{1,20}", movement in "[^/\\p{C}]{1,10}", training: bool, id: u128,
                                            year in 1970..9999_i32, month in 1..13_u32, day in 1..29_u32) {
            let (patient, movement) = (PatientId::new(patient).unwrap(), Movement::new(movement).unwrap());
            let (day, id) = (Day { year, month, day }, TestEventId::from(uuid::Uuid::from_u128(id)));
            let key = ObjectKey::raw(&patient, &movement, day, training, id);
            let read = RawKey::read(key.as_str()).unwrap();
            prop_assert_eq!(read.is_training(), training);
            prop_assert_eq!(read.day.unwrap_or(day), day);
            prop_assert_eq!((read.patient, read.movement, read.id), (patient, movement, id));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text: String) {
            let _ = (BucketEvent::read(&text), RawKey::read(&text));
        }
    }
}
