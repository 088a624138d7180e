//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use handfast_program::values::{ListenOn, MapPort, time};
use handfast_program::{Error, in_one_line, places};
use handfast_tokio::{PeerId, TargetName};

use crate::whom::Whom;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Invocation {
    /// To print this text and end.
    Help(String),
    /// To do this.
    Task(Box<Task>),
}

/// Reads the command line, the first argument being the program's name.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, Error> {
    match Cli::try_parse_from(arguments) {
        Ok(cli) => Ok(Invocation::Task(Box::new(cli.task))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Ok(Invocation::Help(error.to_string()))
            }
            _ => Err(Error::Usage(in_one_line(&error.to_string()))),
        },
    }
}

#[derive(Debug, Parser)]
#[command(
    name = "handfast",
    version,
    about = "Pings handfast peers, sends files to them, and says how the network is.",
    after_help = HELP,
    disable_help_subcommand = true,
    arg_required_else_help = true,
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

/// What the program does.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Measure round trips to a peer, and say by which way each went
    Ping(Ping),
    /// Send a file to a peer that runs `handfast receive`
    Send(Send),
    /// Receive a file; says what the other side has to run
    Receive(Receive),
    /// Say what the network lets through, as far as a server can tell
    Netcheck(Netcheck),
    /// Print the PeerId of the key
    Id(Identity),
    /// Make a new key, readable by its owner only, and print its PeerId. The file also does for
    /// --network-secret-file
    Genkey {
        /// The file to make [default: that of --identity]
        file: Option<PathBuf>,
        #[command(flatten)]
        identity: Identity,
    },
}

/// Where the key is.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Identity {
    /// The file with the secret key [default: client.key in the directory handfast where this system
    /// keeps configurations, if it is there; else a new key each time]
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,
}

impl Identity {
    /// The file, whether it is there or not.
    pub(crate) fn file(&self) -> Result<PathBuf, Error> {
        self.identity.clone().map_or_else(|| places::key(KEY), Ok)
    }
}

/// What all tasks need that talk to somebody.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Common {
    #[command(flatten)]
    pub(crate) identity: Identity,
    /// A server by way of which peers are reached, PEERID@HOST:PORT or HOST:PORT; may be repeated
    #[arg(long, value_name = "SERVER")]
    pub(crate) server: Vec<TargetName>,
    /// A file with the secret of a private network, on one line of base32
    #[arg(long, value_name = "FILE")]
    pub(crate) network_secret_file: Option<PathBuf>,
    /// An address at which peers reach this machine, IP:PORT, say of a port that a router forwards; may be repeated
    #[arg(long, value_name = "ADDR")]
    pub(crate) advertise: Vec<SocketAddr>,
    /// The two further ports of the servers that test the NAT before us, as 4264,4265 [default: the two after
    /// that of a server, as there]
    #[arg(long, value_name = "PORTS", value_parser = two_ports)]
    pub(crate) probe_ports: Option<[u16; 2]>,
    /// Have the router forward a port to this program (PCP, NAT-PMP or UPnP), and tell peers of it. Write --map-port=IP
    /// where the system does not tell which router it uses
    #[arg(long, value_name = "ROUTER", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value = "false", hide_default_value = true)]
    pub(crate) map_port: MapPort,
    /// Where to listen: IP:PORT, HOST:PORT, or :PORT for every address; may be repeated [default: any
    /// port that is free, on every address]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<ListenOn>,
}

#[derive(Args, Debug)]
pub(crate) struct Ping {
    /// The peer: PEERID, PEERID@HOST:PORT or HOST:PORT. The first needs a --server
    #[arg(value_name = "PEER")]
    pub(crate) whom: Whom,
    #[command(flatten)]
    pub(crate) common: Common,
    /// How many pings [default: until Ctrl-C]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) count: Option<u64>,
    /// How long from one ping to the next
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1s")]
    pub(crate) interval: Duration,
    /// End as soon as packets go to the peer directly, and fail if they do not within --timeout
    #[arg(long)]
    pub(crate) until_direct: bool,
    /// How long to wait for the server, for the peer, and with --until-direct for a direct path
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "30s")]
    pub(crate) timeout: Duration,
}

#[derive(Args, Debug)]
pub(crate) struct Send {
    /// The file
    pub(crate) file: PathBuf,
    /// The peer: PEERID, PEERID@HOST:PORT or HOST:PORT. The first needs a --server
    #[arg(value_name = "PEER")]
    pub(crate) whom: Whom,
    #[command(flatten)]
    pub(crate) common: Common,
    /// How long to look for a peer that is lost in the middle
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "2m")]
    pub(crate) timeout: Duration,
}

#[derive(Args, Debug)]
pub(crate) struct Receive {
    /// Where to put the file
    #[arg(default_value = ".")]
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
    /// Take files of this peer without asking, and of no other; may be repeated
    #[arg(long, value_name = "PEERID")]
    pub(crate) allow: Vec<PeerId>,
    /// Take a file of whoever comes, without asking
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Netcheck {
    /// The server, PEERID@HOST:PORT or HOST:PORT
    #[arg(value_name = "SERVER")]
    pub(crate) server: TargetName,
    #[command(flatten)]
    pub(crate) identity: Identity,
    /// A file with the secret of a private network, on one line of base32
    #[arg(long, value_name = "FILE")]
    pub(crate) network_secret_file: Option<PathBuf>,
    /// The two further ports of the server that test the NAT before us, as 4264,4265 [default: the two after
    /// its own, as at the server]
    #[arg(long, value_name = "PORTS", value_parser = two_ports)]
    pub(crate) probe_ports: Option<[u16; 2]>,
    /// The router that is asked for a port for a moment; false for none [default: that of this machine]
    #[arg(
        long,
        value_name = "ROUTER",
        require_equals = true,
        default_value = "true",
        hide_default_value = true
    )]
    pub(crate) map_port: MapPort,
    /// How long to wait for an answer over IPv4, and as long over IPv6
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "5s")]
    pub(crate) timeout: Duration,
}

fn two_ports(text: &str) -> Result<[u16; 2], String> {
    let ports = text.split_once(',').and_then(|(one, other)| {
        let ports = [one.trim().parse().ok()?, other.trim().parse().ok()?];
        (ports[0] != ports[1] && !ports.contains(&0)).then_some(ports)
    });
    ports.ok_or_else(|| "write two different ports, such as 4264,4265".to_owned())
}

/// The name of the file with the key where its place is not chosen.
pub(crate) const KEY: &str = "client.key";

const HELP: &str = "\
Times are written 500ms, 60s or 2m. RUST_LOG=debug shows every frame.

Exit code: 0 when it is done, 1 when it failed or was interrupted, 2 when the command line or a file it \
names is at fault, 3 when the other end does not want it.";

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(line: &str) -> String {
        let error = read(line.split(' ').map(OsString::from)).expect_err("refused");
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }

    #[test]
    fn a_mistake_is_one_line_that_names_it_and_shows_a_good_value() {
        for (line, words) in [
            ("handfast pign", ["pign", "'ping'"]),
            ("handfast ping", ["PEER", "--help"]),
            ("handfast ping nobody", ["nobody", "PEERID@HOST:PORT"]),
            ("handfast ping localhost:1 --interval soon", ["--interval", "60s"]),
            ("handfast ping localhost:1 --servre x", ["--servre", "'--server'"]),
            ("handfast netcheck ::1:80", ["SERVER", "IPv6 in brackets"]),
            ("handfast netcheck localhost:1 --probe-ports 7", ["--probe-ports", "4264,4265"]),
            ("handfast netcheck localhost:1 --probe-ports 7,7", ["--probe-ports", "4264,4265"]),
            ("handfast receive --listen 4263", ["--listen", "0.0.0.0:4263"]),
            ("handfast receive --map-port=router", ["--map-port", "192.168.1.1"]),
        ] {
            let text = refusal(line);
            assert!(words.iter().all(|word| text.contains(word)), "{line}: {text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }

    #[test]
    fn without_a_task_there_is_help() {
        let Ok(Invocation::Help(text)) = read([OsString::from("handfast")]) else {
            panic!("no help")
        };
        assert!(text.contains("netcheck") && text.contains("Exit code"), "{text}");
    }
}
