//! What a neighbour and we said to each other, kept while it is none.

use crate::bucket::{Limit, TokenBucket};
use crate::time::Instant;

/// What one life of a neighbour and we told each other. It outlives the times in which the neighbour does not answer:
/// the other end may not have noticed, and goes by what it was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ledger {
    /// Which of its lives this is about; `None` if it is not known yet.
    incarnation: Option<u64>,
    /// The number of our last statement to it.
    told: u32,
    /// The greatest number of its statements.
    heard: u32,
    /// Statements up to this one are void: they come late, and what they said was forgotten meanwhile.
    void: u32,
    /// What it told was forgotten, or not heard at all: it is to tell it again.
    is_missed: bool,
    /// Questions that it may ask, and whole tables that it may ask for.
    requests: TokenBucket,
    tables: TokenBucket,
    /// Signatures that may be checked for it.
    checks: TokenBucket,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            incarnation: None,
            told: 0,
            heard: 0,
            void: 0,
            is_missed: false,
            requests: TokenBucket::FULL,
            tables: TokenBucket::FULL,
            checks: TokenBucket::FULL,
        }
    }
}

impl Ledger {
    /// The neighbour is there, in this of its lives. Whether it was told something before that it may go by.
    pub(super) fn resume(&mut self, incarnation: u64) -> bool {
        let is_same = self.incarnation.replace(incarnation) == Some(incarnation);
        if !is_same {
            (self.told, self.heard) = (0, 0);
        }
        self.void = self.heard;
        self.told > 0
    }

    /// The neighbour is there no more, and what it told is forgotten.
    pub(super) const fn rest(&mut self) {
        self.is_missed |= self.heard > 0;
    }

    /// It told something while it was no neighbour, or could not be asked for everything yet.
    pub(super) const fn miss(&mut self) {
        self.is_missed = true;
    }

    /// Whether it is to tell everything again.
    pub(super) const fn take_missed(&mut self) -> bool {
        core::mem::replace(&mut self.is_missed, false)
    }

    /// The number of the next statement to it.
    pub(super) const fn next_serial(&mut self) -> u32 {
        self.told = self.told.saturating_add(1);
        self.told
    }

    /// Whether a statement of it with this number still counts.
    pub(super) const fn hear(&mut self, serial: u32) -> bool {
        if serial > self.heard {
            self.heard = serial;
        }
        serial > self.void
    }

    /// Whether it may ask us for something now.
    pub(super) fn may_ask(&mut self, now: Instant) -> bool {
        self.requests.take(now, &Limit::every(REQUEST, REQUESTS_AT_ONCE), 0)
    }

    /// Whether it may ask us for everything now.
    pub(super) fn may_ask_for_all(&mut self, now: Instant) -> bool {
        self.tables.take(now, &Limit::every(TABLE, TABLES_AT_ONCE), 0)
    }

    /// Whether a signature may be checked now, of a neighbour that routes or of another.
    pub(super) fn may_be_checked(&mut self, now: Instant, transit: bool) -> bool {
        let most = if transit { CHECKS_AT_ONCE } else { CHECKS_OF_LEAF };
        let each = if transit { CHECK } else { CHECK_OF_LEAF };
        self.checks.take(now, &Limit::every(each, most), 0)
    }
}

/// 50 requests a second, in microseconds.
const REQUEST: u64 = 20_000;
const REQUESTS_AT_ONCE: u64 = 500;
/// A whole table a second, 16 at once: who asks honestly was silent for at least a second.
const TABLE: u64 = 1_000_000;
const TABLES_AT_ONCE: u64 = 16;
/// 1,500 signatures a second of a neighbour that routes, one a second of any other.
const CHECK: u64 = 667;
const CHECKS_AT_ONCE: u64 = 4096;
const CHECK_OF_LEAF: u64 = 1_000_000;
const CHECKS_OF_LEAF: u64 = 8;
