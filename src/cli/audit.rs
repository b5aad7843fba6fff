//! `stance admin audit`, `verify-audit` and `prune-audit`; and how commands note themselves in the audit record.

use crate::config::Config;
use crate::domain::audit::{Entry, Fault, Kept, Mark, PRUNE, Verifier};
use crate::domain::clock::{Clock, SystemClock};
use crate::domain::ids::{AccountId, PatientId};
use crate::storage::database::{AuditFilter, AuditPlace, Database};
use anyhow::bail;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::Args;
use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;

/// Rows that are read at once.
const PAGE: u32 = 5_000;
/// Rows that are taken away at once: others write in between.
const PIECE: u32 = 1_000;
/// Faults that are named.
const SHOWN: usize = 50;

#[derive(Debug, Args)]
pub(super) struct Print {
    /// Only what is about this patient.
    #[arg(long)]
    patient_id: Option<PatientId>,
    /// Only what this account did.
    #[arg(long)]
    account_id: Option<AccountId>,
    /// Only from then on (RFC 3339).
    #[arg(long, value_name = "TIME")]
    from: Option<DateTime<Utc>>,
    /// Only up to then (RFC 3339).
    #[arg(long, value_name = "TIME")]
    to: Option<DateTime<Utc>>,
    /// At most so many rows.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// A place that was noted down earlier, as it was printed: it must still be there. May be given several times.
    #[arg(long, value_name = "POSITION:HASH")]
    expect: Vec<Mark>,
}

#[derive(Debug, Args)]
pub(super) struct Prune {
    /// Rows from before then are taken away (RFC 3339).
    #[arg(long, value_name = "TIME")]
    before: DateTime<Utc>,
}

/// The entry of a command, by whom the system takes its user for.
pub(super) fn operator(command: &'static str) -> Entry {
    let user = ["SUDO_USER", "USER"].iter().find_map(|name| std::env::var(name).ok());
    let plain = |user: &String| user.len() <= 64 && !user.is_empty() && !user.chars().any(char::is_control);
    Entry::by_operator(user.filter(plain), command)
}

/// Notes it before anything is done.
pub(super) async fn note(database: &Database, entry: Entry) -> anyhow::Result<()> {
    database.append_audit(&entry.into_records(SystemClock.now())).await?;
    Ok(())
}

pub(super) fn print(config: &Config, options: &Print) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let database = super::open::database(config).await?;
        note(&database, operator("admin audit").patients(options.patient_id.clone())).await?;
        let filter = AuditFilter {
            patient: options.patient_id.clone(),
            account: options.account_id,
            from: options.from,
            before: options.to.map(|at| AuditPlace { at, position: i64::MAX }),
            limit: options.limit,
        };
        let rows = database.audit_records(&filter).await?;
        database.close().await;
        writeln!(std::io::stdout(), "{}", table(&rows))?;
        Ok(())
    })
}

fn table(rows: &[Kept]) -> Table {
    let mut table = Table::new();
    table.set_header(["position", "when", "who", "what", "about", "from", "result"]);
    let words = |parts: &[Option<&str>]| parts.iter().flatten().copied().collect::<Vec<_>>().join(" ");
    for Kept { mark, record } in rows {
        let patients = record.patients.join(", ");
        let about = [Some(&*patients), record.test_event.as_deref(), record.care_provider.as_deref()];
        table.add_row([
            mark.position.to_string(),
            record.at.to_rfc3339_opts(SecondsFormat::Micros, true),
            words(&[Some(&record.role), record.acting_as.as_deref(), record.account.as_deref()]),
            record.operation.to_string(),
            words(&about),
            words(&[record.address.as_deref(), record.request_id.as_deref()]),
            words(&[Some(&record.result), record.detail.as_deref()]),
        ]);
    }
    table
}

pub(super) fn verify(config: &Config, options: Verify) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let database = super::open::database(config).await?;
        let verdict = check(&database, options.expect).await;
        database.close().await;
        let Verdict { faults, more, rows, head } = verdict?;
        let mut out = std::io::stdout();
        for fault in &faults {
            writeln!(out, "{fault}")?;
        }
        if more > 0 {
            writeln!(out, "and {more} more")?;
        }
        if !faults.is_empty() {
            bail!("the audit record was tampered with: {} faults in {rows} records", faults.len() + more);
        }
        writeln!(out, "the audit record is whole: {rows} records, the last is {head}")?;
        Ok(())
    })
}

/// What was found along the chain.
struct Verdict {
    /// The first faults, at most [`SHOWN`].
    faults: Vec<Fault>,
    /// How many there are besides.
    more: usize,
    rows: u64,
    head: Mark,
}

async fn check(database: &Database, noted: Vec<Mark>) -> anyhow::Result<Verdict> {
    let bounds = database.audit_bounds().await?;
    let mut verifier = Verifier::new(bounds.pruned, noted);
    let (mut faults, mut more, mut rows, mut after) = (Vec::new(), 0, 0_u64, bounds.pruned.position);
    let bar = ProgressBar::new(u64::try_from(bounds.last.saturating_sub(after)).unwrap_or_default())
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} records, {per_sec}, {eta} left")?);
    loop {
        let page = database.audit_from(after, bounds.last, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.mark.position;
        page.iter().for_each(|kept| verifier.next(kept, &mut faults));
        more += faults.len().saturating_sub(SHOWN);
        faults.truncate(SHOWN);
        rows += page.len() as u64;
        bar.inc(page.len() as u64);
    }
    bar.finish_and_clear();
    verifier.end(bounds.head, &mut faults);
    Ok(Verdict { faults, more, rows, head: bounds.head })
}

pub(super) fn prune(config: &Config, options: &Prune) -> anyhow::Result<()> {
    actix_web::rt::System::new().block_on(async {
        let database = super::open::database(config).await?;
        if let Some(last) = database.last_audit_before(options.before).await?
            && last.position > database.audit_bounds().await?.pruned.position
        {
            // Noted first: a chain that begins later without saying so is one that was tampered with.
            note(&database, operator(PRUNE).detail(last.to_string())).await?;
            database.mark_audit_pruned(last).await?;
        }
        let mut pruned = 0;
        loop {
            match database.prune_audit(PIECE).await? {
                0 => break,
                deleted => pruned += deleted,
            }
        }
        database.close().await;
        writeln!(std::io::stdout(), "{pruned} records were taken away")?;
        Ok(())
    })
}
