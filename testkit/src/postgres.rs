//! A private PostgreSQL cluster that all tests of a run share, and a database in it for each test.
//!
//! The first test that needs it starts it on a free port; the others find it. A test process holds a shared lock on
//! `in-use` as long as it lives; a watchdog stops the cluster and removes it once nobody has held one for a while. The
//! lock `lock` is held exclusively by whoever starts or stops it.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Who owns the databases.
const USER: &str = "stance";

/// An empty database. Dropped, it is removed with all connections to it.
#[derive(Debug)]
pub struct Postgres {
    name: String,
    /// The cluster, where no other test uses it.
    own: Option<Cluster>,
}

impl Postgres {
    /// A new one; starts the cluster where it does not run.
    ///
    /// # Panics
    /// When PostgreSQL's programs are not there, or do not do what they are asked.
    #[must_use]
    pub fn database() -> Self {
        Self::made_in(None)
    }

    /// A new one in a cluster of its own, that may be stopped and started.
    ///
    /// # Panics
    /// As [`Postgres::database`].
    #[must_use]
    pub fn with_server() -> Self {
        Self::made_in(Some(Cluster::own()))
    }

    fn made_in(own: Option<Cluster>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("t_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let made = Self { name, own };
        made.cluster().psql("postgres", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", made.name));
        made.cluster().psql("postgres", &format!("CREATE DATABASE {}", made.name));
        made
    }

    fn cluster(&self) -> &Cluster {
        self.own.as_ref().unwrap_or_else(|| Cluster::shared())
    }

    /// Stops the server as a crash does: nothing is finished, nothing is said to those who are connected.
    ///
    /// # Panics
    /// When it is not [`Postgres::with_server`], or does not stop.
    pub fn crash(&self) {
        let cluster = self.own.as_ref().unwrap_or_else(|| panic!("the server is others', too"));
        control(cluster, &["-m", "immediate", "-w", "stop"]);
    }

    /// Starts the server again, on the same port.
    ///
    /// # Panics
    /// As [`Postgres::crash`].
    pub fn start(&self) {
        let cluster = self.own.as_ref().unwrap_or_else(|| panic!("the server is others', too"));
        launch(&cluster.programs, &cluster.data, cluster.port, server_user().as_ref());
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.cluster().port).into()
    }

    /// Where it is, as `postgres://…`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_by(self.address())
    }

    /// Where it is for who goes by another address, such as a proxy's.
    #[must_use]
    pub fn url_by(&self, address: SocketAddr) -> String {
        format!("postgres://{USER}@{address}/{}", self.name)
    }

    /// Runs statements as an auditor would; what they answer, a line a row, columns between `|`.
    ///
    /// # Panics
    /// When one fails.
    pub fn psql(&self, sql: &str) -> String {
        self.cluster().psql(&self.name, sql)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            stop(&own.programs, &own.data, server_user().as_ref());
            if let Some(folder) = own.data.parent() {
                drop(fs::remove_dir_all(folder));
            }
            return;
        }
        // A test that failed for want of a server shall say so, and not this.
        let dropped = Cluster::shared().try_psql("postgres", &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        drop(dropped);
    }
}

/// The running cluster, as this process sees it.
#[derive(Debug)]
struct Cluster {
    programs: PathBuf,
    data: PathBuf,
    port: u16,
    _in_use: File,
}

impl Cluster {
    fn shared() -> &'static Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(Self::join)
    }

    /// Starts the cluster or finds it running.
    fn join() -> Self {
        Self::join_in(format!("stance-test-postgres-{}", id(&["-un"]).unwrap()))
    }

    /// Starts one that only this test uses.
    fn own() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::join_in(format!("stance-test-postgres-{}-{number}", std::process::id()))
    }

    fn join_in(folder: String) -> Self {
        let programs = programs();
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let turn = open(&folder.join("lock"));
        turn.lock().unwrap();
        let in_use = open(&folder.join("in-use"));
        in_use.lock_shared().unwrap();
        let data = folder.join("data");
        let port = running(&programs, &data).unwrap_or_else(|| start(&programs, &folder, &data));
        Self { programs, data, port, _in_use: in_use }
    }

    fn psql(&self, database: &str, sql: &str) -> String {
        self.try_psql(database, sql).unwrap_or_else(|problem| panic!("psql: {problem}"))
    }

    fn try_psql(&self, database: &str, sql: &str) -> Result<String, String> {
        let port = self.port.to_string();
        let output = Command::new(self.programs.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", &port, "-U", USER])
            .args(["-d", database, "-c", sql])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

/// The folder of the newest of Debian's PostgreSQL programs.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter(|version| version.path().join("bin/initdb").is_file())
        .max_by_key(|version| version.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    newest.map(|version| version.path().join("bin")).unwrap_or_else(|| {
        panic!("PostgreSQL's programs are not under /usr/lib/postgresql: install them (apt-get install postgresql)")
    })
}

/// The port of the server on that data folder, if it answers.
fn running(programs: &Path, data: &Path) -> Option<u16> {
    let port: u16 = fs::read_to_string(data.join("port")).ok()?.trim().parse().ok()?;
    let mut ready = Command::new(programs.join("pg_isready"));
    ready.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
    ready.status().ok()?.success().then_some(port)
}

/// Makes a cluster and starts it, with the watchdog that ends it.
fn start(programs: &Path, folder: &Path, data: &Path) -> u16 {
    let user = server_user();
    let user = user.as_ref();
    stop(programs, data, user);
    fs::create_dir_all(data).unwrap();
    if let Some(user) = user {
        succeed(Command::new("chown").arg(&user.name).arg(data));
    }
    let rows = data.join("rows");
    let mut init = as_server(&programs.join("initdb"), user);
    init.arg("-D").arg(&rows).args(["-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
    succeed(&mut init);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    launch(programs, data, port, user);
    fs::write(data.join("port"), port.to_string()).unwrap();
    watch(programs, folder, user);
    port
}

fn launch(programs: &Path, data: &Path, port: u16, user: Option<&User>) {
    let options = format!("-p {port} -h 127.0.0.1 -k '' -c max_connections=400 -c shared_buffers=64MB");
    let mut serve = as_server(&programs.join("pg_ctl"), user);
    serve.arg("-D").arg(data.join("rows")).arg("-l").arg(data.join("log"));
    serve.args(["-o", &options, "-w", "-t", "60", "start"]);
    // Not captured: the server would hold the pipe open.
    let started = serve.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(
        started.success(),
        "PostgreSQL did not start: {}",
        fs::read_to_string(data.join("log")).unwrap_or_default()
    );
}

/// Has `pg_ctl` do something with a cluster.
fn control(cluster: &Cluster, arguments: &[&str]) {
    let mut command = as_server(&cluster.programs.join("pg_ctl"), server_user().as_ref());
    succeed(command.arg("-D").arg(cluster.data.join("rows")).args(arguments));
}

/// Ends what an earlier run left behind.
fn stop(programs: &Path, data: &Path, user: Option<&User>) {
    if data.join("rows/postmaster.pid").exists() {
        let mut command = as_server(&programs.join("pg_ctl"), user);
        command.arg("-D").arg(data.join("rows")).args(["-m", "immediate", "-w", "stop"]);
        // It may be gone already.
        drop(command.stdout(Stdio::null()).stderr(Stdio::null()).status());
    }
    if data.exists() {
        fs::remove_dir_all(data).unwrap();
    }
}

/// Stops the cluster and removes it when nobody has used it for a while.
fn watch(programs: &Path, folder: &Path, user: Option<&User>) {
    const SCRIPT: &str = r#"
        folder=$1; shift
        idle=0
        while sleep 10 && [ -d "$folder/data" ]; do
            if flock --nonblock "$folder/in-use" true; then idle=$((idle + 1)); else idle=0; fi
            [ $idle -lt 4 ] && continue
            flock "$folder/lock" flock --nonblock "$folder/in-use" \
                sh -c '"$@" stop; rm -rf "$0/data"' "$folder" "$@" && exit
            idle=0
        done"#;
    let stop = as_server(&programs.join("pg_ctl"), user);
    let mut watchdog = Command::new("setsid");
    watchdog.args(["--fork", "sh", "-c", SCRIPT, "stance-test-postgres"]).arg(folder);
    watchdog.arg(stop.get_program()).args(stop.get_args()).arg("-D").arg(folder.join("data/rows")).args(["-m", "fast"]);
    watchdog.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(watchdog.status().unwrap().success(), "the watchdog of PostgreSQL did not start");
}

/// A user that may run the server.
#[derive(Debug)]
struct User {
    name: String,
    group: String,
}

/// Whom to run the server as: it refuses root.
fn server_user() -> Option<User> {
    if id(&["-u"])? != "0" {
        return None;
    }
    ["postgres", "nobody"].into_iter().find_map(|name| Some(User { name: name.to_owned(), group: id(&["-g", name])? }))
}

fn id(arguments: &[&str]) -> Option<String> {
    let output = Command::new("id").args(arguments).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The command that runs a program as the server's user.
fn as_server(program: &Path, user: Option<&User>) -> Command {
    let mut command = match user {
        None => Command::new(program),
        Some(User { name, group }) => {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={name}"), &format!("--regid={group}"), "--clear-groups"]).arg(program);
            command
        }
    };
    command.current_dir("/").stdin(Stdio::null());
    command
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn open(path: &Path) -> File {
    OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap()
}
