//! One at a time for each account, in this process: what has few places is not taken by one account alone.

use crate::domain::ids::AccountId;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Whose turn it is. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct AccountTurns(Arc<Mutex<HashSet<AccountId>>>);

/// An account's turn. It ends when this is dropped.
#[derive(Debug)]
pub struct AccountTurn {
    turns: AccountTurns,
    account: AccountId,
}

impl AccountTurns {
    /// The account's turn; none while it has one.
    #[must_use]
    pub fn take(&self, account: AccountId) -> Option<AccountTurn> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(account).then(|| AccountTurn { turns: self.clone(), account })
    }
}

impl Drop for AccountTurn {
    fn drop(&mut self) {
        self.turns.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_one_turn_at_a_time_and_others_have_theirs() {
        let turns = AccountTurns::default();
        let [ann, bob] = [1, 2].map(|n| AccountId::from(uuid::Uuid::from_u128(n)));
        let first = turns.take(ann);
        assert!(first.is_some() && turns.take(ann).is_none() && turns.take(bob).is_some());
        drop(first);
        assert!(turns.take(ann).is_some());
    }
}
