//! Which parts of the lake a query's conditions leave: what is asked of the database, and of each file before it is opened.

use crate::domain::ids::{Movement, PatientId, TestEventId};
use crate::storage::database::LakeWindow;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use std::collections::BTreeSet;

/// Ids that a condition names at most to be asked for one by one.
const MOST_NAMED: usize = 1_000;

/// What conditions that must all hold say of partitions. It may leave more than the query wants, never less.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    patients: Option<BTreeSet<String>>,
    movements: Option<BTreeSet<String>>,
    events: Option<BTreeSet<String>>,
    year: Bounds,
    month: Bounds,
}

/// Both ends included.
#[derive(Debug, Default, Clone, Copy)]
struct Bounds {
    from: Option<i64>,
    to: Option<i64>,
}

impl Bounds {
    fn at_least(&mut self, value: i64) {
        self.from = Some(self.from.map_or(value, |from| from.max(value)));
    }

    fn at_most(&mut self, value: i64) {
        self.to = Some(self.to.map_or(value, |to| to.min(value)));
    }
}

impl Wanted {
    /// Of the conditions of a scan.
    pub(super) fn of(filters: &[Expr]) -> Self {
        let mut wanted = Self::default();
        for filter in filters.iter().flat_map(split_conjunction) {
            wanted.condition(filter);
        }
        wanted
    }

    /// The patients that are named, where some are; of texts that are no ids there is nothing.
    pub(super) fn patients(&self) -> Option<Vec<PatientId>> {
        let named = self.patients.as_ref().filter(|named| named.len() <= MOST_NAMED)?;
        Some(named.iter().filter_map(|id| PatientId::new(id.clone()).ok()).collect())
    }

    /// The recordings that are named, where some are.
    pub(super) fn events(&self) -> Option<Vec<TestEventId>> {
        let named = self.events.as_ref().filter(|named| named.len() <= MOST_NAMED)?;
        Some(named.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// The months and the movement.
    pub(super) fn window(&self) -> LakeWindow {
        // Years that no recording has are as good as none.
        let bound = |value: i64| value.clamp(0, 10_000);
        let (from, to) = (bound(self.year.from.unwrap_or(0)), bound(self.year.to.unwrap_or(10_000)));
        let (mut from_month, mut to_month) = (12 * from + 1, 12 * to + 12);
        if from == to {
            from_month = from_month.max(12 * from + self.month.from.unwrap_or(1).clamp(1, 13));
            to_month = to_month.min(12 * to + self.month.to.unwrap_or(12).clamp(0, 12));
        }
        let movement = self.movements.as_ref().filter(|named| named.len() == 1).and_then(BTreeSet::first);
        LakeWindow { movement: movement.and_then(|name| Movement::new(name.clone()).ok()), from_month, to_month }
    }

    fn condition(&mut self, condition: &Expr) {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "DataFusion's expressions are open; what is not known here prunes nothing"
        )]
        match condition {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (column(left), literal(right)) {
                (Some(column), Some(value)) => self.compare(column, *op, &value),
                _ => {
                    if let (Some(value), Some(column), Some(op)) = (literal(left), column(right), op.swap()) {
                        self.compare(column, op, &value);
                    }
                }
            },
            Expr::InList(InList { expr, list, negated: false }) => {
                let values: Option<Vec<_>> = list.iter().map(literal).collect();
                if let (Some(column), Some(values)) = (column(expr), values) {
                    self.one_of(column, &values);
                }
            }
            Expr::Between(Between { expr, negated: false, low, high }) => {
                if let (Some(column), Some(low), Some(high)) = (column(expr), literal(low), literal(high)) {
                    self.compare(column, Operator::GtEq, &low);
                    self.compare(column, Operator::LtEq, &high);
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, column: &str, op: Operator, value: &ScalarValue) {
        if op == Operator::Eq {
            self.one_of(column, std::slice::from_ref(value));
        }
        let bounds = match column {
            "year" => &mut self.year,
            "month" => &mut self.month,
            _ => return,
        };
        let Some(value) = integer(value) else { return };
        #[expect(clippy::wildcard_enum_match_arm, reason = "other operators prune nothing")]
        match op {
            Operator::Eq => {
                bounds.at_least(value);
                bounds.at_most(value);
            }
            Operator::Gt => bounds.at_least(value.saturating_add(1)),
            Operator::GtEq => bounds.at_least(value),
            Operator::Lt => bounds.at_most(value.saturating_sub(1)),
            Operator::LtEq => bounds.at_most(value),
            _ => {}
        }
    }

    fn one_of(&mut self, column: &str, values: &[ScalarValue]) {
        let named = match column {
            "patient_id" => &mut self.patients,
            "movement" => &mut self.movements,
            "test_event_id" => &mut self.events,
            "year" | "month" => {
                let numbers: Option<Vec<_>> = values.iter().map(integer).collect();
                let bounds = if column == "year" { &mut self.year } else { &mut self.month };
                if let Some((Some(least), Some(most))) =
                    numbers.map(|n| (n.iter().min().copied(), n.iter().max().copied()))
                {
                    bounds.at_least(least);
                    bounds.at_most(most);
                }
                return;
            }
            _ => return,
        };
        let texts: Option<BTreeSet<String>> =
            values.iter().map(|value| value.try_as_str().flatten().map(str::to_owned)).collect();
        let Some(texts) = texts else { return };
        *named = Some(match named.take() {
            None => texts,
            Some(before) => before.intersection(&texts).cloned().collect(),
        });
    }
}

fn column(expression: &Expr) -> Option<&str> {
    let Expr::Column(Column { name, .. }) = expression else { return None };
    Some(name)
}

fn literal(expression: &Expr) -> Option<ScalarValue> {
    let Expr::Literal(value, _) = expression else { return None };
    Some(value).filter(|value| !value.is_null()).cloned()
}

fn integer(value: &ScalarValue) -> Option<i64> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "other types prune nothing")]
    match value {
        ScalarValue::Int8(value) => value.map(Into::into),
        ScalarValue::Int16(value) => value.map(Into::into),
        ScalarValue::Int32(value) => value.map(Into::into),
        ScalarValue::Int64(value) => *value,
        ScalarValue::UInt8(value) => value.map(Into::into),
        ScalarValue::UInt16(value) => value.map(Into::into),
        ScalarValue::UInt32(value) => value.map(Into::into),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::prelude::{col, lit};

    fn months(filters: &[Expr]) -> (i64, i64) {
        let window = Wanted::of(filters).window();
        (window.from_month, window.to_month)
    }

    #[test]
    fn conditions_leave_the_months_and_ids_that_they_name() {
        let year = 12 * 2026;
        assert_eq!(months(&[col("year").eq(lit(2026))]), (year + 1, year + 12));
        assert_eq!(months(&[col("year").eq(lit(2026)).and(col("month").gt(lit(3)))]), (year + 4, year + 12));
        assert_eq!(months(&[col("year").eq(lit(2026)), col("month").between(lit(2), lit(3))]), (year + 2, year + 3));
        assert_eq!(months(&[lit(2026).lt_eq(col("year"))]), (year + 1, 12 * 10_000 + 12));
        assert_eq!(months(&[col("month").eq(lit(3))]), (1, 12 * 10_000 + 12), "of every year");
        assert_eq!(months(&[col("year").eq(lit(2026)).or(col("ax").gt(lit(1.0)))]), (1, 12 * 10_000 + 12));
        let named =
            Wanted::of(&[col("patient_id").in_list(vec![lit("a"), lit("b")], false), col("patient_id").eq(lit("b"))]);
        assert_eq!(named.patients().unwrap(), [PatientId::new("b").unwrap()]);
        assert!(Wanted::of(&[col("patient_id").in_list(vec![lit("a")], true)]).patients().is_none());
        assert!(Wanted::of(&[col("patient_id").not_eq(lit("a"))]).patients().is_none());
        assert_eq!(Wanted::of(&[col("test_event_id").eq(lit("no id"))]).events(), Some(Vec::new()));
    }
}
