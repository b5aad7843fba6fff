//! Python environments with packages from PyPI, made where they are absent.

use crate::shared::root;
use anyhow::Context as _;
use fs4::fs_std::FileExt;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The folder of an environment of that name that has the package, such as `moto==5.1.0`; its programs are in `bin`.
///
/// # Errors
/// When Python is not there or the package cannot be had.
pub fn environment(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    let root = root()?;
    fs::create_dir_all(&root)?;
    let lock = File::create(root.join(format!("{name}-environment.lock")))?;
    FileExt::lock_exclusive(&lock)?;
    let (environment, done) = (root.join(format!("{name}-environment")), root.join(format!("{name}-environment.done")));
    if fs::read_to_string(&done).is_ok_and(|installed| installed == package) && environment.is_dir() {
        return Ok(environment);
    }
    drop(fs::remove_dir_all(&environment));
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment))
        .context("a Python environment cannot be made (Debian: apt-get install python3-venv)")?;
    run(Command::new(environment.join("bin/pip")).args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        package,
    ]))?;
    fs::write(done, package)?;
    Ok(environment)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
