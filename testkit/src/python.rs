//! Python programs of others.

use crate::install::{once, run};
use anyhow::Context;
use std::path::PathBuf;
use std::process::Command;

/// A Python environment of that name with these packages of PyPI, made where it is absent.
///
/// # Errors
/// When it cannot be made.
pub fn environment(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    once(name, packages, |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))
            .context("a Python environment cannot be made (Debian: apt-get install python3-venv)")?;
        let mut pip = Command::new(folder.join("bin/pip"));
        run(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages))
    })
}
