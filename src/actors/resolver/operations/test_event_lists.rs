//! Lists of a patient's test events, and averages of their scores.

use super::lists::{Listed, Total};
use super::{Access, Caller, Effect, Operation, ResolverDeps, ServiceError, check_length};
use crate::domain::averages::{Period, Window};
use crate::domain::ids::{Movement, PatientId};
use crate::storage::database::{ScoreAverage, TestEvent, TestEventListFilter, TestEventPlace};
use chrono::{DateTime, TimeDelta, Utc};

/// Averages that one answer lists at most.
const MOST_AVERAGES: u32 = 1_000;
/// The longest window of averages, days: ten years.
const LONGEST_WINDOW: i64 = 3_660;

/// A page of a patient's test events.
pub struct TestEventList {
    /// Whose.
    pub patient: PatientId,
    /// Which of them.
    pub filter: TestEventListFilter,
    /// Behind which of them the page begins.
    pub after: Option<TestEventPlace>,
    /// Events on the page at most.
    pub limit: u32,
    /// Whether the list is counted.
    pub total: Total,
}

impl Operation for TestEventList {
    const NAME: &'static str = "test_event_list";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient";
    type Answer = Listed<(TestEvent, TestEventPlace)>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Self::Answer, ServiceError> {
        check_length("search", self.filter.search.as_deref(), 254)?;
        let Self { patient, filter, after, limit, total } = self;
        let read = deps.database.test_event_page(&patient, &filter, after, limit.saturating_add(1), total.bound());
        let page = read.await?;
        if page.entries.is_empty() && deps.database.patient(&patient).await?.is_none() {
            return Err(ServiceError::NotFound(Self::SUBJECT));
        }
        Ok(Listed::of(page, limit))
    }
}

/// Averages of a patient's computed scores over weeks or months.
pub struct ScoreAverages {
    /// Whose.
    pub patient: PatientId,
    /// Over what.
    pub period: Period,
    /// Of this movement alone.
    pub movement: Option<Movement>,
    /// From the period that holds this time on; a year before the end where it is absent.
    pub from: Option<DateTime<Utc>>,
    /// To before this time; now where it is absent.
    pub to: Option<DateTime<Utc>>,
}

impl Operation for ScoreAverages {
    const NAME: &'static str = "score_averages";
    const EFFECT: Effect = Effect::Reads;
    const SUBJECT: &'static str = "patient";
    type Answer = Vec<ScoreAverage>;

    async fn access(&self, _: &ResolverDeps) -> Result<Access, ServiceError> {
        Ok(Access::Patient(self.patient.clone()))
    }

    async fn run(self, deps: &ResolverDeps, _: &Caller) -> Result<Self::Answer, ServiceError> {
        let end = self.to.unwrap_or_else(|| deps.clock.now());
        let from = self.from.unwrap_or(end - TimeDelta::days(365));
        if end < from || end - from > TimeDelta::days(LONGEST_WINDOW) {
            return Err(ServiceError::Invalid {
                code: "window_out_of_range",
                detail: format!("to_time is at most {LONGEST_WINDOW} days after from_time, and not before it"),
            });
        }
        let window = Window::of(self.period, from, end);
        let read = deps.database.score_averages(
            &self.patient,
            self.period,
            &window,
            self.movement.as_ref(),
            MOST_AVERAGES + 1,
        );
        let averages = read.await?;
        if averages.len() > MOST_AVERAGES as usize {
            return Err(ServiceError::Invalid {
                code: "window_out_of_range",
                detail: format!("there are more than {MOST_AVERAGES} averages: name a movement, or a shorter window"),
            });
        }
        if averages.is_empty() && deps.database.patient(&self.patient).await?.is_none() {
            return Err(ServiceError::NotFound(Self::SUBJECT));
        }
        Ok(averages)
    }
}
