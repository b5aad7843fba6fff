//! Patients, care providers, and who cares for whom.

use super::{Database, DatabaseError, Result, micros};
use crate::domain::ids::{CareProviderId, PatientId};
use chrono::{DateTime, Utc};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

/// A patient.
#[derive(Clone, PartialEq, Eq)]
pub struct Patient {
    /// Which.
    pub id: PatientId,
    /// E-mail address.
    pub email: Option<String>,
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
    /// When they consented to the use of their data.
    pub privacy_consent_date: Option<String>,
}

/// A care provider.
#[derive(Clone, PartialEq, Eq)]
pub struct CareProvider {
    /// Which.
    pub id: CareProviderId,
    /// E-mail address.
    pub email: Option<String>,
}

/// A care provider who cares for a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatientLink {
    /// Who cares.
    pub care_provider: CareProviderId,
    /// For whom.
    pub patient: PatientId,
}

impl Database {
    /// Makes a patient.
    ///
    /// # Errors
    /// [`DatabaseError::Duplicate`] when there is one with that id.
    pub async fn create_patient(&self, new: &Patient, now: DateTime<Utc>) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO patients (patient_id, email, first_name, last_name, privacy_consent_date, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
        .bind(new.id.as_str())
        .bind(&new.email)
        .bind(&new.first_name)
        .bind(&new.last_name)
        .bind(&new.privacy_consent_date)
        .bind(micros(now))
        .execute(transaction.conn())
        .await?;
        transaction.commit().await
    }

    /// Makes a care provider.
    ///
    /// # Errors
    /// [`DatabaseError::Duplicate`] when there is one with that id.
    pub async fn create_care_provider(&self, new: &CareProvider, now: DateTime<Utc>) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query("INSERT INTO care_providers (care_provider_id, email, created_at) VALUES (?1, ?2, ?3)")
            .bind(new.id.as_str())
            .bind(&new.email)
            .bind(micros(now))
            .execute(transaction.conn())
            .await?;
        transaction.commit().await
    }

    /// The patient.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn patient(&self, id: &PatientId) -> Result<Option<Patient>> {
        let row = sqlx::query(
            "SELECT patient_id, email, first_name, last_name, privacy_consent_date FROM patients WHERE patient_id = ?1",
        )
        .bind(id.as_str())
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(read_patient).transpose()
    }

    /// The care provider.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn care_provider(&self, id: &CareProviderId) -> Result<Option<CareProvider>> {
        let row = sqlx::query("SELECT care_provider_id, email FROM care_providers WHERE care_provider_id = ?1")
            .bind(id.as_str())
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| Ok(CareProvider { id: read_care_provider_id(&row)?, email: row.try_get("email")? })).transpose()
    }

    /// Notes when a patient consented; the patient as they are then, or `None` when there is no such patient.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn record_consent(&self, patient: &PatientId, date: &str) -> Result<Option<Patient>> {
        let mut transaction = self.begin().await?;
        let row = sqlx::query(
            "UPDATE patients SET privacy_consent_date = ?1 WHERE patient_id = ?2
             RETURNING patient_id, email, first_name, last_name, privacy_consent_date",
        )
        .bind(date)
        .bind(patient.as_str())
        .fetch_optional(transaction.conn())
        .await?;
        let patient = row.as_ref().map(read_patient).transpose()?;
        transaction.commit().await?;
        Ok(patient)
    }

    /// Links a care provider to a patient; linked twice is linked once.
    ///
    /// # Errors
    /// [`DatabaseError::MissingReference`] when there is no such care provider or patient.
    pub async fn link_patient(&self, link: &PatientLink, now: DateTime<Utc>) -> Result<()> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "INSERT INTO patient_care_providers (care_provider_id, patient_id, linked_at) VALUES (?1, ?2, ?3)
             ON CONFLICT (care_provider_id, patient_id) DO NOTHING",
        )
        .bind(link.care_provider.as_str())
        .bind(link.patient.as_str())
        .bind(micros(now))
        .execute(transaction.conn())
        .await?;
        transaction.commit().await
    }

    /// Whether the care provider cares for the patient.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn is_linked(&self, care_provider: &CareProviderId, patient: &PatientId) -> Result<bool> {
        Ok(sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM patient_care_providers WHERE care_provider_id = ?1 AND patient_id = ?2)",
        )
        .bind(care_provider.as_str())
        .bind(patient.as_str())
        .fetch_one(&self.readers)
        .await?)
    }

    /// The patients of a care provider, by name, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn patients_of(&self, care_provider: &CareProviderId, limit: u32) -> Result<Vec<Patient>> {
        let rows = sqlx::query(
            "SELECT patient_id, email, first_name, last_name, privacy_consent_date
             FROM patient_care_providers JOIN patients USING (patient_id)
             WHERE care_provider_id = ?1 ORDER BY last_name, first_name, patient_id LIMIT ?2",
        )
        .bind(care_provider.as_str())
        .bind(limit)
        .fetch_all(&self.readers)
        .await?;
        rows.iter().map(read_patient).collect()
    }

    /// The care provider who was linked to the patient first.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn first_care_provider(&self, patient: &PatientId) -> Result<Option<CareProviderId>> {
        let row = sqlx::query(
            "SELECT care_provider_id FROM patient_care_providers WHERE patient_id = ?1
             ORDER BY linked_at, care_provider_id LIMIT 1",
        )
        .bind(patient.as_str())
        .fetch_optional(&self.readers)
        .await?;
        row.as_ref().map(read_care_provider_id).transpose()
    }
}

fn read_care_provider_id(row: &SqliteRow) -> Result<CareProviderId> {
    CareProviderId::new(row.try_get::<String, _>("care_provider_id")?)
        .map_err(|_| DatabaseError::Corrupt("care provider id"))
}

fn read_patient(row: &SqliteRow) -> Result<Patient> {
    Ok(Patient {
        id: PatientId::new(row.try_get::<String, _>("patient_id")?)
            .map_err(|_| DatabaseError::Corrupt("patient id"))?,
        email: row.try_get("email")?,
        first_name: row.try_get("first_name")?,
        last_name: row.try_get("last_name")?,
        privacy_consent_date: row.try_get("privacy_consent_date")?,
    })
}
