//! The servers, each the only work of a process.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use handfast_tokio::{Budget, Config, Endpoint, Identity, entropy};
use rusty_enet::{Host, HostSettings};
use tokio::runtime::{Builder, Runtime};

use super::CHANNELS;
use crate::process::tell;
use crate::systems::Configs;

/// The first word of a command line that asks for a server.
pub(crate) const WORD: &str = "idle-process";

/// Serves as the system that the words name, until the standard input ends.
///
/// # Errors
/// When there is no such server.
pub(crate) fn serve(words: &[String]) -> Result<(), String> {
    let [system, peers] = words else { return Err("name the server and its peers".into()) };
    let peers: usize = peers.parse().map_err(|_| "name the number of peers")?;
    let server: fn(usize) -> io::Result<()> = match system.as_str() {
        "tokio" => |_| on_tokio(),
        "mio" => |_| on_mio(),
        "quinn" => |_| quinn(),
        "enet" => enet,
        _ => return Err("there is no such server".into()),
    };
    thread::spawn(move || {
        if let Err(error) = server(peers) {
            eprintln!("error: {error}");
        }
    });
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop).map_err(|error| error.to_string())
}

fn on_tokio() -> io::Result<()> {
    runtime()?.block_on(async {
        let endpoint = Endpoint::bind(config(), identity()?, LOOPBACK)?;
        tell(endpoint.local_addresses()[0])?;
        while let Some(peer) = endpoint.accept().await {
            tokio::spawn(async move { while peer.recv().await.is_some() {} });
        }
        Ok(())
    })
}

fn on_mio() -> io::Result<()> {
    let mut endpoint = handfast_mio::Endpoint::bind(config(), identity()?, LOOPBACK)?;
    tell(endpoint.local_addresses()[0])?;
    loop {
        endpoint.turn(None)?;
        while let Some(event) = endpoint.poll_event() {
            if let Some(peer) = event.peer() {
                while endpoint.receive(peer).is_some() {}
            }
        }
    }
}

fn quinn() -> io::Result<()> {
    runtime()?.block_on(async {
        let config = Configs::new().server.as_ref().clone();
        let endpoint = quinn::Endpoint::server(config, LOOPBACK)?;
        tell(endpoint.local_addr()?)?;
        while let Some(incoming) = endpoint.accept().await {
            tokio::spawn(async move {
                let Ok(connection) = incoming.await else { return };
                while let Ok(mut stream) = connection.accept_uni().await {
                    tokio::spawn(async move {
                        while let Ok(Some(_)) = stream.read_chunk(usize::MAX, true).await {}
                    });
                }
            });
        }
        Ok(())
    })
}

/// It makes room for all peers at its start.
fn enet(peers: usize) -> io::Result<()> {
    let socket = UdpSocket::bind(LOOPBACK)?;
    tell(socket.local_addr()?)?;
    let settings = HostSettings {
        peer_limit: peers,
        channel_limit: CHANNELS.into(),
        ..HostSettings::default()
    };
    let host = Host::new(socket, settings);
    let mut host = host.map_err(|error| io::Error::other(error.to_string()))?;
    loop {
        while host.service().map_err(io::Error::other)?.is_some() {}
        thread::sleep(Duration::from_millis(1));
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn identity() -> io::Result<Identity> {
    entropy().map(Identity::from_seed)
}

/// The defaults, with room for everybody, all of whom come from one address, as fast as they come.
fn config() -> Config {
    let mut config = Config::default();
    config.limits.max_peers = 1 << 20;
    let many = Budget::new(100_000, 1_000_000);
    config.budgets.unvalidated = many;
    config.budgets.unvalidated_per_source = many;
    config
}

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
