//! What the endpoints of a scenario are told, who calls whom, and what they are behind.

use std::time::Duration;

use handfast_core::{Config, NetworkSecret, Retry};

use crate::nat::{Dependence, NatKind, Ports};
use crate::rng::{Probability, Rng};

/// Who calls whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dial {
    pub(crate) from: u8,
    pub(crate) to: u8,
    /// The initiator knows the identity and not only the address.
    pub(crate) knows_id: bool,
}

pub(super) fn configs(nodes: u8, rng: &mut Rng) -> Vec<Config> {
    let secret = rng.chance(Probability::percent(30)).then(|| NetworkSecret::new(rng.bytes()));
    let clocked = rng.chance(Probability::percent(70));
    (0..nodes)
        .map(|_| {
            let mut config = Config::default();
            config.application = *b"a simulated app.";
            config.network_secret = secret.clone();
            config.retry = rng.pick(&[Retry::WhenNeeded, Retry::WhenNeeded, Retry::Always]);
            config.timers.heartbeat = rng.duration(Duration::from_secs(1)..=Duration::from_secs(5));
            // Faults may hold up a dial, but not for longer than this.
            config.timers.connect_timeout = Duration::from_secs(60);
            config.max_datagram = rng.range(1_200..=1_452) as u16;
            config.aes_hardware = rng.chance(Probability::percent(50));
            config.wall_clock = clocked.then(|| Duration::from_secs(1_700_000_000));
            config
        })
        .collect()
}

/// Leaves dial the hub, the hub dials them, or both do. Leaves behind a NAT cannot be dialled.
pub(super) fn dials(nodes: u8, behind: bool, rng: &mut Rng) -> Vec<Dial> {
    let mut dials = Vec::new();
    for leaf in 1..nodes {
        let who = rng.range(0..=3);
        let mut dial = |from, to| {
            dials.push(Dial { from, to, knows_id: rng.chance(Probability::percent(70)) });
        };
        if who != 0 || behind {
            dial(leaf, 0);
        }
        if who < 2 && !behind {
            dial(0, leaf);
        }
    }
    dials
}

/// Any NAT that forgets nobody who speaks every few seconds.
pub(super) fn nat(rng: &mut Rng) -> NatKind {
    let all = [
        Dependence::EndpointIndependent,
        Dependence::AddressDependent,
        Dependence::AddressAndPortDependent,
    ];
    NatKind {
        mapping: rng.pick(&all),
        filtering: rng.pick(&all),
        ports: rng.pick(&[Ports::Preserving, Ports::Sequential, Ports::Random]),
        timeout: PATIENT,
        inbound_refreshes: rng.chance(Probability::percent(50)),
        hairpinning: rng.chance(Probability::percent(50)),
        remembers_strangers: false,
    }
}

/// The shortest timeout that RFC 4787 allows.
pub(super) const PATIENT: Duration = Duration::from_secs(120);
