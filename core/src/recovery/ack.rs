//! The receiver's side of acknowledgement: what arrived on one path, and when to say so.

use core::ops::RangeInclusive;
use core::time::Duration;

use super::ranges::RangeSet;
use crate::net::Ecn;
use crate::time::{Instant, micros};
use crate::wire::EcnCounts;

/// Packets received on one path and not yet known to be acknowledged.
#[derive(Debug)]
pub(crate) struct AckTracker {
    received: RangeSet,
    /// When the highest counter arrived.
    highest_at: Option<Instant>,
    /// When an acknowledgement must leave; set while one is owed.
    deadline: Option<Instant>,
    ecn: EcnCounts,
    /// In microseconds.
    max_ack_delay: u32,
    /// Ack-eliciting packets since the last acknowledgement.
    owed: u8,
}

impl AckTracker {
    /// Nothing received. An acknowledgement waits at most `max_ack_delay`.
    pub(crate) fn new(max_ack_delay: Duration) -> Self {
        Self {
            received: RangeSet::new(),
            highest_at: None,
            deadline: None,
            ecn: EcnCounts::default(),
            max_ack_delay: u32::try_from(micros(max_ack_delay)).unwrap_or(u32::MAX),
            owed: 0,
        }
    }

    /// Notes an authenticated packet that is no duplicate.
    ///
    /// Ack-eliciting packets are acknowledged at once when they are the first, come out of order,
    /// leave or fill a gap, or carry a congestion mark; else every second one at once and the rest
    /// after the delay. Others never cause an acknowledgement: two idle ends would not fall silent.
    pub(crate) fn on_packet(
        &mut self,
        counter: u64,
        ack_eliciting: bool,
        ecn: Option<Ecn>,
        now: Instant,
    ) {
        let highest = self.received.max();
        if !self.received.insert(counter) {
            return;
        }
        self.received.keep_newest(MAX_RANGES);
        if highest.is_none_or(|highest| counter > highest) {
            self.highest_at = Some(now);
        }
        count(&mut self.ecn, ecn);
        if !ack_eliciting {
            return;
        }
        self.owed = self.owed.saturating_add(1);
        let in_order = highest.is_some_and(|highest| counter == highest + 1);
        let at_once = !in_order || ecn == Some(Ecn::Ce) || self.owed >= PACKETS_PER_ACK;
        let delay = if at_once { 0 } else { self.max_ack_delay };
        let due = now + Duration::from_micros(delay.into());
        self.deadline = Some(self.deadline.map_or(due, |deadline| deadline.min(due)));
    }

    /// An acknowledgement that is owed must leave now.
    pub(crate) fn expedite(&mut self, now: Instant) {
        self.deadline = self.deadline.map(|deadline| deadline.min(now));
    }

    /// When an acknowledgement must leave, on its own if need be.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether an acknowledgement must leave now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Whether a packet that leaves anyway should carry an acknowledgement.
    pub(crate) const fn wants_piggyback(&self) -> bool {
        self.deadline.is_some()
    }

    /// What to acknowledge, newest first: at most 32 ranges of counters.
    pub(crate) fn ranges(&self) -> impl ExactSizeIterator<Item = RangeInclusive<u64>> + Clone + '_ {
        self.received.iter().rev().map(|range| range.start..=range.end - 1)
    }

    /// How long ago the highest counter arrived, for the acknowledgement.
    pub(crate) fn delay(&self, now: Instant) -> Duration {
        self.highest_at.map_or(Duration::ZERO, |at| now.saturating_since(at))
    }

    /// The counts of marks, when any mark was seen: then they belong in the acknowledgement.
    pub(crate) fn ecn(&self) -> Option<EcnCounts> {
        (self.ecn != EcnCounts::default()).then_some(self.ecn)
    }

    /// An acknowledgement of all `ranges` left. Nothing is owed any more.
    pub(crate) fn on_sent(&mut self) {
        self.deadline = None;
        self.owed = 0;
    }

    /// The peer has an acknowledgement of ours whose highest counter was `largest`: what it covers
    /// needs no repeating (RFC 9000 section 13.2.4). The highest range is kept in part, so that
    /// a packet out of order is still recognised.
    pub(crate) fn on_ack_of_ack(&mut self, largest: u64) {
        if let Some(highest) = self.received.max() {
            self.received.remove_below(largest.saturating_add(1).min(highest));
        }
    }
}

/// Counts a mark.
fn count(counts: &mut EcnCounts, ecn: Option<Ecn>) {
    match ecn {
        Some(Ecn::Ect0) => counts.ect0 += 1,
        Some(Ecn::Ect1) => counts.ect1 += 1,
        Some(Ecn::Ce) => counts.ce += 1,
        None => {}
    }
}

/// As many as an `Ack` frame may carry.
const MAX_RANGES: usize = 32;
/// RFC 9000 section 13.2.2.
const PACKETS_PER_ACK: u8 = 2;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const DELAY: Duration = Duration::from_millis(25);

    fn at(millis: u64) -> Instant {
        Instant::from_micros(1 + millis * 1000)
    }

    /// A tracker that has received and acknowledged counters 0 to 9.
    fn in_order() -> AckTracker {
        let mut tracker = AckTracker::new(DELAY);
        (0..10).for_each(|counter| tracker.on_packet(counter, true, None, at(0)));
        tracker.on_sent();
        tracker
    }

    #[test]
    fn in_order_packets_wait_for_the_second_or_the_delay() {
        let mut tracker = in_order();
        tracker.on_packet(10, true, None, at(5));
        assert_eq!(tracker.deadline(), Some(at(5) + DELAY));
        assert!(tracker.wants_piggyback() && !tracker.is_due(at(29)) && tracker.is_due(at(30)));
        tracker.on_packet(11, true, None, at(9));
        assert!(tracker.is_due(at(9)));
        assert_eq!(tracker.delay(at(12)), Duration::from_millis(3));
        tracker.on_sent();
        assert!(!tracker.wants_piggyback());
    }

    #[test]
    fn surprises_are_acknowledged_at_once() {
        let due = |packets: &[(u64, Option<Ecn>)]| {
            let mut tracker = in_order();
            for &(counter, ecn) in packets {
                tracker.on_sent();
                tracker.on_packet(counter, true, ecn, at(1));
            }
            tracker.is_due(at(1))
        };
        assert!(!due(&[(10, Some(Ecn::Ect0))]));
        assert!(due(&[(10, Some(Ecn::Ce))]), "congestion");
        assert!(due(&[(11, None)]), "leaves a gap");
        assert!(due(&[(11, None), (10, None)]), "fills the gap");
        assert!(due(&[(20, None), (15, None)]), "below the highest");
        let mut first = AckTracker::new(DELAY);
        first.on_packet(0, true, None, at(0));
        assert!(first.is_due(at(0)), "the first packet");
    }

    #[test]
    fn marks_are_counted_by_kind() {
        let mut tracker = in_order();
        assert_eq!(tracker.ecn(), None);
        let marks = [Ecn::Ect0, Ecn::Ect1, Ecn::Ect1, Ecn::Ce, Ecn::Ce, Ecn::Ce];
        for (counter, mark) in (10..).zip(marks) {
            tracker.on_packet(counter, true, Some(mark), at(1));
        }
        assert_eq!(tracker.ecn(), Some(EcnCounts { ect0: 1, ect1: 2, ce: 3 }));
    }

    #[test]
    fn packets_that_elicit_nothing_are_never_acknowledged_on_their_own() {
        let mut tracker = in_order();
        for counter in [10, 15, 12, 40] {
            tracker.on_packet(counter, false, Some(Ecn::Ce), at(1));
        }
        assert_eq!(tracker.deadline(), None);
        assert_eq!(tracker.ecn().map(|counts| counts.ce), Some(4));
        tracker.on_packet(41, true, None, at(2));
        assert_eq!(tracker.ranges().next(), Some(40..=41), "but ride along");
    }

    #[test]
    fn an_acknowledged_acknowledgement_prunes_what_it_covered() {
        let mut tracker = in_order();
        tracker.on_packet(12, true, None, at(0));
        tracker.on_packet(20, true, None, at(0));
        tracker.on_ack_of_ack(12);
        assert_eq!(tracker.ranges().collect::<Vec<_>>(), [20..=20]);
        tracker.on_ack_of_ack(u64::MAX);
        tracker.on_sent();
        tracker.on_packet(21, true, None, at(0));
        assert!(!tracker.is_due(at(0)), "still known to be in order");
    }

    proptest! {
        #[test]
        fn ranges_are_capped_newest_first_and_cover_only_what_came(
            counters in prop::collection::vec(0u64..500, 1..300),
        ) {
            let mut tracker = AckTracker::new(DELAY);
            counters.iter().for_each(|counter| tracker.on_packet(*counter, true, None, at(0)));
            let ranges: Vec<_> = tracker.ranges().collect();
            prop_assert!(ranges.len() <= MAX_RANGES);
            prop_assert_eq!(ranges[0].end(), counters.iter().max().unwrap_or(&0));
            prop_assert!(ranges.windows(2).all(|pair| pair[1].end() + 1 < *pair[0].start()));
            prop_assert!(ranges.into_iter().flatten().all(|counter| counters.contains(&counter)));
        }
    }
}
