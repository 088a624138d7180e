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
//! peer and nobody else.
//!
//! With a `PeerId` the handshake takes one round trip and no one else can answer. With an address
//! alone it takes two, and you talk to whoever is there. `RUST_LOG=debug` shows every frame.

use std::error::Error;
use std::io::{IsTerminal, stderr};
use std::net::ToSocketAddrs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use handfast_tokio::{
    Config, ConnectError, Delivery, DisconnectOptions, DisconnectReason, EndReason, Endpoint,
    Identity, Listen, Target, entropy, explain,
};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let log = tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env());
    // A console of Windows does not show colours unless asked to.
    log.with_ansi(stderr().is_terminal() && !cfg!(windows)).with_writer(stderr).init();
    let target = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:4263".to_owned());
    match talk_to(&target).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simple_client: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn talk_to(name: &str) -> Result<(), Box<dyn Error>> {
    // A fresh key each time: to be the same peer tomorrow, keep the 32 bytes in a file.
    let identity = Identity::from_seed(entropy()?);
    let endpoint = Endpoint::bind(Config::default(), identity, Listen::all(0))?;
    println!("I am       {}", endpoint.id());

    println!("calling    {name}");
    let start = Instant::now();
    let peer = match endpoint.connect(resolve(name)?).await {
        Ok(peer) => peer,
        Err(error) => return Err(refusal(&error, name).into()),
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

/// Reads `HOST:PORT` or `PeerId@HOST:PORT`.
fn resolve(name: &str) -> Result<Target, String> {
    let (id, place) = match name.split_once('@') {
        Some((id, place)) => (Some(id.parse().map_err(|error| format!("{id}: {error}"))?), place),
        None => (None, name),
    };
    let found = place.to_socket_addrs().map_err(|error| {
        format!("cannot use {place} ({}): write HOST:PORT or PeerId@HOST:PORT", explain(&error))
    })?;
    let addresses: Vec<_> = found.collect();
    match (id, addresses.first()) {
        (_, None) => Err(format!("{place} has no address")),
        (Some(id), _) => Ok(Target::new(id, addresses)),
        (None, Some(first)) => Ok(Target::from(*first)),
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
