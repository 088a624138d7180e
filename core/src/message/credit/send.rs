//! The sender's side of credit: which reliable messages may be begun.

use alloc::vec::Vec;

use crate::pack::pack;

/// Credit that the receiver granted, and what was used of it, both counted from the session's start.
#[derive(Debug, Default)]
pub(crate) struct SendCredit {
    /// The cost of all messages begun, and what was forfeited.
    begun: u64,
    limit: u64,
    forfeited: u64,
    /// The receiver is to be told of the last.
    is_forfeit_due: bool,
    /// Each at its place in the send buffer.
    channels: Vec<Channel>,
    /// The message that waits for a higher limit. When that comes, the others leave it alone.
    claim: Option<Claim>,
    /// Some message waits until the receiver took others of its channel.
    waits_for_share: bool,
}

pack!(SendCredit: begun, limit, forfeited, is_forfeit_due, channels, claim, waits_for_share);

/// What a channel used, and what of that the receiver took.
#[derive(Debug, Default)]
struct Channel {
    begun: u64,
    returned: u64,
    /// The cost of a long message on its way that others may pass: it does not count as held until it arrived.
    passed: u64,
    /// The lane whose message found too little. The channel's other lanes wait for it.
    first: Option<u32>,
}

pack!(Channel: begun, returned, passed, first);

/// A message that waits for a higher limit.
#[derive(Clone, Copy, Debug)]
struct Claim {
    lane: u32,
    cost: u64,
}

pack!(Claim: lane, cost);

/// A message that may be begun, or not: its lane, the place of its channel and what it costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) lane: u32,
    pub(crate) place: u16,
    pub(crate) cost: u64,
    /// Others of its lane may pass it while it is on its way.
    pub(crate) is_passed: bool,
}

impl SendCredit {
    /// Raises what the receiver granted in all. True if a message waited.
    pub(crate) fn grant(&mut self, limit: u64) -> bool {
        let more = limit > self.limit;
        self.limit = self.limit.max(limit);
        more && self.retry()
    }

    /// The receiver took so much of the channel at `place` in all. True if a message waited.
    pub(crate) fn give_back(&mut self, place: u16, returned: u64) -> bool {
        // A channel that nothing was sent on has nothing to give back.
        let Some(channel) = self.channels.get_mut(usize::from(place)) else { return false };
        let returned = returned.min(channel.begun);
        let more = returned > channel.returned;
        channel.returned = channel.returned.max(returned);
        more && self.retry()
    }

    /// Whether a message may be begun. If not, it is remembered that it waits.
    #[inline]
    pub(crate) fn admits(&mut self, candidate: Candidate) -> bool {
        let Candidate { lane, place, cost, .. } = candidate;
        let claimed = self.claim.filter(|claim| claim.lane != lane && self.fits(claim.cost));
        let free = self.limit.saturating_sub(self.begun);
        let left = free - claimed.map_or(0, |claim| claim.cost);
        let channel = self.channel(place);
        let all = channel.begun - channel.returned;
        let held = all.saturating_sub(channel.passed);
        // A channel holds no more than it leaves to the others, or a single message. Beside a long one on its
        // way there is no other for which the limit would have to rise.
        let shares = all == 0 || held + cost <= left.saturating_sub(cost);
        let is_next = channel.first.is_none_or(|first| first == lane);
        if is_next && shares && cost <= left {
            return true;
        }
        channel.first.get_or_insert(lane);
        if !(is_next && shares) {
            self.waits_for_share = true;
        } else if self.claim.is_none() {
            self.claim = Some(Claim { lane, cost });
        }
        false
    }

    /// A message was begun that may be. True if it waited before, so that others may wait for it.
    pub(crate) fn spend(&mut self, candidate: Candidate) -> bool {
        self.begun += candidate.cost;
        let claims = self.claim.is_some();
        let channel = self.channel(candidate.place);
        channel.begun += candidate.cost;
        if candidate.is_passed && channel.passed == 0 {
            channel.passed = candidate.cost;
        }
        if channel.first.is_none() && !claims {
            return false; // Nobody waits.
        }
        let waited = channel.first.take().is_some();
        self.claim = self.claim.filter(|claim| claim.lane != candidate.lane);
        self.waits_for_share &= !waited;
        waited
    }

    /// A message that others may pass is on its way no more.
    pub(crate) fn settle(&mut self, candidate: Candidate) {
        if let Some(channel) = self.channels.get_mut(usize::from(candidate.place))
            && channel.passed == candidate.cost
        {
            channel.passed = 0;
        }
    }

    /// The first message of a lane will not be begun. True if others waited for it to be.
    pub(crate) fn withdraw(&mut self, lane: u32, place: u16) -> bool {
        let Some(channel) = self.channels.get_mut(usize::from(place)) else { return false };
        if channel.first != Some(lane) {
            return false;
        }
        channel.first = None;
        self.claim = self.claim.filter(|claim| claim.lane != lane);
        self.waits_for_share = false;
        true
    }

    /// The limit at which a message waits, if one does, and what it costs: 0 if it waits for others of
    /// its channel to be taken.
    pub(crate) fn blocked_at(&self) -> Option<(u64, u64)> {
        let claimed = self.claim.map(|claim| claim.cost).filter(|cost| !self.fits(*cost));
        let cost = claimed.or_else(|| self.waits_for_share.then_some(0));
        cost.map(|cost| (self.limit, cost))
    }

    /// Gives up what is left of the credit, but for `keep`: the receiver is short of memory.
    pub(crate) const fn forfeit(&mut self, keep: u64) {
        let spare = self.limit.saturating_sub(self.begun).saturating_sub(keep);
        self.begun += spare;
        self.forfeited += spare;
        self.is_forfeit_due |= spare > 0;
    }

    /// All that was given up, if the receiver is to be told.
    pub(crate) fn forfeit_due(&self) -> Option<u64> {
        self.is_forfeit_due.then_some(self.forfeited)
    }

    /// The receiver was told what was given up, or is to be told again.
    pub(crate) const fn set_forfeit_due(&mut self, is_due: bool) {
        self.is_forfeit_due = is_due;
    }

    /// The receiver starts over and grants this much.
    pub(crate) fn restart(&mut self, granted: u64) {
        *self = Self { limit: granted, ..Self::default() };
    }

    #[inline]
    fn channel(&mut self, place: u16) -> &mut Channel {
        let at = usize::from(place);
        if at >= self.channels.len() {
            self.channels.resize_with(at + 1, Channel::default);
        }
        &mut self.channels[at]
    }

    const fn fits(&self, cost: u64) -> bool {
        cost <= self.limit.saturating_sub(self.begun)
    }

    /// Whether somebody waited, who is to try again.
    const fn retry(&mut self) -> bool {
        let waited = self.waits_for_share || self.claim.is_some();
        self.waits_for_share = false;
        waited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn message(lane: u32, place: u16, cost: u64) -> Candidate {
        Candidate { lane, place, cost, is_passed: false }
    }

    fn begin(credit: &mut SendCredit, candidate: Candidate) {
        assert!(credit.admits(candidate), "{candidate:?} {credit:?}");
        credit.spend(candidate);
    }

    #[test]
    fn a_channel_holds_no_more_than_it_leaves_to_the_others() {
        let mut credit = SendCredit::default();
        credit.restart(1000);
        for _ in 0..5 {
            begin(&mut credit, message(0, 0, 100));
        }
        assert!(!credit.admits(message(0, 0, 100)));
        assert_eq!(credit.blocked_at(), Some((1000, 0)), "its channel is to be read");
        begin(&mut credit, message(1, 1, 200));
        assert!(!credit.admits(message(1, 1, 200)));
        begin(&mut credit, message(2, 2, 300));
        assert!(!credit.admits(message(3, 3, 64)));
        assert_eq!(credit.blocked_at(), Some((1000, 64)), "one message for each, if there is room");
        assert!(credit.give_back(0, 500), "they wait");
        assert!(!credit.give_back(0, 400) && !credit.give_back(9, 400), "nothing new");
        assert!(!credit.admits(message(0, 0, 100)), "it needs a higher limit");
        assert!(credit.grant(1200));
        begin(&mut credit, message(3, 3, 64));
        begin(&mut credit, message(0, 0, 100));
    }

    #[test]
    fn what_waits_for_a_higher_limit_gets_it_before_others_do() {
        let mut credit = SendCredit::default();
        credit.restart(100);
        assert!(!credit.admits(message(0, 0, 500)));
        assert_eq!(credit.blocked_at(), Some((100, 500)));
        begin(&mut credit, message(1, 1, 100));
        assert!(credit.grant(600));
        assert_eq!(credit.blocked_at(), None);
        assert!(!credit.admits(message(2, 2, 64)), "that is meant for another");
        assert!(credit.admits(message(0, 0, 500)));
        assert!(credit.spend(message(0, 0, 500)), "the other is to try again");
        assert!(!credit.admits(message(2, 2, 64)));
        assert_eq!(credit.blocked_at(), Some((600, 64)));
    }

    #[test]
    fn a_long_message_on_its_way_is_not_held_against_those_that_may_pass_it() {
        let mut credit = SendCredit::default();
        credit.restart(1000);
        let long = Candidate { is_passed: true, ..message(0, 0, 600) };
        begin(&mut credit, long);
        begin(&mut credit, message(0, 0, 100));
        assert!(!credit.admits(message(0, 0, 150)), "it leaves as much to the others");
        credit.settle(long);
        assert!(!credit.admits(message(0, 0, 64)), "now it waits to be read");
        assert!(credit.give_back(0, 600));
        begin(&mut credit, message(0, 0, 64));
    }

    #[test]
    fn beside_a_long_message_on_its_way_a_channel_asks_for_no_higher_limit() {
        let mut credit = SendCredit::default();
        credit.restart(1000);
        let long = |lane| Candidate { is_passed: true, ..message(lane, 0, 600) };
        begin(&mut credit, long(0));
        assert!(!credit.admits(long(0)));
        assert_eq!(credit.blocked_at(), Some((1000, 0)), "it is to be read first");
        assert!(!credit.admits(message(1, 0, 400)), "nor does it take all that is left");
        begin(&mut credit, message(2, 1, 150));
    }

    #[test]
    fn streams_of_one_channel_wait_for_the_one_that_found_too_little_until_it_is_withdrawn() {
        let mut credit = SendCredit::default();
        credit.restart(1000);
        begin(&mut credit, message(0, 0, 100));
        assert!(!credit.admits(message(1, 0, 600)));
        assert!(!credit.admits(message(0, 0, 100)));
        assert!(!credit.withdraw(0, 0) && credit.withdraw(1, 0));
        begin(&mut credit, message(0, 0, 100));
    }
}
