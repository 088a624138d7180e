//! What a neighbour says about routes: about others, too often, and to those who never asked.

use std::time::Duration;

use handfast_core::wire::{Frame, MAX_ROUTE_LIFE, RouteUpdate};
use handfast_core::{Config, ForwardingPolicy, Identity, PeerId};

use crate::kit::*;

/// The victim exchanges routes with these, and tells of itself.
fn routing(transit: impl IntoIterator<Item = PeerId>) -> Config {
    let mut config = Config::default();
    config.forwarding.policy = ForwardingPolicy::Anyone;
    config.routing.announce = true;
    config.routing.transit = transit.into_iter().collect();
    config
}

fn update(destination: &[u8; 32], seqno: u32, life: u16) -> Vec<u8> {
    frame(Frame::RouteUpdate(RouteUpdate {
        destination,
        epoch: u64::MAX,
        seqno,
        life,
        signature: &[7; 64],
        serial: seqno,
        remaining: life,
        metric: 0,
    }))
}

/// All kinds of frames about routes.
fn all_kinds(n: u32) -> [Vec<u8>; 6] {
    let mut name = [9; 32];
    name[..4].copy_from_slice(&n.to_le_bytes());
    let destination = &name;
    [
        update(destination, n, 1050),
        frame(Frame::RouteRetraction { destination, serial: n }),
        frame(Frame::SeqnoRequest { destination, epoch: 1, seqno: n, hops: 255 }),
        frame(Frame::RouteRequest { destination, hops: 255 }),
        frame(Frame::RouteRequest { destination: &[0; 32], hops: 255 }),
        frame(Frame::ForwardFailed { source: &[8; 32], destination, reason: 2, hops: 255 }),
    ]
}

#[test]
fn ours_a_route_that_lives_too_long_ends_the_session() {
    let mut long = update(&[9; 32], 1, MAX_ROUTE_LIFE);
    long[45..47].copy_from_slice(&(MAX_ROUTE_LIFE + 1).to_le_bytes());
    let mut none = update(&[9; 32], 1, 1);
    none[45..47].copy_from_slice(&[0, 0]);
    for content in [long, none] {
        let mut pair = Stage::connected(Config::default());
        lie(&mut pair, 0, &content);
        assert_eq!(violation(&mut pair), Some("life of a route out of bounds"));
    }
}

#[test]
fn ours_who_keeps_no_routes_is_told_of_them_in_vain() {
    let mut stage = Stage::with_honest(Config::default(), Config::default());
    let (held, ()) = memory::growth(&mut stage, |stage| {
        for n in 0..2000 {
            lie(stage, 0, &all_kinds(n).concat());
        }
        stage.step(Duration::from_secs(1));
    });
    assert!(held < 50_000, "{held} bytes are kept");
    assert_eq!(stage.endpoint(VICTIM).routes().count(), 0);
    assert_intact(&mut stage, "after routes");
}

#[test]
fn ours_a_flood_of_routes_is_held_off_by_budgets_and_goes_no_further() {
    for is_transit in [false, true] {
        let liar = Stage::with_honest(Config::default(), Config::default()).id(LIAR);
        let mut stage = Stage::with_honest(
            routing(is_transit.then_some(liar)),
            routing([Identity::from_seed([99; 32]).id()]),
        );
        assert_eq!(stage.id(LIAR), liar);
        let honest = stage.ends[HONEST].address;
        let mut to_honest = 0;
        let (held, ()) = memory::growth(&mut stage, |stage| {
            for n in 0..5000 {
                lie(stage, 0, &all_kinds(n).concat());
                for datagram in std::mem::take(&mut stage.flight) {
                    to_honest += usize::from(datagram.to == honest);
                    stage.deliver(datagram);
                }
            }
            stage.step(Duration::from_secs(1));
        });
        let victim = stage.endpoint(VICTIM);
        let stats = *victim.stats();
        assert!(
            victim
                .routes()
                .all(|route| route.destination == stage.id(HONEST) || route.destination == liar)
        );
        assert!(stats.route_messages_refused > 10_000, "{stats:?}");
        let most = if is_transit { 5000 } else { 0 };
        assert!(stats.route_signatures_checked <= most + 8, "{stats:?}");
        assert!(to_honest < 100, "{to_honest} datagrams");
        assert!(held < 500_000, "{held} bytes are kept");
        assert_intact(&mut stage, "after a flood of routes");
    }
}
