//! Network address translators as RFC 4787 describes them: plain state machines.
//!
//! [`Nat`] knows no network and reads no clock. Tell it of every datagram that leaves
//! ([`Nat::outbound`]) or wants in ([`Nat::inbound`]), and it answers with the translated address,
//! or that the datagram is dropped.

mod gateways;
mod ports;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub(crate) use gateways::Gateways;
pub use gateways::NatId;

use crate::rng::Rng;

/// How much of the remote address counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependence {
    /// Nothing of it.
    EndpointIndependent,
    /// The IP address.
    AddressDependent,
    /// The IP address and the port.
    AddressAndPortDependent,
}

/// Which public port a new mapping gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// The one that the node uses itself, else the next that is free.
    Preserving,
    /// The one after the last, from 1,024 on.
    Sequential,
    /// Any.
    Random,
}

/// How a NAT behaves, in the terms of RFC 4787.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatKind {
    /// When a node that sends to another remote keeps its public address (section 4.1).
    pub mapping: Dependence,
    /// From whom a mapping lets datagrams in: from anyone, or from those it was used towards (5).
    pub filtering: Dependence,
    /// How public ports are chosen (4.2).
    pub ports: Ports,
    /// A mapping unused for longer than this is gone (4.3).
    pub timeout: Duration,
    /// Datagrams that come in keep a mapping alive, not only those that go out (4.3).
    pub inbound_refreshes: bool,
    /// Nodes behind it may reach each other by their public addresses (6).
    pub hairpinning: bool,
    /// It takes datagrams that are not let in for its own, and remembers them, as a Linux router does that accepts
    /// what comes in: a node that then sends to where such a datagram came from gets another port for it.
    pub remembers_strangers: bool,
}

impl NatKind {
    /// What RFC 4787 asks for, with the shortest timeout it allows.
    #[must_use]
    pub const fn friendly() -> Self {
        Self {
            mapping: Dependence::EndpointIndependent,
            filtering: Dependence::EndpointIndependent,
            ports: Ports::Preserving,
            timeout: Duration::from_secs(120),
            inbound_refreshes: true,
            hairpinning: true,
            remembers_strangers: false,
        }
    }

    /// A "symmetric" one: another public port for each remote, and nobody else is let in.
    #[must_use]
    pub const fn symmetric() -> Self {
        Self {
            mapping: Dependence::AddressAndPortDependent,
            filtering: Dependence::AddressAndPortDependent,
            ports: Ports::Random,
            timeout: Duration::from_secs(120),
            inbound_refreshes: false,
            hairpinning: false,
            remembers_strangers: false,
        }
    }
}

/// A NAT with one public address.
#[derive(Clone, Debug)]
pub struct Nat {
    kind: NatKind,
    public: IpAddr,
    /// By public port.
    mappings: BTreeMap<u16, Mapping>,
    /// The public port of each internal address and the part of the remote that counts.
    ports: BTreeMap<(SocketAddr, Scope), u16>,
    /// Public ports, and who sent to them and was not let in: when last.
    strangers: BTreeMap<(u16, SocketAddr), Duration>,
    rng: Rng,
    last_port: u16,
    counts: NatCounts,
}

/// What happened at a NAT so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NatCounts {
    /// Mappings made.
    pub mapped: u64,
    /// Mappings that were found to be too old.
    pub expired: u64,
    /// Datagrams not let in, or not out for want of a port.
    pub filtered: u64,
}

#[derive(Clone, Debug)]
struct Mapping {
    internal: SocketAddr,
    scope: Scope,
    used: Duration,
    /// Whom the node sent to through it, as far as the filter cares.
    contacts: BTreeSet<Scope>,
}

/// The part of a remote address that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Anyone,
    Address(IpAddr),
    Endpoint(SocketAddr),
}

impl Scope {
    const fn of(dependence: Dependence, remote: SocketAddr) -> Self {
        match dependence {
            Dependence::EndpointIndependent => Self::Anyone,
            Dependence::AddressDependent => Self::Address(remote.ip()),
            Dependence::AddressAndPortDependent => Self::Endpoint(remote),
        }
    }
}

impl Nat {
    /// A NAT without mappings. The seed decides on random ports.
    #[must_use]
    pub fn new(kind: NatKind, public: IpAddr, seed: u64) -> Self {
        Self {
            kind,
            public,
            mappings: BTreeMap::new(),
            ports: BTreeMap::new(),
            strangers: BTreeMap::new(),
            rng: Rng::from_seed(seed),
            last_port: ports::FIRST - 1,
            counts: NatCounts::default(),
        }
    }

    /// How it behaves.
    #[must_use]
    pub const fn kind(&self) -> NatKind {
        self.kind
    }

    /// Its public address.
    #[must_use]
    pub const fn public(&self) -> IpAddr {
        self.public
    }

    /// What happened so far.
    #[must_use]
    pub const fn counts(&self) -> NatCounts {
        self.counts
    }

    /// Lets mappings live for so long from now on, those that exist included.
    pub const fn set_timeout(&mut self, timeout: Duration) {
        self.kind.timeout = timeout;
    }

    /// A node sends to `remote`: the source that `remote` will see. None when all ports are taken.
    pub fn outbound(
        &mut self,
        now: Duration,
        internal: SocketAddr,
        remote: SocketAddr,
    ) -> Option<SocketAddr> {
        let scope = self.scope(now, internal, remote);
        let live = self.live_port(now, internal, scope);
        let Some(port) = live.or_else(|| self.map(now, internal, remote, scope)) else {
            self.counts.filtered += 1;
            return None;
        };
        let contact = Scope::of(self.kind.filtering, remote);
        if let Some(mapping) = self.mappings.get_mut(&port) {
            mapping.used = now;
            mapping.contacts.insert(contact);
        }
        Some(SocketAddr::new(self.public, port))
    }

    /// A datagram from `remote` wants in at public port `port`: whom it reaches, if anyone.
    pub fn inbound(&mut self, now: Duration, port: u16, remote: SocketAddr) -> Option<SocketAddr> {
        self.drop_if_expired(now, port);
        let contact = Scope::of(self.kind.filtering, remote);
        let mapping = self.mappings.get_mut(&port).filter(|m| m.contacts.contains(&contact));
        let Some(mapping) = mapping else {
            self.counts.filtered += 1;
            if self.kind.remembers_strangers {
                self.strangers.insert((port, remote), now);
            }
            return None;
        };
        if self.kind.inbound_refreshes {
            mapping.used = now;
        }
        Some(mapping.internal)
    }

    /// Who has a mapping at a public port, whoever may use it.
    #[must_use]
    pub fn owner(&self, now: Duration, port: u16) -> Option<SocketAddr> {
        self.mappings.get(&port).filter(|m| self.is_live(now, m)).map(|m| m.internal)
    }

    /// By which address `remote` reaches a node now: none if the NAT would not let it in.
    #[must_use]
    pub fn external(
        &self,
        now: Duration,
        internal: SocketAddr,
        remote: SocketAddr,
    ) -> Option<SocketAddr> {
        let port = *self.ports.get(&(internal, self.scope(now, internal, remote)))?;
        let mapping = self.mappings.get(&port).filter(|mapping| self.is_live(now, mapping))?;
        let contact = Scope::of(self.kind.filtering, remote);
        mapping.contacts.contains(&contact).then(|| SocketAddr::new(self.public, port))
    }

    /// Forgets all mappings, as when it is switched off and on, and which port comes next.
    pub fn reboot(&mut self) {
        self.mappings.clear();
        self.ports.clear();
        self.strangers.clear();
        self.last_port = ports::FIRST - 1;
    }

    /// Has another public address, and no mappings.
    pub fn move_to(&mut self, public: IpAddr) {
        self.public = public;
        self.reboot();
    }

    /// Forgets the mappings of one node.
    pub fn forget(&mut self, internal: SocketAddr) {
        self.mappings.retain(|_, mapping| mapping.internal != internal);
        self.ports.retain(|(owner, _), _| *owner != internal);
    }

    /// Which mapping of a node `remote` sees: one of its own if it sent too early, for as long as that is used.
    fn scope(&self, now: Duration, internal: SocketAddr, remote: SocketAddr) -> Scope {
        let usual = Scope::of(self.kind.mapping, remote);
        if !self.kind.remembers_strangers {
            return usual;
        }
        let own = Scope::Endpoint(remote);
        let port_of = |scope| self.ports.get(&(internal, scope)).copied();
        let spoilt = port_of(own).and_then(|port| self.owner(now, port)).is_some();
        let port = port_of(usual).unwrap_or_else(|| internal.port());
        if spoilt || self.is_stranger(now, port, remote) { own } else { usual }
    }

    /// Whether what `remote` sent to a public port is remembered as the NAT's own: nothing goes from there to it.
    fn is_stranger(&self, now: Duration, port: u16, remote: SocketAddr) -> bool {
        let sent_at = self.strangers.get(&(port, remote));
        sent_at.is_some_and(|at| now.saturating_sub(*at) <= STRANGER)
    }

    fn is_live(&self, now: Duration, mapping: &Mapping) -> bool {
        now.saturating_sub(mapping.used) <= self.kind.timeout
    }

    fn live_port(&mut self, now: Duration, internal: SocketAddr, scope: Scope) -> Option<u16> {
        let port = *self.ports.get(&(internal, scope))?;
        self.drop_if_expired(now, port);
        self.mappings.contains_key(&port).then_some(port)
    }

    fn drop_if_expired(&mut self, now: Duration, port: u16) {
        let expired = self.mappings.get(&port).is_some_and(|mapping| !self.is_live(now, mapping));
        if let Some(mapping) = expired.then(|| self.mappings.remove(&port)).flatten() {
            self.ports.remove(&(mapping.internal, mapping.scope));
            self.counts.expired += 1;
        }
    }

    fn map(
        &mut self,
        now: Duration,
        internal: SocketAddr,
        remote: SocketAddr,
        scope: Scope,
    ) -> Option<u16> {
        let port = self.choose_port(now, internal.port(), remote)?;
        self.drop_if_expired(now, port);
        let mapping = Mapping { internal, scope, used: now, contacts: BTreeSet::new() };
        self.mappings.insert(port, mapping);
        self.ports.insert((internal, scope), port);
        self.last_port = port;
        self.counts.mapped += 1;
        Some(port)
    }
}

/// For so long a stranger is remembered after its last datagram, as by Linux.
const STRANGER: Duration = Duration::from_secs(30);
