//! The program `handfast` on two hosts behind NATs: what its user sees.

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Kind;
use super::case::{Case, prepare};
use super::mapping::{self, Asked, Mapping};
use super::relay::Servers;
use super::world::{SERVER, Site};

/// Who pings and who is pinged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    /// The NATs of both.
    pub(super) kinds: [Kind; 2],
    /// How the router of who is pinged gives ports, if it does and is asked to (`--map-port`).
    mapped: Option<Asked>,
}

impl Pair {
    /// Those that are punched, and one that is not: there a port of the router is the only way, asked for in each way.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let punched = [[Kind::PortDrop, Kind::PortDrop], [Kind::PortAccept, Kind::Carrier]];
        let asked = Asked::ALL.iter().filter(|_| Mapping::is_possible());
        let mapped = asked
            .map(|asked| Self { kinds: [Kind::Symmetric, Kind::PortDrop], mapped: Some(*asked) });
        punched.into_iter().map(|kinds| Self { kinds, mapped: None }).chain(mapped)
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = self.kinds.map(Kind::name);
        write!(f, "from {one} to {other}")?;
        match self.mapped {
            Some(asked) => write!(f, ", which forwards a port ({})", asked.name()),
            None => Ok(()),
        }
    }
}

/// One host waits for a file (`handfast receive`), and another pings it by its id alone until packets go directly
/// (`handfast ping --until-direct`). Returns what the latter said last.
///
/// # Errors
/// When the lab is not what it says, or the ping says that there is no direct way.
pub(super) fn ping_until_direct(pair: Pair, servers: &Servers, seed: u64) -> io::Result<String> {
    let case = Case { kinds: pair.kinds, skew: Duration::ZERO, lost_per_mille: 0, seed };
    let world = prepare(&case)?;
    let relay = servers.start(&world.server, SERVER, "server.key")?;
    let server = relay.name();
    let [caller, called] = &world.sites;
    let mapping = |asked: Asked| {
        let home = servers.home.join(format!("{}-{seed}", asked.name()));
        mapping::serve(&called.edge, asked, &home)
    };
    let _router = pair.mapped.map(mapping).transpose()?;
    let map_port = if pair.mapped.is_some() { "--map-port" } else { "--map-port=false" };
    let handfast = |arguments: &[&str]| {
        let mut command = Command::new(&servers.client);
        command.args(arguments).args(["--server", &server]);
        command.env("XDG_CONFIG_HOME", &servers.home).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    };
    let home = servers.home.to_string_lossy();
    let mut receiver =
        Ended(called.host.run(|| handfast(&["receive", &home, "--yes", map_port]).spawn())?);
    let stdout = receiver.0.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    // It says what the other side has to run.
    let mut invitation = String::new();
    BufReader::new(stdout).read_line(&mut invitation)?;
    let id = invitation.split_whitespace().skip_while(|word| *word != "FILE").nth(1);
    let id = id.ok_or_else(|| io::Error::other(format!("no invitation: {invitation}")))?;
    let ping = ["ping", id, "--until-direct", "--interval", "20ms", "--timeout", "20s"];
    let said = caller.host.run(|| handfast(&ping).stderr(Stdio::piped()).output())?;
    let text = String::from_utf8_lossy(&said.stdout);
    let last = text.lines().last().unwrap_or_default().to_owned();
    if said.status.success() && last.starts_with("direct after ") {
        return Ok(match pair.mapped {
            Some(asked) => format!("{last}; {}", netcheck(called, asked, servers, &server)?),
            None => last,
        });
    }
    let errors = String::from_utf8_lossy(&said.stderr);
    Err(io::Error::other(format!("it said: {text}{errors}")))
}

/// What `handfast netcheck` says of the router behind which it is, which is asked so.
fn netcheck(site: &Site, asked: Asked, servers: &Servers, server: &str) -> io::Result<String> {
    let mut command = Command::new(&servers.client);
    command.args(["netcheck", server, "--timeout", "4s"]);
    command.env("XDG_CONFIG_HOME", &servers.home).env_remove("RUST_LOG");
    let output = site.host.run(|| command.output())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.starts_with("port mapping works: "));
    let right = format!("the router forwards {}:", site.address);
    match line
        .filter(|line| line.contains(&right) && line.ends_with(&format!("({})", asked.name())))
    {
        Some(line) => Ok(line.to_owned()),
        None => Err(io::Error::other(format!("netcheck should say {right:?}, says {text}"))),
    }
}

/// A program that is ended when this is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
