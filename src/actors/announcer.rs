//! Announcer: reads a recording that changed once, and tells everybody who watches it and may.
//!
//! A hint says that a row changed. Hints can be lost (by lagging, with a connection, with the process that was to tell), so
//! it also looks by itself, every so often, for what changed: no watch is stale for longer than that.

use super::updates::{Update, Updates};
use super::watches::Watches;
use crate::domain::clock::SharedClock;
use crate::domain::ids::{PatientId, TestEventId};
use crate::storage::database::{ChangePlace, Database, Result};
use crate::supervised;
use actix::prelude::*;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::time::Instant;

/// Recordings that are read at once.
const MOST_AT_ONCE: usize = 256;
/// A look goes back by so much: a row's time is from before its commit, and by another process's clock.
const LOOK_BACK: TimeDelta = TimeDelta::seconds(30);
/// Rows of one statement of a look.
const PAGE: u32 = 1_000;
/// Recordings remembered as announced; beyond that some are announced twice.
const MOST_REMEMBERED: usize = 50_000;
/// Pause after the database could not be read.
const PAUSE: Duration = Duration::from_millis(500);

/// What the actor works with.
#[derive(Debug, Clone)]
pub struct AnnouncerDeps {
    /// Rows.
    pub database: Database,
    /// Time.
    pub clock: SharedClock,
    /// Hints of what changed.
    pub updates: Updates,
    /// Who watches.
    pub watches: Watches,
    /// How often it looks by itself.
    pub look_every: Duration,
    /// The program's own.
    pub runtime: tokio::runtime::Handle,
}

/// The actor.
#[derive(Debug)]
pub struct Announcer(AnnouncerDeps);

impl Announcer {
    /// A new one.
    #[must_use]
    pub fn new(deps: AnnouncerDeps) -> Self {
        Self(deps)
    }
}

impl Actor for Announcer {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        let deps = self.0.clone();
        context.spawn(async move { deps.run().await }.into_actor(self));
    }
}

supervised!(Announcer, "announcer");

/// What was looked at and announced.
struct Seen {
    /// Everything that changed before was announced.
    until: DateTime<Utc>,
    /// When each recording that changed since had last changed when it was announced.
    announced: HashMap<TestEventId, DateTime<Utc>>,
}

impl AnnouncerDeps {
    async fn run(&self) {
        let mut hints = self.updates.subscribe();
        // One that is built anew missed what was told in between.
        let mut next_look = Instant::now();
        let mut seen = Seen { until: self.clock.now() - LOOK_BACK, announced: HashMap::new() };
        loop {
            fail::fail_point!("announcer");
            let done = tokio::select! {
                hint = hints.recv() => match hint {
                    Ok(update) => {
                        let (changed, lost) = gather(update.id, &mut hints);
                        if lost {
                            next_look = Instant::now();
                        }
                        self.announce(&changed, &mut seen).await
                    }
                    Err(RecvError::Lagged(_)) => self.look(&mut seen).await,
                    Err(RecvError::Closed) => return,
                },
                () = tokio::time::sleep_until(next_look) => {
                    next_look = Instant::now() + self.look_every;
                    self.look(&mut seen).await
                }
            };
            if let Err(error) = done {
                tracing::warn!(error = &error as &dyn std::error::Error, "changes are announced later");
                next_look = Instant::now() + PAUSE;
            }
        }
    }

    /// Reads the recordings, two statements whatever the number of watches, and tells who watches.
    async fn announce(&self, changed: &[TestEventId], seen: &mut Seen) -> Result<()> {
        if self.watches.is_empty() {
            return Ok(());
        }
        let read_at = Instant::now();
        let (database, ids) = (self.database.clone(), changed.to_vec());
        let states = self.at_home(async move { database.recording_states(&ids).await }).await?;
        let patients: HashSet<&PatientId> = states.iter().map(|state| &state.patient_id).collect();
        let patients: Vec<PatientId> = patients.into_iter().cloned().collect();
        // After the rows: who was linked when the row was read and is no longer, hears nothing.
        let database = self.database.clone();
        let linked = self.at_home(async move { database.care_providers_of(&patients).await }).await?;
        for state in states {
            seen.announced.insert(state.test_event_id, state.updated_at);
            let linked = linked.get(&state.patient_id).map_or(&[][..], Vec::as_slice);
            self.watches.offer(&Arc::new(state), linked, read_at);
        }
        Ok(())
    }

    /// Reads on the program's own runtime: this actor's may end in the middle of it, with a connection in hand.
    async fn at_home<T: Send + 'static>(&self, read: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        match self.runtime.spawn(read).await {
            Ok(read) => read,
            // The program ends.
            Err(_) => std::future::pending().await,
        }
    }

    /// Announces what changed and was not announced.
    async fn look(&self, seen: &mut Seen) -> Result<()> {
        let began = self.clock.now();
        let mut after = ChangePlace::before(seen.until);
        while !self.watches.is_empty() {
            let database = self.database.clone();
            let page = self.at_home(async move { database.changed_since(after, PAGE).await }).await?;
            let missed = page.iter().filter(|change| seen.announced.get(&change.id) != Some(&change.at));
            let missed: Vec<_> = missed.map(|change| change.id).collect();
            for some in missed.chunks(MOST_AT_ONCE) {
                self.announce(some, seen).await?;
            }
            match page.last() {
                Some(last) if page.len() == PAGE as usize => after = *last,
                Some(_) | None => break,
            }
        }
        seen.until = began - LOOK_BACK;
        seen.announced.retain(|_, at| *at >= seen.until);
        if seen.announced.len() > MOST_REMEMBERED {
            seen.announced.clear();
        }
        Ok(())
    }
}

/// The hint with those that wait behind it, each recording once, and whether some were lost.
fn gather(first: TestEventId, hints: &mut Receiver<Update>) -> (Vec<TestEventId>, bool) {
    let (mut changed, mut lost) = (HashSet::from([first]), false);
    while changed.len() < MOST_AT_ONCE {
        match hints.try_recv() {
            Ok(update) => drop(changed.insert(update.id)),
            Err(TryRecvError::Lagged(_)) => lost = true,
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    (changed.into_iter().collect(), lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::metrics::Metrics;
    use crate::actors::watches::{Next, Scope};
    use crate::domain::access::Role;
    use crate::domain::clock::{Clock, SystemClock};
    use crate::domain::ids::Movement;
    use crate::domain::object_key::ObjectKey;
    use crate::domain::recording::Day;
    use crate::storage::database::{NewRecording, Patient};
    use crate::storage::objects::Digest;

    fn recording(n: u128, patient: &PatientId) -> NewRecording {
        let (movement, day) = (Movement::new("sit-to-stand").unwrap(), Day { year: 2026, month: 1, day: 31 });
        let id = uuid::Uuid::from_u128(n).into();
        NewRecording {
            id,
            raw_key: ObjectKey::raw(patient, &movement, day, false, id),
            patient: patient.clone(),
            movement,
            digest: Digest::of(&n.to_le_bytes()),
            raw_bytes: 1,
            day,
            clinic_score: None,
            samples: 1,
            taken: (0, 1),
            deletions: 0,
        }
    }

    /// A model that comes ends the wait of every recording with one statement.
    #[tokio::test]
    async fn a_look_finds_all_that_changed_at_one_time_however_many() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open_sqlite(&folder.path().join("rows.db"), 2, Duration::from_secs(5)).await.unwrap();
        let (clock, patient) = (Arc::new(SystemClock), PatientId::new("p-1").unwrap());
        let at = clock.now();
        let none =
            Patient { id: patient.clone(), email: None, first_name: None, last_name: None, privacy_consent_date: None };
        database.create_patient(&none, at).await.unwrap();
        let changed = 2 * PAGE as usize + 1;
        for n in 1..=changed {
            let new = recording(u128::try_from(n).unwrap(), &patient);
            database.accept_recording(&new, at).await.unwrap();
        }
        let watches = Watches::new(2 * changed, Metrics::new());
        let mut watch = watches.begin(Role::Admin, Scope::Patient(patient));
        let announcer = AnnouncerDeps {
            database,
            clock,
            updates: Updates::new(16, None),
            watches,
            look_every: Duration::from_secs(1),
            runtime: tokio::runtime::Handle::current(),
        };
        let mut seen = Seen { until: at, announced: HashMap::new() };
        announcer.look(&mut seen).await.unwrap();
        let mut told = HashSet::new();
        while let Ok(next) = tokio::time::timeout(Duration::from_millis(50), watch.next()).await {
            match next {
                Next::Changed(read) => told.insert(read.state.test_event_id),
                Next::AskAnew(id) => told.insert(id),
                Next::Ended(end) => panic!("{end:?}"),
            };
        }
        assert_eq!(told.len(), changed);
    }
}
