//! What is done to reach one peer directly.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::budgets::ProbeBudgets;
use super::filter::{is_local, is_nowhere};
use super::fresh::{Fresh, FreshPort, Step};
use super::local::LocalAddresses;
use super::target::{Found, Target};
use super::verdict::{Nat, PathReason};
use crate::bucket::{Limit, TokenBucket};
use crate::crypto::rng::Rng;
use crate::net::{FourTuple, SocketId};
use crate::pack::{Pack, Packer, Unpacker, pack};
use crate::time::Instant;
use crate::wire::{CandidateEntry, CandidatesFrame};

/// A packet to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// One byte with few hops left, which opens our NAT and arrives nowhere.
    Open { way: FourTuple, hop_limit: u8 },
    /// A challenge on the probe id.
    Probe { way: FourTuple, token: [u8; 8] },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until the next round, if one is to come.
    Quiet { until: Option<Instant> },
    /// A round is under way.
    Round { since: Instant },
}

/// A round is work.
impl Pack for Phase {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        match self {
            Self::Quiet { until } => until.pack(into),
            Self::Round { .. } => None,
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Pack::unpack(from).map(|until| Self::Quiet { until })
    }
}

/// The search for a direct way to one peer.
#[derive(Debug)]
pub(crate) struct Puncher {
    phase: Phase,
    /// The present round, or the last one.
    round: u64,
    /// Rounds since the last success.
    rounds: u32,
    /// Packets sent in this round, and in all since the last success.
    sent: (u32, u32),
    last_sent: Option<Instant>,
    targets: Vec<Target>,
    /// The number of the peer's newest list, and the list.
    heard: Option<(u64, Vec<CandidateEntry>)>,
    symmetric: bool,
    /// A probe of ours may spoil its NAT if it comes before the NAT is open, or nobody knows.
    sensitive: bool,
    /// A probe of the peer came from an address of a host at which others see us: both are behind one NAT.
    is_beside: bool,
    /// The newest round for which the peer said that its NAT is open, and for which of our lists.
    peer_opened: Option<(u64, u64)>,
    /// The number of the newest list that the peer was told.
    told: u64,
    /// The socket of this search.
    fresh: Fresh,
    /// A round began, and whether it takes a fresh socket is to be decided.
    chooses: bool,
    /// A direct way was found once and lost: a NAT may be spoilt for it.
    lost: bool,
    /// Whether the frame with our addresses, and the one that says that our NAT is open, are to be sent.
    tells: bool,
    opened: bool,
    found: Option<Found>,
    /// Rounds are few, whoever asks for them.
    starts: TokenBucket,
}

pack!(Puncher:
    phase, round, rounds, sent, last_sent, targets, heard, symmetric, sensitive, is_beside, peer_opened,
    told, fresh, chooses, lost, tells, opened, found, starts,
);

impl Puncher {
    /// Nothing was tried yet: the first round is to begin at once.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            phase: Phase::Quiet { until: Some(now) },
            round: 0,
            rounds: 0,
            sent: (0, 0),
            last_sent: None,
            targets: Vec::new(),
            heard: None,
            symmetric: false,
            sensitive: true,
            is_beside: false,
            peer_opened: None,
            told: 0,
            fresh: Fresh::default(),
            chooses: false,
            lost: false,
            tells: false,
            opened: false,
            found: None,
            starts: TokenBucket::FULL,
        }
    }

    /// The peer told its addresses, and which round it is in. The round begins here as well if we are to
    /// `join`.
    pub(crate) fn on_candidates(&mut self, frame: &CandidatesFrame<'_>, join: bool, now: Instant) {
        let newer = self.heard.as_ref().is_none_or(|(seq, _)| frame.seq > *seq);
        if newer {
            self.heard = Some((frame.seq, frame.list.to_vec()));
            self.symmetric = frame.flags & CandidatesFrame::SYMMETRIC != 0;
            self.sensitive = frame.flags & CandidatesFrame::ORDER_SENSITIVE != 0;
        }
        let is_next = frame.round > self.round && frame.round < MAX_ROUND;
        let may = join && (newer || self.rounds < MAX_ROUNDS);
        if is_next && may && self.starts.take(now, &STARTS, 0) {
            self.start(frame.round, now);
        } else if is_next && !self.is_trying() {
            // A round of our own is a later one.
            self.round = frame.round;
        } else if newer {
            // Our NAT is to be opened for what is new.
            self.opened = self.is_trying();
        }
    }

    /// The peer's NAT is open for our probes in a round, from the addresses of one of our lists.
    pub(crate) fn on_opened(&mut self, round: u64, list: u64) {
        self.peer_opened = self.peer_opened.max(Some((round, list)));
    }

    /// The peer is told a list of our addresses, of this number. It has to open its NAT for those that are new.
    pub(crate) fn on_told(&mut self, list: u64) {
        if core::mem::replace(&mut self.told, list) != list {
            self.targets.iter_mut().for_each(Target::wait);
        }
    }

    /// A challenge of the peer came by `way`: it is there, or something that carries its packets is.
    pub(crate) fn on_challenge(&mut self, way: FourTuple, local: &LocalAddresses, now: Instant) {
        self.is_beside |= local.is_seen_at(way.remote.ip());
        let refused = self.is_refused(way.remote, local);
        let has_room = self.is_trying() && self.targets.len() < MAX_TARGETS;
        let known = self.targets.iter_mut().find(|one| one.way.remote == way.remote);
        if let Some(known) = known {
            known.on_heard(now);
        } else if has_room && self.found.is_none() && !refused {
            let mut target = Target::new(way);
            target.on_heard(now);
            self.targets.push(target);
        }
    }

    /// A challenge of ours was answered by `way`. True if that is the best way so far.
    pub(crate) fn on_response(&mut self, way: FourTuple, token: [u8; 8], now: Instant) -> bool {
        let Phase::Round { since } = self.phase else { return false };
        let asked = |one: &&Target| one.way.remote == way.remote && one.is_answered_by(token);
        let Some(target) = self.targets.iter().find(asked) else { return false };
        let (tier, round_trip) = (target.tier(), target.round_trip(now));
        let found = Found { tier, round_trip, at: now, after: now.saturating_since(since) };
        let better = self.found.is_none_or(|before| found.is_better_than(&before));
        self.targets.retain(|one| one.way.remote != way.remote);
        if better {
            self.found = Some(found);
            // Others as good were asked perhaps, and may turn out to be faster.
            self.targets.retain(|one| one.tier() < tier || (one.tier() == tier && one.is_asked()));
            self.targets.iter_mut().filter(|one| one.tier() == tier).for_each(Target::stop);
        }
        better
    }

    /// Whether a way was found, and no better one is looked for any more.
    fn is_settled(&self, now: Instant) -> bool {
        self.found.is_some_and(|found| {
            let better = self.targets.iter().any(|one| one.tier() < found.tier);
            !better && (self.targets.is_empty() || now >= found.at + SETTLING)
        })
    }

    /// Whether there is something to do: the peer is not reached directly, and we want that.
    pub(crate) fn review(&mut self, now: Instant, local: &LocalAddresses, wanted: bool) {
        match self.phase {
            Phase::Quiet { until: Some(until) } if wanted && until <= now => {
                if self.starts.take(now, &STARTS, 0) {
                    self.start(self.round.saturating_add(1), now);
                } else {
                    self.phase = Phase::Quiet { until: Some(now + Duration::from_secs(30)) };
                }
            }
            Phase::Round { since } => {
                let over = now >= since + ROUND;
                // The peer may need it still if a direct path shows itself here meanwhile: an answer ends it.
                if over || self.is_settled(now) {
                    self.finish();
                }
            }
            Phase::Quiet { .. } => {}
        }
        if self.is_trying() {
            if core::mem::take(&mut self.chooses) && self.wants_fresh(local) {
                self.fresh.begin(now);
            }
            self.take_targets(local);
        }
        self.open_gates(now);
    }

    /// Whether this round takes a socket of its own: what was tried before led to nothing, or leads there no more, and
    /// there are targets for which a NAT can be spoilt.
    fn wants_fresh(&self, local: &LocalAddresses) -> bool {
        let again = self.rounds >= 2 || self.lost;
        let named = self.heard.iter().flat_map(|(_, list)| list);
        let mut named = named.map(|entry| SocketAddr::from(entry.address));
        let spoilable = |remote: &SocketAddr| {
            remote.is_ipv4() && !is_local(remote.ip()) && !self.is_refused(*remote, local)
        };
        again && local.spoilable().is_some() && named.any(|remote| spoilable(&remote))
    }

    /// What is to be done for the socket of this search. `in_use`: that of the direct path.
    pub(crate) fn fresh_step(&mut self, in_use: Option<SocketId>, now: Instant) -> Option<Step> {
        let idle = !self.is_trying() && self.fresh.socket().is_some();
        if idle && self.fresh.socket() != in_use {
            self.fresh.give_back();
        }
        self.fresh.keep_only(in_use);
        self.fresh.step(now)
    }

    /// The driver is asked for this socket; `None`: there is to be none.
    pub(crate) fn on_fresh_requested(&mut self, socket: Option<SocketId>) {
        self.fresh.on_requested(socket);
    }

    pub(crate) fn on_fresh_opened(&mut self, socket: SocketId, now: Instant) {
        self.fresh.on_opened(socket, now);
    }

    pub(crate) fn on_fresh_closed(&mut self, socket: SocketId) {
        self.fresh.on_closed(socket);
    }

    pub(crate) fn on_fresh_seen(&mut self, socket: SocketId, address: SocketAddr) {
        self.fresh.on_seen(socket, address);
    }

    /// Where others see the socket of this search.
    pub(crate) fn fresh_address(&self) -> Option<SocketAddr> {
        self.fresh.ready().map(|(_, address)| address)
    }

    /// Whether such a socket was made use of.
    pub(crate) const fn fresh_port(&self) -> FreshPort {
        self.fresh.outcome()
    }

    /// What to send now, within the budgets.
    pub(crate) fn poll(
        &mut self,
        now: Instant,
        budgets: &mut ProbeBudgets,
        rng: &mut Rng,
    ) -> Option<Action> {
        let paced = self.last_sent.is_none_or(|last| now >= last + PACE);
        if !self.is_trying() || !paced || self.sent.0 >= self.most() {
            return None;
        }
        let due = |one: &Target| !one.is_opened || one.due().is_some_and(|at| at <= now);
        let hop_limit = 2 + self.rounds.saturating_sub(1).min(2) as u8;
        while let Some(target) = self.targets.iter_mut().find(|one| due(one)) {
            if !budgets.take(target.way.remote, now) {
                target.is_opened = true;
                target.put_off(now);
                continue;
            }
            let way = target.way;
            let action = if target.is_opened {
                Action::Probe { way, token: target.on_probe(now, rng.bytes()) }
            } else {
                target.is_opened = true;
                Action::Open { way, hop_limit }
            };
            self.sent = (self.sent.0 + 1, self.sent.1 + 1);
            self.last_sent = Some(now);
            self.open_gates(now);
            return Some(action);
        }
        None
    }

    /// When to call again.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        match self.phase {
            Phase::Quiet { until } => until,
            Phase::Round { since } => {
                let settled = self.found.map(|found| found.at + SETTLING).filter(|at| *at > now);
                let end = settled.map_or(since + ROUND, |at| at.min(since + ROUND));
                if self.sent.0 >= self.most() {
                    return Some(end);
                }
                let due = |one: &Target| if one.is_opened { one.due() } else { Some(now) };
                let next = self.targets.iter().filter_map(due).min();
                let paced = self.last_sent.map_or(now, |last| last + PACE);
                let soon = now + Duration::from_millis(1);
                let next =
                    next.map(|next| next.max(paced)).into_iter().chain(self.fresh.deadline());
                Some(next.min().map_or(end, |next| next.max(soon).min(end)))
            }
        }
    }

    /// The retry that was set comes a little earlier or later, so that routers see no rhythm.
    pub(crate) fn jitter(&mut self, rng: &mut Rng, now: Instant) {
        if let Phase::Quiet { until: Some(until) } = &mut self.phase {
            let span = until.saturating_since(now).as_micros() as u64;
            *until = now + Duration::from_micros(span * 4 / 5 + rng.below(span * 2 / 5 + 1));
        }
    }

    /// The round of the frame with our addresses, if it is due.
    pub(crate) fn take_tells(&mut self) -> Option<u64> {
        let ready = self.tells && !self.fresh.is_pending();
        self.tells &= !ready;
        ready.then_some(self.round)
    }

    /// The round for which our NAT is open, and for which list of the peer, if that is to be said.
    pub(crate) fn take_opened(&mut self) -> Option<(u64, u64)> {
        // Before the peer named an address nothing was opened: its probes would come too early.
        let list = self.heard.as_ref().map(|(seq, _)| *seq)?;
        let ready = self.opened && !self.fresh.is_pending();
        let ready = ready && self.targets.iter().all(|one| one.is_opened);
        self.opened &= !ready;
        ready.then_some((self.round, list))
    }

    pub(crate) const fn is_trying(&self) -> bool {
        matches!(self.phase, Phase::Round { .. })
    }

    /// Rounds and packets since the last success, and when the next round is.
    pub(crate) const fn tried(&self) -> (u32, u32, Option<Instant>) {
        let next = if let Phase::Quiet { until } = self.phase { until } else { None };
        (self.rounds, self.sent.1, next)
    }

    pub(crate) const fn peer_nat(&self) -> Nat {
        match (self.symmetric, self.sensitive) {
            (true, _) => Nat::Symmetric,
            // Only who tested it says so, and then all see one address.
            (false, false) => Nat::Cone,
            (false, true) => Nat::Unknown,
        }
    }

    /// Whether the peer's NAT is spoilt by what comes too early, as far as the peer says.
    pub(crate) fn is_peer_order_sensitive(&self) -> Option<bool> {
        (!self.sensitive).then_some(false)
    }

    /// How long it took to find the direct way, if one was found.
    pub(crate) fn found(&self) -> Option<Duration> {
        self.found.map(|found| found.after)
    }

    /// Why there is no direct way. `ours` is what our NAT is.
    pub(crate) fn reason(&self, ours: Nat) -> PathReason {
        match &self.heard {
            // Later rounds do not make what the first one showed less true.
            _ if self.rounds == 0 || (self.is_trying() && self.rounds == 1) => PathReason::Trying,
            None => PathReason::PeerDoesNotTry,
            Some(_) if self.symmetric && ours == Nat::Symmetric => PathReason::BothSymmetric,
            Some((_, list)) if list.is_empty() => PathReason::NoCandidates,
            Some(_) => PathReason::NoAnswer,
        }
    }

    /// The direct way was lost, or our addresses changed: what was tried before says nothing any more.
    pub(crate) fn restart(&mut self, now: Instant) {
        // In a round the peer is told of the new ones.
        self.tells |= self.is_trying();
        if !self.is_trying() {
            self.phase = Phase::Quiet { until: Some(now) };
            self.lost = self.found.is_some();
            (self.rounds, self.sent.1, self.found) = (0, 0, None);
            self.fresh.forget_outcome();
        }
    }

    /// How many packets a round may take.
    const fn most(&self) -> u32 {
        if self.rounds <= FULL_ROUNDS { 100 } else { 20 }
    }

    fn start(&mut self, round: u64, now: Instant) {
        self.phase = Phase::Round { since: now };
        self.round = round;
        self.rounds += 1;
        self.sent.0 = 0;
        self.targets.clear();
        self.found = None;
        (self.tells, self.opened, self.chooses) = (true, true, true);
    }

    fn finish(&mut self) {
        let Phase::Round { since } = self.phase else { return };
        self.targets.clear();
        let pause = PAUSES.get(self.rounds.saturating_sub(1) as usize);
        let until = pause.filter(|_| self.found.is_none()).map(|pause| since + ROUND + *pause);
        if self.found.is_some() {
            self.rounds = 0;
        }
        self.phase = Phase::Quiet { until };
    }

    /// Takes what the peer named and may be tried.
    fn take_targets(&mut self, local: &LocalAddresses) {
        let Some((_, list)) = &self.heard else { return };
        for entry in list {
            let remote: SocketAddr = entry.address.into();
            let known = self.targets.iter().any(|one| one.way.remote == remote);
            let kind = (CandidateEntry::HOST..=CandidateEntry::ADVERTISED).contains(&entry.kind);
            if known || !kind || self.targets.len() >= MAX_NAMED || self.is_refused(remote, local) {
                continue;
            }
            let mut target = Target::new(local.way_to(remote));
            if target.is_gated() {
                if self.fresh.is_pending() {
                    continue;
                }
                target.way.socket = self.fresh.ready().map_or(target.way.socket, |(own, _)| own);
            }
            if self.found.is_none_or(|found| target.tier() < found.tier) {
                self.targets.push(target);
            }
        }
    }

    /// Whether nothing goes there, whoever names it or seems to send from it. An address that means another host in
    /// every network is meant only if an interface of ours is near, or the peer showed that it is behind our NAT.
    fn is_refused(&self, remote: SocketAddr, local: &LocalAddresses) -> bool {
        let far = is_local(remote.ip()) && !local.is_near(remote.ip()) && !self.is_beside;
        is_nowhere(remote) || local.is_ours(remote) || far
    }

    /// Probes go where nothing in the way can be spoiled by them, elsewhere once the peer's NAT is open.
    fn open_gates(&mut self, now: Instant) {
        let heard =
            self.peer_opened.is_some_and(|(round, list)| round >= self.round && list >= self.told);
        // What was not sensitive when it was tested need not be waited for.
        let open = heard || (self.heard.is_some() && !self.sensitive);
        for target in self.targets.iter_mut().filter(|one| open || !one.is_gated()) {
            target.start(now);
        }
    }
}

/// How many rounds are tried before it takes news to try again.
const MAX_ROUNDS: u32 = 1 + PAUSES.len() as u32;
/// No honest peer comes so far.
const MAX_ROUND: u64 = 1 << 60;
/// A round takes so long at most.
const ROUND: Duration = Duration::from_secs(9);
/// So long ways that are as good as the one that was found may show that they are faster.
const SETTLING: Duration = Duration::from_millis(300);
/// At least so long between two packets.
const PACE: Duration = Duration::from_millis(5);
/// How many rounds may take 100 packets.
const FULL_ROUNDS: u32 = 2;
/// How long to wait after a round that found nothing; then no further one begins by itself.
const PAUSES: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(45),
    Duration::from_secs(120),
    Duration::from_secs(300),
];
/// At most ten rounds at once, and one in five minutes, whatever the peer says.
const STARTS: Limit = Limit::every(300_000_000, 10);
/// The most targets that a peer names, and those from which it probes besides.
const MAX_NAMED: usize = 16;
const MAX_TARGETS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;
    use crate::net::SocketId;
    use std::collections::BTreeMap;

    fn entry(address: SocketAddr) -> CandidateEntry {
        CandidateEntry { kind: CandidateEntry::OBSERVED, address: address.into() }
    }

    fn local() -> LocalAddresses {
        let mut local = LocalAddresses::default();
        local.set_hosts([SocketAddr::from(([192, 168, 7, 2], 4263))].into_iter());
        let id = Identity::from_seed([1; 32]).id();
        local.note_observed(id, SocketId(0), SocketAddr::from(([198, 51, 100, 1], 9)));
        local
    }

    /// What goes where in so many seconds if peers name these addresses, a new list each second for a new round.
    fn sent(
        peers: usize,
        seconds: u64,
        list: impl Fn(u64) -> Vec<SocketAddr>,
    ) -> BTreeMap<SocketAddr, Vec<Instant>> {
        let (local, mut budgets) = (local(), ProbeBudgets::default());
        let mut rng = Rng::from_seed([3; 32]);
        let start = Instant::from_micros(1_000_000_000);
        let mut punchers: Vec<_> = (0..peers).map(|_| Puncher::new(start)).collect();
        let mut sent = BTreeMap::<_, Vec<_>>::new();
        for step in 0..seconds * 200 {
            let now = start + Duration::from_millis(step * 5);
            for puncher in &mut punchers {
                if step % 200 == 0 {
                    let list: Vec<_> = list(step / 200).into_iter().map(entry).collect();
                    let (seq, flags) = (step + 1, CandidatesFrame::ORDER_SENSITIVE);
                    let frame = CandidatesFrame { seq, round: step + 1, flags, list: &list };
                    puncher.on_candidates(&frame, true, now);
                    puncher.on_opened(step + 1, u64::MAX);
                }
                puncher.review(now, &local, true);
                while let Some(action) = puncher.poll(now, &mut budgets, &mut rng) {
                    let (Action::Open { way, .. } | Action::Probe { way, .. }) = action;
                    sent.entry(way.remote).or_default().push(now);
                }
            }
        }
        sent
    }

    #[test]
    fn a_victim_gets_no_more_than_its_share_however_many_liars_name_it_for_ever() {
        let victim = |port: u16| SocketAddr::from(([192, 0, 2, 66], port));
        let sent = sent(10, 600, |second| {
            (0..16).map(|n| victim(1 + (second * 16 + n) as u16 % 5000)).collect()
        });
        let mut times: Vec<Instant> = sent.into_values().flatten().collect();
        times.sort_unstable();
        let most = |span: u64| {
            let span = Duration::from_secs(span);
            let from =
                |at: usize| times[at..].iter().take_while(|t| **t < times[at] + span).count();
            (0..times.len()).map(from).max().unwrap_or(0)
        };
        assert!(most(5) <= 64 && most(300) <= 600, "{} and {}", most(5), most(300));
        assert!(!times.is_empty());
    }

    #[test]
    fn nothing_goes_to_nobody_to_ourselves_or_into_networks_that_we_do_not_share() {
        let refused = [
            "0.0.0.0:1",
            "127.0.0.1:80",
            "224.0.0.1:5",
            "255.255.255.255:9",
            "240.0.0.1:9",
            "192.0.2.1:0",
            "10.0.0.1:22",
            "172.16.5.4:53",
            "192.168.8.1:80",
            "100.64.0.1:80",
            "169.254.1.1:80",
            "192.168.7.2:4263",
            "[::1]:80",
            "[::]:80",
            "[ff02::1]:5",
            "[fe80::1]:5",
            "[fc00::1]:5",
        ];
        let parse = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let good = ["192.168.7.9:4263", "203.0.113.7:4263"].map(parse);
        let sent = sent(1, 30, |second| match second % 2 {
            0 => refused[..11].iter().copied().map(parse).chain(good).collect(),
            _ => refused[11..].iter().copied().map(parse).chain(good).collect(),
        });
        assert_eq!(sent.keys().copied().collect::<Vec<_>>(), good);
    }

    #[test]
    fn who_says_to_be_behind_our_nat_is_believed_once_a_probe_comes_from_there() {
        let now = Instant::from_micros(1_000_000);
        let (local, mut budgets) = (local(), ProbeBudgets::default());
        let (mut rng, mut puncher) = (Rng::from_seed([3; 32]), Puncher::new(now));
        let at = |octets: [u8; 4], port: u16| SocketAddr::from((octets, port));
        let (ours, theirs) = (at([198, 51, 100, 1], 77), at([10, 9, 8, 7], 4263));
        let list = [entry(ours), entry(theirs)];
        let frame = CandidatesFrame { seq: 1, round: 5, flags: 0, list: &list };
        puncher.on_candidates(&frame, true, now);
        let mut goes_there = |puncher: &mut Puncher, now| {
            puncher.review(now, &local, true);
            let sent = (0..20).filter_map(|n| {
                puncher.poll(now + Duration::from_millis(6 * n), &mut budgets, &mut rng)
            });
            let to = |action| match action {
                Action::Open { way, .. } | Action::Probe { way, .. } => way.remote,
            };
            sent.map(to).any(|to| to == theirs)
        };
        assert!(!goes_there(&mut puncher, now), "it only says so");
        // Nor does a probe that seems to come from a network that we do not share make that a target.
        let local = self::local();
        puncher.on_challenge(FourTuple::to(at([10, 9, 8, 7], 1)), &local, now);
        assert!(puncher.targets.iter().all(|one| !is_local(one.way.remote.ip())));
        puncher.on_challenge(FourTuple::to(ours), &local, now);
        assert!(goes_there(&mut puncher, now + Duration::from_secs(1)));
        let itself = SocketAddr::from(([198, 51, 100, 1], 9));
        assert!(!sent(1, 5, |_| [itself].into()).contains_key(&itself));
    }

    #[test]
    fn a_probe_waits_for_the_word_of_the_peer_that_its_nat_is_open() {
        let now = Instant::from_micros(1_000_000);
        let (local, mut budgets) = (local(), ProbeBudgets::default());
        let (mut rng, mut puncher) = (Rng::from_seed([3; 32]), Puncher::new(now));
        let list = [entry(SocketAddr::from(([203, 0, 113, 7], 4263)))];
        let frame = CandidatesFrame { seq: 1, round: 5, flags: 1, list: &list };
        puncher.on_candidates(&frame, true, now);
        puncher.review(now, &local, true);
        let opener = puncher.poll(now, &mut budgets, &mut rng);
        assert!(matches!(opener, Some(Action::Open { hop_limit: 2, .. })), "{opener:?}");
        assert_eq!((puncher.take_tells(), puncher.take_opened()), (Some(5), Some((5, 1))));
        let later = now + Duration::from_secs(1);
        puncher.on_told(8);
        puncher.on_opened(4, 8);
        puncher.review(later, &local, true);
        assert_eq!(puncher.poll(later, &mut budgets, &mut rng), None, "of another round");
        puncher.on_opened(5, 7);
        puncher.review(later, &local, true);
        assert_eq!(
            puncher.poll(later, &mut budgets, &mut rng),
            None,
            "for other addresses of ours"
        );
        puncher.on_opened(5, 8);
        puncher.review(later, &local, true);
        let probe = puncher.poll(later, &mut budgets, &mut rng);
        let Some(Action::Probe { way, token }) = probe else { panic!("{probe:?}") };
        let elsewhere = FourTuple::to(SocketAddr::from(([203, 0, 113, 8], 4263)));
        assert!(!puncher.on_response(elsewhere, token, later), "from elsewhere");
        assert!(!puncher.on_response(way, [9; 8], later), "to another question");
        assert!(puncher.on_response(way, token, later));
    }

    #[test]
    fn a_peer_whose_nat_nothing_spoils_is_not_waited_for() {
        let now = Instant::from_micros(1_000_000);
        let (local, mut budgets) = (local(), ProbeBudgets::default());
        let list = [entry(SocketAddr::from(([203, 0, 113, 7], 4263)))];
        for (flags, waits) in [(CandidatesFrame::ORDER_SENSITIVE, true), (0, false)] {
            let (mut rng, mut puncher) = (Rng::from_seed([3; 32]), Puncher::new(now));
            let frame = CandidatesFrame { seq: 1, round: 5, flags, list: &list };
            puncher.on_candidates(&frame, true, now);
            puncher.review(now, &local, true);
            let opener = puncher.poll(now, &mut budgets, &mut rng);
            assert!(matches!(opener, Some(Action::Open { .. })), "our own NAT is opened first");
            let later = now + Duration::from_millis(10);
            puncher.review(later, &local, true);
            let probe = puncher.poll(later, &mut budgets, &mut rng);
            assert_eq!(probe.is_none(), waits, "{probe:?}");
        }
    }

    #[test]
    fn a_nat_is_said_to_be_open_only_once_the_peer_named_its_addresses() {
        let now = Instant::from_micros(1_000_000);
        let (local, mut budgets) = (local(), ProbeBudgets::default());
        let (mut rng, mut puncher) = (Rng::from_seed([3; 32]), Puncher::new(now));
        puncher.review(now, &local, true);
        assert_eq!((puncher.take_tells(), puncher.take_opened()), (Some(1), None));
        // The peer began a round of its own at the same time.
        let list = [entry(SocketAddr::from(([203, 0, 113, 7], 4263)))];
        let frame = CandidatesFrame { seq: 1, round: 1, flags: 1, list: &list };
        puncher.on_candidates(&frame, true, now);
        puncher.review(now, &local, true);
        assert_eq!(puncher.take_opened(), None, "the opener has not left");
        let opener = puncher.poll(now, &mut budgets, &mut rng);
        assert!(matches!(opener, Some(Action::Open { .. })), "{opener:?}");
        assert_eq!((puncher.take_opened(), puncher.take_opened()), (Some((1, 1)), None));
    }

    #[test]
    fn a_nearer_kind_of_address_is_taken_and_one_as_near_only_if_it_is_much_faster() {
        let start = Instant::from_micros(1_000_000);
        let (local, mut budgets) = (local(), ProbeBudgets::default());
        let (mut rng, mut puncher) = (Rng::from_seed([3; 32]), Puncher::new(start));
        let far = [7, 8, 9].map(|host| SocketAddr::from(([203, 0, 113, host], 4263)));
        let lan = SocketAddr::from(([192, 168, 7, 9], 4263));
        let list: Vec<_> = far.into_iter().chain([lan]).map(entry).collect();
        let frame = CandidatesFrame { seq: 1, round: 5, flags: 0, list: &list };
        puncher.on_candidates(&frame, true, start);
        let mut asked = BTreeMap::new();
        for ms in 0..40 {
            let now = start + Duration::from_millis(ms);
            puncher.review(now, &local, true);
            if let Some(Action::Probe { way, token }) = puncher.poll(now, &mut budgets, &mut rng) {
                asked.entry(way.remote).or_insert((way, token, now));
            }
        }
        assert_eq!(asked.len(), 4);
        let mut answer = |remote: SocketAddr, round_trip: u64| {
            let (way, token, at) = asked[&remote];
            let now = at + Duration::from_millis(round_trip);
            let better = puncher.on_response(way, token, now);
            puncher.review(now, &local, true);
            (better, puncher.is_trying())
        };
        assert_eq!(answer(far[0], 100), (true, true), "the first");
        assert_eq!(answer(far[1], 95), (false, true), "hardly faster");
        assert_eq!(answer(far[2], 60), (true, true), "much faster");
        assert_eq!(answer(lan, 200), (true, false), "whatever it takes");
    }
}
