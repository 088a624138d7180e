//! What happens to the instances, and when.

use std::time::Duration;

use handfast_core::Config;

use crate::conditions::Conditions;
use crate::rng::{Probability, Rng};

/// What happens to an instance, named by its number from 1 on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    /// It starts, unless it runs.
    Start(u32),
    /// It is killed.
    Kill(u32),
    /// It is suspended.
    Pause(u32),
    /// It goes on.
    Resume(u32),
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) links: Conditions,
    pub(super) instances: u32,
    /// In the order of time.
    pub(super) acts: Vec<(Duration, Act)>,
    /// The instance that is left at the end.
    pub(super) survivor: u32,
    /// How often each end says something.
    pub(super) pause: Duration,
}

/// When the last of several instances is left alone in random runs.
const LAST: Duration = Duration::from_secs(40);

impl Plan {
    pub(super) fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed ^ 0x696e_7374_616e_6365);
        let mut config = Config::default();
        config.timers.heartbeat = rng.duration(Duration::from_secs(1)..=Duration::from_secs(8));
        config.timers.idle_timeout =
            config.timers.heartbeat * rng.range(13..=60) as u32 / 10 + Duration::from_secs(1);
        let ms = Duration::from_millis;
        let mut links = Conditions {
            latency: rng.duration(ms(1)..=ms(80)),
            jitter: rng.duration(ms(0)..=ms(20)),
            ..Conditions::default()
        };
        if rng.chance(Probability::percent(60)) {
            links.loss = Probability::percent(rng.range(1..=15) as u32);
        }
        if rng.chance(Probability::percent(30)) {
            links.duplication = Probability::percent(rng.range(1..=20) as u32);
        }
        let instances = rng.range(2..=3) as u32;
        let mut acts = Vec::new();
        for _ in 0..rng.range(4..=16) {
            let which = rng.range(1..=u64::from(instances)) as u32;
            let at = rng.duration(ms(0)..=LAST - ms(1));
            let act = match rng.index(4) {
                0 => Act::Kill(which),
                1 => Act::Pause(which),
                2 => Act::Resume(which),
                _ => Act::Start(which),
            };
            acts.push((at, act));
            if matches!(act, Act::Pause(_)) {
                acts.push((at + rng.duration(ms(10)..=ms(9000)), Act::Resume(which)));
            }
        }
        acts.retain(|(at, _)| *at < LAST);
        let survivor = rng.range(1..=u64::from(instances)) as u32;
        let others = (1..=instances).filter(|which| *which != survivor);
        acts.extend(others.map(|which| (LAST, Act::Kill(which))));
        acts.push((LAST, Act::Resume(survivor)));
        acts.push((LAST, Act::Start(survivor)));
        acts.sort_by_key(|(at, _)| *at);
        let pause = rng.duration(ms(40)..=ms(400));
        Self { config, links, instances, acts, survivor, pause }
    }

    pub(super) fn calm(acts: &[(Duration, Act)]) -> Self {
        let latency = Duration::from_millis(10);
        Self {
            config: Config::default(),
            links: Conditions { latency, ..Conditions::default() },
            instances: 2,
            acts: acts.to_vec(),
            survivor: 1,
            pause: Duration::from_millis(100),
        }
    }

    pub(super) fn recovery(&self) -> Duration {
        self.config.timers.heartbeat * 9 / 8 + Duration::from_secs(6)
    }
}
