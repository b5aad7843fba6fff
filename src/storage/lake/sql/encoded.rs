//! A result in a format, made beside who takes it: on threads for work that blocks, within the time and under the place of its
//! query.

use super::output::{Bounds, Encoder, Format};
use super::{AHEAD, Answer, GRACE, QueryError, Work};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A result on its way. Dropped, its query is stopped.
#[derive(Debug)]
pub struct Encoded {
    pieces: mpsc::Receiver<Result<Option<Bytes>, QueryError>>,
    deadline: Instant,
    _work: Work,
}

impl Answer {
    /// Begins to write the result, for somebody far away.
    ///
    /// # Errors
    /// When its columns have no form in the format.
    pub fn encode(self, format: Format) -> Result<Encoded, QueryError> {
        let encoder = Encoder::new(format, &self.schema, Bounds::of_a_body(self.most_bytes))?;
        let (outlet, pieces) = mpsc::channel(AHEAD);
        let deadline = self.deadline;
        let work = Work(tokio::spawn(write(self, encoder, outlet)).abort_handle());
        Ok(Encoded { pieces, deadline, _work: work })
    }
}

impl Encoded {
    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// [`QueryError`]; then what was given before is not the whole result.
    pub async fn next(&mut self) -> Result<Option<Bytes>, QueryError> {
        match tokio::time::timeout_at(self.deadline + 2 * GRACE, self.pieces.recv()).await {
            Ok(Some(next)) => next,
            // Nothing comes after the deadline, whoever noticed it.
            Ok(None) | Err(_) => Err(QueryError::TooSlow),
        }
    }
}

async fn write(mut answer: Answer, encoder: Encoder, outlet: mpsc::Sender<Result<Option<Bytes>, QueryError>>) {
    let (mut encoder, deadline) = (Some(encoder), answer.deadline + GRACE);
    let last = loop {
        let next = piece(&mut answer, &mut encoder).await;
        if !matches!(next, Ok(Some(_))) {
            break next;
        }
        if !matches!(tokio::time::timeout_at(deadline, outlet.send(next)).await, Ok(Ok(()))) {
            return;
        }
    };
    // Who sees the end may ask again at once: nothing is held any more.
    drop(answer);
    let _ = tokio::time::timeout_at(deadline, outlet.send(last)).await;
}

/// The next bytes; none after the last.
async fn piece(answer: &mut Answer, encoder: &mut Option<Encoder>) -> Result<Option<Bytes>, QueryError> {
    while let Some(under_way) = encoder.take() {
        let place = answer.place.clone();
        let batch = answer.next().await?;
        let work = tokio::task::spawn_blocking(move || {
            let done = under_way.step(batch);
            // Until then, whether or not anybody waits for it.
            drop(place);
            done
        });
        let done = tokio::time::timeout_at(answer.deadline, work).await.map_err(|_| QueryError::TooSlow)?;
        let (rest, bytes) = done.map_err(|error| QueryError::Internal(error.into()))??;
        *encoder = rest;
        if !bytes.is_empty() {
            return Ok(Some(bytes.into()));
        }
    }
    Ok(None)
}
