//! What a query's session offers: two tables of one reader, functions that are known to be harmless, and bounds.

use super::guard::ReserveForWindows;
use super::parts::Reader;
use super::recordings::Recordings;
use super::samples::{STORE, Samples};
use super::store::Reading;
use super::{Limits, QueryError};
use datafusion::error::Result;
use datafusion::execution::context::SessionContext;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::functions::core::planner::CoreFunctionPlanner;
use datafusion::functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion::functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion::functions_aggregate::planner::AggregateFunctionPlanner;
use datafusion::functions_window::planner::WindowFunctionPlanner;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use std::sync::Arc;

/// Functions of one row. What makes a text or a list longer than its arguments is not among them: nested, it would make them
/// long without end, and DataFusion does not count their memory.
const SCALAR: [&str; 77] = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bit_length",
    "btrim",
    "cbrt",
    "ceil",
    "character_length",
    "coalesce",
    "contains",
    "cos",
    "cosh",
    "cot",
    "current_date",
    "current_time",
    "date_bin",
    "date_part",
    "date_trunc",
    "degrees",
    "ends_with",
    "exp",
    "factorial",
    "find_in_set",
    "floor",
    "from_unixtime",
    "gcd",
    "greatest",
    "isnan",
    "iszero",
    "lcm",
    "least",
    "left",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "make_date",
    "nanvl",
    "now",
    "nullif",
    "nvl",
    "nvl2",
    "octet_length",
    "pi",
    "power",
    "radians",
    "regexp_count",
    "regexp_like",
    "reverse",
    "right",
    "round",
    "rtrim",
    "signum",
    "sin",
    "sinh",
    "split_part",
    "sqrt",
    "starts_with",
    "strpos",
    "substr",
    "tan",
    "tanh",
    "to_date",
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_seconds",
    "to_unixtime",
    "trunc",
    "upper",
];
/// Functions of many rows. Those that gather them into a text or a list are not among them.
const AGGREGATE: [&str; 34] = [
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "first_value",
    "grouping",
    "last_value",
    "max",
    "median",
    "min",
    "percentile_cont",
    "regr_avgx",
    "regr_avgy",
    "regr_count",
    "regr_intercept",
    "regr_r2",
    "regr_slope",
    "regr_sxx",
    "regr_sxy",
    "regr_syy",
    "stddev",
    "stddev_pop",
    "sum",
    "var",
    "var_pop",
];

/// A session for one query of one reader.
pub(super) fn open(reader: &Reader, limits: &Limits) -> Result<SessionContext, QueryError> {
    build(reader, limits).map_err(QueryError::of_plan)
}

fn build(reader: &Reader, limits: &Limits) -> Result<SessionContext> {
    // No disk: what does not fit into the memory ends the query, and no sample lies about in a temporary file.
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(limits.memory_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
        .build_arc()?;
    let store = Reading::new(reader.objects.clone(), reader.counts.clone());
    runtime.register_object_store(ObjectStoreUrl::parse(STORE)?.as_ref(), Arc::new(store));
    let mut config = SessionConfig::new().with_target_partitions(limits.threads).with_information_schema(false);
    let options = config.options_mut();
    options.execution.enable_recursive_ctes = false;
    options.execution.time_zone = Some("UTC".to_owned());
    options.optimizer.expand_views_at_output = true;
    let mut rules = PhysicalOptimizer::new().rules;
    rules.push(Arc::new(ReserveForWindows));
    let scalar = datafusion::functions::all_default_functions();
    let aggregate = datafusion::functions_aggregate::all_default_aggregate_functions();
    let state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_expr_planners(planners())
        .with_scalar_functions(scalar.into_iter().filter(|function| SCALAR.contains(&function.name())).collect())
        .with_aggregate_functions(
            aggregate.into_iter().filter(|function| AGGREGATE.contains(&function.name())).collect(),
        )
        .with_window_functions(datafusion::functions_window::all_default_window_functions())
        .with_physical_optimizer_rules(rules)
        .build();
    let session = SessionContext::new_with_state(state);
    session.register_table("samples", Arc::new(Samples(reader.clone())))?;
    session.register_table("recordings", Arc::new(Recordings(reader.clone())))?;
    Ok(session)
}

/// What makes functions of syntax such as `EXTRACT` and `SUBSTRING`.
fn planners() -> Vec<Arc<dyn ExprPlanner>> {
    vec![
        Arc::new(CoreFunctionPlanner::default()),
        Arc::new(DatetimeFunctionPlanner),
        Arc::new(UnicodeFunctionPlanner),
        Arc::new(AggregateFunctionPlanner),
        Arc::new(WindowFunctionPlanner),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_that_is_offered_is_there() {
        let scalar: Vec<_> = datafusion::functions::all_default_functions();
        let aggregate: Vec<_> = datafusion::functions_aggregate::all_default_aggregate_functions();
        let missing = SCALAR.iter().filter(|name| !scalar.iter().any(|function| function.name() == **name));
        let missing =
            missing.chain(AGGREGATE.iter().filter(|name| !aggregate.iter().any(|function| function.name() == **name)));
        assert_eq!(missing.collect::<Vec<_>>(), Vec::<&&str>::new());
    }
}
