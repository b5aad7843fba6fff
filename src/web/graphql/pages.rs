//! Pages of lists, averages and models.

use super::context::Context;
use super::cursor;
use super::times;
use super::types::{Patient, TestEvent};
use crate::actors::resolver::{Listed, Total};
use crate::domain::averages;
use crate::storage::database::{self, KnownModel, PatientPlace, TestEventPlace};
use crate::web::models::card_path;
use juniper::{DefaultScalarValue, Executor, GraphQLEnum, GraphQLObject, graphql_object};

/// Whether the page that is being resolved is asked for its total: counting costs something.
pub(super) fn total_asked(executor: &Executor<'_, '_, Context, DefaultScalarValue>) -> Total {
    let selection = executor.look_ahead();
    let children = selection.children();
    let mut names = children.iter().map(|child| child.field_original_name());
    if names.any(|name| matches!(name, "total" | "more_than_total")) { Total::Counted } else { Total::NotAsked }
}

/// What every page says of its list.
struct About {
    total: i32,
    more_than_total: bool,
    has_next: bool,
    end_cursor: Option<String>,
}

macro_rules! page {
    ($(#[$doc:meta])* $page:ident of $node:ident, made of $row:ident at $place:ident by $cursor:path) => {
        $(#[$doc])*
        pub(super) struct $page {
            nodes: Vec<$node>,
            about: About,
        }

        impl From<Listed<(database::$row, $place)>> for $page {
            fn from(listed: Listed<(database::$row, $place)>) -> Self {
                let about = About {
                    total: i32::try_from(listed.total).unwrap_or(i32::MAX),
                    more_than_total: listed.more_than_total,
                    has_next: listed.has_next,
                    end_cursor: listed.entries.last().map(|(_, place)| $cursor(place)),
                };
                Self { nodes: listed.entries.into_iter().map(|(row, _)| row.into()).collect(), about }
            }
        }

        $(#[$doc])*
        #[graphql_object]
        #[graphql(context = Context, rename_all = "none")]
        impl $page {
            fn nodes(&self) -> &[$node] {
                &self.nodes
            }

            /// Entries of the whole list with these filters, counted up to 10,000.
            fn total(&self) -> i32 {
                self.about.total
            }

            /// Whether there are more than `total`.
            fn more_than_total(&self) -> bool {
                self.about.more_than_total
            }

            /// Whether there are entries behind this page.
            fn has_next(&self) -> bool {
                self.about.has_next
            }

            /// Given as `after`, it asks for the page behind this one, with the same filters and order. Null on an empty
            /// page.
            fn end_cursor(&self) -> Option<&str> {
                self.about.end_cursor.as_deref()
            }
        }
    };
}

page! {
    /// A page of patients.
    PatientPage of Patient, made of Patient at PatientPlace by cursor::of_patient
}
page! {
    /// A page of test events.
    TestEventPage of TestEvent, made of TestEvent at TestEventPlace by cursor::of_event
}

/// What scores are averaged over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, GraphQLEnum)]
#[graphql(rename_all = "none")]
#[expect(non_camel_case_types, reason = "as the other enums of the schema")]
pub(super) enum Period {
    /// Monday to Sunday, UTC.
    week,
    /// A calendar month, UTC.
    month,
}

impl From<Period> for averages::Period {
    fn from(period: Period) -> Self {
        match period {
            Period::week => Self::Week,
            Period::month => Self::Month,
        }
    }
}

/// The average of the balance scores of a week or month.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct ScoreAverage {
    movement: String,
    /// The first day, `2026-01-05`.
    start: String,
    /// 0 to 100.
    mean: f64,
    /// Scores in it.
    scores: i32,
    /// The mean less that of the week or month before; null where that has no score.
    change: Option<f64>,
}

impl From<database::ScoreAverage> for ScoreAverage {
    fn from(average: database::ScoreAverage) -> Self {
        Self {
            movement: average.movement.to_string(),
            start: average.start,
            mean: average.mean,
            scores: i32::try_from(average.scores).unwrap_or(i32::MAX),
            change: average.change,
        }
    }
}

/// A model of a patient for a movement.
#[derive(GraphQLObject)]
#[graphql(rename_all = "none")]
pub(super) struct Model {
    model_version: String,
    movement: String,
    /// How many training recordings there were when it was trained.
    training_recordings: i32,
    /// Which features it takes.
    feature_set: String,
    /// Leave-one-out mean absolute error, points of the score.
    leave_one_out_error: f64,
    /// The model card, as JSON.
    card: String,
    /// Where the card is, as JSON and as a page to read.
    card_path: String,
    /// RFC 3339, UTC.
    created_at: String,
    /// Since when it scores none: a recording that it learned from was deleted, or one of the patient's own took a provisional
    /// one's place.
    retired_at: Option<String>,
    /// Since when a recording of another patient that it learned from is deleted: it serves until it was trained anew.
    outdated_at: Option<String>,
    /// What was found of it, or decided since: `serves`, `provisional`, `no_better_than_mean`, `worse_than_current` or `withdrawn`.
    verdict: String,
    /// Whether an operator has it serve, whatever comes.
    pinned: bool,
    /// Whether it scores the recordings that come now.
    serves: bool,
}

impl From<KnownModel> for Model {
    fn from(model: KnownModel) -> Self {
        Self {
            model_version: model.version.to_string(),
            movement: model.movement.to_string(),
            training_recordings: model.training_recordings,
            feature_set: model.feature_set,
            leave_one_out_error: model.leave_one_out_error,
            card_path: card_path(&model.version),
            card: model.card,
            created_at: times::shown(model.created_at),
            retired_at: model.retired_at.map(times::shown),
            outdated_at: model.outdated_at.map(times::shown),
            verdict: model.verdict.name().to_owned(),
            pinned: model.pinned,
            serves: model.serves,
        }
    }
}
