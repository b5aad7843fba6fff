//! What tests install from package registries, once, into the build folder.

use crate::shared::root;
use fs4::fs_std::FileExt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of that name with what `packages` says, made by `make` where it is absent or holds something else.
pub(crate) fn once(
    name: &str,
    packages: &[&str],
    make: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<PathBuf> {
    let root = root()?;
    fs::create_dir_all(&root)?;
    let lock = File::create(root.join(format!("{name}-environment.lock")))?;
    FileExt::lock_exclusive(&lock)?;
    let folder = root.join(format!("{name}-environment"));
    // Programs of an environment name its place: one that was moved is another.
    let wanted = format!("{} in {}", packages.join(" "), folder.display());
    let done = root.join(format!("{name}-environment.done"));
    if fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) && folder.is_dir() {
        return Ok(folder);
    }
    drop(fs::remove_dir_all(&folder));
    make(&folder)?;
    fs::write(done, wanted)?;
    Ok(folder)
}

/// Runs a command to its end; what it said where that was not good.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    anyhow::ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
