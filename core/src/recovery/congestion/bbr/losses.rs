//! Which losses are of our making.
//!
//! A radio link loses a part of whatever it is given; a queue that overflows and a policer lose what is above
//! their rate. So losses are compared with those at a rate that the path has delivered before: what is lost
//! then is the path's own. If more is lost, the rate is lowered to what arrives, and what is lost thereafter
//! tells the two apart.

use crate::time::Instant;

/// Watches what is lost of what is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Losses {
    /// What is sent at a rate that the path is thought to bear.
    steady: Tally,
    /// What is sent to learn whether it bears more.
    trial: Tally,
    /// The part that is lost at a rate that the path has delivered, in `UNIT`.
    usual: u32,
    /// So many rounds in a row more was lost than usual.
    streak: u8,
    test: Test,
}

/// What became of packets sent from a time on, in bytes.
#[derive(Clone, Copy, Debug)]
struct Tally {
    from: Option<Instant>,
    acked: u64,
    lost: u64,
}

/// Whether the rate was lowered to learn what is lost then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    No,
    /// It was, to what arrived.
    Running,
    /// It was, but what arrived is less: the answer will not count.
    Halfway,
}

/// What losses at a steady rate ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    Nothing,
    /// Send no faster than what arrives. [`Losses::on_lowered`] is to follow.
    Lower,
    /// A queue overflows: leave room in it as well. The same is to follow.
    Yield,
    /// As much is lost at the lower rate: it helps nobody.
    Restore,
}

impl Losses {
    /// Nothing was sent. The first packets are a trial.
    pub(super) const fn new() -> Self {
        let trial = Tally::since(Instant::from_micros(0));
        Self { steady: Tally::NEW, trial, usual: 0, streak: 0, test: Test::No }
    }

    /// Bytes sent at `sent_at` arrived.
    pub(super) fn on_ack(&mut self, sent_at: Instant, bytes: u64) {
        for tally in [&mut self.steady, &mut self.trial] {
            tally.acked += if tally.covers(sent_at) { bytes } else { 0 };
        }
    }

    /// Bytes sent at `sent_at` were lost.
    pub(super) fn on_loss(&mut self, sent_at: Instant, bytes: u64) {
        for tally in [&mut self.steady, &mut self.trial] {
            tally.lost += if tally.covers(sent_at) { bytes } else { 0 };
        }
    }

    /// What is sent from now on is to show whether the path bears more.
    pub(super) const fn begin_trial(&mut self, now: Instant) {
        (self.trial, self.steady) = (Tally::since(now), Tally::NEW);
    }

    /// What is sent from now on is what the path should bear.
    pub(super) const fn end_trial(&mut self, now: Instant) {
        (self.trial, self.steady) = (Tally::NEW, Tally::since(now));
        (self.streak, self.test) = (0, Test::No);
    }

    /// Whether more is lost in a trial than usual, and more than chance explains.
    pub(super) fn trial_loses(&self, is_queued: bool, mtu: u16) -> bool {
        self.trial.is_telling(mtu) && self.is_excess(&self.trial, is_queued, mtu)
    }

    /// What was thought to be usual is not: it was of our making.
    pub(super) const fn forget(&mut self) {
        self.usual = 0;
    }

    /// Whether so much is lost in a trial that no more needs to be known.
    pub(super) fn trial_loses_much(&self, mtu: u16) -> bool {
        self.trial_loses(false, mtu) && u64::from(self.trial.share()) > UNIT / 8
    }

    /// Trial packets of a round were lost although the rate rose by as much as it was raised: the path loses them
    /// anyway.
    pub(super) fn excuse_trial(&mut self, now: Instant, mtu: u16) {
        if self.trial.is_telling(mtu) {
            self.usual = u32::midpoint(self.usual, self.trial.share()).min(MOST);
            self.trial = Tally::since(now);
        }
    }

    /// A round ended; `is_queued` if its round-trip times say so.
    pub(super) fn on_round(&mut self, is_queued: bool, mtu: u16) -> Advice {
        if !self.steady.is_telling(mtu) {
            return Advice::Nothing;
        }
        let (share, is_excess) =
            (self.steady.share(), self.is_excess(&self.steady, is_queued, mtu));
        let sent = self.steady.sent();
        (self.steady.acked, self.steady.lost) = (0, 0);
        if !is_excess {
            self.learn(share, sent, is_queued, mtu);
            (self.streak, self.test) = (0, Test::No);
            return Advice::Nothing;
        }
        self.streak = self.streak.saturating_add(1);
        if self.test == Test::Running && self.streak >= LOWERED {
            self.usual = share.min(MOST);
            (self.streak, self.test) = (0, Test::No);
            return Advice::Restore;
        }
        if is_queued {
            Advice::Yield
        } else if self.test != Test::No || self.streak >= ROUNDS {
            Advice::Lower
        } else {
            Advice::Nothing
        }
    }

    /// Nothing unusual was lost.
    fn learn(&mut self, share: u32, sent: u64, is_queued: bool, mtu: u16) {
        if self.test != Test::No {
            return;
        }
        let packets = (sent / u64::from(mtu.max(1))).min(ROUNDED);
        // With a queue it may be of our making, or of those whose packets wait in it: what is known grows old.
        let (share, weight) = match is_queued {
            true if share >= self.usual => (0, 64),
            _ => (u64::from(share), 8),
        };
        let usual = u64::from(self.usual) * (weight * ROUNDED - packets);
        self.usual = ((usual + share * packets) / (weight * ROUNDED)) as u32;
    }

    /// The rate was lowered, and if `is_enough` to what arrives.
    pub(super) fn on_lowered(&mut self, now: Instant, is_enough: bool) {
        self.steady = Tally::since(now);
        if self.test == Test::No {
            self.streak = 0;
        }
        self.test = if is_enough { Test::Running } else { Test::Halfway };
    }

    /// `rate` and what is to be sent so that half of the usual losses are made up for. All of them would do for
    /// a radio link, but half leaves a policer below its rate in the end.
    pub(super) fn make_up(&self, rate: u64) -> u64 {
        let kept = UNIT - u64::from(self.usual) / 2;
        u64::try_from(u128::from(rate) * u128::from(UNIT) / u128::from(kept)).unwrap_or(u64::MAX)
    }

    fn is_excess(&self, tally: &Tally, is_queued: bool, mtu: u16) -> bool {
        let is_lossless = self.usual < LITTLE;
        let (threshold, slack) = match is_queued {
            true if is_lossless => (0, 1),
            true => (0, SLACK),
            false => (THRESHOLD, SLACK),
        };
        let usual = tally.sent().saturating_mul(u64::from(self.usual)) / UNIT;
        tally.lost >= 2 * usual + slack * u64::from(mtu)
            && tally.share() > 2 * self.usual + threshold
    }
}

impl Tally {
    const NEW: Self = Self { from: None, acked: 0, lost: 0 };

    const fn since(from: Instant) -> Self {
        Self { from: Some(from), ..Self::NEW }
    }

    fn covers(&self, sent_at: Instant) -> bool {
        self.from.is_some_and(|from| sent_at >= from)
    }

    /// The part that was lost, in `UNIT`.
    fn share(&self) -> u32 {
        self.lost.saturating_mul(UNIT).checked_div(self.sent()).unwrap_or(0) as u32
    }

    const fn sent(&self) -> u64 {
        self.acked + self.lost
    }

    /// Whether it covers enough to say something.
    fn is_telling(&self, mtu: u16) -> bool {
        self.sent() >= TELLING * u64::from(mtu)
    }
}

/// Of shares.
const UNIT: u64 = 1 << 16;
/// `LossThresh` of draft-ietf-ccwg-bbr: 2 %, here above twice what is usual.
const THRESHOLD: u32 = UNIT as u32 / 50;
/// No path is thought to lose more than a quarter by itself.
const MOST: u32 = UNIT as u32 / 4;
/// Fewer lost packets are no sign of anything.
const SLACK: u64 = 4;
/// A path that loses less by itself loses nothing: where a queue is seen, one packet is a sign.
const LITTLE: u32 = UNIT as u32 / 1000;
/// A round of so many packets counts for an eighth, a smaller one for less.
const ROUNDED: u64 = 128;
/// Fewer packets than these say nothing.
const TELLING: u64 = 16;
/// So many rounds in a row show too many losses, if no queue does: a radio link loses all for a moment.
const ROUNDS: u8 = 3;
/// So many times the rate is lowered before it is clear that it does not help.
const LOWERED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const MTU: u16 = 1000;

    fn at(millis: u64) -> Instant {
        Instant::from_micros(1 + millis * 1000)
    }

    /// A round of 100 packets, `lost` of them lost, sent at `now`.
    fn round(losses: &mut Losses, now: u64, lost: u64, is_queued: bool) -> Advice {
        losses.on_loss(at(now), lost * 1000);
        losses.on_ack(at(now), (100 - lost) * 1000);
        losses.on_round(is_queued, MTU)
    }

    fn begun() -> Losses {
        let mut losses = Losses::new();
        losses.end_trial(at(0));
        losses
    }

    #[test]
    fn a_path_that_loses_as_much_at_a_lower_rate_is_left_alone_from_then_on() {
        let mut losses = begun();
        assert_eq!(round(&mut losses, 1, 20, false), Advice::Nothing);
        assert_eq!(round(&mut losses, 2, 18, false), Advice::Nothing);
        assert_eq!(round(&mut losses, 3, 22, false), Advice::Lower);
        losses.on_lowered(at(4), true);
        assert_eq!(round(&mut losses, 3, 20, false), Advice::Nothing, "sent before");
        assert_eq!(round(&mut losses, 5, 19, false), Advice::Lower);
        losses.on_lowered(at(6), true);
        assert_eq!(round(&mut losses, 7, 19, false), Advice::Restore);
        for now in 8..50 {
            assert_eq!(round(&mut losses, now, 15 + now % 10, true), Advice::Nothing);
        }
        losses.begin_trial(at(50));
        losses.on_loss(at(51), 25_000);
        losses.on_ack(at(51), 75_000);
        assert!(!losses.trial_loses(false, MTU));
        losses.on_loss(at(51), 25_000);
        assert!(losses.trial_loses(false, MTU));
        assert_eq!(losses.make_up(900), 900 * UNIT / (UNIT - u64::from(losses.usual) / 2));
    }

    #[test]
    fn a_queue_that_overflows_is_answered_at_once_and_as_long_as_it_does() {
        let mut losses = begun();
        assert_eq!(round(&mut losses, 1, 90, true), Advice::Yield);
        losses.on_lowered(at(2), false);
        assert_eq!(round(&mut losses, 3, 80, true), Advice::Yield);
        losses.on_lowered(at(4), false);
        assert_eq!(round(&mut losses, 5, 60, true), Advice::Yield, "not yet what arrives");
        losses.on_lowered(at(6), true);
        assert_eq!(round(&mut losses, 7, 0, true), Advice::Nothing, "that was the reason");
        assert_eq!(losses.usual, 0);
        assert_eq!(round(&mut losses, 8, 10, true), Advice::Yield, "and would be again");
    }

    #[test]
    fn a_moment_in_which_all_is_lost_is_nothing_and_few_losses_are() {
        let mut losses = begun();
        for now in 1..40 {
            let lost = if now % 5 < 2 { 60 } else { 0 };
            assert_eq!(round(&mut losses, now, lost, false), Advice::Nothing);
        }
        let mut losses = begun();
        for now in 1..40 {
            assert_eq!(round(&mut losses, now, 3, false), Advice::Nothing);
        }
        let mut losses = begun();
        losses.begin_trial(at(40));
        losses.on_loss(at(41), 9_000);
        assert!(!losses.trial_loses(false, MTU), "too few to tell");
        losses.on_ack(at(41), 91_000);
        assert!(losses.trial_loses(false, MTU));
    }
}
