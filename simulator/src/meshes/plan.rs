//! What a seed means.

use std::time::Duration;

use crate::conditions::Conditions;
use crate::rng::{Probability, Rng};

/// Everything that is decided before it begins.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The first nodes route, the others are leaves.
    pub(super) routers: usize,
    pub(super) leaves: usize,
    /// Who is connected to whom, the smaller number first.
    pub(super) links: Vec<(usize, usize)>,
    /// What each link does, latency included.
    pub(super) conditions: Vec<Conditions>,
    /// The time from one message to the next.
    pub(super) pause: Duration,
    /// In their order.
    pub(super) troubles: Vec<(Duration, Trouble)>,
}

/// Something that befalls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// By the number of the link.
    Cut(usize),
    /// All links are whole again.
    Heal,
    Kill(usize),
    Start(usize),
}

impl Plan {
    pub(super) fn from_seed(seed: u64) -> Self {
        // Apart from other scenarios of the seed.
        let mut rng = Rng::from_seed(seed ^ 0x6d65_7368_6573_2121);
        let routers = 3 + rng.index(6);
        let leaves = 2 + rng.index(3);
        let mut links = Vec::new();
        let mut link = |one: usize, other: usize| {
            let both = (one.min(other), one.max(other));
            if one != other && !links.contains(&both) {
                links.push(both);
            }
        };
        for n in 1..routers {
            link(n, rng.index(n));
        }
        for _ in 0..routers / 2 + 1 {
            link(rng.index(routers), rng.index(routers));
        }
        for leaf in routers..routers + leaves {
            for _ in 0..=rng.index(2) {
                link(leaf, rng.index(routers));
            }
        }
        let conditions = links.iter().map(|_| Conditions {
            latency: rng.duration(Duration::from_millis(1)..=Duration::from_millis(30)),
            jitter: rng.duration(Duration::ZERO..=Duration::from_millis(5)),
            loss: Probability::percent(rng.range(0..=4) as u32),
            reordering: Probability::percent(rng.pick(&[0, 0, 5])),
            duplication: Probability::percent(rng.pick(&[0, 0, 5])),
            ..Conditions::default()
        });
        let conditions = conditions.collect();
        let pause = rng.duration(Duration::from_millis(100)..=Duration::from_millis(400));
        let (mut plan, troubles) = (
            Self { routers, leaves, links, conditions, pause, troubles: Vec::new() },
            rng.pick(&[0, 1, 2, 3, 4]),
        );
        for _ in 0..troubles {
            plan.trouble(&mut rng);
        }
        plan.troubles.sort_by_key(|trouble| trouble.0);
        plan
    }

    fn trouble(&mut self, rng: &mut Rng) {
        let at = rng.duration(Duration::from_secs(1)..=LAST - LONGEST);
        let end = at + rng.duration(Duration::from_millis(300)..=LONGEST);
        let (trouble, over) = if rng.index(2) == 0 {
            (Trouble::Cut(rng.index(self.links.len())), Trouble::Heal)
        } else {
            let node = rng.index(self.routers);
            (Trouble::Kill(node), Trouble::Start(node))
        };
        self.troubles.extend([(at, trouble), (end, over)]);
    }
}

/// Trouble is over by then.
pub(super) const LAST: Duration = Duration::from_secs(40);
/// How long one lasts.
const LONGEST: Duration = Duration::from_secs(15);
