//! What of a text is looked at before anything is planned: that it is one `SELECT`, and that planning it has a bound.
//!
//! What a reader may see does not rest on this: the tables of their session hold nothing else.

use super::QueryError;
use super::guard::FEW_ROWS;
use datafusion::sql::parser::{DFParserBuilder, ExplainStatement, Statement};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, Query, SetExpr,
    Statement as SqlStatement, Value, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use std::ops::ControlFlow;

/// Bytes of the longest text. A literal of it may be repeated for each row of a batch.
const LONGEST: usize = 8 << 10;
/// Levels of the deepest text.
const DEEPEST: usize = 40;
/// Tables and common table expressions that a text names: each may name those before it, so that a few of them stand for many.
const MOST_TABLES: usize = 16;

/// Which statements a session may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// `SELECT` alone.
    Select,
    /// `SELECT`, and `EXPLAIN` of one, which names files.
    Explain,
}

/// Parses the text.
pub(super) fn parse(sql: &str, allowed: Allowed) -> Result<Statement, QueryError> {
    if sql.len() > LONGEST {
        return refuse(format!("the query is longer than {LONGEST} bytes"));
    }
    let parser = DFParserBuilder::new(sql).with_dialect(&PostgreSqlDialect {}).with_recursion_limit(DEEPEST).build();
    let mut statements = parser.and_then(|mut parser| parser.parse_statements()).map_err(QueryError::of_plan)?;
    let (Some(statement), None) = (statements.pop_front(), statements.pop_front()) else {
        return refuse("a query is one statement".to_owned());
    };
    check(&statement, allowed)?;
    Ok(statement)
}

fn check(statement: &Statement, allowed: Allowed) -> Result<(), QueryError> {
    match statement {
        Statement::Statement(statement) => check_sql(statement),
        Statement::Explain(ExplainStatement { statement, .. }) if allowed == Allowed::Explain => {
            check(statement, Allowed::Select)
        }
        Statement::Explain(_) | Statement::CreateExternalTable(_) | Statement::CopyTo(_) | Statement::Reset(_) => {
            only_select()
        }
    }
}

fn check_sql(statement: &SqlStatement) -> Result<(), QueryError> {
    let SqlStatement::Query(query) = statement else { return only_select() };
    match query.visit(&mut Bounds { tables: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(reason) => refuse(reason.to_owned()),
    }
}

struct Bounds {
    tables: usize,
}

impl Visitor for Bounds {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        if query.with.as_ref().is_some_and(|with| with.recursive) {
            return ControlFlow::Break("WITH RECURSIVE is not offered");
        }
        let reads = matches!(
            query.body.as_ref(),
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::SetOperation { .. } | SetExpr::Values(_)
        );
        if reads { ControlFlow::Continue(()) } else { ControlFlow::Break(ONLY_SELECT) }
    }

    fn pre_visit_relation(&mut self, _: &ObjectName) -> ControlFlow<Self::Break> {
        self.tables += 1;
        if self.tables > MOST_TABLES {
            ControlFlow::Break("a query names at most 16 tables")
        } else {
            ControlFlow::Continue(())
        }
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<Self::Break> {
        // What makes texts longer would make them long without end when it is nested.
        if matches!(expression, Expr::BinaryOp { op: BinaryOperator::StringConcat, .. }) {
            return ControlFlow::Break("texts cannot be joined here");
        }
        if matches!(expression, Expr::Value(value) if matches!(value.value, Value::Placeholder(_))) {
            return ControlFlow::Break("there is no value for a placeholder");
        }
        if let Expr::Function(function) = expression
            && !looks_near(function)
        {
            return ControlFlow::Break("lag, lead and nth_value take a number up to 100000");
        }
        ControlFlow::Continue(())
    }
}

/// Whether a function that looks at rows before or after the current one keeps few of them.
fn looks_near(function: &Function) -> bool {
    let name = function.name.to_string().to_ascii_lowercase();
    if !["lag", "lead", "nth_value"].contains(&name.trim_matches('"')) {
        return true;
    }
    let FunctionArguments::List(list) = &function.args else { return true };
    let Some(distance) = list.args.get(1) else { return true };
    let FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(distance))) = distance else { return false };
    let Value::Number(distance, _) = &distance.value else { return false };
    distance.parse::<u64>().is_ok_and(|distance| distance <= FEW_ROWS)
}

const ONLY_SELECT: &str = "only SELECT is run";

fn only_select<T>() -> Result<T, QueryError> {
    refuse(ONLY_SELECT.to_owned())
}

fn refuse<T>(reason: String) -> Result<T, QueryError> {
    Err(QueryError::Refused(reason))
}
