//! Models.

use super::{Access, Caller, Effect, Operation, ResolverDeps, ServiceError};
use crate::domain::ids::{Movement, PatientId};
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
