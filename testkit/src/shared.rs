//! Servers that many test processes share: the first that asks starts one, the next ones find it, and it ends by itself
//! when nobody has used it for a while. Everything is kept in the build folder.

use anyhow::Context;
use fs4::fs_std::FileExt;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// Seconds without a sign of use after which a server is ended.
const IDLE_SECONDS: u32 = 75;
/// Time between two signs of use.
const SIGN: Duration = Duration::from_secs(10);

/// Ends the server `$1` with the signal `$2` when the file `heartbeat` of the folder `$3` has not changed for `$4`
/// seconds. It decides under the lock, so that nobody takes the server in that moment.
const WATCHDOG: &str = r#"
cd "$3" || exit 1
while sleep 5; do
    kill -0 "$1" 2>/dev/null || exit 0
    exec 9>lock
    flock 9
    if [ $(( $(date +%s) - $(stat -c %Y heartbeat) )) -gt "$4" ]; then
        rm -f state
        kill -s "$2" "$1"
        exit 0
    fi
    exec 9>&-
done
"#;

/// A server that was just started.
#[derive(Debug)]
pub struct Started {
    /// What users of it need to know, such as its address.
    pub state: String,
    /// Its process.
    pub pid: u32,
    /// The signal that ends it, such as `TERM`.
    pub signal: &'static str,
}

/// A server in use. It does not end before this is dropped.
#[derive(Debug)]
pub struct Shared {
    state: String,
    folder: PathBuf,
    _beat: Sender<()>,
}

impl Shared {
    /// Finds the server of that name, or starts it. `is_alive` tells whether the one that is known answers; `start`
    /// gets a folder that it may fill.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn find_or_start(
        name: &str,
        is_alive: impl Fn(&str) -> bool,
        start: impl FnOnce(&Path) -> anyhow::Result<Started>,
    ) -> anyhow::Result<Self> {
        let folder = root()?.join(name);
        fs::create_dir_all(&folder)?;
        let lock = File::options().create(true).truncate(false).write(true).open(folder.join("lock"))?;
        FileExt::lock_exclusive(&lock)?;
        let heartbeat = folder.join("heartbeat");
        fs::write(&heartbeat, "")?;
        let known = fs::read_to_string(folder.join("state")).ok().filter(|state| is_alive(state));
        let state = match known {
            Some(state) => state,
            None => {
                let started = start(&folder).with_context(|| format!("{name} could not be started"))?;
                watch(&folder, &started)?;
                fs::write(folder.join("state"), &started.state)?;
                started.state
            }
        };
        drop(lock);
        Ok(Self { state, folder, _beat: beat(heartbeat) })
    }

    /// What [`Started::state`] said.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The folder of the server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The folder of all shared things: below the build folder that the running test was built into.
///
/// # Errors
/// When the running program has no path.
pub fn root() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?;
    let built = program.ancestors().find(|folder| folder.join(".rustc_info.json").exists());
    Ok(built.map_or_else(std::env::temp_dir, |folder| folder.join("tmp")).join("testkit"))
}

/// The watchdog outlives the test, in a process group of its own and with no handle of the test's.
fn watch(folder: &Path, started: &Started) -> anyhow::Result<()> {
    Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog", &started.pid.to_string(), started.signal])
        .arg(folder)
        .arg(IDLE_SECONDS.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    Ok(())
}

/// Gives signs of use until what it returns is dropped.
fn beat(heartbeat: PathBuf) -> Sender<()> {
    let (sender, receiver) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        while receiver.recv_timeout(SIGN) == Err(RecvTimeoutError::Timeout) {
            if fs::write(&heartbeat, "").is_err() {
                return;
            }
        }
    });
    sender
}
