//! From a patient's tenth scored recording to a model that scores.

use super::{Bench, Options, Timings, print, recording};
use crate::client::Uploaded;
use comfy_table::Table;
use std::time::{Duration, Instant};

/// Longest wait for a model.
const PATIENCE: Duration = Duration::from_secs(60);

/// For each patient: nine scored recordings, one that waits for a model, and then the tenth. The waiting one
/// is asked after every 2 ms.
pub(super) async fn measure(bench: &Bench, options: &Options) -> anyhow::Result<()> {
    let (mut from_sending, mut from_acknowledged) = (Timings::new()?, Timings::new()?);
    for person in 0..options.patients {
        let patient = format!("learner-{person}");
        bench.patient(&patient).await?;
        for seed in 0..9 {
            let document = recording(options.samples, person, seed, &patient).scored_by_clinician().to_json();
            accepted(bench.client.upload(document, Some(30)).await?, "training")?;
        }
        let waiting = recording(options.samples, person, 100, &patient);
        accepted(bench.client.upload(waiting.to_json(), Some(30)).await?, "awaiting_model")?;
        let waiting = waiting.test_event_id().to_string();
        let tenth = recording(options.samples, person, 9, &patient).scored_by_clinician().to_json();
        let sent = Instant::now();
        accepted(bench.client.upload(tenth, None).await?, "")?;
        let acknowledged = Instant::now();
        while bench.client.status(&waiting).await?.status != "scored" {
            anyhow::ensure!(sent.elapsed() < PATIENCE, "there was no model within {PATIENCE:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let scored = Instant::now();
        from_sending.add(scored.saturating_duration_since(sent));
        from_acknowledged.add(scored.saturating_duration_since(acknowledged));
    }
    let mut table = Table::new();
    table.set_header(["tenth scored recording until its model has scored another", "p50", "p90", "max"]);
    for (name, timings) in [("from its first byte", from_sending), ("from its 202", from_acknowledged)] {
        table.add_row([name.to_owned(), timings.quantile(0.5), timings.quantile(0.9), timings.quantile(1.0)]);
    }
    print(&table)
}

/// An upload that stands as it should; any state where none is named.
pub(super) fn accepted(uploaded: Uploaded, expected: &str) -> anyhow::Result<()> {
    match uploaded {
        Uploaded::Accepted(state) if expected.is_empty() || state.status == expected => Ok(()),
        Uploaded::Accepted(state) => anyhow::bail!("a recording is {} and should be {expected}", state.status),
        Uploaded::Busy => anyhow::bail!("the server is busy"),
    }
}
