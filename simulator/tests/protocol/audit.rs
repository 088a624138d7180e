//! The audit of a world: a nonce that is used twice under one key stops it.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use handfast_core::{Config, Endpoint, Event, Identity, Instant, Origin, Target, Transmit};
use handfast_sim::{Machine, NodeSetup, World};

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 4263))
}

/// Two endpoints that are one: the same identity and the same seed, which is the mistake that makes
/// ephemeral keys come twice.
struct Twins([Endpoint; 2]);

impl Machine for Twins {
    type Setup = (NodeSetup, bool);
    type Event = Event;

    fn make((setup, same): &Self::Setup, seed: [u8; 32], now: Instant, age: Duration) -> Self {
        let other = if *same { seed } else { seed.map(|byte| !byte) };
        Self([seed, other].map(|seed| <Endpoint as Machine>::make(setup, seed, now, age)))
    }

    fn handle_datagram(&mut self, _now: Instant, _origin: Origin, _datagram: &mut [u8]) {}

    fn handle_timeout(&mut self, now: Instant) {
        self.0.iter_mut().for_each(|twin| twin.handle_timeout(now));
    }

    fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        self.0.iter_mut().find_map(|twin| twin.poll_transmit(now, buf))
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.0.iter_mut().find_map(Endpoint::poll_event)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.0.iter().filter_map(Endpoint::poll_timeout).min()
    }

    fn max_datagram((setup, _): &Self::Setup) -> usize {
        <Endpoint as Machine>::max_datagram(setup)
    }
}

#[test]
fn a_nonce_that_is_used_twice_under_one_key_stops_the_world() {
    for same in [false, true] {
        let mut world = World::<Twins>::of(1);
        let setup = NodeSetup { config: Config::default(), identity: [1; 32] };
        let node = world.add((setup, same), &[at(1)]);
        let call = |world: &mut World<Twins>| {
            world.with(node, |twins, now| {
                for twin in &mut twins.0 {
                    let target = Target::new(Identity::from_seed([2; 32]).id(), [at(2)]);
                    twin.connect(now, target).expect("a dial");
                }
            });
        };
        let called = catch_unwind(AssertUnwindSafe(|| call(&mut world)));
        match called {
            Ok(()) => assert!(!same && world.seals() == 4, "two seals in each request"),
            Err(panic) => {
                let text = panic.downcast::<String>().expect("words");
                assert!(same && text.contains("sealed under nonce"), "{text}");
            }
        }
    }
}
