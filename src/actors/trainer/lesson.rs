//! One training: from the rows of a patient and of the care provider's other patients to a model that was judged.

use super::TrainerDeps;
use crate::actors::work::JobError;
use crate::domain::ids::{ModelName, ModelVersion};
use crate::domain::object_key::ObjectKey;
use crate::domain::verdict::Verdict;
use crate::storage::database::{
    DatabaseError, Fence, Job, JobKind, ModelSource, NewModel, RecordingRow, TrainingRecording, TrainingRecordings,
};
use crate::storage::objects::{Digest, ObjectError};
use bytes::Bytes;
use chrono::SecondsFormat;
use stance_models::artifact;
use stance_models::card::ModelCard;
use stance_models::features::{FEATURE_SET, of_one_set};
use stance_models::prior::{Experience, MAX_OF_ONE, MAX_PEOPLE, MIN_PEOPLE, Prior};
use stance_models::promotion::{self, judge};
use stance_models::training::{
    Knowledge, MAX_RECORDINGS, TrainError, TrainParams, Trained, TrainingSet, provisional, train_with,
};

/// What the numbers are made from.
struct Lesson {
    /// The patient's own recordings.
    own: Option<TrainingSet>,
    /// Those of other patients.
    others: Vec<TrainingSet>,
    /// Whether the patient's own are too few for a model that could do without the others.
    provisional: bool,
    params: TrainParams,
    /// The artifact of the model that serves.
    current: Option<Bytes>,
}

/// What they came to.
struct Learned {
    artifact: Vec<u8>,
    card: ModelCard,
    verdict: Verdict,
}

impl TrainerDeps {
    /// Trains, judges and keeps the model that a job asks for: on the patient's own training recordings, or, where these are too few, a
    /// provisional one, in which the others' experience leads.
    pub(super) async fn train(&self, job: &Job) -> Result<(), JobError> {
        let row = job.recording.clone();
        let row = row.ok_or_else(|| JobError::dead("recording_gone", "the recording was deleted"))?;
        // Earlier attempts may have been cut short.
        let (ordinal, Fence { job_id, token }) = (row.training_ordinal.unwrap_or_default(), job.fence);
        for version in ModelVersion::of_attempts(ordinal, row.id, job_id, token - 1) {
            self.objects.delete(&ObjectKey::model(&row.movement, &row.patient, &version)).await?;
        }
        let serving = self.database.serving_model(&row.patient, &row.movement).await?;
        if row.training_ordinal.is_none() && serving.as_ref().is_some_and(|(_, outdated)| !outdated) {
            return Ok(self.database.end_job(job.fence).await?);
        }
        let (last, newest) = (row.training_ordinal.unwrap_or(i64::MAX), u32::try_from(MAX_RECORDINGS));
        let own =
            self.database.training_recordings(&row.patient, &row.movement, last, newest.unwrap_or(u32::MAX)).await?;
        let provisional = own.count < self.rule.minimum;
        let own = if row.training_ordinal.is_some() || provisional {
            own
        } else {
            // What a model made of them was not good enough, or was taken back: the others alone answer.
            TrainingRecordings { generation: own.generation, ..TrainingRecordings::default() }
        };
        let provisional = provisional || row.training_ordinal.is_none();
        let last = own.newest.last().map_or(0, |last| last.ordinal);
        if provisional && self.database.withdrawn_up_to(&row.patient, &row.movement).await?.is_some_and(|to| to >= last)
        {
            // An operator took what could be made of these back.
            return self.end_without_model(job, &row).await;
        }
        let (others, sources) = self.others(&row, &job.lane).await?;
        let current = match &serving {
            Some((model, false)) => match self.objects.get(&model.artifact_key, Some(model.artifact_digest)).await {
                Err(ObjectError::NotFound | ObjectError::Corrupt) => None,
                found => Some(found?),
            },
            Some((_, true)) | None => None,
        };
        let lesson = Lesson {
            own: if own.newest.is_empty() { None } else { Some(training_set(&own.newest)?) },
            others,
            provisional,
            params: TrainParams {
                seed: u64::try_from(job.fence.job_id).unwrap_or_default(),
                trained_at: Some(self.clock.now().to_rfc3339_opts(SecondsFormat::Secs, true)),
            },
            current,
        };
        match self.compute.run(move || lesson.learn()).await?? {
            Some(learned) => {
                // The card says whether the others had enough to say.
                let sources = if learned.card.prior.is_some() { sources } else { Vec::new() };
                self.keep(job, &row, &own, learned, sources).await
            }
            None => self.end_without_model(job, &row).await,
        }
    }

    /// The training sets of the other patients, and what of each they are.
    async fn others(&self, row: &RecordingRow, lane: &str) -> Result<(Vec<TrainingSet>, Vec<ModelSource>), JobError> {
        let (mut sets, mut sources) = (Vec::new(), Vec::new());
        if !self.rule.from_others {
            return Ok((sets, sources));
        }
        let (people, recordings) = (u32::try_from(MAX_PEOPLE), u32::try_from(MAX_OF_ONE));
        let (people, recordings) = (people.unwrap_or(u32::MAX), recordings.unwrap_or(u32::MAX));
        for patient in self.database.teachers(&row.patient, lane, &row.movement, people).await? {
            let found = self.database.training_recordings(&patient, &row.movement, i64::MAX, recordings).await?;
            // What the former feature set lacks would be taken for a difference between people.
            if found.newest.iter().any(|recording| recording.feature_set != FEATURE_SET) {
                continue;
            }
            if let (Some(first), Some(last)) = (found.newest.first(), found.newest.last()) {
                let (first, last, generation) = (first.ordinal, last.ordinal, found.generation);
                sources.push(ModelSource { patient, first, last, generation });
                sets.push(training_set(&found.newest)?);
            }
        }
        Ok((sets, sources))
    }

    async fn keep(
        &self,
        job: &Job,
        row: &RecordingRow,
        own: &TrainingRecordings,
        learned: Learned,
        sources: Vec<ModelSource>,
    ) -> Result<(), JobError> {
        let last = own.newest.last().map_or(0, |last| last.ordinal);
        let Learned { artifact, card, verdict } = learned;
        let (ordinal, Fence { job_id, token }) = (row.training_ordinal.unwrap_or_default(), job.fence);
        let version = ModelVersion::of_training(ordinal, row.id, job_id, token);
        let scores = own.newest.iter().map(|recording| recording.score);
        let model = NewModel {
            artifact_key: ObjectKey::model(&row.movement, &row.patient, &version),
            version,
            patient: row.patient.clone(),
            movement: row.movement.clone(),
            training_recordings: own.count,
            first_ordinal: own.newest.first().map_or(last, |first| first.ordinal),
            last_ordinal: last,
            generation: own.generation,
            artifact_digest: Digest::of(&artifact),
            feature_set: FEATURE_SET.to_owned(),
            leave_one_out_error: card.leave_one_out_error,
            card: serde_json::to_string(&card).map_err(|_| JobError::Retry("model card could not be written"))?,
            verdict,
            score_range: scores.clone().reduce(f64::min).zip(scores.reduce(f64::max)),
            sources,
        };
        self.objects.put(&model.artifact_key, artifact.into()).await?;
        let name = ModelName::from(self.entropy.uuid());
        self.database.name_model(&name, &model.patient, &model.movement).await?;
        self.remove_outdated(row).await?;
        let queued = match self.database.finish_training(job.fence, &model, self.clock.now()).await {
            Ok(Some(queued)) => queued,
            Ok(None) => {
                self.objects.delete(&model.artifact_key).await?;
                // No attempt of the job: many may be deleted one after another.
                return Err(JobError::Away("a recording that it learned from was deleted"));
            }
            Err(DatabaseError::Fenced) => {
                self.objects.delete(&model.artifact_key).await?;
                return Err(DatabaseError::Fenced.into());
            }
            // Whether it is kept is not known: the next attempt removes the artifact, or the lease is found to be over.
            Err(error) => return Err(error.into()),
        };
        let others = model.sources.len();
        let verdict = verdict.name();
        self.metrics.model_trained(verdict);
        tracing::info!(model = %model.version, recordings = own.count, others, verdict, queued, "a model was trained");
        self.ledger.wake(JobKind::Score);
        self.updates.publish(job.subject, true);
        if row.training_ordinal.is_some() && self.rule.from_others {
            // Not with the model's row: who is forgotten here asks with the next recording.
            let asked = self.database.ask_for_provisional(&job.lane, &row.movement, self.clock.now()).await?;
            if asked > 0 {
                self.ledger.wake(JobKind::Train);
            }
        }
        Ok(())
    }

    async fn end_without_model(&self, job: &Job, row: &RecordingRow) -> Result<(), JobError> {
        self.remove_outdated(row).await?;
        let now = self.clock.now();
        Ok(self.database.end_training_without_model(job.fence, &row.patient, &row.movement, now).await?)
    }

    /// Models that learned from what was deleted of another patient serve no more, and their artifacts go before that is a row, and
    /// before the training ends: so nothing is left behind by one that is cut short. Who looks for an artifact meanwhile tries again.
    async fn remove_outdated(&self, row: &RecordingRow) -> Result<(), JobError> {
        let outdated = self.database.outdated_artifacts(&row.patient, &row.movement).await?;
        if outdated.is_empty() {
            return Ok(());
        }
        for artifact in outdated {
            self.objects.delete(&artifact).await?;
        }
        Ok(self.database.retire_outdated(&row.patient, &row.movement, self.clock.now()).await?)
    }
}

impl Lesson {
    /// `None` where there is nothing to learn from.
    fn learn(self) -> Result<Option<Learned>, JobError> {
        let experiences: Vec<_> = self.others.iter().map(|set| Experience { set, groups: None }).collect();
        let prior = if experiences.len() < MIN_PEOPLE { None } else { Prior::learn(&experiences) };
        let failed = |error: TrainError| JobError::dead("training_failed", &error.to_string());
        let (trained, verdict) = match (&self.own, &prior) {
            (None, None) => return Ok(None),
            (Some(_), None) if self.provisional => return Ok(None),
            (None, Some(prior)) => (provisional(prior, &self.params).map_err(failed)?, Verdict::Provisional),
            (Some(own), prior) => {
                let knowledge = Knowledge { prior: prior.as_ref(), groups: None };
                let trained = train_with(own, &self.params, &knowledge).map_err(failed)?;
                let verdict = if self.provisional {
                    Verdict::Provisional
                } else {
                    let current = self.current.and_then(|artifact| artifact::unpack(&artifact).ok());
                    judge(&trained.card, own, current.as_ref().map(|(model, card)| (model, card))).into()
                };
                (trained, verdict)
            }
        };
        let Trained { model, card } = trained;
        let artifact = artifact::pack(&model, &card).map_err(|_| JobError::Retry("artifact could not be packed"))?;
        Ok(Some(Learned { artifact, card, verdict }))
    }
}

/// Recordings that were converted before the feature set grew are as good as ever, for what it held then.
fn training_set(recordings: &[TrainingRecording]) -> Result<TrainingSet, JobError> {
    let vectors = recordings.iter().map(|r| (r.feature_set.as_str(), r.features.as_slice()));
    Ok(TrainingSet {
        ids: recordings.iter().map(|recording| recording.id.to_string()).collect(),
        features: of_one_set(vectors)
            .ok_or_else(|| JobError::dead("feature_set_changed", "the recordings were converted by another version"))?,
        scores: recordings.iter().map(|recording| recording.score).collect(),
    })
}

impl From<promotion::Verdict> for Verdict {
    fn from(verdict: promotion::Verdict) -> Self {
        match verdict {
            promotion::Verdict::Serves => Self::Serves,
            promotion::Verdict::NoBetterThanMean { .. } => Self::NoBetterThanMean,
            promotion::Verdict::WorseThanCurrent { .. } => Self::WorseThanCurrent,
        }
    }
}
