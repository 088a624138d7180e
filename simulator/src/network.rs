//! The links between all nodes and the datagrams under way on them.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::Ecn;

use crate::faults::Faults;
use crate::link::{Conditions, Link, Outcome, micros};
use crate::rng::Rng;

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
    usual: Conditions,
    special: BTreeMap<(NodeId, NodeId), Conditions>,
    links: BTreeMap<(NodeId, NodeId), Numbered>,
    blocked: BTreeSet<(NodeId, NodeId)>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    sent: u64,
    rng: Rng,
    faults: Faults,
}

impl Network {
    /// A network of perfect links.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            usual: Conditions::default(),
            special: BTreeMap::new(),
            links: BTreeMap::new(),
            blocked: BTreeSet::new(),
            under_way: BinaryHeap::new(),
            sent: 0,
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
        self.push(micros(at), u64::MAX, datagram);
    }

    /// Takes a datagram at `now` and says what becomes of it.
    pub fn send(&mut self, now: Duration, datagram: Datagram) -> Outcome {
        let key = (datagram.from, datagram.to);
        let conditions = self.conditions(key.0, key.1);
        if self.blocked.contains(&key) {
            self.faults.partition_drops += 1;
            let other_way = self.blocked.contains(&(key.1, key.0));
            self.faults.one_way_drops += u64::from(!other_way);
            return Outcome::Dropped("partitioned");
        }
        let Self { links, rng, faults, .. } = self;
        let Numbered { link, newest_sent, .. } = links.entry(key).or_default();
        let (len, ecn) = (datagram.bytes.len(), datagram.ecn);
        let passage = match link.carry(micros(now), len, ecn, &conditions, rng, faults) {
            Ok(passage) => passage,
            Err(reason) => return Outcome::Dropped(reason),
        };
        *newest_sent += 1;
        let number = *newest_sent;
        let [Some(first), copy] = passage.arrivals else {
            return Outcome::Dropped("lost");
        };
        let mut datagram = datagram;
        if passage.corrupted {
            flip_bits(&mut datagram.bytes, rng);
        }
        if passage.marked {
            datagram.ecn = Some(Ecn::Ce);
        }
        if let Some(at) = copy {
            self.push(at, number, datagram.clone());
        }
        self.push(first, number, datagram);
        Outcome::Carried {
            duplicated: copy.is_some(),
            corrupted: passage.corrupted,
            marked: passage.marked,
        }
    }

    /// When the next datagram arrives.
    #[must_use]
    pub fn next_arrival(&self) -> Option<Duration> {
        self.under_way.peek().map(|Reverse(next)| Duration::from_micros(next.at))
    }

    /// Takes the next datagram that has arrived by `now`.
    pub fn receive(&mut self, now: Duration) -> Option<Datagram> {
        if self.next_arrival()? > now {
            return None;
        }
        let Reverse(UnderWay { datagram, number, .. }) = self.under_way.pop()?;
        if number == u64::MAX {
            return Some(datagram);
        }
        let link = self.links.entry((datagram.from, datagram.to)).or_default();
        self.faults.reordered += u64::from(number < link.newest_arrived);
        link.newest_arrived = link.newest_arrived.max(number);
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

    fn push(&mut self, at: u64, number: u64, datagram: Datagram) {
        self.sent += 1;
        self.under_way.push(Reverse(UnderWay { at, sent: self.sent, number, datagram }));
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

/// A link and the numbers that tell whether datagrams overtook each other.
#[derive(Debug, Default)]
struct Numbered {
    link: Link,
    newest_sent: u64,
    newest_arrived: u64,
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
