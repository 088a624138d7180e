//! Five nodes in a line and in a ring, on loopback. Each knows its neighbours alone, and the two ends talk over
//! several hops. In the ring one node between them is killed, and what they say keeps arriving.
//!
//! ```text
//! cargo run -p handfast-examples --example mesh
//! ```

use std::collections::BTreeSet;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use handfast_tokio::{
    Config, Delivery, Endpoint, ForwardingPolicy, Identity, Listen, Peer, PeerId, Target, entropy,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    println!("a line: 0 - 1 - 2 - 3 - 4");
    let line = mesh(&[(0, 1), (1, 2), (2, 3), (3, 4)]).await?;
    talk(&line[0], &line[4], 5, || ()).await?;
    println!("a ring: 0 - 1 - 2 - 3 - 4 - 0");
    let mut ring = mesh(&[(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)]).await?;
    let mut between = Some(ring.remove(1));
    let kill = || {
        between.take().into_iter().for_each(|node| {
            println!("killed {}", node.id());
            drop(node)
        })
    };
    talk(&ring[0], &ring[1], 10, kill).await
}

/// Any port.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Five nodes with these links, once all of them know a way to all others.
async fn mesh(links: &[(usize, usize)]) -> Result<Vec<Endpoint>, Box<dyn Error>> {
    let mut seeds = Vec::new();
    for _ in 0..5 {
        seeds.push(entropy()?);
    }
    let ids: Vec<_> = seeds.iter().map(|seed| Identity::from_seed(*seed).id()).collect();
    let mut nodes = Vec::new();
    for (n, seed) in seeds.into_iter().enumerate() {
        let linked = links.iter().filter(|(a, b)| *a == n || *b == n);
        let transit = linked.map(|(a, b)| ids[if *a == n { *b } else { *a }]).collect();
        nodes.push(Endpoint::bind(
            config(transit),
            Identity::from_seed(seed),
            Listen::from(LOOPBACK),
        )?);
    }
    for (a, b) in links {
        nodes[*a].connect(Target::new(ids[*b], nodes[*b].local_addresses())).await?;
    }
    for node in &nodes {
        while node.routes().await?.len() < 4 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    for route in nodes[0].routes().await? {
        println!(
            "{} by way of {}, metric {}",
            short(route.destination),
            short(route.next_hop),
            route.metric
        );
    }
    Ok(nodes)
}

/// Tells of itself, exchanges routes with its neighbours, and passes packets on.
fn config(transit: BTreeSet<PeerId>) -> Config {
    let mut config = Config::default();
    config.forwarding.policy = ForwardingPolicy::Anyone;
    config.routing.announce = true;
    config.routing.transit = transit;
    config
}

/// One says so many words to the other, who says them back. After the third something happens.
async fn talk(
    from: &Endpoint,
    to: &Endpoint,
    words: u32,
    mut happens: impl FnMut(),
) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let peer = from.connect(Target::from(to.id())).await?;
    println!("connected {:?} in {:.1?}", peer.path().map(|path| path.to_string()), began.elapsed());
    tokio::spawn(answer(to.clone(), from.id()));
    for word in 0..words {
        let sent = Instant::now();
        peer.send(Delivery::ordered(0), format!("word {word}")).await?;
        let back = peer.recv().await.ok_or("the peer is gone")?;
        println!("{} after {:.1?}", String::from_utf8_lossy(&back.payload), sent.elapsed());
        if word == 2 {
            happens();
        }
    }
    Ok(())
}

/// Sends back what this peer says.
async fn answer(node: Endpoint, from: PeerId) {
    while let Some(peer) = node.accept().await {
        if peer.id() == from {
            echo(&peer).await;
        }
    }
}

async fn echo(peer: &Peer) {
    while let Some(message) = peer.recv().await {
        if peer.send(message.delivery, message.payload).await.is_err() {
            break;
        }
    }
}

fn short(id: PeerId) -> String {
    id.to_string().chars().take(8).collect()
}
