//! Turns at the processors: so many at once, and who waits for an answer goes before what can wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// So many urgent turns in a row; then one of the others is due, so that they come to their end, too.
const URGENT_IN_A_ROW: u32 = 16;

/// What is done first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Somebody waits for the answer.
    Interactive,
    /// Nobody does: a backlog.
    Backlog,
}

/// All turns. Cheap to clone. How many wait is bounded by who asks.
#[derive(Debug, Clone)]
pub struct Turns(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    interactive: VecDeque<oneshot::Sender<Turn>>,
    backlog: VecDeque<oneshot::Sender<Turn>>,
    urgent_in_a_row: u32,
}

/// A turn: dropped, it is the next one's.
#[derive(Debug)]
pub struct Turn(Option<Turns>);

impl Turns {
    /// At most so many at once, and one at least.
    #[must_use]
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            free: at_once.max(1),
            interactive: VecDeque::new(),
            backlog: VecDeque::new(),
            urgent_in_a_row: 0,
        })))
    }

    /// A turn, where one is free; then nobody waits for one.
    #[must_use]
    pub fn take_free(&self) -> Option<Turn> {
        self.free(&mut self.state())
    }

    /// Waits for a turn. Who is dropped while it waits, waits no more.
    pub async fn take(&self, urgency: Urgency) -> Turn {
        let waiting = {
            let mut state = self.state();
            if let Some(turn) = self.free(&mut state) {
                return turn;
            }
            let (sender, waiting) = oneshot::channel();
            match urgency {
                Urgency::Interactive => state.interactive.push_back(sender),
                Urgency::Backlog => state.backlog.push_back(sender),
            }
            waiting
        };
        // The sender is among those who wait until it has sent.
        waiting.await.unwrap_or(Turn(None))
    }

    fn free(&self, state: &mut State) -> Option<Turn> {
        state.free = state.free.checked_sub(1)?;
        Some(Turn(Some(self.clone())))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass_on(self) {
        loop {
            let mut state = self.state();
            let Some(next) = state.next() else {
                state.free += 1;
                return;
            };
            drop(state);
            match next.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // Who waited is gone.
                Err(mut turn) => turn.0 = None,
            }
        }
    }
}

impl State {
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let others_are_due = self.urgent_in_a_row >= URGENT_IN_A_ROW && !self.backlog.is_empty();
        if !others_are_due && let Some(next) = self.interactive.pop_front() {
            self.urgent_in_a_row += 1;
            return Some(next);
        }
        self.urgent_in_a_row = 0;
        self.backlog.pop_front().or_else(|| self.interactive.pop_front())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::time::Duration;

    /// Waits in that order for the one turn that there is; who had it, in order.
    async fn served(waiting: &[Urgency]) -> Vec<Urgency> {
        let (turns, served) = (Turns::new(1), Mutex::new(Vec::new()));
        let held = turns.take(Urgency::Interactive).await;
        let all = waiting.iter().map(async |urgency| {
            let _turn = turns.take(*urgency).await;
            served.lock().unwrap().push(*urgency);
        });
        let release = async {
            tokio::task::yield_now().await;
            drop(held);
        };
        tokio::join!(join_all(all), release);
        served.into_inner().unwrap()
    }

    #[tokio::test]
    async fn who_waits_for_an_answer_goes_first() {
        use Urgency::{Backlog, Interactive};
        let order = served(&[Backlog, Backlog, Interactive, Interactive]).await;
        assert_eq!(order, [Interactive, Interactive, Backlog, Backlog]);
    }

    #[tokio::test]
    async fn a_backlog_is_not_starved() {
        let mut waiting = vec![Urgency::Backlog];
        waiting.extend([Urgency::Interactive; 100]);
        let place = served(&waiting).await.iter().position(|urgency| *urgency == Urgency::Backlog).unwrap();
        assert_eq!(place, URGENT_IN_A_ROW as usize);
    }

    #[tokio::test]
    async fn the_turn_of_who_is_gone_is_the_next_ones() {
        let turns = Turns::new(1);
        let held = turns.take(Urgency::Interactive).await;
        let gone = tokio::time::timeout(Duration::from_millis(1), turns.take(Urgency::Interactive)).await;
        assert!(gone.is_err());
        let next = async { drop(turns.take(Urgency::Backlog).await) };
        let release = async { drop(held) };
        tokio::time::timeout(Duration::from_secs(5), async { tokio::join!(next, release) }).await.unwrap();
        assert_eq!(turns.state().free, 1);
    }
}
