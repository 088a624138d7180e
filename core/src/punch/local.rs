//! What is known of our own addresses, for all peers alike.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::filter::{is_local, is_near, is_nowhere};
use super::verdict::Nat;
use crate::PeerId;
use crate::config::Punching;
use crate::nat::{NatEvidence, NatMapping};
use crate::net::{FourTuple, SocketId};
use crate::wire::{CandidateEntry, CandidatesFrame};

/// The most addresses of one kind that are told.
const OF_ONE_KIND: usize = 4;
/// The most neighbours whose word is remembered.
const MAX_OBSERVERS: usize = 8;

/// Where a neighbour sees us.
#[derive(Clone, Copy, Debug)]
struct Observation {
    by: PeerId,
    socket: SocketId,
    address: SocketAddr,
}

/// What the endpoint is to do for the fresh socket of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The peer in this place wants one.
    Open(u32),
    /// Neighbours are to be asked where they see this one.
    Ask(SocketId),
    /// A neighbour sees it there.
    Seen(SocketId, SocketAddr),
    /// It is not needed any more.
    Close(SocketId),
}

/// Our own addresses.
#[derive(Debug, Default)]
pub(crate) struct LocalAddresses {
    hosts: Vec<SocketAddr>,
    mapped: Vec<SocketAddr>,
    observed: Vec<Observation>,
    /// What a test found out about our NAT, while we are seen at the same address.
    tested: Option<NatEvidence>,
    /// A test is wanted: none was made since our addresses changed, and none goes on.
    untested: bool,
    /// Neighbours that helped with one since then, or could not.
    helped: Vec<PeerId>,
    /// Neighbours are to be asked where they see us now.
    asks: bool,
    /// A neighbour sees us elsewhere than before, and the peers were not told.
    moved: bool,
    /// What is to be done for sockets of single searches.
    orders: Vec<Order>,
}

impl LocalAddresses {
    pub(crate) fn set_hosts(&mut self, addresses: impl Iterator<Item = SocketAddr>) {
        self.hosts = addresses.filter(|address| !is_nowhere(*address)).collect();
        // Those that others can reach without being near come first: a host may have a dozen for containers.
        self.hosts.sort_by_key(|address| is_local(address.ip()));
        self.forget_test();
    }

    pub(crate) fn set_mapped(&mut self, addresses: impl Iterator<Item = SocketAddr>) {
        self.mapped = addresses.filter(|address| !is_nowhere(*address)).collect();
    }

    /// The neighbour `by` sees what we send by `socket` come from `address`.
    pub(crate) fn note_observed(&mut self, by: PeerId, socket: SocketId, address: SocketAddr) {
        if is_nowhere(address) {
            return;
        }
        let same = |one: &&Observation| one.by == by && one.address.is_ipv4() == address.is_ipv4();
        let before = self.observed.iter().find(same).copied();
        if before.is_some_and(|before| before.socket == socket && before.address != address) {
            self.moved = true;
            self.forget_test();
        }
        self.untested |= before.is_none() && self.tested.is_none() && address.is_ipv4();
        self.observed.retain(|one| one.by != by || one.address.is_ipv4() != address.is_ipv4());
        if self.observed.len() >= MAX_OBSERVERS {
            self.observed.remove(0);
        }
        self.observed.push(Observation { by, socket, address });
    }

    /// The neighbour is none any more: where it saw us may be true no longer.
    pub(crate) fn forget_observer(&mut self, by: &PeerId) {
        self.observed.retain(|one| one.by != *by);
        // It may have helped with a test that nobody finishes now.
        self.untested |= self.tested.is_none() && !self.observed.is_empty();
    }

    /// What a test found out about our NAT.
    pub(crate) fn note_tested(&mut self, evidence: &NatEvidence) {
        if evidence.mapping.is_some() || self.tested.is_none() {
            self.tested = Some(evidence.clone());
        }
        // Another neighbour may have the ports that this one has not.
        self.untested = self.mapping().is_none();
    }

    /// Our NAT may be another one: what a test found out says nothing any more.
    fn forget_test(&mut self) {
        self.tested = None;
        self.helped.clear();
        self.untested = !self.observed.is_empty();
    }

    /// Whether a test of our NAT is wanted. Asked after each input.
    #[inline]
    pub(crate) const fn is_untested(&self) -> bool {
        self.untested
    }

    /// The same, with the help of this neighbour.
    pub(crate) fn wants_test_by(&self, neighbour: &PeerId) -> bool {
        self.untested && self.helped.len() < MAX_OBSERVERS && !self.helped.contains(neighbour)
    }

    /// A test begins with the help of this neighbour.
    pub(crate) fn note_test_begun(&mut self, neighbour: PeerId) {
        self.helped.push(neighbour);
        self.untested = false;
    }

    /// Whether a packet that comes in before one of ours spoils the way for ours; `None`: no test told.
    pub(crate) fn order_sensitive(&self) -> Option<bool> {
        self.tested.as_ref()?.order_sensitive
    }

    /// Neighbours are to be asked where they see us now.
    pub(crate) const fn ask(&mut self) {
        self.asks = true;
    }

    /// Whether something is to be done: neighbours asked, or peers told of another address. Asked after each input.
    #[inline]
    pub(crate) const fn has_news(&self) -> bool {
        self.asks || self.moved || !self.orders.is_empty()
    }

    /// Something is to be done for the fresh socket of a search.
    pub(crate) fn order(&mut self, order: Order) {
        self.orders.push(order);
    }

    /// What is to be done for such sockets, once.
    pub(crate) fn take_orders(&mut self) -> Vec<Order> {
        core::mem::take(&mut self.orders)
    }

    /// The socket by which we are seen at an address of IPv4, if a fresh one beside it may help: there is a NAT
    /// before it, or nobody knows.
    pub(crate) fn spoilable(&self) -> Option<SocketId> {
        let v4 = self.observed.iter().rfind(|one| one.address.is_ipv4());
        v4.filter(|one| !self.hosts.contains(&one.address)).map(|one| one.socket)
    }

    /// The same, once: whether to ask, and whether to tell.
    pub(crate) const fn take_news(&mut self) -> (bool, bool) {
        (core::mem::replace(&mut self.asks, false), core::mem::replace(&mut self.moved, false))
    }

    /// Whether others see us at this address of a host, whatever the port.
    pub(super) fn is_seen_at(&self, ip: IpAddr) -> bool {
        self.observed.iter().any(|one| one.address.ip() == ip)
    }

    /// Whether it is one of ours.
    pub(super) fn is_ours(&self, address: SocketAddr) -> bool {
        self.hosts.contains(&address) || self.observed.iter().any(|one| one.address == address)
    }

    /// Whether a host with such an address, which means another one in every network, may be meant: an interface of
    /// ours is near.
    pub(super) fn is_near(&self, ip: IpAddr) -> bool {
        self.hosts.iter().any(|host| is_near(host.ip(), ip))
    }

    /// From where to send to `remote`.
    pub(super) fn way_to(&self, remote: SocketAddr) -> FourTuple {
        let same = |one: &&Observation| one.address.is_ipv4() == remote.is_ipv4();
        let socket = self.observed.iter().rfind(same).map(|one| one.socket);
        FourTuple { socket: socket.unwrap_or_default(), local: None, remote }
    }

    /// What neighbours saw of our NAT.
    pub(crate) fn nat(&self) -> Nat {
        let v4: Vec<_> = self.observed.iter().filter(|one| one.address.is_ipv4()).collect();
        let seen: Vec<SocketAddr> = v4.iter().map(|one| one.address).collect();
        match seen.first() {
            _ if self.mapping() == Some(NatMapping::Differs) => Nat::Symmetric,
            None => Nat::Unknown,
            Some(first) if seen.iter().any(|one| one != first) => Nat::Symmetric,
            Some(first) if self.hosts.contains(first) => Nat::None,
            // One neighbour alone cannot tell, unless a test asked two of its ports.
            Some(_) if seen.len() < 2 && self.mapping().is_none() => Nat::Unknown,
            Some(_) => Nat::Cone,
        }
    }

    fn mapping(&self) -> Option<NatMapping> {
        self.tested.as_ref()?.mapping
    }

    /// Whether a packet that comes in before one of ours left may spoil the way for ours. It may until a test shows
    /// that it does not.
    fn is_order_sensitive(&self) -> bool {
        self.order_sensitive() != Some(false)
    }

    /// What a peer is told. A socket that is kept for it takes the place of the others that are seen by IPv4: they see
    /// it at `fresh`.
    pub(crate) fn told(
        &self,
        choices: &Punching,
        fresh: Option<SocketAddr>,
    ) -> (u8, Vec<CandidateEntry>) {
        let mut list: Vec<CandidateEntry> = Vec::new();
        let mut tell = |kind, addresses: &mut dyn Iterator<Item = SocketAddr>| {
            let mut left = OF_ONE_KIND;
            for address in addresses {
                let entry = CandidateEntry { kind, address: address.into() };
                if left > 0 && !list.iter().any(|one| one.address == entry.address) {
                    list.push(entry);
                    left -= 1;
                }
            }
        };
        tell(CandidateEntry::ADVERTISED, &mut choices.advertise.iter().copied());
        tell(CandidateEntry::MAPPED, &mut self.mapped.iter().copied());
        if choices.tell_observed {
            let newest = self.observed.iter().rev().map(|one| one.address);
            let others = newest.filter(|one| fresh.is_none() || one.is_ipv6());
            tell(CandidateEntry::OBSERVED, &mut fresh.into_iter().chain(others));
        }
        if choices.tell_host {
            tell(CandidateEntry::HOST, &mut self.hosts.iter().copied());
        }
        let symmetric = self.nat() == Nat::Symmetric && choices.tell_observed;
        let symmetric = if symmetric { CandidatesFrame::SYMMETRIC } else { 0 };
        let sensitive =
            if self.is_order_sensitive() { CandidatesFrame::ORDER_SENSITIVE } else { 0 };
        (symmetric | sensitive, list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identity;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_dozen_containers_do_not_crowd_out_what_is_of_use() {
        let mut local = LocalAddresses::default();
        let containers = (0..12).map(|n| SocketAddr::from(([172, 17, n, 1], 4263)));
        local.set_hosts(containers.chain([address("203.0.113.9:4263"), address("127.0.0.1:4263")]));
        local.note_observed(
            Identity::from_seed([1; 32]).id(),
            SocketId(3),
            address("198.51.100.2:5"),
        );
        let choices =
            Punching { advertise: [address("192.0.2.1:9")].into(), ..Punching::default() };
        let (_, list) = local.told(&choices, None);
        let told: Vec<SocketAddr> = list.iter().map(|entry| entry.address.into()).collect();
        let first = ["192.0.2.1:9", "198.51.100.2:5", "203.0.113.9:4263"].map(address);
        assert_eq!((told.len(), &told[..3]), (6, &first[..]));
        assert_eq!(local.way_to(address("192.0.2.1:1")).socket, SocketId(3));
        let fresh = address("198.51.100.2:777");
        let (_, list) = local.told(&choices, Some(fresh));
        let told: Vec<SocketAddr> = list.iter().map(|entry| entry.address.into()).collect();
        let first = [first[0], fresh, first[2]];
        assert_eq!((told.len(), &told[..3]), (6, &first[..]), "in the place of the usual port");
        let hidden = Punching { tell_host: false, tell_observed: false, ..Punching::default() };
        assert_eq!(local.told(&hidden, None).1, []);
    }

    #[test]
    fn another_port_for_another_neighbour_is_a_symmetric_nat() {
        let mut local = LocalAddresses::default();
        let [one, other] = [1, 2].map(|seed| Identity::from_seed([seed; 32]).id());
        local.note_observed(one, SocketId(0), address("198.51.100.2:5"));
        assert_eq!(local.nat(), Nat::Unknown);
        local.note_observed(other, SocketId(0), address("198.51.100.2:5"));
        assert_eq!(local.nat(), Nat::Cone);
        local.note_observed(other, SocketId(0), address("198.51.100.2:6"));
        assert_eq!(local.nat(), Nat::Symmetric);
        local.note_observed(one, SocketId(0), address("0.0.0.0:0"));
        assert_eq!(local.nat(), Nat::Symmetric);
    }

    #[test]
    fn what_a_test_found_is_told_until_we_are_seen_elsewhere() {
        let mut local = LocalAddresses::default();
        let by = Identity::from_seed([1; 32]).id();
        let flags = |local: &LocalAddresses| local.told(&Punching::default(), None).0;
        local.note_observed(by, SocketId(0), address("198.51.100.2:5"));
        assert_eq!(flags(&local), CandidatesFrame::ORDER_SENSITIVE, "nobody knows");
        let mut evidence = NatEvidence {
            observed: Some(address("198.51.100.2:5")),
            mapping: Some(NatMapping::Same),
            filtering: None,
            order_sensitive: Some(false),
            silent_ports: smallvec::SmallVec::new(),
        };
        local.note_tested(&evidence);
        assert_eq!((flags(&local), local.nat()), (0, Nat::Cone), "one server is enough");
        local.note_observed(by, SocketId(0), address("198.51.100.2:5"));
        assert_eq!((flags(&local), local.has_news()), (0, false));
        local.note_observed(by, SocketId(0), address("198.51.100.9:5"));
        assert_eq!(flags(&local), CandidatesFrame::ORDER_SENSITIVE, "another NAT, perhaps");
        assert_eq!((local.take_news(), local.take_news()), ((false, true), (false, false)));
        (evidence.mapping, evidence.order_sensitive) = (Some(NatMapping::Differs), None);
        local.note_tested(&evidence);
        let both = CandidatesFrame::ORDER_SENSITIVE | CandidatesFrame::SYMMETRIC;
        assert_eq!((flags(&local), local.nat()), (both, Nat::Symmetric));
    }
}
