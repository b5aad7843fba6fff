//! A body that is made as fast as it is taken: who makes it waits for who takes it, and each learns when the other is
//! gone.

use bytes::Bytes;
use futures_util::Stream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::mpsc;

/// Pieces that may wait to be taken.
const WAITING: usize = 2;

/// Where pieces are put.
#[derive(Debug)]
pub(super) struct Outlet {
    pieces: mpsc::Sender<Piece>,
    patience: Duration,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
}

/// Nobody takes the body any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotTaken;

/// The body. Dropped, it tells who makes it to stop.
#[derive(Debug)]
pub struct Body {
    pieces: mpsc::Receiver<Piece>,
    over: bool,
}

/// The body ended before its end: who takes it must not believe that it is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body was broken off")]
pub struct BrokenOff;

/// An outlet and its body; a piece that is not taken within `patience` is the last.
pub(super) fn body(patience: Duration) -> (Outlet, Body) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Outlet { pieces: sender, patience }, Body { pieces: receiver, over: false })
}

impl Outlet {
    /// Adds bytes, once there is room.
    pub(super) async fn send(&self, bytes: Bytes) -> Result<(), NotTaken> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.pieces.send_timeout(Piece::Bytes(bytes), self.patience).await.map_err(|_| NotTaken)
    }

    /// Says that the body is whole. An outlet that is dropped without it breaks the body off.
    pub(super) async fn end(self) -> Result<(), NotTaken> {
        self.pieces.send_timeout(Piece::End, self.patience).await.map_err(|_| NotTaken)
    }
}

impl Stream for Body {
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.pieces.poll_recv(context)) {
            Some(Piece::Bytes(bytes)) => Some(Ok(bytes)),
            Some(Piece::End) => {
                self.over = true;
                None
            }
            None => {
                self.over = true;
                Some(Err(BrokenOff))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;

    #[tokio::test]
    async fn a_body_is_whole_or_says_that_it_is_not() {
        let patience = Duration::from_secs(5);
        let (outlet, whole) = body(patience);
        let made = async {
            outlet.send("a".into()).await.unwrap();
            outlet.send("b".into()).await.unwrap();
            outlet.end().await.unwrap();
        };
        let (taken, ()) = tokio::join!(whole.collect::<Vec<_>>(), made);
        assert_eq!(taken, [Ok("a".into()), Ok("b".into())]);

        let (outlet, broken) = body(patience);
        outlet.send("a".into()).await.unwrap();
        drop(outlet);
        assert_eq!(broken.collect::<Vec<_>>().await, [Ok("a".into()), Err(BrokenOff)]);
    }

    #[tokio::test]
    async fn who_makes_it_does_not_wait_for_ever_nor_get_ahead() {
        let (outlet, slow) = body(Duration::from_millis(20));
        for _ in 0..WAITING {
            outlet.send("x".into()).await.unwrap();
        }
        assert_eq!(outlet.send("x".into()).await, Err(NotTaken));
        drop(slow);
        assert_eq!(outlet.send("x".into()).await, Err(NotTaken));
    }
}
