//! Two programs that know a server and each other's key, and no address of each other.
//!
//! ```text
//! cargo run -p handfast-server -- --relay
//! cargo run -p handfast-examples --example peer_to_peer -- wait PEERID@127.0.0.1:4263
//! cargo run -p handfast-examples --example peer_to_peer -- talk PEERID@127.0.0.1:4263 OTHER_PEERID
//! ```
//!
//! `PEERID` is the server's, as it says when it starts; `OTHER_PEERID` is what the one that waits says. Both
//! shake hands by way of the server, which passes on what it cannot read, and look for a direct way meanwhile,
//! through NATs if there are any. Each line `way` says how packets go from then on, and why. With `--map-port` behind
//! the other words the router is asked to forward a port, which helps where NATs are in the way. Whose router forwards one
//! already says so with `--advertise IP:PORT` before the other words: it listens at that port, and the other one is told.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use handfast_tokio::{
    Config, Connections, Delivery, DisconnectOptions, Endpoint, Identity, Listen, Peer, PeerId,
    PortMapping, Reconnect, Target, TargetName, entropy, resolve,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (advertised, words) = match &words[..] {
        ["--advertise", address, rest @ ..] => (Some(address.parse()?), rest),
        words => (None, words),
    };
    let (words, map_port) = match words {
        [words @ .., "--map-port"] => (words, true),
        words => (words, false),
    };
    match *words {
        ["wait", server] => wait(&server.parse()?, Ports { map_port, advertised }).await,
        ["talk", server, other] => {
            talk(&server.parse()?, other.parse()?, Ports { map_port, advertised }).await
        }
        _ => Err(
            "say `wait SERVER` or `talk SERVER PEERID`, SERVER as PEERID@HOST:PORT; --map-port \
                  may follow"
                .into(),
        ),
    }
}

/// Ports of the router that lead to us.
#[derive(Clone, Copy)]
struct Ports {
    /// It is to be asked for one.
    map_port: bool,
    /// One leads to us already.
    advertised: Option<SocketAddr>,
}

/// Has the router forward a port to us; peers are told of it. It is given back when `main` returns; after Ctrl-C
/// the router keeps it until its time is over.
fn ask_router(endpoint: &Endpoint) -> std::io::Result<PortMapping> {
    endpoint.map_port(None, |news| println!("port       {news}"))
}

/// An endpoint that stays connected to the server for as long as the second value lives.
async fn join(
    server: &TargetName,
    advertised: Option<SocketAddr>,
) -> Result<(Endpoint, Connections), Box<dyn Error>> {
    let identity = Identity::from_seed(entropy()?);
    let mut config = Config::default();
    config.punching.enabled = true;
    config.punching.advertise.extend(advertised);
    let port = advertised.map_or(0, |address| address.port());
    let endpoint = Endpoint::bind(config, identity, Listen::all(port))?;
    let mut connections = endpoint.keep_connected(resolve(server).await?, Reconnect::default());
    let server = connections.next().await?;
    println!("server     {}", server.id());
    println!("I am       {}", endpoint.id());
    Ok((endpoint, connections))
}

async fn wait(server: &TargetName, ports: Ports) -> Result<(), Box<dyn Error>> {
    let (endpoint, mut connections) = join(server, ports.advertised).await?;
    let mapping = ports.map_port.then(|| ask_router(&endpoint)).transpose()?;
    loop {
        tokio::select! {
            peer = endpoint.accept() => match peer {
                Some(peer) => _ = tokio::spawn(answer(peer)),
                None => break,
            },
            // The server was lost, and is found again, or does not want us.
            again = connections.next() => match again {
                Ok(server) => println!("server     {}", server.id()),
                Err(error) => {
                    println!("server     {error}");
                    break;
                }
            },
        }
    }
    mapping.into_iter().for_each(PortMapping::release);
    Ok(endpoint.close(DisconnectOptions::default()).await?)
}

/// Sends back whatever comes.
async fn answer(peer: Peer) {
    println!("connected  {}", peer.id());
    tokio::spawn(watch(peer.clone()));
    while let Some(message) = peer.recv().await {
        println!("heard      {}", String::from_utf8_lossy(&message.payload));
        if peer.send(message.delivery, message.payload).await.is_err() {
            break;
        }
    }
    println!("parted     {}", peer.closed().await);
}

async fn talk(server: &TargetName, other: PeerId, ports: Ports) -> Result<(), Box<dyn Error>> {
    let (endpoint, _connections) = join(server, ports.advertised).await?;
    let mapping = ports.map_port.then(|| ask_router(&endpoint)).transpose()?;
    let start = Instant::now();
    let peer = endpoint.connect(Target::from(other)).await?;
    println!("connected  {} in {:.1?}", peer.id(), start.elapsed());
    tokio::spawn(watch(peer.clone()));
    for word in ["hello", "are you there?", "still there?", "good bye"] {
        let sent = Instant::now();
        peer.send(Delivery::ordered(0), word).await?;
        let Some(echo) = peer.recv().await else { break };
        println!(
            "back       {} after {:.1?}",
            String::from_utf8_lossy(&echo.payload),
            sent.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("parted     {}", peer.disconnect(DisconnectOptions::default()).await);
    mapping.into_iter().for_each(PortMapping::release);
    Ok(())
}

/// Says how packets go to the peer, and why, whenever that changes.
async fn watch(peer: Peer) {
    let mut said = String::new();
    while let Some(info) = peer.info() {
        let way = info.verdict.to_string();
        if way != said {
            println!("way        {way}");
            said = way;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
