//! What `handfast netcheck` says behind each kind of NAT, beside what the kind is known to do.

use std::fmt;
use std::io;
use std::process::Command;
use std::time::Duration;

use super::Kind;
use super::case::{Case, prepare};
use super::oracle::{self, Behaviour, Closed, Filtering, Mapping, Outcome, Reach};
use super::relay::Servers;
use super::world::SERVER;

/// The self-test of a host behind a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Netcheck {
    /// What it is behind.
    pub(super) kind: Kind,
    /// Decides what is random.
    pub(super) seed: u64,
}

impl Netcheck {
    /// Plays it. What the program said of the NAT, in its words.
    ///
    /// # Errors
    /// When the lab is not what it says, or the program says something else than what is so.
    pub(super) fn play(self, servers: &Servers) -> io::Result<String> {
        let kinds = [self.kind, Kind::None];
        let world =
            prepare(&Case { kinds, skew: Duration::ZERO, lost_per_mille: 0, seed: self.seed })?;
        let relay = servers.start(&world.server, SERVER, "server.key")?;
        let mut command = Command::new(&servers.client);
        command.arg("netcheck").arg(relay.name()).args(["--timeout", PATIENCE]);
        command.env("XDG_CONFIG_HOME", &servers.home).env_remove("RUST_LOG");
        let output = world.sites[0].host.run(|| command.output())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let reached = self.kind.behaviour().reach != Reach::Nothing;
        let right = output.status.success() == reached;
        for line in expected(self.kind.behaviour()) {
            if !right || !said.contains(&line) {
                let errors = String::from_utf8_lossy(&output.stderr);
                return Err(io::Error::other(format!("should say {line:?}, says {said}{errors}")));
            }
        }
        let told = if reached { "  " } else { "UDP" };
        let lines = said.lines().filter(|line| line.starts_with(told));
        Ok(lines.map(words).collect::<Vec<_>>().join("; "))
    }
}

impl fmt::Display for Netcheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "netcheck behind {}", self.kind.name())
    }
}

/// What the program must say of such a NAT.
fn expected(nat: Behaviour) -> Vec<String> {
    if nat.reach == Reach::Nothing {
        return vec!["UDP          blocked, ".to_owned()];
    }
    let seen = match nat.closed {
        Closed::Absent => "none: seen at our own address",
        _ => "yes: seen at ",
    };
    let mapping = match nat.mapping {
        Mapping::Independent => "all ports of the server see the same one",
        Mapping::Dependent => "each destination sees another port",
    };
    let filtering = match nat.filtering {
        Filtering::Independent | Filtering::Address => "lets in other ports",
        Filtering::AddressAndPort => "lets in only the ports",
    };
    let order = match nat.closed {
        Closed::Remembered => "matters: ",
        _ => "does not matter",
    };
    // One server cannot tell that others are not reached.
    let nat = Behaviour { reach: Reach::All, ..nat };
    let verdict = |peer: Kind| match oracle::outcome(nat, peer.behaviour()) {
        Outcome::Direct => "yes",
        Outcome::Routed | Outcome::Nothing => "no, by way of a server",
    };
    let [open, cone, symmetric] = [Kind::None, Kind::PortDrop, Kind::Symmetric].map(verdict);
    vec![
        "UDP          gets through".to_owned(),
        format!("  NAT        {seen}"),
        format!("  mapping    {mapping}"),
        format!("  filtering  {filtering}"),
        format!("  order      {order}"),
        format!(
            "  direct     open peers: {open}; behind a cone: {cone}; behind a symmetric NAT: {symmetric}"
        ),
    ]
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a dial may take on a busy machine.
const PATIENCE: &str = "4s";
