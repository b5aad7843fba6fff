use super::*;
use crate::domain::entropy::Entropy;
use crate::domain::recording::{AXES, Recording, parse};
use crate::storage::lake::to_parquet;
use crate::storage::objects::Folder;

const EVERY: [Axis; 9] = [Axis::Ax, Axis::Ay, Axis::Az, Axis::Gx, Axis::Gy, Axis::Gz, Axis::Mx, Axis::My, Axis::Mz];

fn recording(samples: usize) -> Recording {
    let axis = |n: usize| (0..samples).map(|i| (i * 9 + n) as f64 * 0.37 - 5.0).collect::<Vec<_>>();
    let offset = |i: usize| ["-07:00", "+05:30", ""][i % 3];
    let ts: Vec<_> = (0..samples)
        .map(|i| format!("2023-04-25 12:{:02}:{:02}.{:06} {}", i / 6_000, i / 100 % 60, i % 100 * 10_000, offset(i)))
        .map(|text| text.trim_end().to_owned())
        .collect();
    let mut document = serde_json::json!({
        "user_id": "p", "movement": "m", "testID": "f97e3b64-5b41-4dd8-aa64-c4530cdc0ac2", "training": false,
        "start_date": "2023-4-25", "ts": ts,
    });
    for (n, name) in AXES.into_iter().enumerate() {
        document[name] = serde_json::json!(axis(n));
    }
    parse(document.to_string().into()).unwrap()
}

struct Here {
    objects: Objects,
    key: ObjectKey,
    _folder: tempfile::TempDir,
}

async fn kept(bytes: Vec<u8>) -> Here {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::Folder(Folder::open(folder.path(), 1 << 22, &Entropy::from_seed(1)).unwrap());
    let key = ObjectKey::from_row("x.parquet".into());
    objects.put(&key, bytes.into()).await.unwrap();
    Here { objects, key, _folder: folder }
}

#[tokio::test]
async fn every_sample_of_each_axis_is_read_as_it_was_written() {
    for samples in [1, 10_000] {
        let recording = recording(samples);
        let Here { objects, key, _folder } = kept(to_parquet(&recording).unwrap()).await;
        for (axis, values) in EVERY.into_iter().zip(recording.axes()) {
            let read = open_axis(&objects, &key, axis, 10_000).await.unwrap().read().unwrap();
            assert_eq!(read.times, recording.timestamps());
            assert_eq!(&read.values, values, "{axis:?}");
        }
    }
}

#[tokio::test]
async fn nothing_but_the_columns_that_are_asked_for_is_read() {
    let recording = recording(10_000);
    let mut bytes = to_parquet(&recording).unwrap();
    let whole = kept(bytes.clone()).await;
    let (tail, length) = whole.objects.get_tail(&whole.key, TAIL).await.unwrap();
    let file = File { objects: &whole.objects, key: &whole.key, tail, length };
    let metadata = file.metadata().await.unwrap();
    // Every other axis is broken in the file.
    for column in metadata.row_group(0).columns() {
        let (start, length) = column.byte_range();
        if AXES.contains(&column.column_path().string().as_str()) && column.column_path().string() != "gy" {
            bytes[start as usize..(start + length) as usize].fill(0xff);
        }
    }
    let Here { objects, key, _folder } = kept(bytes).await;
    let read = open_axis(&objects, &key, Axis::Gy, 10_000).await.unwrap().read().unwrap();
    assert_eq!(read.values, recording.axes()[4]);
    let broken = open_axis(&objects, &key, Axis::Gx, 10_000).await.and_then(FetchedAxis::read);
    assert!(matches!(broken, Err(LakeReadError::Parquet(_))), "{broken:?}");
}

#[tokio::test]
async fn what_is_too_long_not_there_or_no_parquet_is_an_error() {
    let Here { objects, key, _folder } = kept(to_parquet(&recording(100)).unwrap()).await;
    let long = open_axis(&objects, &key, Axis::Ax, 99).await;
    assert!(matches!(long, Err(LakeReadError::TooManySamples(99))), "{long:?}");
    let absent = open_axis(&objects, &ObjectKey::from_row("y".into()), Axis::Ax, 99).await;
    assert!(matches!(absent, Err(LakeReadError::Object(ObjectError::NotFound))), "{absent:?}");
    for bytes in [Vec::new(), vec![0; 100], b"PAR1\xff\xff\xff\x7fPAR1".to_vec()] {
        let Here { objects, key, _folder } = kept(bytes).await;
        let broken = open_axis(&objects, &key, Axis::Ax, 99).await;
        assert!(matches!(broken, Err(LakeReadError::Parquet(_) | LakeReadError::NoParquet)), "{broken:?}");
    }
}
