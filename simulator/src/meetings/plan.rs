//! What a seed means.

use std::time::Duration;

use super::Site;
use crate::conditions::Conditions;
use crate::nat::Ports;
use crate::rng::{Probability, Rng};

/// Everything that is decided before two peers meet.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) sites: [Site; 2],
    pub(super) ports: [Ports; 2],
    /// Whether each looks for a direct way.
    pub(super) looks: [bool; 2],
    pub(super) relays: u8,
    /// When each begins to speak, after the first is connected.
    pub(super) begins: [Duration; 2],
    /// The time from one message to the next.
    pub(super) pause: Duration,
    /// The way between the two, and those of each to the relays: latencies.
    pub(super) direct: Duration,
    pub(super) to_relays: [Duration; 2],
    /// What all links do until the troubles are over, latency apart.
    pub(super) storm: Conditions,
    /// In their order.
    pub(super) troubles: Vec<(Duration, Trouble)>,
}

/// Something that befalls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The NAT of an end forgets all.
    Reboot(usize),
    /// An end's NAT forgets within so long from now on.
    Forgetful(usize, Duration),
    Kill(u8),
    Start(u8),
    /// What one end sends to the other does not arrive, or neither hears the other.
    Cut {
        from: usize,
        both: bool,
    },
    /// An end does not hear the relay, nor the relay it.
    Apart {
        end: usize,
        relay: u8,
    },
    Heal,
}

impl Plan {
    pub(super) fn from_seed(seed: u64) -> Self {
        // Apart from other scenarios of the seed.
        let mut rng = Rng::from_seed(seed ^ 0x6d65_6574_696e_6773);
        let pairs = Site::ALL.len() as u64;
        let site = |index: u64| Site::ALL[(index % pairs) as usize];
        let sites = [site(seed), site(seed / pairs)];
        let chance = |rng: &mut Rng, percent| rng.chance(Probability::percent(percent));
        let ms = |rng: &mut Rng, least, most| {
            rng.duration(Duration::from_millis(least)..=Duration::from_millis(most))
        };
        let storm = Conditions {
            jitter: ms(&mut rng, 0, 10),
            loss: Probability::percent(rng.range(0..=10) as u32),
            reordering: Probability::percent(rng.pick(&[0, 0, 10])),
            duplication: Probability::percent(rng.pick(&[0, 0, 5])),
            ..Conditions::default()
        };
        let mut plan = Self {
            sites,
            ports: [(); 2]
                .map(|()| rng.pick(&[Ports::Preserving, Ports::Sequential, Ports::Random])),
            looks: [(); 2].map(|()| !chance(&mut rng, 4)),
            relays: rng.pick(&[1, 2, 2]),
            begins: [Duration::ZERO, ms(&mut rng, 0, 800)],
            pause: ms(&mut rng, 100, 400),
            direct: ms(&mut rng, 1, 60),
            to_relays: [ms(&mut rng, 1, 60), ms(&mut rng, 1, 250)],
            storm,
            troubles: Vec::new(),
        };
        for _ in 0..rng.pick(&[0, 0, 1, 1, 2, 3]) {
            plan.trouble(&mut rng);
        }
        plan.troubles.sort_by_key(|trouble| trouble.0);
        plan
    }

    fn trouble(&mut self, rng: &mut Rng) {
        let at = rng.duration(Duration::from_secs(1)..=LAST - LONGEST);
        let end = at + rng.duration(Duration::from_millis(300)..=LONGEST);
        let (peer, relay) = (rng.index(2), rng.index(usize::from(self.relays)) as u8);
        let (trouble, over) = match rng.index(6) {
            0 if self.sites[peer] != Site::Public => (Trouble::Reboot(peer), None),
            1 if self.sites[peer] != Site::Public => {
                let short = Duration::from_secs(rng.range(1..=5));
                (Trouble::Forgetful(peer, short), Some(Trouble::Forgetful(peer, PATIENT)))
            }
            2 => (Trouble::Kill(relay), Some(Trouble::Start(relay))),
            3 => (Trouble::Apart { end: peer, relay }, Some(Trouble::Heal)),
            4 => (Trouble::Cut { from: peer, both: true }, Some(Trouble::Heal)),
            _ => (Trouble::Cut { from: peer, both: false }, Some(Trouble::Heal)),
        };
        self.troubles.push((at, trouble));
        self.troubles.extend(over.map(|over| (end, over)));
    }

    /// Whether a NAT forgets a mapping that is in use, and one that remembers strangers is there: then a fresh port helps most
    /// such pairs, not all. What the peer goes on to send may spoil that as well before both know of it, and the pair finds no
    /// way until the NAT has forgotten it.
    pub(super) fn is_spoilt(&self) -> bool {
        let forgets =
            |trouble: &Trouble| matches!(trouble, Trouble::Reboot(_) | Trouble::Forgetful(..));
        self.sites.contains(&Site::Poisoned)
            && self.troubles.iter().any(|(_, trouble)| forgets(trouble))
    }

    /// Whether the two may become direct though nobody can count on it: a symmetric NAT that keeps ports gives its node's own
    /// port to the first whom that sends to after the NAT forgot all, and others saw the node there before. One that gives
    /// away ports in a row begins the row anew when it reboots.
    pub(super) fn may_be_lucky(&self) -> bool {
        let lucky = |end: usize| {
            let ports = self.ports[end];
            let repeats = |trouble: &Trouble| match trouble {
                Trouble::Reboot(of) => *of == end && ports != Ports::Random,
                Trouble::Forgetful(of, _) => *of == end && ports == Ports::Preserving,
                _ => false,
            };
            self.sites[end] == Site::Symmetric
                && self.troubles.iter().any(|(_, trouble)| repeats(trouble))
        };
        self.looks == [true; 2] && (lucky(0) || lucky(1))
    }

    /// Whether the two must become direct.
    pub(super) fn is_punchable(&self) -> bool {
        self.looks == [true; 2] && Site::lets_meet(self.sites[0], self.sites[1])
    }
}

/// Trouble is over by then, after the two have met.
pub(super) const LAST: Duration = Duration::from_secs(30);
/// How long one lasts.
const LONGEST: Duration = Duration::from_secs(8);
/// How long a mapping lives usually.
pub(super) const PATIENT: Duration = Duration::from_secs(120);
/// From the last trouble to a direct way.
pub(super) const RECOVERY: Duration = Duration::from_secs(90);
