//! A password, as the command line takes it.

use anyhow::Context;
use std::io::{IsTerminal, Read};

/// Longest input that is looked at, in bytes.
const LONGEST: u64 = 4_096;

/// The first line of standard input; on a terminal it is asked for, and not shown.
pub(super) fn read() -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        return Ok(rpassword::prompt_password("Password: ")?);
    }
    let mut text = String::new();
    #[expect(clippy::disallowed_methods, reason = "bounded by `take`")]
    std::io::stdin()
        .take(LONGEST)
        .read_to_string(&mut text)
        .context("the password could not be read from standard input")?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
