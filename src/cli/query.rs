//! `stance query`: SQL over the lake of the configuration, as its operator.

use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
#[command(
    after_help = "Tables: samples (patient_id, movement, year, month, day, test_event_id, ts, ax, ay, az, gx, gy, gz, mx, my, mz,
utc_offset_minutes) and recordings. Name the patient, the movement or the month where you can: other files are not read.

Example:
  stance query \"SELECT year, month, day, min(ay), max(ay) FROM samples WHERE patient_id = 'p-1' GROUP BY 1, 2, 3\""
)]
pub(super) struct Options {
    /// One SELECT, or EXPLAIN of one.
    sql: String,
    /// How the result is written: table, csv, json or arrow.
    #[arg(long, default_value = "table")]
    format: String,
    /// File for the result; standard output where absent.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Most rows of the result; overrides `lake.max_rows`.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    max_rows: Option<u64>,
    /// Seconds that the query may take; overrides `lake.deadline_seconds`.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    deadline: Option<u64>,
}

#[cfg(not(feature = "lake"))]
pub(super) fn run(_: Option<&Path>, _: Options) -> anyhow::Result<()> {
    anyhow::bail!(
        "this program was built without SQL over the lake; build it with `cargo build --release --features lake`"
    )
}

#[cfg(feature = "lake")]
pub(super) use compiled::run;

#[cfg(feature = "lake")]
mod compiled {
    use super::{Options, Path};
    use crate::actors::lake::engine;
    use crate::cli::audit;
    use crate::config::Config;
    use crate::domain::access::LakeScope;
    use crate::domain::entropy::Entropy;
    use crate::storage::lake::sql::{Allowed, Answer, Bounds, Cost, Encoder, Format};
    use anyhow::Context;
    use std::io::{IsTerminal, Write};
    use std::time::Instant;

    pub(in super::super) fn run(file: Option<&Path>, options: Options) -> anyhow::Result<()> {
        let mut config = Config::load(file, &[])?;
        config.lake.max_rows = options.max_rows.unwrap_or(config.lake.max_rows);
        config.lake.deadline_seconds = options.deadline.unwrap_or(config.lake.deadline_seconds);
        let format: Format = options
            .format
            .parse()
            .map_err(|()| anyhow::anyhow!("--format: {:?} is none of table, csv, json and arrow", options.format))?;
        if format == Format::Arrow && options.output.is_none() && std::io::stdout().is_terminal() {
            anyhow::bail!("--format arrow is not for a terminal: give it an --output FILE");
        }
        let runtime = super::super::open::runtime(&config)?;
        actix_web::rt::System::with_tokio_rt(|| runtime).block_on(async {
            let database = super::super::open::database(&config).await?;
            let entropy = Entropy::from_system();
            let objects = super::super::open::objects(&config, &entropy).await?;
            let engine = engine(&config.lake, &database, &objects, &entropy).await?;
            let begun = Instant::now();
            let answer = engine.query(options.sql, LakeScope::Everyone, Allowed::Explain).await?;
            audit::note(&database, audit::operator("query").patients(answer.patients())).await?;
            let (rows, cost) = match options.output {
                None => write(answer, format, std::io::stdout().lock()).await?,
                Some(path) => to_file(answer, format, &path).await?,
            };
            #[expect(clippy::print_stderr, reason = "beside the result, which is on standard output")]
            {
                let Cost { files, bytes } = cost;
                eprintln!(
                    "{rows} rows from {files} files in {:.3} s, {bytes} bytes read",
                    begun.elapsed().as_secs_f64()
                );
            }
            database.close().await;
            Ok(())
        })
    }

    /// Whole or not at all.
    async fn to_file(answer: Answer, format: Format, path: &Path) -> anyhow::Result<(u64, Cost)> {
        let name = || format!("--output: {} cannot be written", path.display());
        let partial = path.with_added_extension("partial");
        let file = std::fs::File::create(&partial).with_context(name)?;
        let written = write(answer, format, std::io::BufWriter::new(file)).await;
        match &written {
            Ok(_) => std::fs::rename(&partial, path).with_context(name)?,
            Err(_) => drop(std::fs::remove_file(&partial)),
        }
        written
    }

    async fn write(mut answer: Answer, format: Format, mut out: impl Write) -> anyhow::Result<(u64, Cost)> {
        let mut encoder = Encoder::new(format, &answer.schema, Bounds::of_a_file(answer.most_bytes))?;
        let mut rows = 0;
        while let Some(batch) = answer.next().await? {
            rows += batch.num_rows() as u64;
            out.write_all(&encoder.rows(batch)?)?;
        }
        out.write_all(&encoder.end()?)?;
        out.flush()?;
        Ok((rows, answer.cost()))
    }
}
