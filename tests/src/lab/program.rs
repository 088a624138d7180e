//! The program `handfast` on two hosts behind NATs: what its user sees.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Kind;
use super::case::{Case, prepare};
use super::relay::Servers;
use super::world::SERVER;

/// The pairs of NATs, of who pings and who is pinged.
pub(super) const PAIRS: [[Kind; 2]; 2] =
    [[Kind::PortDrop, Kind::PortDrop], [Kind::PortAccept, Kind::Carrier]];

/// One host waits for a file (`handfast receive`), and another pings it by its id alone until packets go directly
/// (`handfast ping --until-direct`). Returns what the latter said last.
///
/// # Errors
/// When the lab is not what it says, or the ping says that there is no direct way.
pub(super) fn ping_until_direct(
    kinds: [Kind; 2],
    servers: &Servers,
    seed: u64,
) -> io::Result<String> {
    let case = Case { kinds, skew: Duration::ZERO, lost_per_mille: 0, seed };
    let world = prepare(&case)?;
    let relay = servers.start(&world.server, SERVER, "server.key")?;
    let server = relay.name();
    let [caller, called] = &world.sites;
    let handfast = |arguments: &[&str]| {
        let mut command = Command::new(&servers.client);
        command.args(arguments).args(["--server", &server]);
        command.env("XDG_CONFIG_HOME", &servers.home).env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command
    };
    let home = servers.home.to_string_lossy();
    let mut receiver = Ended(called.host.run(|| handfast(&["receive", &home, "--yes"]).spawn())?);
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
        return Ok(last);
    }
    let errors = String::from_utf8_lossy(&said.stderr);
    Err(io::Error::other(format!("it said: {text}{errors}")))
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
