//! The receiver's side of acknowledgement: what arrived on one path, and when to say so.

use core::ops::RangeInclusive;
use core::time::Duration;

use super::received::ReceivedRuns;
use crate::net::Ecn;
use crate::pack::pack;
use crate::time::{Instant, micros};
use crate::wire::EcnCounts;

/// Packets received on one path and not yet known to be acknowledged.
#[derive(Debug)]
pub(crate) struct AckTracker {
    received: ReceivedRuns,
    /// When the highest counter arrived.
    highest_at: Option<Instant>,
    /// When an acknowledgement must leave; set while one is owed.
    deadline: Option<Instant>,
    ecn: EcnCounts,
    /// In microseconds.
    max_ack_delay: u32,
    /// When an acknowledgement left last for which a packet had asked at once.
    asked_at: Option<Instant>,
    /// Ack-eliciting packets since the last acknowledgement.
    owed: u8,
    /// So many of them are acknowledged at once.
    per_ack: u8,
    /// One of them asked for it at once.
    is_asked: bool,
    /// A packet arrived that another had overtaken: in the present round trip, and in the one before.
    overtakes: bool,
    overtook: bool,
}

pack!(AckTracker:
    received, highest_at, deadline, ecn, max_ack_delay, asked_at, owed, per_ack, is_asked,
    overtakes, overtook,
);

impl AckTracker {
    /// Nothing received. An acknowledgement waits at most `max_ack_delay`.
    pub(crate) fn new(max_ack_delay: Duration) -> Self {
        Self {
            received: ReceivedRuns::default(),
            highest_at: None,
            deadline: None,
            ecn: EcnCounts::default(),
            max_ack_delay: u32::try_from(micros(max_ack_delay)).unwrap_or(u32::MAX),
            asked_at: None,
            owed: 0,
            per_ack: PACKETS_PER_ACK,
            is_asked: false,
            overtakes: false,
            overtook: false,
        }
    }

    /// Notes an authenticated packet that is no duplicate.
    ///
    /// Ack-eliciting packets are acknowledged at once when they are the first, come out of order,
    /// leave or fill a gap, or carry a congestion mark; else every second one (or as
    /// [`Self::adapt`] says) at once and the rest
    /// after the delay. Where many arrive and overtake each other, order says nothing, and does not count.
    /// Others never cause an acknowledgement: two idle ends would not fall silent.
    pub(crate) fn on_packet(
        &mut self,
        counter: u64,
        ack_eliciting: bool,
        ecn: Option<Ecn>,
        now: Instant,
    ) {
        let highest = self.received.max();
        if !self.received.insert(counter, ack_eliciting) {
            return;
        }
        let in_order = highest.is_some_and(|highest| counter == highest + 1);
        let is_surprise = highest.is_none() || (!in_order && !self.expects_disorder());
        if highest.is_none_or(|highest| counter > highest) {
            self.highest_at = Some(now);
        } else {
            self.overtakes = true;
        }
        count(&mut self.ecn, ecn);
        if !ack_eliciting {
            return;
        }
        self.owed = self.owed.saturating_add(1);
        let at_once = is_surprise || ecn == Some(Ecn::Ce) || self.owed >= self.per_ack;
        let delay = if at_once { 0 } else { self.max_ack_delay };
        let due = now + Duration::from_micros(delay.into());
        self.deadline = Some(self.deadline.map_or(due, |deadline| deadline.min(due)));
    }

    /// Whether each gap would be told of by an acknowledgement of its own, though the next packets fill it.
    const fn expects_disorder(&self) -> bool {
        self.per_ack == MOST_PER_ACK && (self.overtakes || self.overtook)
    }

    /// A round trip ended, in which so many packets arrived: where there are many, an acknowledgement is for
    /// more of them. They are still 32 in a round trip at least, so that the sender learns as much.
    pub(crate) fn adapt(&mut self, arrived: u64) {
        self.overtook = core::mem::take(&mut self.overtakes);
        let share = (arrived / ACKS_PER_ROUND).min(MOST_PER_ACK.into());
        self.per_ack = (share as u8).max(PACKETS_PER_ACK);
    }

    /// An acknowledgement that is owed must leave now.
    pub(crate) fn expedite(&mut self, now: Instant) {
        self.deadline = self.deadline.map(|deadline| deadline.min(now));
    }

    /// The sender asks for the acknowledgement that is owed: it leaves at once, but not too soon after
    /// the last that was asked for. `srtt` is the smoothed round-trip time of the path.
    pub(crate) fn expedite_asked(&mut self, now: Instant, srtt: Duration) {
        let pause = LONGEST_PAUSE.min(srtt / 8);
        let soon = self.asked_at.map_or(now, |last| now.max(last + pause));
        self.deadline = self.deadline.map(|deadline| deadline.min(soon));
        self.is_asked = true;
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

    /// What to acknowledge, newest first: at most 32 ranges of counters, and with them whatever arrived
    /// since the last acknowledgement, as far as it fits.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> + '_ {
        self.received.report()
    }

    /// The highest counter that arrived.
    pub(crate) fn highest(&self) -> Option<u64> {
        self.received.max()
    }

    /// How many ranges those are.
    pub(crate) fn range_count(&self) -> usize {
        self.received.report_len()
    }

    /// Whether so much is to be repeated in each acknowledgement that the peer should acknowledge one,
    /// so that it can be forgotten (RFC 9000 section 13.2.4).
    pub(crate) fn is_long(&self) -> bool {
        self.received.len() > SHORT
    }

    /// How long ago the highest counter arrived, for the acknowledgement.
    pub(crate) fn delay(&self, now: Instant) -> Duration {
        self.highest_at.map_or(Duration::ZERO, |at| now.saturating_since(at))
    }

    /// The counts of marks, when any mark was seen: then they belong in the acknowledgement.
    pub(crate) fn ecn(&self) -> Option<EcnCounts> {
        (self.ecn != EcnCounts::default()).then_some(self.ecn)
    }

    /// An acknowledgement of all `ranges` leaves. Another is owed, at once, if not all news fitted.
    pub(crate) fn on_sent(&mut self, now: Instant) {
        self.owed = 0;
        if core::mem::take(&mut self.is_asked) {
            self.asked_at = Some(now);
        }
        if !self.received.on_reported() {
            self.deadline = None;
        }
    }

    /// The peer has an acknowledgement of ours whose highest counter was `largest`: what it covers
    /// needs no repeating (RFC 9000 section 13.2.4). The highest range is kept in part, so that
    /// a packet out of order is still recognised.
    pub(crate) fn on_ack_of_ack(&mut self, largest: u64) {
        if let Some(highest) = self.received.max() {
            self.received.forget_below(largest.saturating_add(1).min(highest));
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

/// An acknowledgement of no more ranges than this is repeated as it is: an answer would cost more.
const SHORT: usize = 4;
/// The least time between two acknowledgements that were asked for, unless an eighth of the round-trip time
/// is less.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);
/// RFC 9000 section 13.2.2, of packets that come slowly.
const PACKETS_PER_ACK: u8 = 2;
/// The same of packets that come fast: an acknowledgement for each eight, but no fewer than so many in a round
/// trip.
const MOST_PER_ACK: u8 = 8;
const ACKS_PER_ROUND: u64 = 32;

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
        tracker.on_sent(at(0));
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
        tracker.on_sent(at(1));
        assert!(!tracker.wants_piggyback());
    }

    #[test]
    fn surprises_are_acknowledged_at_once() {
        let due = |packets: &[(u64, Option<Ecn>)]| {
            let mut tracker = in_order();
            for &(counter, ecn) in packets {
                tracker.on_sent(at(1));
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
    fn packets_that_come_fast_and_overtake_each_other_are_acknowledged_by_number() {
        let mut tracker = in_order();
        tracker.adapt(256);
        tracker.on_packet(11, true, None, at(1));
        assert!(tracker.is_due(at(1)), "a gap, and none of the packets before was late");
        tracker.on_sent(at(1));
        // Neighbours change places: each leaves a gap, or fills one.
        let mut sent = Vec::new();
        for pair in 6..46 {
            for counter in [2 * pair + 1, 2 * pair] {
                tracker.on_packet(counter, true, None, at(2));
                if tracker.is_due(at(2)) {
                    tracker.on_sent(at(2));
                    sent.push(counter);
                }
            }
        }
        assert_eq!(sent[..2], [13, 12], "it is learned from the first");
        assert!(sent[2..].iter().all(|counter| counter % 8 == 4), "{sent:?}");
        tracker.on_sent(at(2));
        // A round trip in order is not enough to trust it, a second one is.
        tracker.adapt(256);
        tracker.on_packet(100, true, None, at(100));
        assert!(!tracker.is_due(at(100)));
        tracker.on_sent(at(100));
        tracker.adapt(256);
        tracker.on_packet(110, true, None, at(200));
        assert!(tracker.is_due(at(200)));
        // Few packets are acknowledged as they come, whatever their order.
        tracker.on_sent(at(200));
        tracker.adapt(10);
        tracker.on_packet(105, true, None, at(300));
        assert!(tracker.is_due(at(300)));
    }

    #[test]
    fn what_is_asked_for_leaves_at_once_but_not_twice_in_a_millisecond_or_an_eighth_of_a_round_trip()
     {
        let after = |micros| at(10) + Duration::from_micros(micros);
        for (srtt, pause) in [(50, 1000), (2, 250)].map(|(ms, us)| (Duration::from_millis(ms), us))
        {
            let mut tracker = in_order();
            tracker.on_packet(10, true, None, after(0));
            tracker.expedite_asked(after(0), srtt);
            assert!(tracker.is_due(after(0)));
            tracker.on_sent(after(0));
            tracker.on_packet(11, true, None, after(100));
            tracker.expedite_asked(after(100), srtt);
            assert_eq!(tracker.deadline(), Some(after(pause)), "{srtt:?}");
            tracker.on_sent(after(pause));
            tracker.on_packet(12, true, None, after(pause + 5));
            assert_eq!(tracker.deadline(), Some(after(pause + 5) + DELAY), "not asked for");
            tracker.on_sent(after(5000));
            tracker.on_packet(13, true, None, after(9000));
            tracker.expedite_asked(after(9000), srtt);
            assert!(tracker.is_due(after(9000)), "long ago");
        }
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
        tracker.on_sent(at(0));
        tracker.on_packet(20, true, None, at(0));
        tracker.on_packet(11, true, None, at(0));
        tracker.on_ack_of_ack(12);
        let ranges: Vec<_> = tracker.ranges().collect();
        assert_eq!(ranges, [20..=20, 11..=12], "what it cannot have covered stays");
        tracker.on_sent(at(0));
        tracker.on_ack_of_ack(12);
        assert_eq!(tracker.ranges().collect::<Vec<_>>(), [20..=20]);
        tracker.on_ack_of_ack(u64::MAX);
        tracker.on_sent(at(1));
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
            prop_assert!(ranges.len() <= crate::wire::MAX_ACK_RANGES);
            prop_assert_eq!(ranges[0].end(), counters.iter().max().unwrap_or(&0));
            prop_assert!(ranges.windows(2).all(|pair| pair[1].end() + 1 < *pair[0].start()));
            prop_assert!(ranges.into_iter().flatten().all(|counter| counters.contains(&counter)));
        }
    }
}
