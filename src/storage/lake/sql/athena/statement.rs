//! The text that Athena is sent: a plan written anew, in which the only table is our own expression with the reader's patients.
//!
//! What a reader wrote comes into it in two places, texts and names. sqlparser prints a quoted text as if a backslash before
//! a quote escaped it, which it does in no dialect that is spoken here: so every quote is doubled by us before it prints, names
//! that hold a quote or a backslash are refused, and what was printed is read again and must be what was meant.

use super::super::check::{self, Allowed};
use super::super::parts::Reader;
use super::super::wanted::Wanted;
use super::super::{Limits, QueryError, only_reads, session};
use super::AthenaSettings;
use crate::domain::ids::PatientId;
use crate::domain::recording::AXES;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{
    DataType as SqlType, ObjectName, Query, Statement, Value, ValueWithSpan, VisitMut, VisitorMut, visit_relations,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use datafusion::sql::unparser::Unparser;
use datafusion::sql::unparser::dialect::CustomDialectBuilder;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Patients that the condition of a query names at most: Athena finds partitions by them.
const MOST_PATIENTS: usize = 1_000;
/// Levels of the deepest text that is read again: printed, a plan has more parentheses than the text that it was made of.
const DEEPEST: usize = 400;
/// A backslash escapes nothing in it, as in Athena's.
const DIALECT: GenericDialect = GenericDialect {};

/// The query for Athena, and the columns of its result.
pub(super) async fn restricted(
    reader: &Reader,
    limits: &Limits,
    settings: &AthenaSettings,
    sql: &str,
) -> Result<(String, SchemaRef), QueryError> {
    let session = session::open(reader, limits)?;
    let state = session.state();
    let plan = state.statement_to_plan(check::parse(sql, Allowed::Select)?).await.map_err(QueryError::of_plan)?;
    only_reads(&plan)?;
    let optimized = state.optimize(&plan).map_err(QueryError::of_plan)?;
    let wanted = patients_named(&optimized)?;
    let Some(patients) = reader.patients(&wanted, MOST_PATIENTS).await? else {
        return Err(QueryError::Refused(format!(
            "with Athena a query names its patients where there are more than {MOST_PATIENTS}: patient_id IN (…)"
        )));
    };
    let text = written(&plan, settings, &patients)?;
    let fields = plan.schema().fields().iter().map(|field| {
        let text = matches!(field.data_type(), DataType::Utf8View | DataType::LargeUtf8 | DataType::Null);
        let kind = if text { DataType::Utf8 } else { field.data_type().clone() };
        Field::new(field.name(), kind, true)
    });
    Ok((text, Arc::new(Schema::new(fields.collect::<Vec<_>>()))))
}

/// What the conditions of every table together leave, where there is one table; otherwise nothing is known.
fn patients_named(plan: &LogicalPlan) -> Result<Wanted, QueryError> {
    let mut scans = Vec::new();
    let mut foreign = false;
    let visited = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            foreign |= scan.table_name.table() != "samples";
            scans.push(Wanted::of(&scan.filters));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    visited.map_err(QueryError::of_plan)?;
    if foreign {
        return Err(QueryError::Refused("with Athena there is the table samples alone".to_owned()));
    }
    match scans.pop() {
        Some(only) if scans.is_empty() => Ok(only),
        _ => Ok(Wanted::default()),
    }
}

/// The plan as SQL whose only table is our own expression.
fn written(plan: &LogicalPlan, settings: &AthenaSettings, patients: &[PatientId]) -> Result<String, QueryError> {
    let dialect = CustomDialectBuilder::new()
        .with_identifier_quote_style('"')
        .with_float64_ast_dtype(SqlType::Double(datafusion::sql::sqlparser::ast::ExactNumberInfo::None))
        .with_utf8_cast_dtype(SqlType::Varchar(None))
        .with_large_utf8_cast_dtype(SqlType::Varchar(None))
        .build();
    let Statement::Query(mut query) = Unparser::new(&dialect).plan_to_sql(plan).map_err(QueryError::of_plan)? else {
        return Err(QueryError::Refused("only SELECT is run".to_owned()));
    };
    let foreign = visit_relations(&query, |name: &ObjectName| {
        if name.0.len() == 1 && name.to_string().trim_matches('"') == "samples" {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    });
    if foreign.is_break() || query.with.is_some() {
        return Err(QueryError::Refused("with Athena the table is named samples, without a schema".to_owned()));
    }
    query.with = ours(settings, patients)?.with;
    printed(*query)
}

/// A query that begins with `samples` as the reader sees it.
fn ours(settings: &AthenaSettings, patients: &[PatientId]) -> Result<Query, QueryError> {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let text = |id: &PatientId| format!("'{}'", id.as_str().replace('\'', "''"));
    let condition = if patients.is_empty() {
        "1 = 0".to_owned()
    } else {
        format!("patient_id IN ({})", patients.iter().map(text).collect::<Vec<_>>().join(", "))
    };
    let sql = format!(
        "WITH samples AS (SELECT patient_id, movement, year, month, day,
             regexp_extract(\"$path\", 'test_event_id=([0-9a-f-]+)', 1) AS test_event_id, ts, {}, utc_offset_minutes
         FROM {}.{} WHERE {condition}) SELECT 1",
        AXES.join(", "),
        quoted(&settings.database),
        quoted(&settings.table),
    );
    read(&sql).ok_or_else(|| QueryError::Internal("our own part of a query does not parse".into()))
}

/// The query as text that reads as this query and as no other.
fn printed(mut query: Query) -> Result<String, QueryError> {
    let mut bare = query.clone();
    let meant = texts(&mut bare, |_| String::new())?;
    texts(&mut query, |text| text.replace('\'', "''"))?;
    let text = query.to_string();
    let tokens = Tokenizer::new(&DIALECT, &text).tokenize().map_err(|_| unwritten())?;
    let odd = |token: &Token| matches!(token, Token::Word(word) if word.quote_style.is_some() && word.value.contains(['"', '\\']));
    if tokens.iter().any(odd) {
        let reason = "with Athena no name holds a quote or a backslash: name every expression, as in max(ax) AS most";
        return Err(QueryError::Refused(reason.to_owned()));
    }
    // Both are read from texts: what can be written in two ways is the same once it is read.
    let mut again = read(&text).ok_or_else(unwritten)?;
    let bare = read(&bare.to_string()).ok_or_else(unwritten)?;
    if texts(&mut again, |_| String::new())? == meant && again == bare { Ok(text) } else { Err(unwritten()) }
}

/// Changes every text of a query; gives them as they were.
fn texts(query: &mut Query, change: impl Fn(&str) -> String) -> Result<Vec<String>, QueryError> {
    let mut visitor = Texts { change, found: Vec::new() };
    match VisitMut::visit(query, &mut visitor) {
        ControlFlow::Continue(()) => Ok(visitor.found),
        ControlFlow::Break(()) => Err(unwritten()),
    }
}

struct Texts<F> {
    change: F,
    found: Vec<String>,
}

impl<F: Fn(&str) -> String> VisitorMut for Texts<F> {
    type Break = ();

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "of many kinds of literal, these are written")]
        match &mut value.value {
            Value::SingleQuotedString(text) => {
                let changed = (self.change)(text);
                self.found.push(std::mem::replace(text, changed));
                ControlFlow::Continue(())
            }
            Value::Number(..) | Value::Boolean(_) | Value::Null => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }
}

/// A text that is one query.
fn read(text: &str) -> Option<Query> {
    let parser = Parser::new(&DIALECT).with_recursion_limit(DEEPEST).try_with_sql(text);
    let mut statements = parser.and_then(|mut parser| parser.parse_statements()).ok()?;
    match (statements.pop(), statements.pop()) {
        (Some(Statement::Query(query)), None) => Some(*query),
        _ => None,
    }
}

fn unwritten() -> QueryError {
    QueryError::Refused("this query cannot be written for Athena".to_owned())
}
