//! The links between all nodes and the datagrams under way on them.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::Ecn;

use crate::conditions::Conditions;
use crate::faults::Faults;
use crate::link::{Link, Outcome, Passage, micros, treat};
use crate::queue::Queue;
use crate::rng::{Rng, mix};

/// Names a node of a [`Network`] or a [`crate::World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    /// Stands for no node of the world: an attacker, or the owner of an address that nobody has.
    pub const NOBODY: Self = Self(u32::MAX);
}

/// A datagram on its way, or arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The sending node.
    pub from: NodeId,
    /// The node that had the destination address when it was sent.
    pub to: NodeId,
    /// The sender's address as the receiver sees it.
    pub source: SocketAddr,
    /// Where it was sent.
    pub destination: SocketAddr,
    /// The ECN mark.
    pub ecn: Option<Ecn>,
    /// The UDP payload.
    pub bytes: Vec<u8>,
}

/// A seeded network of directed links, each with its own [`Conditions`], that may change any time.
///
/// It knows nothing of endpoints and reads no clock: time is whatever the caller says, measured
/// from a start that the caller chooses. It also serves as an impairment stage for real sockets.
#[derive(Debug)]
pub struct Network {
    seed: u64,
    usual: Conditions,
    special: BTreeMap<Key, Conditions>,
    links: BTreeMap<Key, Counted>,
    /// Links that stand in the queue of another.
    shared: BTreeMap<Key, Key>,
    /// By the link whose conditions they have.
    queues: BTreeMap<Key, Queue<Crossing>>,
    /// Those of them in which something waits.
    busy: BTreeSet<Key>,
    blocked: BTreeSet<Key>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    sent: u64,
    /// The newest time that the caller said, in microseconds.
    time: u64,
    rng: Rng,
    faults: Faults,
}

/// A directed link: from one node to another.
type Key = (NodeId, NodeId);

/// What a directed link carried so far. Bytes are of UDP payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Datagrams that were sent, those that never arrived included.
    pub datagrams: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Datagrams dropped by the queue, CoDel or a policer.
    pub dropped: u64,
    /// Datagrams lost on the way.
    pub lost: u64,
    /// Datagrams marked "congestion experienced".
    pub marked: u64,
    /// Datagrams that arrived, copies included.
    pub arrived: u64,
    /// Their bytes.
    pub arrived_bytes: u64,
}

impl Network {
    /// A network of perfect links.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            usual: Conditions::default(),
            special: BTreeMap::new(),
            links: BTreeMap::new(),
            shared: BTreeMap::new(),
            queues: BTreeMap::new(),
            busy: BTreeSet::new(),
            blocked: BTreeSet::new(),
            under_way: BinaryHeap::new(),
            sent: 0,
            time: 0,
            rng: Rng::from_seed(seed),
            faults: Faults::default(),
        }
    }

    /// Sets the conditions of all links, those set one by one included.
    pub fn set_all(&mut self, conditions: Conditions) {
        self.special.clear();
        self.usual = conditions;
    }

    /// Sets the conditions of one direction between two nodes.
    pub fn set_link(&mut self, from: NodeId, to: NodeId, conditions: Conditions) {
        self.special.insert((from, to), conditions);
    }

    /// The conditions from one node to another.
    #[must_use]
    pub fn conditions(&self, from: NodeId, to: NodeId) -> Conditions {
        self.special.get(&(from, to)).copied().unwrap_or(self.usual)
    }

    /// Lets several links, each from one node to another, share the line and the queue of the first:
    /// its `rate`, `queue`, `ce_threshold`, `codel` and `header` hold for all of them together.
    pub fn share(&mut self, links: &[(NodeId, NodeId)]) {
        let Some((first, others)) = links.split_first() else { return };
        self.shared.extend(others.iter().map(|other| (*other, *first)));
    }

    /// What was carried from one node to another so far.
    #[must_use]
    pub fn traffic(&self, from: NodeId, to: NodeId) -> Traffic {
        self.links.get(&(from, to)).map_or_else(Traffic::default, |link| link.traffic)
    }

    /// Drops everything sent from one node to another from now on. The other direction is free.
    pub fn block(&mut self, from: NodeId, to: NodeId) {
        self.faults.partitions += u64::from(self.blocked.insert((from, to)));
    }

    /// Undoes [`Self::block`].
    pub fn unblock(&mut self, from: NodeId, to: NodeId) {
        self.blocked.remove(&(from, to));
    }

    /// Cuts two nodes off from each other, both ways.
    pub fn partition(&mut self, a: NodeId, b: NodeId) {
        self.block(a, b);
        self.block(b, a);
    }

    /// Removes every block.
    pub fn heal(&mut self) {
        self.blocked.clear();
    }

    /// Lets a datagram arrive at a given time, whatever the links do.
    pub fn inject(&mut self, at: Duration, datagram: Datagram) {
        self.sent += 1;
        self.push(micros(at), self.sent, u64::MAX, datagram);
    }

    /// Takes a datagram at `now` and says what becomes of it.
    pub fn send(&mut self, now: Duration, datagram: Datagram) -> Outcome {
        self.advance(micros(now));
        let key = (datagram.from, datagram.to);
        if self.blocked.contains(&key) {
            self.faults.partition_drops += 1;
            let other_way = self.blocked.contains(&(key.1, key.0));
            self.faults.one_way_drops += u64::from(!other_way);
            return Outcome::Dropped("partitioned");
        }
        self.enter(key, datagram).unwrap_or_else(Outcome::Dropped)
    }

    /// Lets a datagram into the link and its queue.
    fn enter(&mut self, key: Key, mut datagram: Datagram) -> Result<Outcome, &'static str> {
        let gate = self.shared.get(&key).copied().unwrap_or(key);
        let (conditions, line) = (self.conditions(key.0, key.1), self.conditions(gate.0, gate.1));
        datagram.ecn = treat(datagram.ecn, conditions.ecn, &mut self.rng, &mut self.faults)?;
        let full = self.admit(key, gate, datagram.bytes.len())?;
        // What is lost on the way has had its turn before.
        let lost = {
            let (counted, now) = (link_of(&mut self.links, self.seed, key), self.time);
            counted.link.lose(now, &conditions, &mut self.rng, &mut self.faults).err()
        };
        let len = datagram.bytes.len() + line.header;
        let (outcome, on_its_way) = match lost {
            Some(reason) => (Outcome::Dropped(reason), None),
            None => self.set_out(key, datagram, full, &conditions),
        };
        link_of(&mut self.links, self.seed, key).traffic.lost += u64::from(lost.is_some());
        let crossing = Crossing { key, on_its_way };
        if line.rate.is_some() {
            self.queues.entry(gate).or_default().push(self.time * 1_000, len, crossing);
            self.busy.insert(gate);
        } else {
            self.leave(self.time, crossing, false);
        }
        Ok(outcome)
    }

    /// Whether a datagram of `len` bytes may enter: whether it is to be marked then, or why not.
    fn admit(&mut self, key: Key, gate: Key, len: usize) -> Result<bool, &'static str> {
        let (conditions, line) = (self.conditions(key.0, key.1), self.conditions(gate.0, gate.1));
        let Counted { link, traffic, .. } = link_of(&mut self.links, self.seed, key);
        traffic.datagrams += 1;
        traffic.bytes += len as u64;
        if len > conditions.mtu {
            self.faults.mtu_drops += 1;
            return Err("too large");
        }
        let policed = conditions
            .policer
            .is_some_and(|policer| !link.police(self.time, len + conditions.header, policer));
        if policed {
            self.faults.policed += 1;
            traffic.dropped += 1;
            return Err("policed");
        }
        if line.rate.is_none() {
            return Ok(false);
        }
        let queue = self.queues.entry(gate).or_default();
        queue.admit(self.time * 1_000, len + line.header, &line).ok_or_else(|| {
            self.faults.queue_drops += 1;
            traffic.dropped += 1;
            "queue full"
        })
    }

    /// Decides what happens to a datagram that is not lost, and numbers it.
    fn set_out(
        &mut self,
        key: Key,
        mut datagram: Datagram,
        full: bool,
        conditions: &Conditions,
    ) -> (Outcome, Option<OnItsWay>) {
        let passage = Link::passage(conditions, &mut self.rng, &mut self.faults);
        let marked = full && datagram.ecn.is_some();
        if passage.corrupted {
            flip_bits(&mut datagram.bytes, &mut self.rng);
        }
        if marked {
            datagram.ecn = Some(Ecn::Ce);
        }
        self.faults.ce_marked += u64::from(marked);
        let counted = link_of(&mut self.links, self.seed, key);
        counted.traffic.marked += u64::from(marked);
        counted.newest_sent += 1;
        // One for itself, and one for its copy.
        self.sent += 2;
        let (duplicated, corrupted) = (passage.copy.is_some(), passage.corrupted);
        let (number, sent) = (counted.newest_sent, self.sent);
        let outcome = Outcome::Carried { duplicated, corrupted, marked };
        (outcome, Some(OnItsWay { datagram, passage, number, sent }))
    }

    /// Something has had its turn: it is on its way now, if it is not lost.
    fn leave(&mut self, at: u64, crossing: Crossing, signal: bool) {
        let Crossing { key, on_its_way } = crossing;
        let Some(OnItsWay { mut datagram, passage, number, sent }) = on_its_way else { return };
        let Some(counted) = self.links.get_mut(&key) else { return };
        if signal && datagram.ecn.is_none() {
            self.faults.codel_drops += 1;
            counted.traffic.dropped += 1;
            return;
        }
        if signal && datagram.ecn != Some(Ecn::Ce) {
            datagram.ecn = Some(Ecn::Ce);
            self.faults.ce_marked += 1;
            counted.traffic.marked += 1;
        }
        let first = counted.link.arrival(at, &passage);
        if let Some(later) = passage.copy {
            self.push(first + later, sent - 1, number, datagram.clone());
        }
        self.push(first, sent, number, datagram);
    }

    /// Lets everything leave the queues that has had its turn by `now`.
    fn advance(&mut self, now: u64) {
        let before = self.time;
        self.time = before.max(now);
        while let Some((_, gate)) = self.next_turn().filter(|turn| turn.0 <= self.time) {
            let line = self.conditions(gate.0, gate.1);
            let Some(queue) = self.queues.get_mut(&gate) else { return };
            let left = queue.pop(self.time * 1_000, &line);
            if queue.is_empty() {
                self.busy.remove(&gate);
            }
            let Some(left) = left else { return };
            // A line that became faster does not change the past.
            let at = left.at.div_ceil(1_000).max(before);
            self.leave(at, left.item, left.signal);
        }
    }

    /// When something has had its turn next, and where it waits.
    fn next_turn(&self) -> Option<(u64, Key)> {
        let turns = self.busy.iter().filter_map(|gate| {
            let at = self.queues.get(gate)?.next(self.conditions(gate.0, gate.1).rate)?;
            Some((at.div_ceil(1_000), *gate))
        });
        turns.min()
    }

    /// When the network has something to do next: a datagram arrives, or has had its turn in a queue,
    /// so that the time of its arrival is known. Call [`Self::receive`] then.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Duration> {
        let turn = self.next_turn().map(|(at, _)| at.max(self.time));
        let arrival = self.under_way.peek().map(|Reverse(next)| next.at);
        turn.into_iter().chain(arrival).min().map(Duration::from_micros)
    }

    /// Takes the next datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Duration) -> Option<Datagram> {
        self.advance(micros(now));
        if self.under_way.peek()?.0.at > micros(now) {
            return None;
        }
        let Reverse(UnderWay { datagram, number, .. }) = self.under_way.pop()?;
        if number == u64::MAX {
            return Some(datagram);
        }
        let link = link_of(&mut self.links, self.seed, (datagram.from, datagram.to));
        self.faults.reordered += u64::from(number < link.newest_arrived);
        link.newest_arrived = link.newest_arrived.max(number);
        link.traffic.arrived += 1;
        link.traffic.arrived_bytes += datagram.bytes.len() as u64;
        Some(datagram)
    }

    /// What happened so far.
    #[must_use]
    pub const fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(crate) const fn faults_mut(&mut self) -> &mut Faults {
        &mut self.faults
    }

    fn push(&mut self, at: u64, sent: u64, number: u64, datagram: Datagram) {
        self.under_way.push(Reverse(UnderWay { at, sent, number, datagram }));
    }
}

fn flip_bits(bytes: &mut [u8], rng: &mut Rng) {
    if bytes.is_empty() {
        return;
    }
    // Distinct bits, or two flips could undo each other.
    let bits = bytes.len() * 8;
    let first = rng.index(bits);
    for flip in 0..rng.range(1..=3) as usize {
        let bit = (first + flip * 11) % bits;
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

/// A link, what it carried, and the numbers that tell whether datagrams overtook each other.
#[derive(Debug)]
struct Counted {
    link: Link,
    traffic: Traffic,
    newest_sent: u64,
    newest_arrived: u64,
}

fn link_of(links: &mut BTreeMap<Key, Counted>, seed: u64, key: Key) -> &mut Counted {
    links.entry(key).or_insert_with(|| Counted::new(seed, key))
}

impl Counted {
    fn new(seed: u64, (from, to): Key) -> Self {
        let link = Link::new(mix(seed ^ (u64::from(from.0) << 32 | u64::from(to.0))));
        Self { link, traffic: Traffic::default(), newest_sent: 0, newest_arrived: 0 }
    }
}

/// What waits for its turn: something of this link, which may be lost afterwards.
#[derive(Debug)]
struct Crossing {
    key: Key,
    on_its_way: Option<OnItsWay>,
}

#[derive(Debug)]
struct OnItsWay {
    datagram: Datagram,
    passage: Passage,
    number: u64,
    sent: u64,
}

#[derive(Debug)]
struct UnderWay {
    at: u64,
    /// Breaks ties: what was sent first arrives first.
    sent: u64,
    number: u64,
    datagram: Datagram,
}

impl Ord for UnderWay {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sent).cmp(&(other.at, other.sent))
    }
}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for UnderWay {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for UnderWay {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Probability;

    const A: NodeId = NodeId(0);
    const B: NodeId = NodeId(1);

    fn datagram(from: NodeId, to: NodeId, number: u8) -> Datagram {
        let address = |node: NodeId| SocketAddr::from(([10, 0, 0, node.0 as u8], 4263));
        let (source, destination) = (address(from), address(to));
        Datagram { from, to, source, destination, ecn: None, bytes: vec![number; 100] }
    }

    fn arrivals(network: &mut Network) -> Vec<u8> {
        let forever = Duration::from_secs(1_000_000);
        std::iter::from_fn(|| network.receive(forever)).map(|d| d.bytes[0]).collect()
    }

    #[test]
    fn nothing_arrives_before_its_time_and_everything_at_it() {
        let mut network = Network::new(1);
        network.send(Duration::from_millis(5), datagram(A, B, 1));
        let due = Duration::from_millis(15);
        assert_eq!(network.next_arrival(), Some(due));
        assert_eq!(network.receive(due - Duration::from_micros(1)), None);
        assert_eq!(network.receive(due), Some(datagram(A, B, 1)));
        assert_eq!(network.next_arrival(), None);
    }

    #[test]
    fn a_block_is_one_way_and_heals() {
        let mut network = Network::new(1);
        network.block(A, B);
        assert_eq!(
            network.send(Duration::ZERO, datagram(A, B, 1)),
            Outcome::Dropped("partitioned")
        );
        network.send(Duration::ZERO, datagram(B, A, 2));
        network.heal();
        network.send(Duration::ZERO, datagram(A, B, 3));
        assert_eq!(arrivals(&mut network), [2, 3]);
        assert_eq!((network.faults().partitions, network.faults().partition_drops), (1, 1));
    }

    #[test]
    fn overtaken_datagrams_are_counted_once_each() {
        let mut network = Network::new(1);
        let late = Conditions { reordering: Probability::ALWAYS, ..Conditions::default() };
        network.set_link(A, B, late);
        network.send(Duration::ZERO, datagram(A, B, 1));
        network.set_all(Conditions::default());
        network.send(Duration::ZERO, datagram(A, B, 2));
        network.send(Duration::ZERO, datagram(A, B, 3));
        assert_eq!(arrivals(&mut network), [2, 3, 1]);
        assert_eq!(network.faults().reordered, 1);
    }

    #[test]
    fn corruption_always_changes_the_datagram_and_keeps_its_length() {
        let mut network = Network::new(1);
        let corruption = Probability::ALWAYS;
        network.set_all(Conditions { corruption, ..Conditions::default() });
        for _ in 0..100 {
            network.send(Duration::ZERO, datagram(A, B, 7));
        }
        while let Some(arrived) = network.receive(Duration::from_secs(1)) {
            assert_ne!(arrived.bytes, vec![7; 100]);
            assert_eq!(arrived.bytes.len(), 100);
        }
        assert_eq!(network.faults().corrupted, 100);
    }
}
