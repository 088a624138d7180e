//! An attacker on the path: it sees every datagram between the nodes, and replays, corrupts,
//! delays and spoofs. It has no key.

mod forge;
mod mangle;
mod sample;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use handfast_core::wire::kind;

use crate::faults::Faults;
use crate::network::{Datagram, NodeId};
use crate::rng::{Probability, Rng};
use sample::Sample;

/// How often an attacker does what, each per datagram that it sees. The default does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acts {
    /// Sends an old datagram again, from the address it came from, or from the attacker's own, or
    /// as if from another of those it saw.
    pub replay: Probability,
    /// Sends a copy that was cut, lengthened or changed, as if from the sender.
    pub mangle: Probability,
    /// Sends a copy that arrives before the original, from the attacker's own address, so that the
    /// sender seems to have moved there.
    pub race: Probability,
    /// Passes on what peers then send to that address, so that the pretence holds.
    pub relay: bool,
    /// Holds a datagram back for up to three seconds.
    pub delay: Probability,
    /// Sends a datagram back to its sender, as if from the one it was for.
    pub reflect: Probability,
    /// Makes up a sealed packet for a session that it saw, as if from the peer.
    pub spoof: Probability,
    /// Builds a hint, a retry (with a MAC that is right: whoever saw the request can make it) or a
    /// response from what it sees.
    pub forge: Probability,
}

/// An attacker on the path of all datagrams of a [`World`](crate::World), NATs' networks excepted.
///
/// Give it to [`World::set_attacker`](crate::World::set_attacker). What it does follows from its
/// seed and what it sees.
#[derive(Debug)]
pub struct Attacker {
    acts: Acts,
    address: SocketAddr,
    rng: Rng,
    /// Of all sealed packets that were ever seen.
    seen: Sample,
    /// The same of everything else: handshakes are rare, and worth keeping.
    handshakes: Sample,
    /// Where to pass on what comes to the attacker's own address, by who sends it.
    relays: BTreeMap<SocketAddr, SocketAddr>,
    sent: Vec<(Duration, Datagram)>,
}

impl Attacker {
    /// An attacker with an address of its own, which no node may have.
    #[must_use]
    pub fn new(seed: u64, address: SocketAddr, acts: Acts) -> Self {
        Self {
            acts,
            address,
            rng: Rng::from_seed(seed),
            seen: Sample::default(),
            handshakes: Sample::default(),
            relays: BTreeMap::new(),
            sent: Vec::new(),
        }
    }

    /// Its own address.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A datagram passes. An error if it does not go on: then it was held back, or it was for the
    /// attacker itself.
    pub(crate) fn observe(
        &mut self,
        now: Duration,
        datagram: &Datagram,
        faults: &mut Faults,
    ) -> Result<(), &'static str> {
        if datagram.destination == self.address {
            faults.attack_relays += u64::from(self.relay(now, datagram));
            return Err("to the attacker");
        }
        self.remember(datagram);
        self.act(now, datagram, faults);
        if self.rng.chance(self.acts.delay) {
            faults.attack_delays += 1;
            let later = now + self.rng.duration(ACT_SOON..=HELD_BACK);
            self.send(later, datagram.clone());
            return Err("held back");
        }
        Ok(())
    }

    /// What it sends, and when that arrives.
    pub(crate) fn take_sent(&mut self) -> Vec<(Duration, Datagram)> {
        std::mem::take(&mut self.sent)
    }

    fn act(&mut self, now: Duration, datagram: &Datagram, faults: &mut Faults) {
        let acts = self.acts;
        if self.rng.chance(acts.race) {
            faults.attack_races += 1;
            self.race(now, datagram);
        }
        if self.rng.chance(acts.replay) {
            faults.attack_replays += 1;
            self.replay(now);
        }
        if self.rng.chance(acts.mangle) {
            faults.attack_mangled += 1;
            let mut copy = datagram.clone();
            mangle::mangle(&mut copy.bytes, &mut self.rng);
            self.send_soon(now, copy);
        }
        if self.rng.chance(acts.reflect) {
            faults.attack_reflections += 1;
            self.send_soon(now, reversed(datagram, datagram.bytes.clone()));
        }
        if self.rng.chance(acts.spoof)
            && let Some(spoof) = forge::sealed(datagram, &mut self.rng)
        {
            faults.attack_spoofs += 1;
            self.send_soon(now, spoof);
        }
        if self.rng.chance(acts.forge)
            && let Some(forged) = forge::answer(datagram, self.handshakes.kept(), &mut self.rng)
        {
            faults.attack_forgeries += 1;
            self.send_soon(now, forged);
        }
    }

    fn remember(&mut self, datagram: &Datagram) {
        let sealed = datagram.bytes.first() == Some(&kind::SEALED);
        let sample = if sealed { &mut self.seen } else { &mut self.handshakes };
        sample.offer(datagram, &mut self.rng);
    }

    fn replay(&mut self, now: Duration) {
        let (seen, handshakes) = (self.seen.kept(), self.handshakes.kept());
        let shakes = !handshakes.is_empty() && self.rng.index(4) == 0;
        let sample = if shakes || seen.is_empty() { handshakes } else { seen };
        if sample.is_empty() {
            return;
        }
        let mut copy = sample[self.rng.index(sample.len())].clone();
        copy.source = match self.rng.index(4) {
            0 => self.address,
            1 => sample[self.rng.index(sample.len())].source,
            _ => copy.source,
        };
        self.send_soon(now, copy);
    }

    fn race(&mut self, now: Duration, datagram: &Datagram) {
        let mut copy = datagram.clone();
        copy.source = self.address;
        if self.acts.relay {
            self.relays.insert(datagram.destination, datagram.source);
            self.relays.insert(datagram.source, datagram.destination);
        }
        self.send(now, copy);
    }

    /// Passes on what came to its own address; whether it did.
    fn relay(&mut self, now: Duration, datagram: &Datagram) -> bool {
        let Some(&onward) = self.relays.get(&datagram.source) else { return false };
        let mut copy = datagram.clone();
        (copy.source, copy.destination) = (self.address, onward);
        self.send(now + RELAY_DELAY, copy);
        true
    }

    fn send_soon(&mut self, now: Duration, datagram: Datagram) {
        let at = now + self.rng.duration(Duration::ZERO..=ACT_SOON);
        self.send(at, datagram);
    }

    fn send(&mut self, at: Duration, datagram: Datagram) {
        let nobody = NodeId::NOBODY;
        self.sent.push((at, Datagram { from: nobody, to: nobody, ..datagram }));
    }
}

/// A datagram back to the sender of another, as if from the one that was for.
fn reversed(datagram: &Datagram, bytes: Vec<u8>) -> Datagram {
    let (source, destination) = (datagram.destination, datagram.source);
    Datagram { source, destination, bytes, ..datagram.clone() }
}

/// What it sends arrives within this, before or after what nodes sent at the same time.
const ACT_SOON: Duration = Duration::from_millis(200);
/// How long it holds a datagram back at most.
const HELD_BACK: Duration = Duration::from_secs(3);
const RELAY_DELAY: Duration = Duration::from_millis(1);
