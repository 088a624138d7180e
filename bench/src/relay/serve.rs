//! The relays of this program, each the only work of a process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

use handfast_core::Budget;
use handfast_tokio::{Config, Endpoint, ForwardingPolicy, Identity, entropy};
use tokio::runtime::Builder;

use crate::process::tell;

/// The first word of a command line that asks for a relay.
pub(crate) const WORD: &str = "relay-process";

/// Serves as the relay that the words name, until the standard input ends.
///
/// # Errors
/// When the words are not understood, or there is no relay.
pub(crate) fn serve(words: &[String]) -> Result<(), String> {
    let relay: Box<dyn FnOnce() -> io::Result<()> + Send> = match words {
        [kind, ends @ ..] if kind == "raw" => {
            let ends: Result<Vec<SocketAddr>, _> = ends.iter().map(|end| end.parse()).collect();
            match ends.ok().and_then(|ends| <[SocketAddr; 2]>::try_from(ends).ok()) {
                Some(ends) => Box::new(move || copy(ends)),
                None => return Err("name the two ends".into()),
            }
        }
        [kind] if kind == "tokio" => Box::new(on_tokio),
        [kind] if kind == "mio" => Box::new(on_mio),
        _ => return Err("there is no such relay".into()),
    };
    thread::spawn(move || {
        if let Err(error) = relay() {
            eprintln!("error: {error}");
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop).map_err(|error| error.to_string())
}

/// Copies datagrams from each end to the other.
fn copy(ends: [SocketAddr; 2]) -> io::Result<()> {
    let socket = UdpSocket::bind(LOOPBACK)?;
    tell(socket.local_addr()?)?;
    let mut buffer = [0; 2048];
    loop {
        // Either may fail when an end is gone for a moment.
        let Ok((len, from)) = socket.recv_from(&mut buffer) else { continue };
        let to = if from == ends[0] { ends[1] } else { ends[0] };
        socket.send_to(&buffer[..len], to).ok();
    }
}

fn on_tokio() -> io::Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        let endpoint = Endpoint::bind(config(), identity()?, LOOPBACK)?;
        tell(endpoint.local_addresses()[0])?;
        while endpoint.accept().await.is_some() {}
        Ok(())
    })
}

fn on_mio() -> io::Result<()> {
    let mut endpoint = handfast_mio::Endpoint::bind(config(), identity()?, LOOPBACK)?;
    tell(endpoint.local_addresses()[0])?;
    loop {
        endpoint.turn(None)?;
        while endpoint.poll_event().is_some() {}
    }
}

fn identity() -> io::Result<Identity> {
    entropy().map(Identity::from_seed)
}

/// A relay for anyone, as many as come from one address, as fast as it can.
fn config() -> Config {
    let mut config = Config::default();
    config.forwarding.policy = ForwardingPolicy::Anyone;
    config.forwarding.pair_rate = FAST;
    config.forwarding.peer_rate = FAST;
    config.forwarding.total_rate = FAST;
    let many = Budget::new(10_000, 10_000);
    config.budgets.unvalidated = many;
    config.budgets.unvalidated_per_source = many;
    config
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// In bytes per second: no limit on this machine.
const FAST: u64 = 10_000_000_000;
