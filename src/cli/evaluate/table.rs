//! Outcomes as a table and as JSON.

use super::Evaluation;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};
use stance_models::evaluation::Outcome;

pub(super) const LEGEND: &str = "Error: mean absolute, score points, averaged over people. Rank: Spearman's correlation within a person. Covered: share inside
the 90 % interval. Width: of that interval. Unlike: share flagged as unlike the training recordings. Each group of recordings was left out
of everything that predicted it; a prior is learnt from the other people.";

pub(super) fn table(evaluation: &Evaluation) -> String {
    let mut table = Table::new();
    table.set_header(["predicted by", "error", "rank", "covered", "width", "unlike"]);
    let number = |value: Option<f64>, digits: usize| value.map_or_else(String::new, |v| format!("{v:.digits$}"));
    let percent = |value: Option<f64>| value.map_or_else(String::new, |v| format!("{:.1} %", v * 100.0));
    for outcome in &evaluation.outcomes {
        let Outcome { mean_absolute_error, rank_correlation, coverage, mean_width, unlike_training, .. } = outcome;
        table.add_row([
            outcome.method.title().to_owned(),
            format!("{mean_absolute_error:.2}"),
            number(*rank_correlation, 2),
            percent(*coverage),
            number(*mean_width, 1),
            percent(*unlike_training),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let recordings = evaluation.outcomes.iter().map(|o| o.recordings).max().unwrap_or(0);
    format!("{}: {recordings} recordings of {} people\n{table}\n", evaluation.series, evaluation.people)
}

pub(super) fn json(evaluations: &[Evaluation]) -> Value {
    let evaluation = |e: &Evaluation| json!({ "series": e.series, "people": e.people, "outcomes": e.outcomes });
    json!({ "evaluations": evaluations.iter().map(evaluation).collect::<Vec<_>>() })
}
