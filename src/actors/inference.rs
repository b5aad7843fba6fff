//! Models for clients who ask them directly: who may ask which, and who may say what is in memory. Whatever is asked is noted before
//! it is answered. A request that is dropped ends with its future, so this is no actor.

use super::ServiceError;
use super::auditor::Audit;
use super::authorization::{SeenLinks, authorize};
use crate::domain::access::{Access, Caller, model_scope};
use crate::domain::audit::Entry;
use crate::domain::ids::{ModelName, ModelVersion};
use crate::scoring::engine::{Engine, EngineError, LoadError, Place, Request};
use crate::scoring::input::Inputs;
use crate::scoring::statistics::{Label, ModelStatistics};
use crate::scoring::turns::Urgency;
use crate::storage::database::{Database, ListedModel, ModelRow, NamedModel};
use crate::storage::objects::Objects;
use stance_models::model::Prediction;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Models that one list names at most.
pub const MOST_LISTED: u32 = 1_000;
/// Versions that one answer names at most.
const MOST_VERSIONS: u32 = 10_000;
/// Models that may be withheld at once.
const MOST_WITHHELD: usize = 10_000;

/// What is absent where there is none, or none for this caller.
const MODEL: &str = "model";

/// What it works with.
#[derive(Debug, Clone)]
pub struct InferenceDeps {
    /// Rows.
    pub database: Database,
    /// Artifacts.
    pub objects: Objects,
    /// Notes what is asked.
    pub audit: Audit,
    /// Loads and runs models.
    pub engine: Engine,
    /// Bounds.
    pub limits: InferenceLimits,
}

/// Bounds of a request.
#[derive(Debug, Clone, Copy)]
pub struct InferenceLimits {
    /// How long it may take.
    pub deadline: Duration,
    /// What is to be scored, at most.
    pub rows: usize,
}

/// Models for clients. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Inference {
    deps: InferenceDeps,
    /// What an admin unloaded and did not load again: not asked by this way, in this process.
    withheld: Arc<Mutex<HashSet<ModelName>>>,
}

/// Which model is asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its name.
    pub name: ModelName,
    /// Its version; the one that serves where none is named.
    pub version: Option<ModelVersion>,
}

/// What a model is asked.
#[derive(Debug)]
pub struct Infer {
    /// Its place among the requests in hand.
    pub place: Place,
    /// Which model.
    pub model: Asked,
    /// What is to be scored.
    pub inputs: Inputs,
    /// What is done first.
    pub urgency: Urgency,
    /// How long it may take, where the client says so.
    pub timeout: Option<Duration>,
}

/// What a model answered.
#[derive(Debug)]
pub struct Inferred {
    /// The version that did.
    pub version: ModelVersion,
    /// Whether it is a provisional one.
    pub provisional: bool,
    /// One a row, in order.
    pub predictions: Vec<Prediction>,
}

/// A model and its versions.
#[derive(Debug)]
pub struct Described {
    /// Its name.
    pub name: ModelName,
    /// Those that may be asked, the newest first.
    pub versions: Vec<ModelVersion>,
}

/// Why a listed model is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It may be asked, and is in memory.
    Loaded,
    /// It may be asked, and is loaded then.
    Known,
    /// An admin unloaded it.
    Withheld,
    /// A recording that it learned from was deleted.
    Retired,
}

/// A version in a list.
#[derive(Debug)]
pub struct Listing {
    /// Its model's name.
    pub name: ModelName,
    /// The version.
    pub version: ModelVersion,
    /// Whether it may be asked.
    pub state: State,
}

/// What became of a version's requests.
#[derive(Debug)]
pub struct Counted {
    /// The model and the version.
    pub label: Label,
    /// What became of them.
    pub statistics: ModelStatistics,
}

impl Inference {
    /// One that withholds nothing.
    #[must_use]
    pub fn new(deps: InferenceDeps) -> Self {
        Self { deps, withheld: Arc::default() }
    }

    /// Loads and runs models, for metrics.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.deps.engine
    }

    /// Whether the caller may know of the server.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn admit(&self, caller: &Caller) -> Result<(), ServiceError> {
        self.authorize(caller, &Access::ListModels).await
    }

    /// A place for a request, before its body is read.
    ///
    /// # Errors
    /// [`ServiceError::Busy`], where all are taken.
    pub fn place(&self) -> Result<Place, ServiceError> {
        Ok(self.deps.engine.admit()?)
    }

    /// Scores what is asked.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn infer(&self, caller: &Caller, infer: Infer) -> Result<Inferred, ServiceError> {
        let entry = Entry::by(caller, "infer").detail(format!("{} rows", infer.inputs.rows()));
        let (entry, found) = self.found(caller, entry, &infer.model).await?;
        let Infer { place, model: Asked { name, .. }, inputs, urgency, timeout } = infer;
        let answer = async {
            self.not_withheld(&name)?;
            if inputs.rows() > self.deps.limits.rows {
                let detail = format!("a request holds at most {} rows", self.deps.limits.rows);
                return Err(ServiceError::Invalid { code: "too_many_rows", detail });
            }
            let NamedModel { model, .. } = found;
            let limit = timeout.map_or(self.deps.limits.deadline, |timeout| timeout.min(self.deps.limits.deadline));
            let label = Label { name: name.to_string(), version: model.version.to_string() };
            let request = Request { place, label, inputs, urgency, deadline: Instant::now() + limit };
            let predictions = self.deps.engine.answer(&key(&model), request, || self.fetch(&model)).await?;
            if let Err(unloaded) = self.not_withheld(&name) {
                // Unloaded since this began: what was loaded for it goes, too.
                self.deps.engine.unload(&key(&model)).await;
                return Err(unloaded);
            }
            Ok(Inferred { version: model.version, provisional: model.provisional, predictions })
        };
        let inferred = self.deps.audit.or_failed(&entry, answer.await).await?;
        self.deps.audit.record(entry).await?;
        Ok(inferred)
    }

    /// What a model is.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn describe(&self, caller: &Caller, asked: &Asked) -> Result<Described, ServiceError> {
        let (entry, found) = self.found(caller, Entry::by(caller, "model_metadata"), asked).await?;
        let versions = match asked.version {
            Some(_) => vec![found.model.version],
            None => {
                let all = self.deps.database.model_versions(&asked.name, MOST_VERSIONS).await?;
                all.into_iter().filter(|listed| !listed.retired).map(|listed| listed.version).collect()
            }
        };
        self.deps.audit.record(entry).await?;
        Ok(Described { name: asked.name.clone(), versions })
    }

    /// Whether a model may be asked.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn is_ready(&self, caller: &Caller, asked: &Asked) -> Result<bool, ServiceError> {
        let (entry, _) = self.found(caller, Entry::by(caller, "model_ready"), asked).await?;
        self.deps.audit.record(entry).await?;
        Ok(!self.withheld().contains(&asked.name))
    }

    /// The models that the caller may see: at most `limit`, whose names come after `after`.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn list(&self, caller: &Caller, after: &str, limit: u32) -> Result<Vec<Listing>, ServiceError> {
        let entry = self.allowed(caller, Entry::by(caller, "list_models"), &Access::ListModels).await?;
        let scope = model_scope(&caller.role);
        let listed = self.deps.database.list_models(&scope, after, limit.min(MOST_LISTED), MOST_VERSIONS).await?;
        let patients: Vec<_> = listed.iter().map(|listed| listed.patient.clone()).collect();
        self.deps.audit.record(entry.patients(patients)).await?;
        let withheld = self.withheld();
        let listing = |ListedModel { name, version, retired, .. }: ListedModel| {
            let state = match (retired, withheld.contains(&name)) {
                (true, _) => State::Retired,
                (false, true) => State::Withheld,
                (false, false) if self.deps.engine.is_loaded(&version.as_str().into()) => State::Loaded,
                (false, false) => State::Known,
            };
            Listing { name, version, state }
        };
        Ok(listed.into_iter().map(listing).collect())
    }

    /// Loads a model, of which the version that serves may be asked from now on.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn load(&self, caller: &Caller, name: &ModelName) -> Result<(), ServiceError> {
        let (entry, _) = self.operated(caller, "load_model", name).await?;
        let loaded = async {
            let found = self.deps.database.named_model(name, None).await?.ok_or(ServiceError::NotFound(MODEL))?;
            let _place = self.deps.engine.admit().map_err(ServiceError::from)?;
            let key = key(&found.model);
            let load = self.deps.engine.load(&key, || self.fetch(&found.model));
            let loaded = tokio::time::timeout(self.deps.limits.deadline, load).await;
            loaded.map_err(|_| EngineError::TooSlow)??;
            self.withheld().remove(name);
            Ok(())
        };
        self.deps.audit.or_failed(&entry, loaded.await).await
    }

    /// Unloads every version of a model: when this returns none is in use. It is not asked by this way until it is loaded again.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn unload(&self, caller: &Caller, name: &ModelName) -> Result<(), ServiceError> {
        let (_, versions) = self.operated(caller, "unload_model", name).await?;
        {
            let mut withheld = self.withheld();
            if withheld.len() >= MOST_WITHHELD && !withheld.contains(name) {
                return Err(ServiceError::busy("models that are withheld"));
            }
            withheld.insert(name.clone());
        }
        for listed in versions {
            self.deps.engine.unload(&listed.version.as_str().into()).await;
        }
        Ok(())
    }

    /// What became of a model's requests: of one version, or of all that were asked.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn statistics(&self, caller: &Caller, asked: &Asked) -> Result<Vec<Counted>, ServiceError> {
        let Described { name, versions } = self.describe(caller, asked).await?;
        let counted = |version: ModelVersion| {
            let label = Label { name: name.to_string(), version: version.to_string() };
            Counted { statistics: self.deps.engine.statistics().of(&label), label }
        };
        Ok(versions.into_iter().map(counted).collect())
    }

    /// What became of the requests to every model.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub async fn all_statistics(&self, caller: &Caller) -> Result<Vec<Counted>, ServiceError> {
        let entry = self.allowed(caller, Entry::by(caller, "model_statistics"), &Access::OperateModels).await?;
        self.deps.audit.record(entry).await?;
        let all = self.deps.engine.statistics().all();
        Ok(all.into_iter().map(|(label, statistics)| Counted { label, statistics }).collect())
    }

    /// The model that is asked for, where the caller may ask it; otherwise it is noted why not.
    async fn found(
        &self,
        caller: &Caller,
        entry: Entry,
        Asked { name, version }: &Asked,
    ) -> Result<(Entry, NamedModel), ServiceError> {
        let Some(found) = self.deps.database.named_model(name, version.as_ref()).await? else {
            return Err(self.deps.audit.failed(entry, ServiceError::NotFound(MODEL)).await);
        };
        let entry = self.allowed(caller, entry, &Access::Patient(found.patient.clone())).await?;
        Ok((entry, found))
    }

    /// The versions of a model that is about to be operated, noted.
    async fn operated(
        &self,
        caller: &Caller,
        operation: &'static str,
        name: &ModelName,
    ) -> Result<(Entry, Vec<ListedModel>), ServiceError> {
        let entry = self.allowed(caller, Entry::by(caller, operation), &Access::OperateModels).await?;
        let versions = self.deps.database.model_versions(name, MOST_VERSIONS).await?;
        let entry = entry.patients(versions.first().map(|listed| listed.patient.clone()));
        if versions.is_empty() {
            return Err(self.deps.audit.failed(entry, ServiceError::NotFound(MODEL)).await);
        }
        self.deps.audit.record(entry.clone()).await?;
        Ok((entry, versions))
    }

    /// What is noted of an access that the caller has; of one that they do not have it is noted here.
    async fn allowed(&self, caller: &Caller, entry: Entry, access: &Access) -> Result<Entry, ServiceError> {
        let entry = entry.about(access);
        self.deps.audit.or_failed(&entry, self.authorize(caller, access).await).await?;
        Ok(entry)
    }

    async fn authorize(&self, caller: &Caller, access: &Access) -> Result<(), ServiceError> {
        authorize(&self.deps.database, &caller.role, access, &SeenLinks::default(), MODEL).await
    }

    fn not_withheld(&self, name: &ModelName) -> Result<(), ServiceError> {
        if self.withheld().contains(name) {
            let detail = "the model was unloaded; an admin may load it".to_owned();
            return Err(ServiceError::Conflict { code: "model_unloaded", detail });
        }
        Ok(())
    }

    async fn fetch(&self, model: &ModelRow) -> Result<bytes::Bytes, LoadError> {
        Ok(self.deps.objects.get(&model.artifact_key, Some(model.artifact_digest)).await?)
    }

    fn withheld(&self) -> MutexGuard<'_, HashSet<ModelName>> {
        self.withheld.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the engine keeps a model under.
fn key(model: &ModelRow) -> Arc<str> {
    model.version.as_str().into()
}

impl From<EngineError> for ServiceError {
    fn from(error: EngineError) -> Self {
        let text = error.to_string();
        match error {
            EngineError::Busy => Self::busy("inference requests in hand"),
            EngineError::TooSlow => Self::busy("inference too slow"),
            EngineError::NoRoom => Self::busy("models in use leave no room"),
            EngineError::NotDone => Self::busy("inference not done"),
            EngineError::Load(LoadError::Away(reason)) => Self::busy(reason),
            EngineError::Load(LoadError::Refused(reason)) => {
                Self::Conflict { code: "model_unusable", detail: format!("the model cannot be used: {reason}") }
            }
            EngineError::Load(LoadError::Newer) => Self::Conflict { code: "model_unusable", detail: text },
            EngineError::Load(LoadError::Corrupt) => Self::Conflict { code: "model_corrupt", detail: text },
            EngineError::Load(LoadError::Missing | LoadError::Failed(_)) => Self::Internal(anyhow::anyhow!(text)),
            EngineError::NotLoaded => Self::NotFound(MODEL),
            EngineError::Row { .. } | EngineError::Recording { .. } => {
                Self::Invalid { code: "input_refused", detail: text }
            }
        }
    }
}
