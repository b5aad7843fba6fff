//! What fields of many objects need is gathered and asked for at once: the fields that are resolved in the same moment make
//! one batch, which is one operation, for which the caller must be allowed every patient in it. Nothing is kept beyond its
//! batch, so that what was read before a mutation is not told after it.

use super::context::{Asker, failed};
use crate::actors::ServiceError;
use crate::actors::resolver::{
    AxisRangesOf, EventOf, MOST_IN_BATCH, Operation, PatientSummaries, PatientSummary, PatientsById, RecordingsOf,
    TestsOf,
};
use crate::domain::ids::PatientId;
use crate::storage::database::{AxisRange, Patient, RecordingDetails, TestType};
use dataloader::BatchFn;
use dataloader::non_cached::Loader;
use juniper::{FieldError, FieldResult};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;

/// An operation that answers for many keys at once.
pub(super) trait Batch: Operation<Answer = BTreeMap<Self::Key, Self::Found>> {
    /// What is asked for.
    type Key: Ord + Hash + Clone + Debug + Send + Sync + 'static;
    /// What is found.
    type Found: Clone + Send + 'static;

    /// The operation for these keys.
    fn of(keys: &[Self::Key]) -> Self;
}

macro_rules! batches {
    ($($operation:ident { $field:ident }: $key:ty => $found:ty;)+) => {$(
        impl Batch for $operation {
            type Key = $key;
            type Found = $found;

            fn of(keys: &[$key]) -> Self {
                Self { $field: keys.to_vec() }
            }
        }
    )+};
}

batches! {
    AxisRangesOf { events }: EventOf => Vec<AxisRange>;
    PatientSummaries { patients }: PatientId => PatientSummary;
    PatientsById { patients }: PatientId => Patient;
    RecordingsOf { events }: EventOf => RecordingDetails;
    TestsOf { patients }: PatientId => Vec<TestType>;
}

/// Asks for a batch.
struct Fetch<B> {
    asker: Asker,
    batch: PhantomData<fn() -> B>,
}

type Loaded<B> = Result<Option<<B as Batch>::Found>, FieldError>;

impl<B: Batch> BatchFn<B::Key, Loaded<B>> for Fetch<B> {
    async fn load(&mut self, keys: &[B::Key]) -> HashMap<B::Key, Loaded<B>> {
        let found = self.asker.ask(B::of(keys)).await.map_err(failed);
        let of = |key: &B::Key| match &found {
            Ok(found) => Ok(found.get(key).cloned()),
            Err(error) => Err(error.clone()),
        };
        keys.iter().map(|key| (key.clone(), of(key))).collect()
    }
}

/// A loader of one kind of batch.
pub(super) struct Gathered<B: Batch>(Loader<B::Key, Loaded<B>, Fetch<B>>);

impl<B: Batch> Gathered<B> {
    fn new(asker: &Asker) -> Self {
        let fetch = Fetch { asker: asker.clone(), batch: PhantomData };
        Self(Loader::new(fetch).with_max_batch_size(MOST_IN_BATCH))
    }

    /// What there is for the key; `None` where there is nothing.
    pub(super) async fn load(&self, key: B::Key) -> FieldResult<Option<B::Found>> {
        match self.0.try_load(key).await {
            Ok(loaded) => loaded,
            Err(_) => Err(failed(ServiceError::busy("a batch lost a key"))),
        }
    }
}

/// The loaders of a request.
pub(super) struct Loaders {
    pub(super) patients: Gathered<PatientsById>,
    pub(super) summaries: Gathered<PatientSummaries>,
    pub(super) recordings: Gathered<RecordingsOf>,
    pub(super) ranges: Gathered<AxisRangesOf>,
    pub(super) tests: Gathered<TestsOf>,
}

impl Loaders {
    pub(super) fn new(asker: &Asker) -> Self {
        Self {
            patients: Gathered::new(asker),
            summaries: Gathered::new(asker),
            recordings: Gathered::new(asker),
            ranges: Gathered::new(asker),
            tests: Gathered::new(asker),
        }
    }
}
