//! What befalls two peers that talk. Nothing that they said may be lost.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use super::case::{Case, Stage, prepare};
use super::oracle::Outcome;
use super::relay::Servers;
use super::world::{BYSTANDER, SERVER};
use super::{Kind, PUNCHES};

/// What befalls two peers that talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The NAT of the called one is started anew: it knows no mappings any more.
    Forgets(Kind),
    /// The NAT of the called one gets another address.
    Moves,
    /// The server that passes packets on is killed; there is another one.
    ServerKilled,
    /// What the caller sends directly does not get through any more; the other way it does.
    OneWay,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survived {
    /// How they talked before, and how they do afterwards.
    pub(super) ways: [Outcome; 2],
    /// The longest time that one of them heard nothing, of both together.
    pub(super) silence: Duration,
}

impl Trouble {
    /// All of them.
    pub(super) const ALL: [Self; 5] = [
        Self::Forgets(Kind::PortDrop),
        Self::Forgets(Kind::PortAccept),
        Self::Moves,
        Self::ServerKilled,
        Self::OneWay,
    ];

    /// How long one of them may hear nothing. Both say something each 20 ms, and have a way by a server beside the
    /// direct one.
    pub(super) const fn longest_silence(self) -> Duration {
        match self {
            // Nothing is to be found anew.
            Self::ServerKilled => Duration::from_millis(500),
            Self::Forgets(_) | Self::Moves | Self::OneWay => Duration::from_secs(1),
        }
    }

    /// Plays it.
    ///
    /// # Errors
    /// When the lab is not what it says, something that was said is lost, or one of them hears nothing for too long.
    pub(super) fn play(self, servers: &Servers, seed: u64) -> io::Result<Survived> {
        let kinds = match self {
            Self::Forgets(kind) => [Kind::PortDrop, kind],
            _ => [Kind::PortDrop; 2],
        };
        let case = Case { kinds, skew: Duration::ZERO, lost_per_mille: 0, seed };
        let world = prepare(&case)?;
        let mut relays = vec![servers.start(&world.server, SERVER, "server.key")?];
        if self == Self::ServerKilled {
            relays.push(servers.start(&world.bystander, BYSTANDER, "second.key")?);
        }
        let mut stage = Stage::enter(&case, world, &relays.iter().collect::<Vec<_>>())?;
        if !stage.meet() {
            return Err(io::Error::other(format!("they do not meet: {}", stage.describe())));
        }
        stage.talk(true);
        let before = stage.settle(PUNCHES);
        stage.listen();
        match self {
            Self::Forgets(_) => stage.world.sites[1].forget_mappings()?,
            Self::Moves => stage.world.sites[1].move_to(77)?,
            Self::OneWay => {
                let caller = stage.world.sites[0].address;
                stage.world.sites[1].shut_out(caller)?;
            }
            Self::ServerKilled => {
                // The one that is in use, if one is.
                let counts: Result<Vec<_>, _> =
                    relays.iter().map(|relay| relay.forwarded()).collect();
                let counts = counts?;
                let used = usize::from(counts[1] > counts[0]);
                drop(relays.remove(used));
            }
        }
        let silence = stage.outlast()?;
        let most = self.longest_silence();
        if silence > most {
            let state = stage.describe();
            return Err(io::Error::other(format!("silent for {silence:?} of {most:?}: {state}")));
        }
        let returns = before == Outcome::Direct && self != Self::OneWay;
        let after = stage.settle(returns);
        if returns && after != Outcome::Direct {
            return Err(io::Error::other(format!("not direct again: {}", stage.describe())));
        }
        stage.finish()?;
        Ok(Survived { ways: [before, after], silence })
    }
}

impl Stage {
    /// How they talk, when they are `direct` or have had the time to be.
    fn settle(&self, direct: bool) -> Outcome {
        let patience = if direct { Duration::from_secs(25) } else { Duration::from_secs(1) };
        let is = self.until(patience, |statuses| statuses.iter().all(super::case::is_direct));
        if is { Outcome::Direct } else { Outcome::Routed }
    }

    /// Waits until both hear something new that was said after now. The longest silence meanwhile.
    fn outlast(&self) -> io::Result<Duration> {
        let start = Instant::now();
        let said = self.statuses().map(|status| status.sent);
        // What is said from now on, not what was on its way.
        let heard = self.until(RECOVERY, |[one, other]| {
            one.received > said[1] + 5 && other.received > said[0] + 5
        });
        if !heard {
            return Err(io::Error::other(format!(
                "silent for {:?}: {}",
                start.elapsed(),
                self.describe()
            )));
        }
        let silences = self.statuses().map(|status| status.silence);
        Ok(silences.into_iter().max().unwrap_or_default())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forgets(kind) => write!(f, "the NAT ({}) forgets its mappings", kind.name()),
            Self::Moves => f.write_str("the NAT gets another address"),
            Self::ServerKilled => f.write_str("the server is killed, another one is there"),
            Self::OneWay => f.write_str("one way is blocked"),
        }
    }
}

/// More than the idle timeout of nothing: handshakes anew, by way of the server.
const RECOVERY: Duration = Duration::from_secs(60);
