//! Node programs of others.

use crate::install::{once, run};
use anyhow::Context;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A folder of that name whose `node_modules` has these packages of npm, made where it is absent.
///
/// # Errors
/// When it cannot be made.
pub fn environment(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    once(name, packages, |folder| {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("package.json"), r#"{ "private": true, "type": "module" }"#)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]).args(packages);
        run(npm.current_dir(folder)).context("packages of npm cannot be installed (Debian: apt-get install nodejs npm)")
    })
}
