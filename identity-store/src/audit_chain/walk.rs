//! Walking a chain from row to row, as anyone can who has its rows.

use std::fmt;

use super::audit_hash;
use crate::{AuditId, Chain, ChainHead, Result, SealedRow};

/// What is wrong with a chain at a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChainFault {
    /// The row is not what was sealed: its content, its hash or its link was changed.
    Edited,
    /// Rows are missing between the row before and this one.
    Missing,
    /// The row stands where another belongs, which comes later: rows were re-ordered, or this one was
    /// put between.
    OutOfPlace,
    /// The row was put in: the chain goes on from the row before it.
    Inserted,
    /// The chain was longer: its rows from here on are gone.
    CutOff,
    /// The row is not the one whose hash was noted or signed: the chain was made anew up to here, at
    /// least from the last head that was signed before it.
    Rewritten,
}

/// Where a chain is broken first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenChain {
    /// Which chain.
    pub chain: Chain,
    /// The place in the chain, from 1.
    pub position: u64,
    /// The row there; `None` when it is gone.
    pub row: Option<AuditId>,
    /// What is wrong.
    pub fault: ChainFault,
}

impl std::error::Error for BrokenChain {}

impl fmt::Display for BrokenChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            chain, position, ..
        } = self;
        let Some(id) = &self.row else {
            return write!(f, "{chain}: the rows from place {position} on are gone");
        };
        let what = match self.fault {
            ChainFault::Edited => "was edited",
            ChainFault::Missing => "comes after rows that are missing",
            ChainFault::OutOfPlace => "stands where another belongs",
            ChainFault::Inserted => "was put in",
            ChainFault::CutOff => "is the last before rows that are gone",
            ChainFault::Rewritten => "is not the row that was sealed there",
        };
        write!(f, "{chain}: the row at place {position} ({id}) {what}")
    }
}

/// A walk along a chain: it takes the rows one by one, keeps none of them, and tells at the end
/// whether they are the chain, or which row is the first that is wrong.
///
/// Rows by themselves cannot show that the newest of them were cut off, or that the whole chain was
/// made anew: heads that were noted elsewhere do ([`expecting`](Self::expecting)).
///
/// ```
/// use identity_store::{Chain, ChainWalk, SealedRow};
///
/// fn verify(export: impl std::io::BufRead) -> Result<u64, Box<dyn std::error::Error>> {
///     let mut walk = ChainWalk::of(Chain::Platform);
///     for (line, position) in export.lines().zip(1..) {
///         walk.step(&SealedRow::from_json(position, &line?)?)?;
///     }
///     Ok(walk.finish()?.length)
/// }
/// assert_eq!(verify(std::io::empty())?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ChainWalk {
    chain: Chain,
    head: ChainHead,
    /// Where the chain ended before its last row, and that row.
    last: Option<(ChainHead, AuditId)>,
    /// Heads that are still to be met, the longest first.
    expected: Vec<ChainHead>,
    broken: Option<BrokenChain>,
}

impl ChainWalk {
    /// A walk from the first row of `chain`.
    #[must_use]
    pub fn of(chain: Chain) -> Self {
        Self::from(chain, ChainHead::EMPTY)
    }

    /// A walk along what follows `head`, the end of an archived piece for example.
    #[must_use]
    pub fn from(chain: Chain, head: ChainHead) -> Self {
        Self {
            chain,
            head,
            last: None,
            expected: Vec::new(),
            broken: None,
        }
    }

    /// With heads that the chain has had, which were kept where its rows are not: it has to be at
    /// least as long as each, and to have its hash there. Heads before the walk's beginning say
    /// nothing of it.
    #[must_use]
    pub fn expecting(mut self, heads: impl IntoIterator<Item = ChainHead>) -> Self {
        self.expected.extend(heads);
        self.expected
            .retain(|expected| expected.length > self.head.length);
        self.expected
            .sort_unstable_by_key(|expected| std::cmp::Reverse(expected.length));
        self
    }

    /// Where the walk stands: the head of all rows up to the first that is wrong.
    #[must_use]
    pub fn head(&self) -> ChainHead {
        self.head
    }

    /// Whether every row so far is right.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.broken.is_none()
    }

    /// Takes the next row. After one that is wrong the rest only helps to say what happened to it.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt) when a row has no canonical form.
    pub fn step(&mut self, sealed: &SealedRow) -> Result<()> {
        if let Some(broken) = &mut self.broken {
            // What belongs here comes later: nothing is missing.
            if broken.fault == ChainFault::Missing && sealed.prev_hash == self.head.hash {
                broken.fault = ChainFault::OutOfPlace;
            }
            return Ok(());
        }
        let position = self.head.length.saturating_add(1);
        let id = &sealed.row.id;
        let fits = audit_hash(&sealed.prev_hash, &sealed.row)? == sealed.hash;
        if !fits || sealed.row.chain() != self.chain {
            self.break_at(position, Some(id.clone()), ChainFault::Edited);
        } else if sealed.prev_hash != self.head.hash {
            match self.last.take() {
                Some((before, inserted)) if before.hash == sealed.prev_hash => {
                    self.break_at(self.head.length, Some(inserted), ChainFault::Inserted);
                }
                Some(_) | None => self.break_at(position, Some(id.clone()), ChainFault::Missing),
            }
        } else {
            self.advance(sealed);
        }
        Ok(())
    }

    fn advance(&mut self, sealed: &SealedRow) {
        let before = self.head;
        self.head = ChainHead {
            length: before.length.saturating_add(1),
            hash: sealed.hash,
        };
        self.last = Some((before, sealed.row.id.clone()));
        let reached = |expected: &mut ChainHead| expected.length <= self.head.length;
        while let Some(expected) = self.expected.pop_if(reached) {
            if expected.hash != self.head.hash {
                let id = Some(sealed.row.id.clone());
                self.break_at(self.head.length, id, ChainFault::Rewritten);
                return;
            }
        }
    }

    fn break_at(&mut self, position: u64, row: Option<AuditId>, fault: ChainFault) {
        self.broken = Some(BrokenChain {
            chain: self.chain.clone(),
            position,
            row,
            fault,
        });
    }

    /// Ends the walk: where the chain ends.
    ///
    /// # Errors
    ///
    /// [`BrokenChain`] names the first row that is wrong.
    pub fn finish(self) -> Result<ChainHead, BrokenChain> {
        match (self.broken, self.expected.last()) {
            (Some(broken), _) => Err(broken),
            (None, Some(_)) => Err(BrokenChain {
                chain: self.chain,
                position: self.head.length.saturating_add(1),
                row: None,
                fault: ChainFault::CutOff,
            }),
            (None, None) => Ok(self.head),
        }
    }

    /// Ends the walk at the head that was noted with the rows, after the last of them was read: the
    /// chain ends there.
    ///
    /// # Errors
    ///
    /// As [`finish`](Self::finish); a row beyond the head was inserted.
    pub fn finish_at(self, head: ChainHead) -> Result<ChainHead, BrokenChain> {
        let chain = self.chain.clone();
        let last = self.last.clone();
        let found = self.expecting([head]).finish()?;
        if found == head {
            return Ok(found);
        }
        let beyond = found.length > head.length;
        Err(BrokenChain {
            chain,
            position: found.length,
            row: last.map(|(_, id)| id),
            fault: if beyond {
                ChainFault::Inserted
            } else {
                ChainFault::Rewritten
            },
        })
    }
}
