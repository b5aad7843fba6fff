//! The chain: each row is linked to the one before it, so that whoever goes along it sees what was done to it.

use super::Record;
use sha2::{Digest as _, Sha256};
use std::fmt;

/// A link of the chain: the hash of the link before it, its position and its record's digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Link(pub [u8; 32]);

impl Link {
    /// What the first record is linked to.
    pub const FIRST: Self = Self([0; 32]);

    /// The link of the record with that digest at that position.
    #[must_use]
    pub fn next(self, position: i64, digest: Self) -> Self {
        let hash = Sha256::new().chain_update(self.0).chain_update(position.to_be_bytes()).chain_update(digest.0);
        Self(hash.finalize().into())
    }

    /// A link as it is printed.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let plain = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(digits).collect();
        bytes.filter(|_| plain)?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({self})")
    }
}

/// A place in the chain: what an operator notes down elsewhere, and may ask for later. As text `POSITION:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// From 1; 0 is before the first record.
    pub position: i64,
    /// The link there.
    pub link: Link,
}

impl Mark {
    /// Before the first record.
    pub const FIRST: Self = Self { position: 0, link: Link::FIRST };
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.link)
    }
}

impl std::str::FromStr for Mark {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (position, link) = text.split_once(':')?;
            Some(Self { position: position.parse().ok()?, link: Link::from_hex(link)? })
        };
        read().ok_or("must be POSITION:HASH, as it was printed")
    }
}

/// A record with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its place in the chain.
    pub mark: Mark,
    /// What it says.
    pub record: Record,
}

/// What is wrong with the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Rows are not there, with rows after them.
    Missing {
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// A row, or its link, is not what was written; or it was put there, or comes from another place.
    Changed(i64),
    /// The head names rows that are not there.
    CutOff {
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// There are rows of which the head does not know.
    BeyondHead {
        /// The first.
        from: i64,
        /// The last.
        to: i64,
    },
    /// The last row is not the one that the head names.
    OtherHead(i64),
    /// What was noted down elsewhere is not what is here.
    NotAsNoted(i64),
    /// What was noted down elsewhere is from before what retention took away.
    NotThereAnyMore(i64),
    /// Rows up to here were taken away, and no record says that retention did it.
    NotPruned(i64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { from, to } if from == to => write!(f, "position {from}: the record is missing"),
            Self::Missing { from, to } => write!(f, "positions {from} to {to}: the records are missing"),
            Self::Changed(at) => write!(f, "position {at}: the record was changed, moved or put there"),
            Self::CutOff { from, to } => write!(f, "positions {from} to {to}: the end of the record is missing"),
            Self::BeyondHead { from, to } => {
                write!(f, "positions {from} to {to}: the head does not know these records")
            }
            Self::OtherHead(at) => write!(f, "position {at}: the last record is not the one that the head names"),
            Self::NotAsNoted(at) => write!(f, "position {at}: the record is not the one that was noted down"),
            Self::NotThereAnyMore(at) => {
                write!(f, "position {at}: retention took the record away; what was noted down cannot be compared")
            }
            Self::NotPruned(at) => write!(f, "positions up to {at}: no record says that retention took them away"),
        }
    }
}

/// Goes along the chain, record by record, and says what is wrong.
#[derive(Debug, Clone)]
pub struct Verifier {
    last: Mark,
    pruned: Mark,
    /// Whether a record says that everything up to the beginning was taken away.
    pruning_is_recorded: bool,
    noted: Vec<Mark>,
}

/// The operation that records a pruning; its detail is the mark of the last row that was taken away.
pub const PRUNE: &str = "admin prune-audit";

impl Verifier {
    /// Begins after what retention took away, and looks for these marks.
    #[must_use]
    pub fn new(pruned: Mark, noted: Vec<Mark>) -> Self {
        Self { last: pruned, pruned, pruning_is_recorded: pruned == Mark::FIRST, noted }
    }

    /// The next row, in the order of positions.
    pub fn next(&mut self, kept: &Kept, faults: &mut Vec<Fault>) {
        let Kept { mark, record } = kept;
        let expected = self.last.position.saturating_add(1);
        if mark.position > expected {
            faults.push(Fault::Missing { from: expected, to: mark.position - 1 });
        } else if self.last.link.next(mark.position, record.digest()) != mark.link {
            faults.push(Fault::Changed(mark.position));
        }
        if record.operation == PRUNE && record.detail.as_deref() == Some(&self.pruned.to_string()) {
            self.pruning_is_recorded = true;
        }
        let other = |noted: &Mark| noted.position == mark.position && noted.link != mark.link;
        faults.extend(self.noted.iter().filter(|noted| other(noted)).map(|noted| Fault::NotAsNoted(noted.position)));
        self.last = *mark;
    }

    /// No row is left; the head was read together with the position of the last.
    pub fn end(self, head: Mark, faults: &mut Vec<Fault>) {
        let Self { last, pruned, pruning_is_recorded, noted } = self;
        if last.position < head.position {
            faults.push(Fault::CutOff { from: last.position + 1, to: head.position });
        } else if last.position > head.position {
            faults.push(Fault::BeyondHead { from: head.position + 1, to: last.position });
        } else if last.link != head.link {
            faults.push(Fault::OtherHead(head.position));
        }
        if !pruning_is_recorded {
            faults.push(Fault::NotPruned(pruned.position));
        }
        faults.extend(noted.into_iter().filter_map(|noted| match noted.position {
            at if at < pruned.position => Some(Fault::NotThereAnyMore(at)),
            at if at > last.position || at == pruned.position && noted != pruned => Some(Fault::NotAsNoted(at)),
            _ => None,
        }));
    }
}
