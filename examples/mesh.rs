//! Five nodes in a line and in a ring, on loopback. Each knows its neighbours alone, and the two ends talk over
//! several hops. In the ring one node between them is killed, and what they say keeps arriving.
//!
//! ```text
//! cargo run -p handfast-examples --example mesh
//! cargo run -p handfast-examples --example mesh -- mio
//! ```
//!
//! The first runs on tokio, the second on mio: there one thread turns all nodes.

use std::collections::BTreeSet;
use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use handfast_tokio::{
    Config, Delivery, Endpoint, ForwardingPolicy, Identity, Listen, Peer, PeerId, RouteInfo,
    Target, entropy,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).as_deref() == Some("mio") {
        return on_mio::run();
    }
    println!("a line: 0 - 1 - 2 - 3 - 4");
    let line = mesh(&LINE).await?;
    talk(&line[0], &line[4], 5, || ()).await?;
    println!("a ring: 0 - 1 - 2 - 3 - 4 - 0");
    let mut ring = mesh(&RING).await?;
    let mut between = Some(ring.remove(1));
    let kill = || {
        between.take().into_iter().for_each(|node| {
            println!("killed {}", node.id());
            drop(node)
        })
    };
    talk(&ring[0], &ring[1], 10, kill).await
}

const LINE: [(usize, usize); 4] = [(0, 1), (1, 2), (2, 3), (3, 4)];
const RING: [(usize, usize); 5] = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0)];
/// Any port.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Five nodes with these links, once all of them know a way to all others.
async fn mesh(links: &[(usize, usize)]) -> Result<Vec<Endpoint>, Box<dyn Error>> {
    let mut nodes = Vec::new();
    for (identity, config) in members(links)? {
        nodes.push(Endpoint::bind(config, identity, Listen::from(LOOPBACK))?);
    }
    for (a, b) in links {
        let target = Target::new(nodes[*b].id(), nodes[*b].local_addresses());
        nodes[*a].connect(target).await?;
    }
    for node in &nodes {
        while node.routes().await?.len() < 4 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    nodes[0].routes().await?.iter().for_each(print_route);
    Ok(nodes)
}

/// Who the five are: each names those that it is linked to.
fn members(links: &[(usize, usize)]) -> Result<Vec<(Identity, Config)>, Box<dyn Error>> {
    let mut identities = Vec::new();
    for _ in 0..5 {
        identities.push(Identity::from_seed(entropy()?));
    }
    let ids: Vec<_> = identities.iter().map(Identity::id).collect();
    let config = |n: usize| {
        let linked = links.iter().filter(|(a, b)| *a == n || *b == n);
        config(linked.map(|(a, b)| ids[if *a == n { *b } else { *a }]).collect())
    };
    Ok(identities.into_iter().enumerate().map(|(n, identity)| (identity, config(n))).collect())
}

fn print_route(route: &RouteInfo) {
    let (to, by) = (short(route.destination), short(route.next_hop));
    println!("{to} by way of {by}, metric {}", route.metric);
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

/// The same on mio.
mod on_mio {
    use std::error::Error;
    use std::time::{Duration, Instant};

    use handfast_mio::{Delivery, Endpoint, Event, PeerHandle, RouteInfo, Target};

    use super::{LINE, LOOPBACK, RING, members, print_route};

    /// Nodes, and what came to the first of them.
    struct Mesh {
        nodes: Vec<Endpoint>,
        heard: Vec<String>,
    }

    pub(super) fn run() -> Result<(), Box<dyn Error>> {
        println!("a line: 0 - 1 - 2 - 3 - 4");
        let mut line = Mesh::new(&LINE)?;
        let end = line.nodes[4].id();
        line.talk(end, 5, None)?;
        println!("a ring: 0 - 1 - 2 - 3 - 4 - 0");
        let mut ring = Mesh::new(&RING)?;
        let end = ring.nodes[2].id();
        ring.talk(end, 10, Some(1))
    }

    impl Mesh {
        fn new(links: &[(usize, usize)]) -> Result<Self, Box<dyn Error>> {
            let mut mesh = Self { nodes: Vec::new(), heard: Vec::new() };
            for (identity, config) in members(links)? {
                mesh.nodes.push(Endpoint::bind(config, identity, LOOPBACK)?);
            }
            for (a, b) in links {
                let target = Target::new(mesh.nodes[*b].id(), mesh.nodes[*b].local_addresses());
                mesh.nodes[*a].connect(target)?;
            }
            while mesh.nodes.iter().any(|node| node.routes().count() < 4) {
                mesh.turn()?;
            }
            let routes: Vec<RouteInfo> = mesh.nodes[0].routes().collect();
            routes.iter().for_each(print_route);
            Ok(mesh)
        }

        /// The first node says so many words to another, which says them back. After the third one between them is
        /// killed.
        fn talk(
            &mut self,
            to: handfast_mio::PeerId,
            words: u32,
            mut killed: Option<usize>,
        ) -> Result<(), Box<dyn Error>> {
            let peer = self.nodes[0].connect(Target::from(to))?;
            for word in 0..words {
                let sent = Instant::now();
                self.nodes[0].send(peer, Delivery::ordered(0), format!("word {word}"))?;
                while self.heard.is_empty() {
                    self.turn()?;
                }
                for back in self.heard.drain(..) {
                    println!("{back} after {:.1?}", sent.elapsed());
                }
                if let Some(node) = killed.take_if(|_| word == 2) {
                    println!("killed {}", self.nodes.remove(node).id());
                }
            }
            Ok(())
        }

        /// Each node has a turn.
        fn turn(&mut self) -> Result<(), Box<dyn Error>> {
            for (n, node) in self.nodes.iter_mut().enumerate() {
                node.turn(Some(Duration::from_millis(1)))?;
                while let Some(event) = node.poll_event() {
                    match event {
                        Event::Readable { peer } if n == 0 => self.heard.extend(words(node, peer)),
                        Event::Readable { peer } => {
                            for word in words(node, peer) {
                                node.send(peer, Delivery::ordered(0), word)?;
                            }
                        }
                        Event::RouteChanged { destination, route: Some(route), .. } if n == 0 => {
                            println!("{destination} by way of {} now", route.next_hop);
                        }
                        _ => {}
                    }
                }
            }
            Ok(())
        }
    }

    fn words(node: &mut Endpoint, peer: PeerHandle) -> Vec<String> {
        let messages = std::iter::from_fn(|| node.receive(peer));
        messages.map(|it| String::from_utf8_lossy(&it.payload).into_owned()).collect()
    }
}
