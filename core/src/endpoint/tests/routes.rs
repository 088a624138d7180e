//! What a neighbour hears of a table that is larger than what may wait for it.

use std::collections::BTreeSet;

use super::*;
use crate::router::{Claim, Link, Message, Pair as Numbers, Signer, Update};
use crate::{ForwardingPolicy, PeerId};

const MANY: u32 = 1_200;
/// No peer has this slot: the table of node 1 alone knows the neighbour behind which all of them are.
const BEHIND: u32 = 1_000;

/// Exchanges routes with one other.
fn router(transit: u8) -> Config {
    let mut config = Config::default();
    config.forwarding.policy = ForwardingPolicy::Anyone;
    config.routing.announce = true;
    config.routing.transit = [Identity::from_seed([transit; 32]).id()].into();
    config
}

/// The neighbour tells node 1 of so many others. Who they are.
fn fill(pair: &mut Pair) -> BTreeSet<PeerId> {
    let (now, shared) = (pair.now, &mut pair.a.endpoint.shared);
    let table = shared.router.as_mut().expect("it routes");
    let id = Identity::from_seed([3; 32]).id();
    let link = Link { id, transit: true, listens: false, incarnation: 1 };
    table.on_up(now, BEHIND, link, Some(Duration::from_millis(10)));
    let owners = (0..MANY).map(|n| {
        let mut seed = [4; 32];
        seed[..4].copy_from_slice(&n.to_le_bytes());
        let owner = Identity::from_seed(seed);
        let pair = Numbers { epoch: 1, seqno: 0 };
        let claim = Claim { destination: owner.id(), pair, life: 1050 };
        let signature = Signer::sign(&owner, &claim);
        let update = Update { claim, signature, serial: n + 1, remaining: 1050, metric: 16 };
        table.on_message(now, BEHIND, &Message::Update(update), &shared.identity);
        owner.id()
    });
    owners.collect()
}

/// How many of these node 2 has a route to.
fn known(pair: &Pair, owners: &BTreeSet<PeerId>) -> usize {
    let routes = pair.b.endpoint.routes();
    routes.filter(|route| owners.contains(&route.destination)).count()
}

#[test]
fn a_slow_neighbour_hears_of_every_route_and_of_the_end_of_each_in_the_end() {
    let mut pair = Pair::new(router(2), router(1));
    pair.run(2_000);
    let owners = fill(&mut pair);
    // Nothing of node 2 arrives for a moment, too short for it to seem silent: what it is told waits.
    pair.run_with(2_350, |_, from_a, _| from_a);
    assert!(known(&pair, &owners) < 600, "{} of {MANY}: it is not slow", known(&pair, &owners));
    pair.run(6_000);
    assert_eq!(known(&pair, &owners), MANY as usize);

    let (now, shared) = (pair.now, &mut pair.a.endpoint.shared);
    shared.router.as_mut().expect("it routes").on_down(now, BEHIND);
    pair.run_with(6_350, |_, from_a, _| from_a);
    pair.run(12_000);
    assert_eq!(known(&pair, &owners), 0, "routes that ended");
}
