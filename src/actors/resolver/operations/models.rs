//! Models.

use super::{Access, Caller, Effect, Operation, ResolverDeps, ServiceError};
use crate::domain::ids::{ModelVersion, Movement, PatientId};
use crate::storage::database::KnownModel;

/// Models that one answer lists at most.
const MOST_MODELS: u32 = 200;

/// A patient's models, by movement and the newest first.
pub struct ModelsOf {
    /// Whose.
    pub patient: PatientId,
    /// For this movement alone.
    pub movement: Option<Movement>,
}

impl Operation for ModelsOf {
    const NAME: &'static str = "models_of";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient";
    type Answer = Vec<KnownModel>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Self::Answer, ServiceError> {
        let models = deps.database.models_of(&self.patient, self.movement.as_ref(), MOST_MODELS).await?;
        if models.is_empty() && deps.database.patient(&self.patient).await?.is_none() {
            return Err(ServiceError::NotFound(Self::SUBJECT));
        }
        Ok(models)
    }
}

/// A model with its card.
pub struct ModelCardOf {
    /// Which.
    pub version: ModelVersion,
}

impl ModelCardOf {
    async fn model(&self, deps: &ResolverDeps) -> Result<(PatientId, KnownModel), ServiceError> {
        deps.database.known_model(&self.version).await?.ok_or(ServiceError::NotFound(Self::SUBJECT))
    }
}

impl Operation for ModelCardOf {
    const NAME: &'static str = "model_card";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "model";
    type Answer = (PatientId, KnownModel);

    /// The row says whose it is.
    async fn access(&self, deps: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.model(deps).await?.0))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Self::Answer, ServiceError> {
        self.model(deps).await
    }
}
