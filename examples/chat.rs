//! A chat room: one server, many clients, each line of text one reliable message.
//!
//! ```text
//! cargo run -p handfast-examples --example chat -- serve 127.0.0.1:4264
//! cargo run -p handfast-examples --example chat -- join 127.0.0.1:4264 ann
//! cargo run -p handfast-examples --example chat -- join 127.0.0.1:4264 ben
//! ```
//!
//! The server reads one stream of all events and messages, so that nobody is heard before they came or
//! after they left. It never waits for a client: one that is too slow to read misses lines.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::BufRead;
use std::net::SocketAddr;
use std::thread;

use handfast_tokio::{
    Config, Delivery, DisconnectOptions, DisconnectReason, Endpoint, Event, Identity, Listen, Peer,
    PeerHandle, Received, entropy,
};
use tokio::sync::mpsc;

/// All lines go in order on one channel.
const LINES: Delivery = Delivery::ordered(0);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["serve", address] => serve(address.parse()?).await,
        ["join", address, name] => join(address.parse()?, name).await,
        _ => Err("say `serve ADDRESS` or `join ADDRESS NAME`".into()),
    }
}

async fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let identity = Identity::from_seed(entropy()?);
    let endpoint = Endpoint::bind(Config::default(), identity, address)?;
    let mut incoming = endpoint.incoming().await?;
    println!("a room at {:?}", endpoint.local_addresses());
    let mut room = Room { endpoint, members: BTreeMap::new() };
    while let Some(received) = incoming.recv().await {
        match received {
            Received::Message { peer, message, .. } => {
                room.on_line(peer, &String::from_utf8_lossy(&message.payload));
            }
            Received::Event(Event::Ended { peer, .. }) => room.on_left(peer),
            _ => {}
        }
    }
    Ok(())
}

/// Who is here. The first line of each is the name.
struct Room {
    endpoint: Endpoint,
    members: BTreeMap<PeerHandle, (Peer, String)>,
}

impl Room {
    fn on_line(&mut self, peer: Peer, line: &str) {
        match self.members.get(&peer.handle()) {
            Some((_, name)) => self.tell_all(format!("{name}: {line}")),
            None => {
                self.tell_all(format!("{line} came"));
                self.members.insert(peer.handle(), (peer, line.to_owned()));
            }
        }
    }

    fn on_left(&mut self, peer: PeerHandle) {
        if let Some((_, name)) = self.members.remove(&peer) {
            self.tell_all(format!("{name} left"));
        }
    }

    fn tell_all(&self, line: String) {
        println!("{line}");
        let members = self.members.values();
        let refused = self.endpoint.send_to_all(members.map(|(peer, _)| peer), LINES, line);
        for (peer, error) in refused {
            eprintln!("{} misses a line: {error}", peer.id());
        }
    }
}

async fn join(server: SocketAddr, name: &str) -> Result<(), Box<dyn Error>> {
    let identity = Identity::from_seed(entropy()?);
    let endpoint = Endpoint::bind(Config::default(), identity, Listen::all(0))?;
    let peer = endpoint.connect(server).await?;
    peer.send(LINES, name.to_owned()).await?;
    let mut typed = lines_of_the_keyboard();
    loop {
        tokio::select! {
            line = typed.recv() => match line {
                Some(line) => peer.send(LINES, line).await?,
                None => break,
            },
            message = peer.recv() => match message {
                Some(message) => println!("{}", String::from_utf8_lossy(&message.payload)),
                None => return Err(peer.closed().await.to_string().into()),
            },
        }
    }
    // What was typed last still arrives.
    let bye = DisconnectOptions::default().with_reason(DisconnectReason::new(0, "bye"));
    println!("{}", peer.disconnect(bye).await);
    Ok(())
}

/// A thread reads them: reading a terminal blocks.
fn lines_of_the_keyboard() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(16);
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}
