//! What became of inference requests, for each model, as Triton counts it.

use lru::LruCache;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Sizes of batches that are counted apart for one model.
const MOST_BATCH_SIZES: usize = 16;
/// The label of models that are no longer counted apart.
const OTHERS: &str = "others";

/// How often, and how long in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// How often.
    pub count: u64,
    /// How long in all, nanoseconds.
    pub ns: u64,
}

impl Taken {
    fn add(&mut self, took: Duration) {
        self.count += 1;
        self.lengthen(took);
    }

    /// The last took so much longer.
    fn lengthen(&mut self, took: Duration) {
        self.ns = self.ns.saturating_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.ns = self.ns.saturating_add(other.ns);
    }

    fn us(self) -> u64 {
        self.ns / 1_000
    }
}

/// How long the parts of one execution took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// Waiting for a turn.
    pub queue: Duration,
    /// Making features of recordings.
    pub input: Duration,
    /// The model itself.
    pub infer: Duration,
    /// Loading the model, where it was not in memory.
    pub load: Option<Duration>,
}

/// One size of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BatchStatistics {
    /// Making features.
    pub input: Taken,
    /// The model itself.
    pub infer: Taken,
    /// Making the answer.
    pub output: Taken,
}

/// What became of one model's requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelStatistics {
    /// Milliseconds since 1970 of the last one.
    pub last_inference_ms: u64,
    /// Rows that were scored.
    pub inferences: u64,
    /// Times that the model ran.
    pub executions: u64,
    /// Requests that were answered.
    pub success: Taken,
    /// Requests that were not.
    pub fail: Taken,
    /// Waiting for a turn.
    pub queue: Taken,
    /// Making features.
    pub input: Taken,
    /// The model itself.
    pub infer: Taken,
    /// Making the answer.
    pub output: Taken,
    /// Times that the model was in memory.
    pub hits: u64,
    /// Times that it was loaded first.
    pub loads: Taken,
    /// By rows of one execution.
    pub batches: BTreeMap<usize, BatchStatistics>,
}

impl ModelStatistics {
    fn merge(&mut self, other: &Self) {
        self.inferences += other.inferences;
        self.executions += other.executions;
        for (own, others) in [
            (&mut self.success, other.success),
            (&mut self.fail, other.fail),
            (&mut self.queue, other.queue),
            (&mut self.input, other.input),
            (&mut self.infer, other.infer),
            (&mut self.output, other.output),
            (&mut self.loads, other.loads),
        ] {
            own.merge(others);
        }
        self.hits += other.hits;
    }
}

/// A model and its version, as clients name them. Neither says anything of a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label {
    /// The model.
    pub name: String,
    /// The version.
    pub version: String,
}

/// Statistics of so many models; those that were not asked for longest are added up as one.
#[derive(Debug)]
pub struct Statistics {
    table: Mutex<Table>,
    /// Requests that wait for a turn; as many as the engine has in hand at most.
    waiting: Mutex<HashMap<Label, u64>>,
}

#[derive(Debug)]
struct Table {
    models: LruCache<Label, ModelStatistics>,
    others: ModelStatistics,
}

/// A request that waits for a turn, until this is dropped.
#[derive(Debug)]
pub struct Waiting<'a> {
    statistics: &'a Statistics,
    label: &'a Label,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.statistics.in_line();
        if let Some(requests) = waiting.get_mut(self.label) {
            *requests -= 1;
            if *requests == 0 {
                waiting.remove(self.label);
            }
        }
    }
}

impl Statistics {
    /// Of none yet; of at most so many apart.
    #[must_use]
    pub fn new(models: usize) -> Self {
        let models = NonZeroUsize::new(models).unwrap_or(NonZeroUsize::MIN);
        let table = Table { models: LruCache::new(models), others: ModelStatistics::default() };
        Self { table: Mutex::new(table), waiting: Mutex::default() }
    }

    /// A request that waits for a turn from now on.
    #[must_use]
    pub fn waits<'a>(&'a self, label: &'a Label) -> Waiting<'a> {
        *self.in_line().entry(label.clone()).or_default() += 1;
        Waiting { statistics: self, label }
    }

    /// A request was answered.
    pub fn answered(&self, label: &Label, rows: usize, took: Duration, timings: Timings, now_ms: u64) {
        self.change(label, |model| {
            model.last_inference_ms = now_ms;
            model.inferences += rows as u64;
            model.executions += 1;
            model.success.add(took);
            model.queue.add(timings.queue);
            model.input.add(timings.input);
            model.infer.add(timings.infer);
            match timings.load {
                Some(load) => model.loads.add(load),
                None => model.hits += 1,
            }
            if model.batches.len() < MOST_BATCH_SIZES || model.batches.contains_key(&rows) {
                let batch = model.batches.entry(rows).or_default();
                batch.input.add(timings.input);
                batch.infer.add(timings.infer);
            }
        });
    }

    /// The answer to a request of so many rows was made, which is a part of the request. Of a model that is no longer counted apart it is
    /// not counted.
    pub fn written(&self, label: &Label, rows: usize, took: Duration) {
        let mut table = self.table();
        if let Some(model) = table.models.get_mut(label) {
            model.success.lengthen(took);
            model.output.add(took);
            if let Some(batch) = model.batches.get_mut(&rows) {
                batch.output.add(took);
            }
        }
    }

    /// A request was not answered.
    pub fn failed(&self, label: &Label, took: Duration) {
        self.change(label, |model| model.fail.add(took));
    }

    /// What is known of a model.
    #[must_use]
    pub fn of(&self, label: &Label) -> ModelStatistics {
        self.table().models.peek(label).cloned().unwrap_or_default()
    }

    /// Every model that is counted apart, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(Label, ModelStatistics)> {
        let mut all: Vec<_> = self.table().models.iter().map(|(label, model)| (label.clone(), model.clone())).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Lines for a Prometheus server, under the names that Triton gives them.
    #[must_use]
    pub fn prometheus(&self) -> String {
        type Reading = fn(&ModelStatistics) -> u64;
        const LINES: [(&str, &str, Reading); 9] = [
            ("nv_inference_request_success", "Requests that were answered", |m| m.success.count),
            ("nv_inference_request_failure", "Requests that were not answered", |m| m.fail.count),
            ("nv_inference_count", "Rows that were scored", |m| m.inferences),
            ("nv_inference_exec_count", "Executions of the model", |m| m.executions),
            ("nv_inference_request_duration_us", "Time of requests, microseconds", |m| m.success.us()),
            ("nv_inference_queue_duration_us", "Time that requests waited, microseconds", |m| m.queue.us()),
            ("nv_inference_compute_input_duration_us", "Time of making features, microseconds", |m| m.input.us()),
            ("nv_inference_compute_infer_duration_us", "Time of the model itself, microseconds", |m| m.infer.us()),
            ("nv_inference_compute_output_duration_us", "Time of making answers, microseconds", |m| m.output.us()),
        ];
        let (apart, others) = (self.all(), self.table().others.clone());
        let others = (Label { name: OTHERS.to_owned(), version: String::new() }, others);
        let and_others = Some(&others).filter(|(_, statistics)| *statistics != ModelStatistics::default());
        let mut waiting = self.in_line().clone();
        let mut text = String::new();
        for (name, help, reading) in LINES {
            // Of no type that OpenMetrics knows: a counter's name would end with `_total`, and these do not.
            describe(&mut text, name, help, "unknown");
            for (label, statistics) in apart.iter().chain(and_others) {
                line(&mut text, name, label, reading(statistics));
            }
        }
        const PENDING: &str = "nv_inference_pending_request_count";
        describe(&mut text, PENDING, "Requests that wait for a turn to run", "gauge");
        for (label, _) in &apart {
            line(&mut text, PENDING, label, waiting.remove(label).unwrap_or_default());
        }
        // Of models that are not counted apart, or were never asked before.
        line(&mut text, PENDING, &others.0, waiting.into_values().sum());
        text
    }

    fn change(&self, label: &Label, change: impl FnOnce(&mut ModelStatistics)) {
        let mut table = self.table();
        if let Some(model) = table.models.get_mut(label) {
            return change(model);
        }
        let mut model = ModelStatistics::default();
        change(&mut model);
        if let Some((_, left)) = table.models.push(label.clone(), model) {
            table.others.merge(&left);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_line(&self) -> MutexGuard<'_, HashMap<Label, u64>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe(text: &mut String, name: &str, help: &str, kind: &str) {
    let written = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}");
    debug_assert!(written.is_ok(), "writing to a string");
}

fn line(text: &mut String, name: &str, Label { name: model, version }: &Label, value: u64) {
    let written = writeln!(text, "{name}{{model=\"{}\",version=\"{}\"}} {value}", escaped(model), escaped(version));
    debug_assert!(written.is_ok(), "writing to a string");
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str) -> Label {
        Label { name: name.to_owned(), version: "v1".to_owned() }
    }

    #[test]
    fn models_that_are_not_asked_for_are_added_up_and_nothing_is_lost() {
        let statistics = Statistics::new(2);
        let ms = Duration::from_millis;
        let timings = Timings { queue: ms(1), input: ms(2), infer: ms(3), load: None };
        for name in ["a", "b", "a", "c"] {
            statistics.answered(&label(name), 5, ms(10), timings, 7);
        }
        statistics.failed(&label("c"), ms(1));
        statistics.written(&label("a"), 5, ms(4));
        let (a, new) = (label("a"), label("new"));
        let _waiting = [statistics.waits(&a), statistics.waits(&a), statistics.waits(&new)];
        drop(statistics.waits(&a));
        let names: Vec<_> = statistics.all().into_iter().map(|(label, _)| label.name).collect();
        assert_eq!(names, ["a", "c"]);
        let a = statistics.of(&label("a"));
        assert_eq!((a.inferences, a.executions, a.batches[&5].infer.count), (10, 2, 2));
        let text = statistics.prometheus();
        for line in [
            "nv_inference_request_success{model=\"a\",version=\"v1\"} 2",
            "nv_inference_request_success{model=\"others\",version=\"\"} 1",
            "nv_inference_request_failure{model=\"c\",version=\"v1\"} 1",
            "nv_inference_count{model=\"a\",version=\"v1\"} 10",
            "nv_inference_queue_duration_us{model=\"a\",version=\"v1\"} 2000",
            "nv_inference_compute_output_duration_us{model=\"a\",version=\"v1\"} 4000",
            "nv_inference_pending_request_count{model=\"a\",version=\"v1\"} 2",
            "nv_inference_pending_request_count{model=\"c\",version=\"v1\"} 0",
            "nv_inference_pending_request_count{model=\"others\",version=\"\"} 1",
            "nv_inference_request_duration_us{model=\"a\",version=\"v1\"} 24000",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
