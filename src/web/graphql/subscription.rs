//! What can be watched: each field checks the form of its argument, begins a watch, and turns what it hears into documents.

use super::argument::id;
use super::context::{Context, failed};
use super::live::Watching;
use super::recording::RecordingStatus;
use crate::actors::ServiceError;
use crate::actors::resolver::{BeginWatch, Operation, WatchedRecording};
use crate::actors::watches::{End, Next, Scope, Watch};
use crate::domain::audit::Entry;
use crate::domain::ids::{PatientId, TestEventId};
use crate::domain::score::RecordingState;
use futures_util::stream::{self, BoxStream, StreamExt};
use juniper::{FieldResult, graphql_subscription};
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Pause after it could not be asked where a recording stands.
const PAUSE: Duration = Duration::from_millis(500);
/// Patients whom a subscription remembers as noted; beyond that some are noted again.
const MOST_NOTED: usize = 1_000;

/// What can be watched.
pub(super) struct Subscription;

type Changes = BoxStream<'static, FieldResult<RecordingStatus>>;

#[graphql_subscription]
#[graphql(context = Context, rename_all = "none")]
impl Subscription {
    /// A recording of the patient, whenever it changes.
    #[graphql(name = "recordingUpdated")]
    async fn recording_updated(context: &Context, patient_id: String) -> FieldResult<Changes> {
        begin(context, id("patient_id", &patient_id).map(Scope::Patient)).await.map_err(failed)
    }

    /// A recording of any patient whom the care provider cares for, whenever it changes.
    #[graphql(name = "recordingUpdatedForCareprovider")]
    async fn recording_updated_for_care_provider(context: &Context, care_provider_id: String) -> FieldResult<Changes> {
        begin(context, id("care_provider_id", &care_provider_id).map(Scope::CareProvider)).await.map_err(failed)
    }
}

/// A watch, and what it is asked anew with.
struct Watched {
    /// Patients whom the audit record names as told of.
    noted: HashSet<PatientId>,
    context: Context,
    watching: Watching,
    watch: Watch,
    _place: OwnedSemaphorePermit,
}

async fn begin(context: &Context, scope: Result<Scope, ServiceError>) -> Result<Changes, ServiceError> {
    let scope = scope?;
    let watching = context.watching.as_ref().ok_or(ServiceError::Forbidden)?;
    let place = watching.subscriptions.clone().try_acquire_owned().map_err(|_| ServiceError::Invalid {
        code: "too_many_subscriptions",
        detail: "this connection has as many subscriptions as it may".into(),
    })?;
    // Begun before it is asked whether it may: nothing is missed in between, and nothing given before.
    let watch = watching.watches.begin(context.caller().role.clone(), scope.clone());
    context.ask(BeginWatch { scope }).await?;
    let noted = HashSet::new();
    let watched = Watched { noted, context: context.clone(), watching: watching.clone(), watch, _place: place };
    Ok(stream::unfold(Some(watched), async |watched| {
        let mut watched = watched?;
        match watched.next().await {
            Ok(state) => {
                watched.watching.told_of(state.updated_at);
                Some((Ok(RecordingStatus::from(&state)), Some(watched)))
            }
            Err(error) => Some((Err(failed(error)), None)),
        }
    })
    .boxed())
}

impl Watched {
    /// Has the audit record name a patient before this subscription tells of them for the first time. Who watches one patient
    /// is on it since the beginning.
    async fn note(&mut self, state: &RecordingState) -> Result<(), ServiceError> {
        let scope = self.watch.scope();
        if matches!(scope, Scope::Patient(_)) || self.noted.contains(&state.patient_id) {
            return Ok(());
        }
        let entry = Entry::by(self.context.caller(), WatchedRecording::NAME).about(&scope.access());
        let entry = entry.patients([state.patient_id.clone()]).test_event(Some(state.test_event_id));
        self.watching.audit.record(entry).await?;
        if self.noted.len() >= MOST_NOTED {
            self.noted.clear();
        }
        self.noted.insert(state.patient_id.clone());
        Ok(())
    }

    /// Has it asked again a little later, where the server is busy; the error where that is no use.
    async fn later(&mut self, id: TestEventId, error: ServiceError) -> Result<(), ServiceError> {
        if !matches!(error, ServiceError::Busy { .. }) {
            return Err(error);
        }
        self.watch.put_back(id);
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    /// Waits for the next change; the error that ends it.
    async fn next(&mut self) -> Result<RecordingState, ServiceError> {
        loop {
            let id = match self.watch.next().await {
                Next::Changed(told) => match self.note(&told.state).await {
                    Ok(()) if told.is_fresh() => return Ok(RecordingState::clone(&told.state)),
                    // It waited for the record.
                    Ok(()) => told.state.test_event_id,
                    Err(error) => {
                        self.later(told.state.test_event_id, error).await?;
                        continue;
                    }
                },
                Next::AskAnew(id) => id,
                Next::Ended(End::Absent) => return Err(ServiceError::NotFound("patient or care provider")),
                Next::Ended(End::FellBehind) => {
                    return Err(ServiceError::Conflict {
                        code: "fell_behind",
                        detail: "more changed than could wait: read what you watch, and subscribe again".into(),
                    });
                }
            };
            let scope = self.watch.scope().clone();
            match self.context.ask(WatchedRecording { scope, id }).await {
                Ok(Some(state)) => return Ok(state),
                Ok(None) => {}
                Err(error) => self.later(id, error).await?,
            }
        }
    }
}
