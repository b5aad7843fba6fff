//! Memory that DataFusion does not count: a window that needs its whole partition gathers its input without asking the pool. Here
//! what goes into such a window is reserved for as long as the query runs.

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, InputOrderMode, PlanProperties};
use datafusion::scalar::ScalarValue;
use futures_util::TryStreamExt;
use std::fmt;
use std::sync::Arc;

/// Rows that a window may keep before and after the current one without being counted.
pub(super) const FEW_ROWS: u64 = 100_000;

/// Puts [`Reserved`] under every window that gathers.
#[derive(Debug)]
pub(super) struct ReserveForWindows;

impl PhysicalOptimizerRule for ReserveForWindows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            if !gathers(plan.as_ref()) {
                return Ok(Transformed::no(plan));
            }
            let inputs = plan.children().into_iter().map(|input| Arc::new(Reserved(input.clone())) as Arc<_>).collect();
            datafusion::physical_plan::replace_children_if_necessary(plan, inputs).map(Transformed::yes)
        })
        .map(|changed| changed.data)
    }

    fn name(&self) -> &'static str {
        "reserve_for_windows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn gathers(plan: &dyn ExecutionPlan) -> bool {
    if plan.downcast_ref::<WindowAggExec>().is_some() {
        return true;
    }
    plan.downcast_ref::<BoundedWindowAggExec>().is_some_and(|window| {
        window.input_order_mode != InputOrderMode::Sorted
            || !window.window_expr().iter().all(|expression| keeps_few_rows(expression.get_window_frame()))
    })
}

fn keeps_few_rows(frame: &WindowFrame) -> bool {
    let few = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::CurrentRow | WindowFrameBound::Preceding(ScalarValue::Null) => true,
        WindowFrameBound::Preceding(rows) if rows.is_null() => true,
        WindowFrameBound::Preceding(rows) | WindowFrameBound::Following(rows) => {
            frame.units == WindowFrameUnits::Rows
                && matches!(rows, ScalarValue::UInt64(Some(rows)) if *rows <= FEW_ROWS)
        }
    };
    few(&frame.start_bound) && few(&frame.end_bound)
}

/// Hands on what its input gives, and reserves the memory of all of it.
#[derive(Debug)]
struct Reserved(Arc<dyn ExecutionPlan>);

impl DisplayAs for Reserved {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reserved")
    }
}

impl ExecutionPlan for Reserved {
    fn name(&self) -> &'static str {
        "Reserved"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.0]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(children.pop().map_or(self as Arc<dyn ExecutionPlan>, |input| Arc::new(Self(input))))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let reservation = MemoryConsumer::new("window").register(context.memory_pool());
        let input = self.0.execute(partition, context)?;
        let schema = input.schema();
        let counted = input.and_then(move |batch| {
            let reserved = reservation.try_grow(batch.get_array_memory_size());
            std::future::ready(reserved.map(|()| batch))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, counted)))
    }
}
