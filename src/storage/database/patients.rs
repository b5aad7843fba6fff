//! Patients, care providers, and who cares for whom.

use super::patient_lists::texts;
use super::statement::{Row, Statement};
use super::{Database, DatabaseError, Result, statements};
use crate::domain::ids::{CareProviderId, PatientId};
use chrono::{DateTime, Utc};

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

statements! {
    ADD_PATIENT = shared(
        "INSERT INTO patients (patient_id, email, first_name, last_name, privacy_consent_date, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
    );
    FILL_PLACEHOLDER = shared(
        "UPDATE patients SET email = $2, first_name = $3, last_name = $4, privacy_consent_date = $5, placeholder = false
         WHERE patient_id = $1 AND placeholder",
    );
    ADD_CARE_PROVIDER = shared("INSERT INTO care_providers (care_provider_id, email, created_at) VALUES ($1, $2, $3)");
    PATIENT = shared(
        "SELECT patient_id, email, first_name, last_name, privacy_consent_date FROM patients WHERE patient_id = $1",
    );
    CARE_PROVIDER = shared("SELECT care_provider_id, email FROM care_providers WHERE care_provider_id = $1");
    SET_CONSENT = shared(
        "UPDATE patients SET privacy_consent_date = $1 WHERE patient_id = $2
         RETURNING patient_id, email, first_name, last_name, privacy_consent_date",
    );
    LINK = shared(
        "INSERT INTO patient_care_providers (care_provider_id, patient_id, linked_at) VALUES ($1, $2, $3)
         ON CONFLICT (care_provider_id, patient_id) DO NOTHING",
    );
    IS_LINKED = shared(
        "SELECT EXISTS (SELECT 1 FROM patient_care_providers WHERE care_provider_id = $1 AND patient_id = $2) AS linked",
    );
    ARE_LINKED = each(
        "SELECT count(*) AS linked FROM patient_care_providers
         WHERE care_provider_id = $1 AND patient_id IN (SELECT value FROM json_each($2))",
        "SELECT count(*) AS linked FROM patient_care_providers WHERE care_provider_id = $1 AND patient_id = ANY ($2)",
    );
    PATIENTS_OF = shared(
        "SELECT patient_id, email, first_name, last_name, privacy_consent_date
         FROM patient_care_providers JOIN patients USING (patient_id) WHERE care_provider_id = $1
         ORDER BY last_name NULLS FIRST, first_name NULLS FIRST, patient_id LIMIT $2",
    );
    /// Every id comes after $2, the empty text: the first of them are found by their key. What is more than a name is for
    /// who cares for the patient, and for whom $1 is null.
    DIRECTORY = shared(
        "SELECT page.patient_id, first_name, last_name,
                CASE WHEN $1 IS NULL OR links.patient_id IS NOT NULL THEN email END AS email,
                CASE WHEN $1 IS NULL OR links.patient_id IS NOT NULL THEN privacy_consent_date END AS privacy_consent_date
         FROM (SELECT patient_id, email, first_name, last_name, privacy_consent_date FROM patients
               WHERE patient_id > $2 ORDER BY patient_id LIMIT $3) AS page
             LEFT JOIN patient_care_providers AS links
                 ON links.care_provider_id = $1 AND links.patient_id = page.patient_id
         ORDER BY last_name NULLS FIRST, first_name NULLS FIRST, page.patient_id",
    );
    FIRST_CARE_PROVIDER = shared(
        "SELECT care_provider_id FROM patient_care_providers WHERE patient_id = $1
         ORDER BY linked_at, care_provider_id LIMIT 1",
    );
}

impl Database {
    /// Makes a patient, or fills in one of whom only the id was known.
    ///
    /// # Errors
    /// [`DatabaseError::Duplicate`] when there is one with that id of whom more is known.
    pub async fn create_patient(&self, new: &Patient, now: DateTime<Utc>) -> Result<()> {
        match bind_profile(self.write(ADD_PATIENT), new).bind(now).execute().await {
            Err(DatabaseError::Duplicate(error)) => {
                match bind_profile(self.write(FILL_PLACEHOLDER), new).execute().await? {
                    0 => Err(DatabaseError::Duplicate(error)),
                    _ => Ok(()),
                }
            }
            other => other.map(drop),
        }
    }

    /// Makes a care provider.
    ///
    /// # Errors
    /// [`DatabaseError::Duplicate`] when there is one with that id.
    pub async fn create_care_provider(&self, new: &CareProvider, now: DateTime<Utc>) -> Result<()> {
        self.write(ADD_CARE_PROVIDER).bind(new.id.as_str()).bind(&new.email).bind(now).execute().await?;
        Ok(())
    }

    /// The patient.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn patient(&self, id: &PatientId) -> Result<Option<Patient>> {
        let row = self.read(PATIENT).bind(id.as_str()).optional().await?;
        row.as_ref().map(read_patient).transpose()
    }

    /// The care provider.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn care_provider(&self, id: &CareProviderId) -> Result<Option<CareProvider>> {
        let row = self.read(CARE_PROVIDER).bind(id.as_str()).optional().await?;
        row.map(|row| Ok(CareProvider { id: read_care_provider_id(&row)?, email: row.get("email")? })).transpose()
    }

    /// Notes when a patient consented; the patient as they are then, or `None` when there is no such patient.
    ///
    /// # Errors
    /// When the database cannot.
    pub async fn record_consent(&self, patient: &PatientId, date: &str) -> Result<Option<Patient>> {
        let row = self.write(SET_CONSENT).bind(date).bind(patient.as_str()).optional().await?;
        row.as_ref().map(read_patient).transpose()
    }

    /// Links a care provider to a patient; linked twice is linked once.
    ///
    /// # Errors
    /// [`DatabaseError::MissingReference`] when there is no such care provider or patient.
    pub async fn link_patient(&self, link: &PatientLink, now: DateTime<Utc>) -> Result<()> {
        let add = self.write(LINK).bind(link.care_provider.as_str()).bind(link.patient.as_str()).bind(now);
        add.execute().await?;
        Ok(())
    }

    /// Whether the care provider cares for the patient.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn is_linked(&self, care_provider: &CareProviderId, patient: &PatientId) -> Result<bool> {
        self.read(IS_LINKED).bind(care_provider.as_str()).bind(patient.as_str()).one().await?.get("linked")
    }

    /// Whether the care provider cares for each of the patients, none of whom is named twice.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn are_linked(
        &self,
        care_provider: &CareProviderId,
        patients: impl Iterator<Item = &PatientId>,
    ) -> Result<bool> {
        let patients = texts(patients);
        let row = self.read(ARE_LINKED).bind(care_provider.as_str()).bind(&patients[..]).one().await?;
        Ok(usize::try_from(row.get::<i64>("linked")?).is_ok_and(|linked| linked == patients.len()))
    }

    /// The patients of a care provider, by name, at most `limit`.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn patients_of(&self, care_provider: &CareProviderId, limit: u32) -> Result<Vec<Patient>> {
        let rows = self.read(PATIENTS_OF).bind(care_provider.as_str()).bind(limit).all().await?;
        rows.iter().map(read_patient).collect()
    }

    /// Every patient by name, at most `limit`: to a care provider, e-mail address and consent of those whom they care for;
    /// to nobody in particular, of all.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn directory(&self, reader: Option<&CareProviderId>, limit: u32) -> Result<Vec<Patient>> {
        let rows = self.read(DIRECTORY).bind(reader.map(CareProviderId::as_str)).bind("").bind(limit).all().await?;
        rows.iter().map(read_patient).collect()
    }

    /// The care provider who was linked to the patient first.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn first_care_provider(&self, patient: &PatientId) -> Result<Option<CareProviderId>> {
        let row = self.read(FIRST_CARE_PROVIDER).bind(patient.as_str()).optional().await?;
        row.as_ref().map(read_care_provider_id).transpose()
    }
}

fn bind_profile<'c>(statement: Statement<'c>, of: &Patient) -> Statement<'c> {
    let named = statement.bind(of.id.as_str()).bind(&of.email).bind(&of.first_name).bind(&of.last_name);
    named.bind(&of.privacy_consent_date)
}

pub(super) fn read_care_provider_id(row: &Row) -> Result<CareProviderId> {
    CareProviderId::new(row.get::<String>("care_provider_id")?).map_err(|_| DatabaseError::Corrupt("care provider id"))
}

pub(super) fn read_patient_id(row: &Row) -> Result<PatientId> {
    PatientId::new(row.get::<String>("patient_id")?).map_err(|_| DatabaseError::Corrupt("patient id"))
}

pub(super) fn read_patient(row: &Row) -> Result<Patient> {
    Ok(Patient {
        id: read_patient_id(row)?,
        email: row.get("email")?,
        first_name: row.get("first_name")?,
        last_name: row.get("last_name")?,
        privacy_consent_date: row.get("privacy_consent_date")?,
    })
}
