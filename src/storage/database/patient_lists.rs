//! Lists of patients: pages in the order of their names or of the words that they are found by, and what a list shows of
//! each patient.
//!
//! The words stand in `patient_terms`, which triggers of the schema keep true. A page begins after a term and a patient, so
//! that it costs what it holds, wherever it is.

use super::patients::{read_patient, read_patient_id};
use super::recordings::read_movement_named;
use super::statement::Sql;
use super::{Database, Page, Patient, Result, statements};
use crate::domain::ids::{CareProviderId, Movement, PatientId, TestEventId};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Sorts after whatever else begins with the same letters.
const LAST_LETTER: &str = "\u{10FFFF}";

/// Which patients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatientListFilter {
    /// Only of this care provider.
    pub care_provider: Option<CareProviderId>,
    /// Only those whose name, first name, e-mail address or id begins so, whatever the case.
    pub search: Option<String>,
}

/// A place in a list of patients: behind the patient that was found by this term.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatientPlace {
    /// The term.
    pub term: String,
    /// The patient's id.
    pub patient: String,
}

/// What a list shows of a patient beside the profile.
#[derive(Debug, Clone, PartialEq)]
pub struct PatientSummary {
    /// Test events, counted up to the bound that was asked for.
    pub events: u32,
    /// The latest computed scores of the movement of the very latest, latest first.
    pub scores: Vec<TimedScore>,
}

/// A computed score and when its test began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedScore {
    /// The test event.
    pub event: TestEventId,
    /// Of which movement.
    pub movement: Movement,
    /// When it began; where that is not known, when it became known.
    pub time: DateTime<Utc>,
    /// 0 to 100.
    pub score: i32,
}

/// A page of the rows of `$from` for which `$such` holds, from `$begin` on, and how many there are. `$1`: counted at most,
/// `$2`, `$3`: behind which place, `$4`: patients at most, `$5`: whose, `$6`: the search, `$7`: the last letter.
macro_rules! page {
    ($from:expr, $such:expr, $begin:expr, $counted:expr) => {
        concat!(
            "SELECT total, term, patient_id, email, first_name, last_name, privacy_consent_date
             FROM (SELECT count(*) AS total FROM (SELECT 1 FROM ",
            $from,
            " WHERE ",
            $such,
            $counted,
            " LIMIT $1) AS those) AS counted
             LEFT JOIN (
                 SELECT terms.term, patients.patient_id, patients.email, patients.first_name, patients.last_name,
                        patients.privacy_consent_date
                 FROM ",
            $from,
            " JOIN patients ON patients.patient_id = terms.patient_id
                 WHERE ",
            $such,
            $begin,
            " AND (terms.term, terms.patient_id) > ($2, $3)
                 ORDER BY terms.term, terms.patient_id LIMIT $4) AS page ON true
             ORDER BY term, patient_id"
        )
    };
}

/// Holds for the smallest of a patient's terms that begin with `$needle`. They are looked up by the patient: of all terms
/// that begin so there may be many, which `|| ''` keeps the databases from going through.
macro_rules! found {
    ($needle:expr) => {
        concat!(
            "terms.term >= ",
            $needle,
            " AND terms.term < ",
            $needle,
            " || $7 AND terms.kind = (
                 SELECT better.kind FROM patient_terms AS better
                 WHERE better.patient_id = terms.patient_id AND better.term || '' >= ",
            $needle,
            " AND better.term || '' < ",
            $needle,
            " || $7 ORDER BY better.term, better.kind LIMIT 1)"
        )
    };
}

/// The search begins where the page does.
macro_rules! begin {
    ($needle:expr) => {
        concat!(" AND terms.term >= CASE WHEN $2 > ", $needle, " THEN $2 ELSE ", $needle, " END")
    };
}

macro_rules! needle_sqlite {
    () => {
        "lower($6)"
    };
}

macro_rules! needle_postgres {
    () => {
        "lower($6 COLLATE \"und-x-icu\") COLLATE \"C\""
    };
}

/// The patients of a care provider. Both databases are told to begin with them: who has few among many is not looked for.
macro_rules! theirs_sqlite {
    () => {
        "patient_care_providers AS links CROSS JOIN patient_terms AS terms ON terms.patient_id = links.patient_id"
    };
}

macro_rules! theirs_postgres {
    () => {
        "(SELECT care_provider_id, patient_id FROM patient_care_providers WHERE care_provider_id = $5 OFFSET 0) AS links
             CROSS JOIN LATERAL (SELECT patient_id, kind, term FROM patient_terms
                                 WHERE patient_terms.patient_id = links.patient_id OFFSET 0) AS terms"
    };
}

statements! {
    ALL_PATIENTS = shared(page!(
        "patient_terms AS terms",
        "terms.kind = 'name'",
        "",
        // So that PostgreSQL counts in the index.
        " ORDER BY terms.term, terms.patient_id"
    ));
    ALL_PATIENTS_FOUND = each(
        page!("patient_terms AS terms", found!(needle_sqlite!()), begin!(needle_sqlite!()), ""),
        page!("patient_terms AS terms", found!(needle_postgres!()), begin!(needle_postgres!()), ""),
    );
    PATIENTS_OF_CARE_PROVIDER = each(
        page!(theirs_sqlite!(), "links.care_provider_id = $5 AND terms.kind = 'name'", "", ""),
        page!(theirs_postgres!(), "links.care_provider_id = $5 AND terms.kind = 'name'", "", ""),
    );
    PATIENTS_OF_CARE_PROVIDER_FOUND = each(
        page!(
            theirs_sqlite!(),
            concat!("links.care_provider_id = $5 AND ", found!(needle_sqlite!())),
            begin!(needle_sqlite!()),
            ""
        ),
        page!(
            theirs_postgres!(),
            concat!("links.care_provider_id = $5 AND ", found!(needle_postgres!())),
            begin!(needle_postgres!()),
            ""
        ),
    );
    PATIENTS_BY_ID = each(
        "SELECT patient_id, email, first_name, last_name, privacy_consent_date FROM patients
         WHERE patient_id IN (SELECT value FROM json_each($1))",
        "SELECT patient_id, email, first_name, last_name, privacy_consent_date FROM patients WHERE patient_id = ANY ($1)",
    );
    PATIENT_SUMMARIES = each(
        "SELECT asked.patient_id, events, scored.test_event_id, scored.test_type, scored.balance_score,
                coalesce(scored.start_time, scored.created_at) AS began
         FROM (SELECT value AS patient_id, (
                   SELECT count(*) FROM (SELECT 1 FROM test_events WHERE test_events.patient_id = value LIMIT $2) AS those
               ) AS events FROM json_each($1)) AS asked
         LEFT JOIN test_events AS scored ON scored.test_event_id IN (
             SELECT test_event_id FROM test_events
             WHERE patient_id = asked.patient_id AND balance_score IS NOT NULL AND test_type = (
                 SELECT newest.test_type FROM test_events AS newest
                 WHERE newest.patient_id = asked.patient_id AND newest.balance_score IS NOT NULL
                 ORDER BY coalesce(newest.start_time, newest.created_at) DESC, newest.test_event_id DESC LIMIT 1)
             ORDER BY coalesce(start_time, created_at) DESC, test_event_id DESC LIMIT $3)
         ORDER BY asked.patient_id, began DESC, scored.test_event_id DESC",
        "SELECT asked.patient_id, events, scored.test_event_id, scored.test_type, scored.balance_score, began
         FROM (SELECT patient_id, (
                   SELECT count(*) FROM (
                       SELECT 1 FROM test_events WHERE test_events.patient_id = ids.patient_id LIMIT $2) AS those
               ) AS events FROM unnest($1) AS ids (patient_id) OFFSET 0) AS asked
         LEFT JOIN LATERAL (
             SELECT test_event_id, test_type, balance_score, coalesce(start_time, created_at) AS began FROM test_events
             WHERE patient_id = asked.patient_id AND balance_score IS NOT NULL AND test_type = (
                 SELECT newest.test_type FROM test_events AS newest
                 WHERE newest.patient_id = asked.patient_id AND newest.balance_score IS NOT NULL
                 ORDER BY coalesce(newest.start_time, newest.created_at) DESC, newest.test_event_id DESC LIMIT 1)
             ORDER BY coalesce(start_time, created_at) DESC, test_event_id DESC LIMIT $3) AS scored ON true
         ORDER BY asked.patient_id, began DESC, scored.test_event_id DESC",
    );
}

impl Database {
    /// At most `limit` patients from behind a place on, each with its own place, and how many there are, counted up to
    /// `counted`. Nothing is counted where that is 0.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn patient_page(
        &self,
        filter: &PatientListFilter,
        after: &PatientPlace,
        limit: u32,
        counted: u32,
    ) -> Result<Page<(Patient, PatientPlace)>> {
        let statement: Sql = match (&filter.care_provider, &filter.search) {
            (None, None) => ALL_PATIENTS,
            (None, Some(_)) => ALL_PATIENTS_FOUND,
            (Some(_), None) => PATIENTS_OF_CARE_PROVIDER,
            (Some(_), Some(_)) => PATIENTS_OF_CARE_PROVIDER_FOUND,
        };
        let mut read = self.read(statement).bind(counted).bind(&after.term).bind(&after.patient).bind(limit);
        read = match (&filter.care_provider, &filter.search) {
            (None, None) => read,
            (Some(care_provider), None) => read.bind(care_provider.as_str()),
            (care_provider, Some(search)) => {
                read.bind(care_provider.as_ref().map(CareProviderId::as_str)).bind(search).bind(LAST_LETTER)
            }
        };
        Page::read(&read.all().await?, "patient_id", |row| {
            let patient = read_patient(row)?;
            let place = PatientPlace { term: row.get("term")?, patient: patient.id.to_string() };
            Ok((patient, place))
        })
    }

    /// Those of the patients that there are.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn patients_by_id(&self, patients: &[PatientId]) -> Result<Vec<Patient>> {
        self.read(PATIENTS_BY_ID).bind(&texts(patients)[..]).all().await?.iter().map(read_patient).collect()
    }

    /// Of each patient the number of test events, counted up to `counted`, and the `scores` latest scores of the movement
    /// that was scored last.
    ///
    /// # Errors
    /// When the database cannot tell.
    pub async fn patient_summaries(
        &self,
        patients: &[PatientId],
        counted: u32,
        scores: u32,
    ) -> Result<BTreeMap<PatientId, PatientSummary>> {
        let rows = self.read(PATIENT_SUMMARIES).bind(&texts(patients)[..]).bind(counted).bind(scores).all().await?;
        let mut summaries = BTreeMap::new();
        for row in &rows {
            let events = row.get("events")?;
            let summary =
                summaries.entry(read_patient_id(row)?).or_insert_with(|| PatientSummary { events, scores: Vec::new() });
            if let Some(event) = row.get::<Option<Uuid>>("test_event_id")? {
                summary.scores.push(TimedScore {
                    event: event.into(),
                    movement: read_movement_named(row, "test_type")?,
                    time: row.get("began")?,
                    score: row.get("balance_score")?,
                });
            }
        }
        Ok(summaries)
    }
}

/// The ids as a parameter.
pub(super) fn texts<'p>(patients: impl IntoIterator<Item = &'p PatientId>) -> Vec<String> {
    patients.into_iter().map(PatientId::to_string).collect()
}
