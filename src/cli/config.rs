//! `stance config check` and `stance config show`.

use crate::config::Config;
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::Path;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  STANCE__HTTP__BIND=0.0.0.0:80 stance config show")]
pub(super) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Says whether the program would start with it.
    Check,
    /// Prints it as the program sees it, without secrets.
    Show,
}

pub(super) fn run(file: Option<&Path>, options: &Options) -> anyhow::Result<()> {
    let config = Config::load(file, &[])?;
    let text = match options.action {
        Action::Check => "the configuration is good\n".to_owned(),
        Action::Show => config.printed()?,
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}
