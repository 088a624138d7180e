//! Datagrams in the hands of a test: held back, looked at, changed, made up.

use std::net::SocketAddr;

use handfast_core::Instant;

use crate::app::App;
use crate::link::Outcome;
use crate::machine::Machine;
use crate::network::{Datagram, NodeId};
use crate::trace::outcome_text;
use crate::world::World;

impl Datagram {
    /// A datagram that no node sent, to be handed to [`World::deliver`]: `source` is where it seems
    /// to come from.
    #[must_use]
    pub fn forged(source: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) -> Self {
        let (from, to) = (NodeId::NOBODY, NodeId::NOBODY);
        Self { from, to, source, destination, ecn: None, bytes }
    }
}

impl<M: Machine> World<M> {
    /// While on, what nodes send does not travel by itself: it waits for [`Self::take_held`]. Turned
    /// off, it travels again; what waits still waits.
    ///
    /// Every datagram can then be looked at, and lost (by doing nothing), sent on its way
    /// ([`Self::release`]), or handed over at once, twice, late, changed or in another order
    /// ([`Self::deliver`]).
    ///
    /// ```
    /// # use handfast_core::{Config, Target};
    /// # use handfast_sim::World;
    /// let mut world = World::new(7);
    /// let alice = world.add_node(Config::default(), [1; 32], &["10.0.0.1:4263".parse()?]);
    /// let bob = world.add_node(Config::default(), [2; 32], &["10.0.0.2:4263".parse()?]);
    /// world.hold(true);
    /// let address = world.addresses(bob).next().expect("it has one");
    /// world.with(alice, |endpoint, now| endpoint.connect(now, Target::from(address)))?;
    /// // Bob answers the question with whom one speaks there. The answer is lost.
    /// for question in world.take_held() {
    ///     assert!(world.deliver(question));
    /// }
    /// assert_eq!(world.take_held().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn hold(&mut self, on: bool) {
        self.holds = on;
    }

    /// Takes what was held back so far, in the order of sending.
    pub fn take_held(&mut self) -> Vec<Datagram> {
        std::mem::take(&mut self.held)
    }

    /// Puts a datagram on the link from its sender to where it goes, past the attacker, as if it had
    /// been sent just now.
    pub fn release(&mut self, datagram: Datagram) {
        let (source, destination) = (datagram.source, datagram.destination);
        let outcome = self.post(datagram).unwrap_or_else(|reason| {
            self.network.faults_mut().unroutable += u64::from(reason == "unroutable");
            Outcome::Dropped(reason)
        });
        self.trace.line(self.time, || {
            format!("{source} -> {destination}  released{}", outcome_text(outcome))
        });
    }

    /// Does something to a node's machine that no honest program would: what it seals meanwhile is not
    /// audited. Nothing is drained or checked before its next input.
    ///
    /// # Panics
    /// When the node is down.
    pub fn tamper<R>(&mut self, node: NodeId, act: impl FnOnce(&mut M, Instant) -> R) -> R {
        let now = self.clock(node);
        let machine = self.node_mut(node).machine.as_mut().expect("the node is up");
        let result = act(machine, now);
        let deadline = machine.poll_timeout();
        self.reschedule(node, deadline);
        result
    }

    /// Hands a datagram to whoever is at its destination now, whatever the links do. False if nobody
    /// is, or the NAT there does not let it in.
    pub fn deliver(&mut self, datagram: Datagram) -> bool {
        self.deliver_with(datagram, &mut ())
    }

    /// Like [`Self::deliver`], with an application that hears what comes of it.
    pub fn deliver_with(&mut self, datagram: Datagram, app: &mut impl App<M>) -> bool {
        self.arrive(datagram, app)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use handfast_core::{Config, PeerState, Target};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(host: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], 4263))
    }

    /// Two nodes of which the first called the second, and all that is sent is held.
    fn calling() -> (World, NodeId, NodeId) {
        let mut world = World::new(1);
        let a = world.add_node(Config::default(), [1; 32], &[at(1)]);
        let b = world.add_node(Config::default(), [2; 32], &[at(2)]);
        world.hold(true);
        world.with(a, |a, now| a.connect(now, Target::from(at(2)))).expect("a dial");
        (world, a, b)
    }

    fn is_connected(world: &World, node: NodeId) -> bool {
        let peers = world.endpoint(node).expect("up").peers();
        peers.filter(|peer| peer.state == PeerState::Connected).count() == 1
    }

    #[test]
    fn what_is_held_travels_only_when_it_is_handed_over() {
        let (mut world, a, b) = calling();
        world.run_for(SECOND / 2);
        assert!(world.endpoint(b).expect("up").stats().datagrams_received == 0);
        let mut handed = 0;
        while let Some(datagram) = world.take_held().pop() {
            assert!(world.deliver(datagram));
            handed += 1;
        }
        assert!(handed >= 5, "question, answer, request, response, first packet: {handed}");
        assert!(is_connected(&world, a) && is_connected(&world, b));
        assert_eq!(world.now(), SECOND / 2, "no time passed");
    }

    #[test]
    fn what_is_released_takes_its_time_and_may_be_lost() {
        let (mut world, a, b) = calling();
        world.network().block(a, b);
        let question = world.take_held().remove(0);
        world.release(question.clone());
        assert_eq!(world.faults().partition_drops, 1);
        world.network().heal();
        world.hold(false);
        world.release(question);
        assert_eq!(world.network().next_arrival(), Some(Duration::from_millis(10)));
        world.run_for(SECOND);
        assert!(is_connected(&world, a) && is_connected(&world, b));
    }

    #[test]
    fn what_is_tampered_with_sends_nothing_before_its_next_input() {
        let (mut world, a, _) = calling();
        world.take_held();
        let elsewhere = Target::from(at(3));
        world.tamper(a, |a, now| a.connect(now, elsewhere)).expect("a dial");
        assert_eq!(world.take_held(), []);
        world.run_for(SECOND);
        assert!(world.take_held().iter().any(|datagram| datagram.destination == at(3)));
    }

    #[test]
    fn a_forged_datagram_reaches_whoever_is_there() {
        let (mut world, _, b) = calling();
        assert!(world.deliver(Datagram::forged(at(66), at(2), vec![])));
        assert_eq!(world.endpoint(b).expect("up").drops().malformed, 1);
        assert!(!world.deliver(Datagram::forged(at(66), at(3), vec![])), "nobody is there");
        assert_eq!(world.faults().unroutable, 1);
    }
}
