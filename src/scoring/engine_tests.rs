use super::*;
use crate::domain::clock::SystemClock;
use futures_util::future::join_all;
use stance_models::artifact::pack;
use stance_models::features::FEATURES;
use stance_models::training::{TrainParams, Trained, TrainingSet, train};
use std::sync::atomic::{AtomicUsize, Ordering};

const LIMITS: EngineLimits = EngineLimits {
    cache_bytes: 1 << 20,
    eviction: Eviction::LeastRecentlyUsed,
    at_once: 2,
    in_hand: 64,
    failed_for: Duration::from_millis(50),
    counted: 8,
};

/// A model whose scores rise with the first feature.
fn artifact() -> Bytes {
    let mut set = TrainingSet::default();
    for i in 0..20 {
        set.ids.push(i.to_string());
        set.features.push((0..FEATURES).map(|j| if j < 2 { f64::from(i) } else { 0.0 }).collect());
        set.scores.push(5.0 * f64::from(i));
    }
    let Trained { model, card } = train(&set, &TrainParams::default()).unwrap();
    pack(&model, &card).unwrap().into()
}

fn row(x: f64) -> Vec<f64> {
    (0..FEATURES).map(|j| if j < 2 { x } else { 0.0 }).collect()
}

fn engine(limits: EngineLimits) -> Engine {
    Engine::new(&limits, Arc::new(SystemClock))
}

fn request(engine: &Engine, rows: Vec<Vec<f64>>, limit: Duration) -> Result<Request, EngineError> {
    let label = Label { name: "m".into(), version: "1".into() };
    let (inputs, urgency) = (Inputs::Features(rows), Urgency::Interactive);
    Ok(Request { place: engine.admit()?, label, inputs, urgency, deadline: Instant::now() + limit })
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn each_asker_gets_its_own_rows_and_the_model_is_fetched_once() {
    let (engine, artifact, fetched) = (engine(LIMITS), artifact(), AtomicUsize::new(0));
    let alone = stance_models::artifact::unpack(&artifact).unwrap().0;
    let key = "m".into();
    let fetch = || async {
        fetched.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(artifact.clone())
    };
    let asks = (0..50).map(async |n| {
        let rows: Vec<_> = (0..n % 4 + 1).map(|i| row(f64::from(n) / 3.0 + f64::from(i))).collect();
        let expected: Vec<_> = rows.iter().map(|row| alone.predict(row).unwrap()).collect();
        let request = request(&engine, rows, LONG).unwrap();
        assert_eq!(engine.answer(&key, request, fetch).await.unwrap(), expected);
    });
    join_all(asks).await;
    assert_eq!(fetched.load(Ordering::Relaxed), 1);
    let statistics = engine.statistics().all().remove(0).1;
    assert_eq!((statistics.success.count, statistics.executions, statistics.loads.count), (50, 50, 1));
    assert_eq!(engine.score(&key, &row(3.0), fetch).await.unwrap(), alone.predict(&row(3.0)).unwrap());
    assert!(engine.cache().bytes <= 20_000, "a model takes {} bytes", engine.cache().bytes);
}

#[tokio::test]
async fn who_finds_no_place_is_told_so_and_a_slow_load_has_an_end() {
    let engine = engine(EngineLimits { in_hand: 2, ..LIMITS });
    let key = "m".into();
    let slow = request(&engine, vec![row(1.0)], Duration::from_millis(20)).unwrap();
    let _held = engine.admit().unwrap();
    assert!(matches!(request(&engine, vec![row(1.0)], LONG), Err(EngineError::Busy)));
    let answer = engine.answer(&key, slow, std::future::pending).await;
    assert!(matches!(answer, Err(EngineError::TooSlow)), "{answer:?}");
    // Its place is free, and nothing is left of the load.
    let again = request(&engine, vec![row(1.0)], LONG).unwrap();
    let artifact = artifact();
    assert_eq!(engine.answer(&key, again, async || Ok(artifact.clone())).await.unwrap().len(), 1);
    let (_, statistics) = engine.statistics().all().remove(0);
    assert_eq!((statistics.fail.count, statistics.success.count), (1, 1));
}

#[tokio::test]
async fn who_is_dropped_leaves_its_place_and_its_turn() {
    let engine = engine(EngineLimits { in_hand: 1, at_once: 1, ..LIMITS });
    let key = "m".into();
    let dropped = request(&engine, vec![row(1.0)], LONG).unwrap();
    let ended = tokio::time::timeout(Duration::from_millis(5), engine.answer(&key, dropped, std::future::pending));
    assert!(ended.await.is_err());
    let artifact = artifact();
    let next = request(&engine, vec![row(1.0)], LONG).unwrap();
    assert!(engine.answer(&key, next, async || Ok(artifact.clone())).await.is_ok());
}

#[tokio::test]
async fn what_cannot_be_a_model_is_refused_with_its_reason_and_not_read_again_at_once() {
    let (engine, fetched) = (engine(LIMITS), AtomicUsize::new(0));
    let mut cut = artifact().to_vec();
    cut.truncate(200);
    let key = "m".into();
    for _ in 0..3 {
        let request = request(&engine, vec![row(1.0)], LONG).unwrap();
        let answer = engine.answer(&key, request, async || {
            fetched.fetch_add(1, Ordering::Relaxed);
            Ok(cut.clone().into())
        });
        assert!(matches!(answer.await, Err(EngineError::Load(LoadError::Refused(_)))));
    }
    assert_eq!(fetched.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_row_that_does_not_fit_is_named() {
    let (engine, artifact) = (engine(LIMITS), artifact());
    for (rows, place) in [(vec![row(1.0), vec![1.0]], 1), (vec![row(f64::NAN)], 0)] {
        let request = request(&engine, rows, LONG).unwrap();
        let answer = engine.answer(&"m".into(), request, async || Ok(artifact.clone())).await;
        assert!(matches!(answer, Err(EngineError::Row { row, .. }) if row == place), "{answer:?}");
    }
}
