//! Whether packets are lost because of their size.
//!
//! Packets are lost for many reasons. That it is their size shows only when large ones are lost and smaller ones sent
//! among them arrive, again and again, and no large one does.

use crate::pack::pack;

/// A run of large packets that were lost, none of which, or of as large ones sent since, arrived.
#[derive(Debug)]
pub(super) struct Hole {
    /// What was sent before tells nothing.
    since: u64,
    lost: u8,
    first_lost: u64,
    /// The size of the smallest of them.
    smallest: u16,
    /// How often a smaller packet arrived that was sent after one of them, and before the next.
    alternations: u8,
    /// The smaller packet that arrived at the last of those.
    turned_at: Option<u64>,
    /// The first one lost since.
    open: Option<u64>,
    /// The newest smaller packet that arrived.
    small: u64,
    /// The packet that ended the run before, and its size: what is lost of those before it was not too large.
    large: (u64, u16),
}

pack!(Hole: since, lost, first_lost, smallest, alternations, turned_at, open, small, large);

impl Hole {
    /// Nothing was lost among what was sent from `since` on.
    pub(super) const fn new(since: u64) -> Self {
        Self {
            since,
            lost: 0,
            first_lost: 0,
            smallest: 0,
            alternations: 0,
            turned_at: None,
            open: None,
            small: 0,
            large: (0, 0),
        }
    }

    pub(super) const fn is_suspected(&self) -> bool {
        self.lost > 0
    }

    /// Size is what fits best. The end of an outage looks the same.
    pub(super) const fn is_likely(&self) -> bool {
        self.lost >= MANY && self.alternations > 0
    }

    /// Nothing else fits.
    pub(super) const fn is_certain(&self) -> bool {
        self.lost >= MANY && self.alternations >= OFTEN
    }

    pub(super) const fn first_lost(&self) -> u64 {
        self.first_lost
    }

    /// A packet arrived.
    pub(super) fn on_acked(&mut self, counter: u64, size: u16) {
        if self.lost == 0 {
            return;
        }
        if size >= self.smallest {
            *self = Self { large: (counter, size), ..Self::new(self.since) };
        } else {
            self.small = self.small.max(counter);
            self.look();
        }
    }

    /// A large packet was lost.
    pub(super) fn on_lost(&mut self, counter: u64, size: u16) {
        let (arrived, arrived_size) = self.large;
        let is_refuted = counter < arrived && size <= arrived_size;
        if counter < self.since || is_refuted {
            return;
        }
        if self.lost == 0 {
            (self.first_lost, self.smallest) = (counter, size);
        }
        self.lost = self.lost.saturating_add(1);
        self.first_lost = self.first_lost.min(counter);
        self.smallest = self.smallest.min(size);
        if self.turned_at.is_none_or(|at| counter > at) {
            self.open = Some(self.open.map_or(counter, |open| open.min(counter)));
        }
        self.look();
    }

    fn look(&mut self) {
        if self.open.is_some_and(|lost| self.small > lost) {
            self.alternations = self.alternations.saturating_add(1);
            self.turned_at = Some(self.small);
            self.open = None;
        }
    }
}

/// So many must be lost: by chance that is rare even where a fifth is lost, and nobody waits long for it.
const MANY: u8 = 10;
/// So often must smaller ones pass meanwhile.
const OFTEN: u8 = 3;
