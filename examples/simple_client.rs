//! A client from start to end: shake hands, send, measure, part.
//!
//! Start the server with `cargo run -p handfast-server`, then in another terminal:
//!
//! ```text
//! cargo run -p handfast-examples --example simple_client
//! ```
//!
//! That is the server on this machine. Others are named by one argument, after `--`: with
//! `example.org:4263` you talk to whoever answers there, with `PEERID@10.0.0.7:4263` to that very
//! peer and nobody else. With `--discover` no address is needed: whoever says in the local network that it is
//! there (`cargo run -p handfast-server -- --discover --disclose`) is found.
//!
//! With a `PeerId` the handshake takes one round trip and no one else can answer. With an address
//! alone it takes two, and you talk to whoever is there. `RUST_LOG=debug` shows every frame.

use std::error::Error;
use std::io::{IsTerminal, stderr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use handfast_tokio::{
    Config, ConnectError, Delivery, DisconnectOptions, DisconnectReason, EndReason, Endpoint,
    Listen, Peer, Target, TargetName, generate_identity, resolve,
};
use tokio::time::timeout;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

#[tokio::main]
async fn main() -> ExitCode {
    // A console of Windows does not show colours unless asked to.
    let lines = fmt::layer().with_ansi(stderr().is_terminal() && !cfg!(windows));
    let wanted = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let lines = lines.with_writer(stderr).with_filter(wanted.unwrap_or_default());
    tracing_subscriber::registry().with(lines).init();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let name = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Some("127.0.0.1:4263"),
        ["--discover"] => None,
        ["--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        [name] if !name.starts_with('-') => Some(*name),
        [first, rest @ ..] => {
            let strange = rest.first().filter(|_| !first.starts_with('-')).unwrap_or(first);
            eprintln!("simple_client: what is {strange:?}? (see --help)");
            return ExitCode::from(2);
        }
    };
    match talk_to(name).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simple_client: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Talks to the peer of this name; without one, to whom the local network has.
async fn talk_to(name: Option<&str>) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.discovery.listen = name.is_none();
    // A fresh key each time. To be the same peer tomorrow: `KeyFile::new("my.key").load_or_create()?`.
    let endpoint = Endpoint::bind(config, generate_identity()?, Listen::all(0))?;
    println!("I am       {}", endpoint.id());

    let name = match name {
        Some(name) => name.to_owned(),
        None => timeout(Duration::from_secs(15), find(&endpoint)).await.map_err(|_| LONELY)??,
    };
    println!("calling    {name}");
    let start = Instant::now();
    let target = resolve(&name.parse::<TargetName>()?).await?;
    let peer = match dial(&endpoint, target).await {
        Ok(peer) => peer,
        Err(error) => return Err(refusal(&error, &name).into()),
    };
    println!("connected  {} in {:.1?}", peer.id(), start.elapsed());

    // Reliable and in order on channel 0. The receipt says that the other end has all of it.
    let start = Instant::now();
    let receipt = peer.send_with_receipt(Delivery::ordered(0), "hello, reliably").await?;
    println!("reliable   {:?} after {:.1?}", receipt.await, start.elapsed());

    // Sent once and never again. A receipt still tells whether it arrived.
    let receipt = peer.send_with_receipt(Delivery::unreliable(1), "hello, perhaps").await?;
    println!("unreliable {:?}", receipt.await);

    println!("pong       round trip {:.1?}", peer.ping().await?);

    // The `Disconnect` is delivered too: the server learns the code and the reason.
    let reason = DisconnectReason::new(0, "that was all");
    let reason =
        peer.disconnect(DisconnectOptions::after(Duration::from_secs(2)).with_reason(reason)).await;
    println!("parted     {reason}");

    // What the server said meanwhile is still here (it says something if started with --echo).
    while let Some(message) = peer.recv().await {
        let text = String::from_utf8_lossy(&message.payload);
        println!("received   {text:?}, sequence_number {}", message.sequence_number);
    }
    endpoint.close(DisconnectOptions::default()).await?;
    Ok(())
}

/// Waits until somebody in the local network says that it is there. Anybody can say so, and of others as well; with the
/// PeerId in the name nobody else can answer the call.
async fn find(endpoint: &Endpoint) -> Result<String, Box<dyn Error>> {
    let mut events = endpoint.events().await?;
    loop {
        // Whoever said so before the events were asked for is here as well.
        if let Some(found) = endpoint.discovered().await?.first() {
            return Ok(format!("{}@{}", found.id, found.address));
        }
        events.recv().await.ok_or("the endpoint stopped")?;
    }
}

/// Dials, and says so when it takes long: a lost packet costs a moment, a wrong address everything.
async fn dial(endpoint: &Endpoint, target: Target) -> Result<Peer, ConnectError> {
    let connect = endpoint.connect(target);
    tokio::pin!(connect);
    match timeout(Duration::from_secs(2), &mut connect).await {
        Ok(result) => result,
        Err(_) => {
            println!("           still trying: nobody answered yet");
            connect.await
        }
    }
}

fn refusal(error: &ConnectError, name: &str) -> String {
    match error {
        ConnectError::Ended(EndReason::DialTimeout) => format!(
            "nobody at {name} answered: is `cargo run -p handfast-server` running there, are the port, \
             the PeerId and the network secret right, is there a firewall?"
        ),
        error => format!("cannot connect to {name}: {error}"),
    }
}

const LONELY: &str = "nobody in the local network says that it is there: is \
    `cargo run -p handfast-server -- --discover --disclose` running there? Does a firewall let UDP port 4262 in?";

const HELP: &str = "\
Shakes hands with a handfast peer, sends it two messages, measures the round trip, and parts.

Usage: simple_client [HOST:PORT | PEERID@HOST:PORT]   (default: 127.0.0.1:4263)
       simple_client --discover                        (whoever is in the local network)
       simple_client -h, --help                        (prints this)

With a PEERID nobody else can answer; without one you talk to whoever is there.
RUST_LOG=debug shows every frame.
";
