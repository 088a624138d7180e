//! Whether what leaves on one path is marked as ECN-capable, and whether the marks that come back mean something.
//!
//! Packets are marked ECT(0) from the first on, as RFC 9000 section 13.4 has it. What the peer counts must agree
//! with what it acknowledges: a path that takes marks away, changes them, or drops what is marked gets none
//! any more. Neither does one on which sending less does not help against marks: somebody sets them who has no queue.

use super::sent::Packet;
use crate::config::CongestionControl;
use crate::pack::{pack, pack_enum};
use crate::time::Instant;
use crate::wire::EcnCounts;

/// What is known about marks on one path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marking {
    state: State,
    /// Who does not slow down for marks must not ask for them.
    control: CongestionControl,
    /// Marked packets that were sent, and what the peer counted, since the path id is in use.
    sent: u64,
    counted: EcnCounts,
    /// Packets of this path that the peer counted and has not acknowledged.
    surplus: u64,
    /// Marked packets lost since one was last acknowledged, and how often an unmarked one arrived when many were.
    lost: u8,
    strikes: u8,
    /// When the round trip began that is looked at, and whether packets were marked in it.
    round_start: Option<Instant>,
    is_congested: bool,
    /// Round trips with marks more than without, while hardly anything was sent.
    futile: u8,
}

pack!(Marking:
    state, control, sent, counted, surplus, lost, strikes, round_start, is_congested, futile,
);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No marked packet was acknowledged yet.
    Tried,
    /// Marks arrive, and are counted.
    Valid,
    /// Nothing is marked.
    Off,
}

pack_enum!(State: Tried, Valid, Off);

/// The packets of the path that an acknowledgement names for the first time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrived {
    marked: u64,
    /// Without a mark, and to be acknowledged.
    unmarked: u64,
}

impl Arrived {
    /// One is among them.
    pub(crate) fn add(&mut self, packet: &Packet, ack_eliciting: bool) {
        self.marked += u64::from(packet.is_marked);
        self.unmarked += u64::from(ack_eliciting && !packet.is_marked);
    }
}

impl Marking {
    /// Nothing was sent.
    pub(crate) fn new(control: CongestionControl) -> Self {
        let answers = !matches!(control, CongestionControl::Fixed(_));
        Self {
            state: if answers { State::Tried } else { State::Off },
            control,
            sent: 0,
            counted: EcnCounts::default(),
            surplus: 0,
            lost: 0,
            strikes: 0,
            round_start: None,
            is_congested: false,
            futile: 0,
        }
    }

    /// The way is another: marks may pass there, or not. What was counted under the path id stays.
    pub(crate) fn restart(&mut self) {
        let Self { sent, counted, control, .. } = *self;
        // Where the way before added marks, that is not held against this one.
        let sent = sent.max(counted.ect0 + counted.ce);
        *self = Self { sent, counted, ..Self::new(control) };
    }

    /// Whether marks are known to pass.
    pub(crate) fn is_valid(&self) -> bool {
        self.state == State::Valid
    }

    /// Whether packets are to be marked.
    pub(crate) fn is_on(&self) -> bool {
        self.state != State::Off
    }

    /// The congestion control that answers marks.
    pub(crate) const fn control(&self) -> CongestionControl {
        self.control
    }

    /// A packet leaves.
    pub(crate) fn on_sent(&mut self, is_marked: bool) {
        self.sent += u64::from(is_marked);
    }

    /// A packet of the path was lost.
    pub(crate) fn on_lost(&mut self, packet: &Packet) {
        self.lost = self.lost.saturating_add(u8::from(packet.is_marked));
    }

    /// Takes what an acknowledgement says and shows. Returns how many packets more were marked by routers, if that
    /// is to be believed.
    pub(crate) fn on_ack(&mut self, counts: EcnCounts, arrived: Arrived) -> u64 {
        let before = self.counted;
        self.counted = EcnCounts {
            ect0: before.ect0.max(counts.ect0),
            ect1: before.ect1.max(counts.ect1),
            ce: before.ce.max(counts.ce),
        };
        if self.state == State::Off {
            return 0;
        }
        // What is counted arrived, so no fewer are counted than acknowledged, in whatever order
        // acknowledgements come. Varints are below 2^62: the sums do not overflow.
        let total = self.counted.ect0 + self.counted.ce;
        let news = total - (before.ect0 + before.ce);
        let rest = self.surplus.saturating_add(news).checked_sub(arrived.marked);
        let is_mangled = self.counted.ect1 > before.ect1 || total > self.sent;
        self.note_losses(arrived);
        match rest {
            Some(rest) if !is_mangled && self.strikes < self.most_strikes() => self.surplus = rest,
            _ => self.state = State::Off,
        }
        if self.state == State::Off {
            return 0;
        }
        if arrived.marked > 0 {
            self.state = State::Valid;
        }
        self.counted.ce - before.ce
    }

    /// If what has no mark arrives while all that has is lost, the mark is the cause.
    fn note_losses(&mut self, arrived: Arrived) {
        if arrived.marked > 0 {
            (self.lost, self.strikes) = (0, 0);
        } else if arrived.unmarked > 0 && self.lost >= ALL_LOST {
            self.strikes = self.strikes.saturating_add(1);
            self.lost = 0;
        }
    }

    /// Where marks passed before it may have been an outage, once.
    fn most_strikes(&self) -> u8 {
        if self.is_valid() { 2 } else { 1 }
    }

    /// Notes whether routers marked packets in this round trip, of which one that was sent at `sent_at` arrived.
    /// True if they do so whatever is sent: then it is no congestion.
    pub(crate) fn is_futile(
        &mut self,
        now: Instant,
        sent_at: Instant,
        marked: bool,
        is_small: bool,
    ) -> bool {
        self.is_congested |= marked;
        if self.round_start.is_some_and(|start| sent_at < start) {
            return false;
        }
        self.round_start = Some(now);
        let was_congested = core::mem::replace(&mut self.is_congested, false);
        self.futile =
            if was_congested && is_small { self.futile + 1 } else { self.futile.saturating_sub(1) };
        let is_futile = self.futile >= MOST_FUTILE;
        if is_futile {
            self.state = State::Off;
        }
        is_futile
    }
}

/// So many marked packets lost in a row, and an unmarked one that arrived, are a sign that marked ones do not pass.
const ALL_LOST: u8 = 3;
/// So many round trips in which packets were marked though the window was small, beyond those without.
const MOST_FUTILE: u8 = 10;

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// What a path does to the mark of a packet.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Treatment {
        Kept,
        Bleached,
        Changed,
        /// Packets without a mark get one.
        Added,
    }

    /// A packet: marked or not, congested or not, lost or not; and whether an acknowledgement follows it.
    type Step = (bool, bool, bool, bool);

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let chance = |of: u8| (0..of).prop_map(|n| n == 0);
        let marked = chance(4).prop_map(|unmarked| !unmarked);
        prop::collection::vec((marked, chance(5), chance(5), chance(3)), 1..300)
    }

    /// Lets packets pass, and some of their acknowledgements. Those name what arrived, but not all of it at once; some
    /// come late. The rest comes in the end.
    fn play(marking: &mut Marking, steps: &[Step], treatment: Treatment) {
        let (mut counts, mut unnamed) = (EcnCounts::default(), Arrived::default());
        let mut late = Vec::new();
        for (at, &(is_marked, is_congested, is_lost, acks)) in steps.iter().enumerate() {
            marking.on_sent(is_marked);
            if is_lost {
                continue;
            }
            match (treatment, is_marked) {
                (Treatment::Kept, true) if is_congested => counts.ce += 1,
                (Treatment::Kept, true) | (Treatment::Added, _) => counts.ect0 += 1,
                (Treatment::Changed, true) => counts.ect1 += 1,
                _ => {}
            }
            unnamed.marked += u64::from(is_marked);
            unnamed.unmarked += u64::from(!is_marked);
            let named = Arrived { marked: unnamed.marked / 2, ..unnamed };
            match at % 3 {
                _ if !acks => {}
                0 => late.push((counts, named)),
                _ => _ = marking.on_ack(counts, named),
            }
            if acks {
                unnamed = Arrived { marked: unnamed.marked - named.marked, unmarked: 0 };
            }
        }
        late.push((counts, unnamed));
        late.into_iter().for_each(|(counts, named)| _ = marking.on_ack(counts, named));
    }

    fn any_arrived(steps: &[Step], is: impl Fn(&Step) -> bool) -> bool {
        steps.iter().any(|step| !step.2 && is(step))
    }

    proptest! {
        #[test]
        fn whoever_passes_marks_is_believed_and_whoever_changes_them_is_found_out(
            before in steps(),
            steps in steps(),
        ) {
            for treatment in
                [Treatment::Kept, Treatment::Bleached, Treatment::Changed, Treatment::Added]
            {
                let mut marking = Marking::new(CongestionControl::Tolerant);
                play(&mut marking, &steps, treatment);
                let any = any_arrived(&steps, |step| step.0);
                let expected = match treatment {
                    Treatment::Kept if any => State::Valid,
                    Treatment::Bleached | Treatment::Changed if any => State::Off,
                    Treatment::Kept | Treatment::Bleached | Treatment::Changed => State::Tried,
                    // More are counted than were marked, as far as none of those was lost.
                    Treatment::Added => {
                        let lost = steps.iter().filter(|step| step.0 && step.2).count();
                        let added = steps.iter().filter(|step| !step.0 && !step.2).count();
                        if added <= lost { continue }
                        State::Off
                    }
                };
                prop_assert_eq!(marking.state, expected, "{:?}", treatment);
            }
            // What another way did before is not held against this one, nor does it speak for it.
            let mut marking = Marking::new(CongestionControl::Tolerant);
            play(&mut marking, &before, Treatment::Bleached);
            marking.restart();
            play(&mut marking, &[], Treatment::Kept);
            prop_assert_eq!(marking.state, State::Tried);
        }

        #[test]
        fn nothing_that_a_peer_says_overflows(
            said in prop::collection::vec((any::<[u32; 5]>(), 0..3_u32), 1..50),
        ) {
            let mut marking = Marking::new(CongestionControl::Bbr);
            for ([ect0, ect1, ce, marked, unmarked], shift) in said {
                let wide = |it: u32| u64::from(it) << (shift * 15);
                let counts = EcnCounts { ect0: wide(ect0), ect1: wide(ect1), ce: wide(ce) };
                let arrived = Arrived { marked: marked.into(), unmarked: unmarked.into() };
                marking.on_ack(counts, arrived);
            }
        }
    }

    #[test]
    fn what_one_way_did_to_marks_is_not_held_against_the_next() {
        let none = EcnCounts::default();
        let cases = [none, EcnCounts { ect1: 5, ..none }, EcnCounts { ect0: 50, ..none }];
        for counts in cases {
            let mut marking = Marking::new(CongestionControl::Tolerant);
            (0..5).for_each(|_| marking.on_sent(true));
            marking.on_ack(counts, Arrived { marked: 5, unmarked: 0 });
            assert_eq!(marking.state, State::Off, "{counts:?}");
            marking.restart();
            marking.on_sent(true);
            let counts = EcnCounts { ce: counts.ce + 1, ..counts };
            assert_eq!(marking.on_ack(counts, Arrived { marked: 1, unmarked: 0 }), 1);
            assert_eq!(marking.state, State::Valid, "{counts:?}");
        }
    }

    #[test]
    fn marked_packets_that_are_lost_while_others_arrive_are_marked_no_more() {
        let unmarked = Arrived { marked: 0, unmarked: 1 };
        let mut fresh = Marking::new(CongestionControl::Tolerant);
        fresh.lost = 2;
        fresh.on_ack(EcnCounts::default(), unmarked);
        assert_eq!(fresh.state, State::Tried);
        fresh.lost = 3;
        fresh.on_ack(EcnCounts::default(), unmarked);
        assert_eq!(fresh.state, State::Off);
        // Where they arrived before, one outage is not enough.
        let mut known = Marking::new(CongestionControl::Tolerant);
        known.on_sent(true);
        known.on_ack(
            EcnCounts { ect0: 1, ..EcnCounts::default() },
            Arrived { marked: 1, unmarked: 0 },
        );
        for expected in [State::Valid, State::Off] {
            known.lost = 200;
            known.on_ack(EcnCounts { ect0: 1, ..EcnCounts::default() }, unmarked);
            assert_eq!(known.state, expected);
        }
    }

    #[test]
    fn marks_are_futile_after_ten_small_round_trips_more_with_than_without() {
        let at = |round: u64| Instant::from_micros(1 + round * 1_000);
        let rounds = |pattern: &dyn Fn(u64) -> (bool, bool)| {
            let mut marking = Marking::new(CongestionControl::Tolerant);
            (1..=100_u64).find(|round| {
                let (marked, is_small) = pattern(*round);
                let within = at(*round) + Duration::from_micros(500);
                let early = marking.is_futile(within, at(*round - 1), marked, is_small);
                early || marking.is_futile(at(*round + 1), at(*round), false, is_small)
            })
        };
        assert_eq!(rounds(&|_| (false, true)), None);
        assert_eq!(rounds(&|_| (true, false)), None, "it may yet help");
        assert!(rounds(&|_| (true, true)).is_some_and(|round| (9..=11).contains(&round)));
        assert_eq!(rounds(&|round| (round % 2 == 0, true)), None, "half of them are answered");
        assert!(rounds(&|round| (round % 3 > 0, true)).is_some_and(|round| round < 40));
    }
}
