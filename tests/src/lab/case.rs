//! One pair of peers behind two NATs: what becomes of them, and whether it is what the oracle says.

use std::fmt;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::agent::{self, Agent, MESSAGE, Mission, Status, Way};
use super::oracle::{self, Outcome};
use super::relay::{Relay, Servers};
use super::world::{SERVER, World};
use super::{Kind, PUNCHES};
use crate::Runtime;

/// Two peers, what stands before them, and the weather.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// Who calls is behind the first, who is called behind the second.
    pub(super) kinds: [Kind; 2],
    /// How much later the called one starts.
    pub(super) skew: Duration,
    /// How many packets of a thousand are lost on every way.
    pub(super) lost_per_mille: u32,
    /// Decides what is random.
    pub(super) seed: u64,
}

/// What became of them.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Whether and how they talk.
    pub(super) outcome: Outcome,
    /// From the first word of the handshake's end to the first direct packet.
    pub(super) direct_after: Option<Duration>,
    /// What the one that calls and the one that is called were told, where they do not talk.
    pub(super) errors: [Option<String>; 2],
    /// The most mappings that a router had at the end.
    pub(super) mappings: u32,
}

impl Case {
    /// What the NATs allow.
    #[must_use]
    pub(super) fn possible(&self) -> Outcome {
        let [one, other] = self.kinds;
        oracle::outcome(one.behaviour(), other.behaviour())
    }

    /// What this build makes of it.
    #[must_use]
    pub(super) fn expected(&self) -> Outcome {
        match self.possible() {
            Outcome::Direct if !PUNCHES => Outcome::Routed,
            outcome => outcome,
        }
    }

    /// Plays it.
    ///
    /// # Errors
    /// When the lab is not what it says, or something becomes of the peers that must not.
    pub(super) fn play(&self, servers: &Servers) -> io::Result<Found> {
        let (stage, relay) = Stage::set(self, servers)?;
        let found = self.watch(&stage, &relay)?;
        let expected = self.expected();
        if found.outcome != expected {
            return Err(io::Error::other(format!(
                "should be {expected:?}, is {:?}: {}",
                found.outcome,
                stage.describe()
            )));
        }
        Ok(found)
    }

    fn watch(&self, stage: &Stage, relay: &Relay) -> io::Result<Found> {
        let met = stage.meet();
        let errors = stage.statuses().map(|status| status.failed);
        if !met {
            let mappings = stage.mappings()?;
            return Ok(Found { outcome: Outcome::Nothing, direct_after: None, errors, mappings });
        }
        stage.talk(true);
        let patience = if self.expected() == Outcome::Direct { PUNCHING } else { WATCHING };
        let direct = stage.until(patience, |[one, other]| is_direct(one) && is_direct(other));
        let outcome = stage.way_of_data(relay, direct, self.lost_per_mille == 0)?;
        let mappings = stage.mappings()?;
        stage.finish()?;
        let [caller, _] = stage.statuses();
        let span = |from: Instant, to: Instant| to.saturating_duration_since(from);
        let direct_after = caller.connected.zip(caller.direct).map(|(from, to)| span(from, to));
        Ok(Found { outcome, direct_after, errors, mappings })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = self.kinds.map(Kind::name);
        let (skew, lost) = (self.skew.as_millis(), self.lost_per_mille / 10);
        write!(f, "{one} x {other}, {skew} ms later, {lost} % lost")
    }
}

/// A world in which two peers try to meet.
#[derive(Debug)]
pub(super) struct Stage {
    /// The agents end before their world does.
    agents: [Agent; 2],
    /// Where they are.
    pub(super) world: World,
}

impl Stage {
    /// Builds and probes the world of a case, and starts its server and its peers.
    ///
    /// # Errors
    /// When the system refuses, or the lab is not what it says.
    pub(super) fn set(case: &Case, servers: &Servers) -> io::Result<(Self, Relay)> {
        let world = prepare(case)?;
        let relay = servers.start(&world.server, SERVER, "server.key")?;
        Ok((Self::enter(case, world, &[&relay])?, relay))
    }

    /// Starts the peers of a case, which know these servers.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn enter(case: &Case, world: World, relays: &[&Relay]) -> io::Result<Self> {
        let [one, other] = pair(case.seed);
        let servers: Vec<_> = relays.iter().map(|relay| relay.target()).collect();
        let mission =
            |runtime, seed, calls| Mission { runtime, seed, calls, servers: servers.clone() };
        let [caller, called] = &world.sites;
        let caller = Agent::start(&caller.host, mission(one, CALLER, Some(agent::id(CALLED))))?;
        thread::sleep(case.skew);
        let called = Agent::start(&called.host, mission(other, CALLED, None))?;
        Ok(Self { agents: [caller, called], world })
    }

    /// How the one that calls and the one that is called fare.
    #[must_use]
    pub(super) fn statuses(&self) -> [Status; 2] {
        let [one, other] = &self.agents;
        [one.status(), other.status()]
    }

    /// Waits until both have met, or one of them knows that they do not. Whether they have met.
    #[must_use]
    pub(super) fn meet(&self) -> bool {
        let over = |[one, other]: &[Status; 2]| one.failed.is_some() || other.failed.is_some();
        let both =
            |[one, other]: &[Status; 2]| one.connected.is_some() && other.connected.is_some();
        self.until(MEETING, |statuses| over(statuses) || both(statuses)) && both(&self.statuses())
    }

    /// Whether both send from now on.
    pub(super) fn talk(&self, sending: bool) {
        self.agents.iter().for_each(|agent| agent.send(sending));
    }

    /// Measures the longest silence from now on.
    pub(super) fn listen(&self) {
        self.agents.iter().for_each(Agent::listen);
    }

    /// Waits for something for that long. Whether it is so.
    pub(super) fn until(&self, patience: Duration, so: impl Fn(&[Status; 2]) -> bool) -> bool {
        let end = Instant::now() + patience;
        loop {
            if so(&self.statuses()) {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Which way data really takes, by the server's own count: while they talk, it passes on all that they say, or
    /// nothing. Where packets are lost, ends that doubt their direct path say a few words by the other: less than
    /// one message of the many that are said meanwhile.
    ///
    /// # Errors
    /// When nothing is said, or the count fits neither.
    pub(super) fn way_of_data(
        &self,
        relay: &Relay,
        direct: bool,
        lossless: bool,
    ) -> io::Result<Outcome> {
        let most = if lossless { 0 } else { MESSAGE as u64 - 1 };
        let mut counts = Vec::new();
        for _ in 0..WINDOWS {
            let (passed, heard) = (relay.forwarded()?, self.heard());
            let enough = |_: &[Status; 2]| self.heard() - heard >= SPOKEN;
            if !self.until(SPEAKING, enough) {
                return Err(io::Error::other(format!("nothing is said: {}", self.describe())));
            }
            let (heard, passed) = (self.heard() - heard, relay.forwarded()? - passed);
            let said = heard * u64::try_from(MESSAGE).unwrap_or(u64::MAX);
            match direct {
                // A word to keep the routed way may come between, once.
                true if passed <= most => return Ok(Outcome::Direct),
                false if passed >= said => return Ok(Outcome::Routed),
                _ => counts.push(format!("{passed} bytes passed on, {said} said")),
            }
        }
        let counts = counts.join("; ");
        let named = if direct { "direct" } else { "routed" };
        Err(io::Error::other(format!("called {named}, but {counts}; {}", self.describe())))
    }

    fn heard(&self) -> u64 {
        self.statuses().iter().map(|status| status.received).sum()
    }

    /// Ends the talk. Everything that was said must arrive and be acknowledged.
    ///
    /// # Errors
    /// When it does not, or something came about that must not.
    pub(super) fn finish(&self) -> io::Result<()> {
        self.talk(false);
        let complete = |[one, other]: &[Status; 2]| {
            one.sent == other.received
                && other.sent == one.received
                && [one, other].iter().all(|status| status.sent == status.acknowledged)
        };
        let all = self.until(ARRIVING, complete);
        let faults = self.statuses().iter().any(|status| !status.faults.is_empty());
        if all && !faults {
            return Ok(());
        }
        Err(io::Error::other(format!("messages were lost: {}", self.describe())))
    }

    /// The most mappings that a router has.
    ///
    /// # Errors
    /// When the system does not tell.
    pub(super) fn mappings(&self) -> io::Result<u32> {
        let mut most = 0;
        for site in self.world.sites.iter().filter(|site| site.kind != Kind::None) {
            let path = "/proc/sys/net/netfilter/nf_conntrack_count";
            let count = site.edge.run(|| std::fs::read_to_string(path))?;
            most = most.max(count.trim().parse().unwrap_or(u32::MAX));
        }
        Ok(most)
    }

    /// Everything that is known, for who must find out what went wrong.
    #[must_use]
    pub(super) fn describe(&self) -> String {
        let [one, other] = self.statuses();
        format!("caller {one:?}, called {other:?}")
    }
}

/// Builds the world of a case, and fails unless it is what it says. A machine that is busy for a moment may
/// be too late to show it: then it is built anew, twice at most.
///
/// # Errors
/// When the system refuses, or the lab is not what it says.
pub(super) fn prepare(case: &Case) -> io::Result<World> {
    build(case).or_else(|_| build(case)).or_else(|_| build(case))
}

fn build(case: &Case) -> io::Result<World> {
    let world = World::new(case.kinds, case.seed)?;
    world.probe_sites()?;
    world.impair(case.lost_per_mille)?;
    // What was asked is forgotten.
    for site in world.sites.iter().filter(|site| site.kind != Kind::None) {
        site.forget_mappings()?;
    }
    Ok(world)
}

pub(super) fn is_direct(status: &Status) -> bool {
    matches!(status.way, Some(Way::Direct(_)))
}

/// All pairs of runtimes, in turn.
fn pair(seed: u64) -> [Runtime; 2] {
    [seed & 1, seed >> 1 & 1].map(|bit| if bit == 0 { Runtime::Tokio } else { Runtime::Mio })
}

const CALLER: u8 = 11;
const CALLED: u8 = 12;
/// Both dials are over by then.
const MEETING: Duration = Duration::from_secs(20);
/// Two rounds and the first retries are over by then.
const PUNCHING: Duration = Duration::from_secs(25);
/// How long it is watched that a pair stays routed.
const WATCHING: Duration = Duration::from_secs(2);
const ARRIVING: Duration = Duration::from_secs(20);
const SPEAKING: Duration = Duration::from_secs(10);
/// Messages, of both together, that tell which way data takes.
const SPOKEN: u64 = 40;
const WINDOWS: usize = 4;
