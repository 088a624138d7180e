//! What is known of our own addresses, for all peers alike.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::filter::{is_local, is_near, is_nowhere};
use super::verdict::Nat;
use crate::PeerId;
use crate::config::Punching;
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

/// Our own addresses.
#[derive(Debug, Default)]
pub(crate) struct LocalAddresses {
    hosts: Vec<SocketAddr>,
    mapped: Vec<SocketAddr>,
    observed: Vec<Observation>,
}

impl LocalAddresses {
    pub(crate) fn set_hosts(&mut self, addresses: impl Iterator<Item = SocketAddr>) {
        self.hosts = addresses.filter(|address| !is_nowhere(*address)).collect();
        // Those that others can reach without being near come first: a host may have a dozen for containers.
        self.hosts.sort_by_key(|address| is_local(address.ip()));
    }

    pub(crate) fn set_mapped(&mut self, addresses: impl Iterator<Item = SocketAddr>) {
        self.mapped = addresses.filter(|address| !is_nowhere(*address)).collect();
    }

    /// The neighbour `by` sees what we send by `socket` come from `address`.
    pub(crate) fn note_observed(&mut self, by: PeerId, socket: SocketId, address: SocketAddr) {
        if is_nowhere(address) {
            return;
        }
        self.observed.retain(|one| one.by != by || one.address.is_ipv4() != address.is_ipv4());
        if self.observed.len() >= MAX_OBSERVERS {
            self.observed.remove(0);
        }
        self.observed.push(Observation { by, socket, address });
    }

    /// Whether it is one of ours.
    pub(super) fn is_ours(&self, address: SocketAddr) -> bool {
        self.hosts.contains(&address) || self.observed.iter().any(|one| one.address == address)
    }

    /// Whether a host with such an address, which means another one in every network, may be meant: an interface of
    /// ours is near, or neighbours see us and the peer, which names `theirs`, at one address.
    pub(super) fn is_near(&self, ip: IpAddr, theirs: &[CandidateEntry]) -> bool {
        let shared = || {
            theirs.iter().filter(|entry| entry.kind == CandidateEntry::OBSERVED).any(|entry| {
                let ip = SocketAddr::from(entry.address).ip();
                self.observed.iter().any(|one| one.address.ip() == ip)
            })
        };
        self.hosts.iter().any(|host| is_near(host.ip(), ip)) || shared()
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
            None => Nat::Unknown,
            Some(first) if seen.iter().any(|one| one != first) => Nat::Symmetric,
            Some(first) if self.hosts.contains(first) => Nat::None,
            // One neighbour alone cannot tell.
            Some(_) if seen.len() < 2 => Nat::Unknown,
            Some(_) => Nat::Cone,
        }
    }

    /// What a peer is told.
    pub(crate) fn told(&self, choices: &Punching) -> (u8, Vec<CandidateEntry>) {
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
            tell(CandidateEntry::OBSERVED, &mut { newest });
        }
        if choices.tell_host {
            tell(CandidateEntry::HOST, &mut self.hosts.iter().copied());
        }
        let symmetric = self.nat() == Nat::Symmetric && choices.tell_observed;
        let flags = if symmetric { CandidatesFrame::SYMMETRIC } else { 0 };
        (flags | CandidatesFrame::ORDER_SENSITIVE, list)
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
        let (_, list) = local.told(&choices);
        let told: Vec<SocketAddr> = list.iter().map(|entry| entry.address.into()).collect();
        let first = ["192.0.2.1:9", "198.51.100.2:5", "203.0.113.9:4263"].map(address);
        assert_eq!((told.len(), &told[..3]), (6, &first[..]));
        assert_eq!(local.way_to(address("192.0.2.1:1")).socket, SocketId(3));
        let hidden = Punching { tell_host: false, tell_observed: false, ..Punching::default() };
        assert_eq!(local.told(&hidden).1, []);
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
}
