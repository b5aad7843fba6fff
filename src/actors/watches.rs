//! Who watches which recordings, and what waits for each of them.
//!
//! A watch holds, of each recording that changed, one entry, however often it changed: who reads slowly misses steps in
//! between, never the last one. More entries than the bound end the watch.

use super::metrics::Metrics;
use crate::domain::access::{Access, Decision, Role, decide};
use crate::domain::ids::{CareProviderId, PatientId, TestEventId};
use crate::domain::score::RecordingState;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// What was read longer ago is read anew before it is shown, and so is whether it may be.
const FRESH: Duration = Duration::from_secs(1);

/// Which recordings are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// A patient's.
    Patient(PatientId),
    /// Those of every patient whom a care provider cares for at the time.
    CareProvider(CareProviderId),
}

impl Scope {
    /// What a caller must be allowed to do.
    #[must_use]
    pub fn access(&self) -> Access {
        match self {
            Self::Patient(patient) => Access::Patient(patient.clone()),
            Self::CareProvider(care_provider) => Access::CareProvider(care_provider.clone()),
        }
    }
}

/// Where a recording stood when it was read; the watcher might see it then.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Where it stood.
    pub state: Arc<RecordingState>,
    read_at: Instant,
}

impl Told {
    /// Whether that was read so lately that it may be shown.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.read_at.elapsed() <= FRESH
    }
}

/// What a watch has next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// A recording changed, a moment ago.
    Changed(Told),
    /// A recording changed a while ago: where it stands, and whether the watcher may see that, is to be asked anew.
    AskAnew(TestEventId),
    /// The watch ended.
    Ended(End),
}

/// Why a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The watcher may no longer see what they watch.
    Absent,
    /// More recordings changed than may wait.
    FellBehind,
}

/// All watches. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watches(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    most_waiting: usize,
    metrics: Metrics,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    made: u64,
    patients: HashMap<PatientId, HashMap<u64, Arc<Waiting>>>,
    care_providers: HashMap<CareProviderId, HashMap<u64, Arc<Waiting>>>,
}

#[derive(Debug)]
struct Waiting {
    role: Role,
    queue: Mutex<Queue>,
    told: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    changes: VecDeque<Change>,
    ended: Option<End>,
}

#[derive(Debug)]
struct Change {
    id: TestEventId,
    /// What was read of it.
    read: Option<Told>,
}

impl Watches {
    /// None yet. Of each, at most so many recordings wait.
    #[must_use]
    pub fn new(most_waiting: usize, metrics: Metrics) -> Self {
        Self(Arc::new(Inner { most_waiting, metrics, table: Mutex::default() }))
    }

    /// Begins one, for somebody who may see what they watch now. It lasts until it is dropped.
    #[must_use]
    pub fn begin(&self, role: Role, scope: Scope) -> Watch {
        let waiting = Arc::new(Waiting { role, queue: Mutex::default(), told: Notify::new() });
        let mut table = self.0.table();
        table.made += 1;
        let number = table.made;
        match &scope {
            Scope::Patient(patient) => add(&mut table.patients, patient, number, &waiting),
            Scope::CareProvider(care_provider) => add(&mut table.care_providers, care_provider, number, &waiting),
        }
        self.0.metrics.live_subscriptions(1);
        Watch { watches: self.clone(), number, scope, waiting }
    }

    /// Whether nobody watches anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let table = self.0.table();
        table.patients.is_empty() && table.care_providers.is_empty()
    }

    /// Tells whoever watches it where a recording stood when it was read. `linked` are the care providers of its patient at
    /// that time: nobody else of them hears it.
    pub(super) fn offer(&self, state: &Arc<RecordingState>, linked: &[CareProviderId], read_at: Instant) {
        let offer = |waiting: &Waiting| {
            let told = Told { state: state.clone(), read_at };
            waiting.offer(Change { id: state.test_event_id, read: Some(told) }, self.0.most_waiting);
        };
        let table = self.0.table();
        for waiting in table.patients.get(&state.patient_id).into_iter().flat_map(HashMap::values) {
            if may_see(&waiting.role, &state.patient_id, linked) {
                offer(waiting);
            } else {
                waiting.end(End::Absent);
            }
        }
        for care_provider in linked {
            table.care_providers.get(care_provider).into_iter().flat_map(HashMap::values).for_each(|w| offer(w));
        }
    }
}

impl Inner {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The policy's answer, with the links at hand.
fn may_see(role: &Role, patient: &PatientId, linked: &[CareProviderId]) -> bool {
    match decide(role, &Access::Patient(patient.clone())) {
        Decision::Allowed => true,
        Decision::AllowedIfLinked => match role {
            Role::CareProvider(care_provider) => linked.contains(care_provider),
            Role::Patient(_) | Role::Admin => false,
        },
        Decision::Forbidden | Decision::Absent => false,
    }
}

fn add<K: Hash + Eq + Clone>(
    to: &mut HashMap<K, HashMap<u64, Arc<Waiting>>>,
    key: &K,
    number: u64,
    waiting: &Arc<Waiting>,
) {
    to.entry(key.clone()).or_default().insert(number, waiting.clone());
}

fn remove<K: Hash + Eq>(from: &mut HashMap<K, HashMap<u64, Arc<Waiting>>>, key: &K, number: u64) {
    if let Some(watches) = from.get_mut(key) {
        watches.remove(&number);
        if watches.is_empty() {
            from.remove(key);
        }
    }
}

impl Waiting {
    fn offer(&self, change: Change, most: usize) {
        let mut queue = self.queue();
        if queue.ended.is_some() {
            return;
        }
        if let Some(waits) = queue.changes.iter_mut().find(|waits| waits.id == change.id) {
            *waits = change;
        } else if queue.changes.len() < most {
            queue.changes.push_back(change);
        } else {
            queue.changes.clear();
            queue.ended = Some(End::FellBehind);
        }
        drop(queue);
        self.told.notify_one();
    }

    fn end(&self, why: End) {
        let mut queue = self.queue();
        queue.changes.clear();
        queue.ended.get_or_insert(why);
        drop(queue);
        self.told.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One watch.
#[derive(Debug)]
pub struct Watch {
    watches: Watches,
    number: u64,
    scope: Scope,
    waiting: Arc<Waiting>,
}

impl Watch {
    /// What is watched.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Waits for the next change. Cancelled, it has taken nothing.
    pub async fn next(&mut self) -> Next {
        let metrics = &self.watches.0.metrics;
        loop {
            let told = self.waiting.told.notified();
            {
                let mut queue = self.waiting.queue();
                if let Some(Change { id, read }) = queue.changes.pop_front() {
                    return match read {
                        Some(told) if told.is_fresh() => {
                            metrics.live_change("fresh");
                            Next::Changed(told)
                        }
                        Some(_) | None => {
                            metrics.live_change("asked_anew");
                            Next::AskAnew(id)
                        }
                    };
                }
                if let Some(end) = queue.ended {
                    metrics.live_change(match end {
                        End::Absent => "absent",
                        End::FellBehind => "fell_behind",
                    });
                    return Next::Ended(end);
                }
            }
            told.await;
        }
    }

    /// Has it asked for again: it could not be asked now.
    pub fn put_back(&mut self, id: TestEventId) {
        self.waiting.offer(Change { id, read: None }, self.watches.0.most_waiting);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut table = self.watches.0.table();
        match &self.scope {
            Scope::Patient(patient) => remove(&mut table.patients, patient, self.number),
            Scope::CareProvider(care_provider) => remove(&mut table.care_providers, care_provider, self.number),
        }
        self.watches.0.metrics.live_subscriptions(-1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Movement;
    use crate::domain::score::RecordingStatus;
    use chrono::DateTime;

    fn patient(id: &str) -> PatientId {
        PatientId::new(id).unwrap()
    }

    fn care_provider(id: &str) -> CareProviderId {
        CareProviderId::new(id).unwrap()
    }

    fn state(n: u128, of: &str, status: RecordingStatus) -> Arc<RecordingState> {
        Arc::new(RecordingState {
            test_event_id: uuid::Uuid::from_u128(n).into(),
            patient_id: patient(of),
            movement: Movement::new("sit-to-stand").unwrap(),
            status,
            balance_score: None,
            score: None,
            samples: 1,
            sampling_rate_hz: None,
            failure: None,
            received_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        })
    }

    /// What a watch says next.
    #[derive(Debug, PartialEq)]
    enum Said {
        Changed(Arc<RecordingState>),
        AskAnew(TestEventId),
        Ended(End),
    }

    impl From<Next> for Said {
        fn from(next: Next) -> Self {
            match next {
                Next::Changed(told) => Self::Changed(told.state),
                Next::AskAnew(id) => Self::AskAnew(id),
                Next::Ended(end) => Self::Ended(end),
            }
        }
    }

    /// What waits, without waiting for more.
    async fn waiting(watch: &mut Watch) -> Vec<Said> {
        let mut found = Vec::new();
        while let Ok(next) = tokio::time::timeout(Duration::from_millis(10), watch.next()).await {
            found.push(Said::from(next));
            if matches!(found.last(), Some(Said::Ended(_))) {
                break;
            }
        }
        found
    }

    #[tokio::test]
    async fn each_hears_of_what_they_may_see_and_of_nothing_else() {
        let watches = Watches::new(8, Metrics::new());
        let (clinic, other) = (care_provider("clinic"), care_provider("other"));
        let mut own = watches.begin(Role::Patient(patient("ann")), Scope::Patient(patient("ann")));
        let mut all = watches.begin(Role::CareProvider(clinic.clone()), Scope::CareProvider(clinic.clone()));
        let mut one = watches.begin(Role::CareProvider(clinic.clone()), Scope::Patient(patient("ann")));
        let mut others = watches.begin(Role::CareProvider(other.clone()), Scope::CareProvider(other));
        let mut admin = watches.begin(Role::Admin, Scope::Patient(patient("bob")));
        let (ann, bob) = (state(1, "ann", RecordingStatus::Scored), state(2, "bob", RecordingStatus::Scored));
        watches.offer(&ann, std::slice::from_ref(&clinic), Instant::now());
        watches.offer(&bob, &[], Instant::now());
        assert_eq!(waiting(&mut own).await, [Said::Changed(ann.clone())]);
        assert_eq!(waiting(&mut all).await, [Said::Changed(ann.clone())]);
        assert_eq!(waiting(&mut one).await, [Said::Changed(ann.clone())]);
        assert_eq!(waiting(&mut others).await, []);
        assert_eq!(waiting(&mut admin).await, [Said::Changed(bob)]);

        // The link is removed.
        watches.offer(&ann, &[], Instant::now());
        assert_eq!(waiting(&mut own).await, [Said::Changed(ann)]);
        assert_eq!(waiting(&mut all).await, []);
        assert_eq!(waiting(&mut one).await, [Said::Ended(End::Absent)]);
        drop((own, all, one, others, admin));
        assert!(watches.is_empty());
    }

    #[tokio::test]
    async fn who_reads_slowly_gets_the_last_of_each_and_asks_anew_for_what_is_old() {
        let watches = Watches::new(2, Metrics::new());
        let mut watch = watches.begin(Role::Admin, Scope::Patient(patient("ann")));
        for status in [RecordingStatus::Received, RecordingStatus::Converted, RecordingStatus::Scored] {
            for n in [1, 2] {
                watches.offer(&state(n, "ann", status), &[], Instant::now());
            }
        }
        let scored = |n| Said::Changed(state(n, "ann", RecordingStatus::Scored));
        let Next::Changed(told) = watch.next().await else { panic!("the first was read just now") };
        assert!(told.is_fresh());
        tokio::time::sleep(FRESH + Duration::from_millis(50)).await;
        assert!(!told.is_fresh(), "who held it up meanwhile asks anew");
        assert_eq!(Said::Changed(told.state), scored(1));
        let second = uuid::Uuid::from_u128(2).into();
        assert_eq!(Said::from(watch.next().await), Said::AskAnew(second));
        watch.put_back(second);
        assert_eq!(waiting(&mut watch).await, [Said::AskAnew(second)]);
    }

    #[tokio::test]
    async fn who_falls_too_far_behind_is_told_so() {
        let watches = Watches::new(2, Metrics::new());
        let mut watch = watches.begin(Role::Admin, Scope::Patient(patient("ann")));
        for n in 1..=3 {
            watches.offer(&state(n, "ann", RecordingStatus::Scored), &[], Instant::now());
        }
        watches.offer(&state(1, "ann", RecordingStatus::Failed), &[], Instant::now());
        assert_eq!(waiting(&mut watch).await, [Said::Ended(End::FellBehind)]);
    }
}
