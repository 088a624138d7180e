//! The operator's end of the socket.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::thread;
use std::time::Duration;

use handfast_core::PeerId;
use handfast_program::Error;
use handfast_program::output::print;
use handfast_udp::explain;
use serde_json::Value;

use super::report::text;
use super::{place, socket};

/// Prints who is connected: once, or every second until the server or the program ends.
pub(crate) fn status(socket: Option<&Path>, as_json: bool, watch: bool) -> Result<(), Error> {
    loop {
        let (line, answer) = ask(socket, "peers")?;
        // On a terminal each answer takes the place of the one before.
        let clear = watch && !as_json && io::stdout().is_terminal();
        let clear = if clear { "\x1b[H\x1b[2J" } else { "" };
        let shown = if as_json { line + "\n" } else { text(&answer) };
        print(&format!("{clear}{shown}"))?;
        if !watch {
            return Ok(());
        }
        thread::sleep(EVERY);
    }
}

/// Has the server part from a peer.
pub(crate) fn kick(socket: Option<&Path>, peer: PeerId) -> Result<(), Error> {
    ask(socket, &format!("kick {peer}"))?;
    print(&format!("parting from {peer}\n"))
}

/// The answer, as it came and as it is understood.
fn ask(choice: Option<&Path>, line: &str) -> Result<(String, Value), Error> {
    let path = place::of_the_running(choice)?;
    let answer = socket::exchange(&path, line, PATIENCE).map_err(|error| {
        let shown = path.display();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Error::Run(format!(
                "no server answers at {shown}: is one running as this user, with this --status-socket?"
            )),
            _ => Error::Run(format!("{shown}: {}", explain(&error))),
        }
    })?;
    let value: Value = serde_json::from_str(&answer).map_err(|_| {
        Error::Run("the server said nothing: too many ask at the same time, try again".to_owned())
    })?;
    match value["error"].as_str() {
        Some(error) => Err(Error::Run(error.to_owned())),
        None => Ok((answer, value)),
    }
}

const EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(15);
