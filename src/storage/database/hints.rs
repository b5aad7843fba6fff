//! What processes that share a PostgreSQL database tell one another: LISTEN and NOTIFY. Hints only: the rows are the truth,
//! and whoever missed a hint reads them at the next look. A SQLite database is one process's, who tells nobody.

use super::{Backend, Database, JobKind, Result, statements};
use crate::domain::ids::TestEventId;
use sqlx::postgres::{PgListener, PgPoolOptions};
use std::fmt::Write;

const CHANNEL: &str = "stance";
/// Hints that one message holds at most: PostgreSQL's messages have less than 8,000 bytes.
pub const MOST: usize = 180;

statements! {
    /// SQLite's text is never run.
    NOTIFY = each("SELECT $1 AS payload", "SELECT pg_notify('stance', $1) IS NULL AS sent");
}

/// Something that another process may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hint {
    /// A job of that kind may be ready.
    Job(JobKind),
    /// The recording's row changed.
    Recording(TestEventId),
}

impl Database {
    /// Tells the others, as the process of that name (a word); at most [`MOST`] hints.
    ///
    /// # Errors
    /// When the database cannot; then nobody heard.
    pub async fn notify(&self, teller: &str, hints: &[Hint]) -> Result<()> {
        let mut payload = format!("{teller} ");
        for hint in hints {
            // Writing to a string does not fail.
            let _ = match hint {
                Hint::Job(kind) => write!(payload, "{} ", kind.name()),
                Hint::Recording(id) => write!(payload, "{id} "),
            };
        }
        self.write_redoable(NOTIFY).bind(&payload).one().await?;
        Ok(())
    }

    /// Hears what others than the process of that name tell; `None` where there can be no others.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn listen(&self, listener: &str) -> Result<Option<Listener>> {
        let Backend::Postgres(pools) = &self.backend else { return Ok(None) };
        // Not a connection of the pools: this one lives as long as it can.
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        let options = pools.requests.connect_options().as_ref().clone();
        let mut connection = PgListener::connect_with(&pool.connect_lazy_with(options)).await?;
        connection.listen(CHANNEL).await?;
        Ok(Some(Listener { connection, name: listener.to_owned() }))
    }
}

/// Hears the hints of other processes.
#[derive(Debug)]
pub struct Listener {
    connection: PgListener,
    name: String,
}

impl Listener {
    /// The next hints; `None` when the connection was lost: some may have been missed.
    ///
    /// # Errors
    /// When there is no connection.
    pub async fn next(&mut self) -> Result<Option<Vec<Hint>>> {
        loop {
            let Some(notification) = self.connection.try_recv().await? else { return Ok(None) };
            match notification.payload().split_once(' ') {
                // One's own.
                Some((teller, _)) if teller == self.name => {}
                Some((_, hints)) => return Ok(Some(read(hints))),
                None => return Ok(Some(Vec::new())),
            }
        }
    }
}

/// Words that this version does not know are left out.
fn read(hints: &str) -> Vec<Hint> {
    let hint = |word: &str| match JobKind::ALL.into_iter().find(|kind| kind.name() == word) {
        Some(kind) => Some(Hint::Job(kind)),
        None => word.parse().ok().map(Hint::Recording),
    };
    hints.split_ascii_whitespace().filter_map(hint).collect()
}
