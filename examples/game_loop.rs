//! A game on mio: a server and two players at 60 frames a second, no async.
//!
//! ```text
//! cargo run -p handfast-examples --example game_loop
//! ```
//!
//! The state of the world goes to all players in each frame, sequenced: a state that is late is worth
//! nothing once a newer one is there, so it is never waited for and never sent again. What must not be
//! lost, such as a goal, is a reliable event on a channel of its own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use handfast_mio::{
    Config, Delivery, DisconnectOptions, DisconnectReason, Endpoint, Event, Identity, Message,
    PeerHandle, entropy,
};

const STATE: Delivery = Delivery::sequenced(0);
const EVENTS: Delivery = Delivery::ordered(1);
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 60);
const FRAMES: u32 = 180;
/// Who steps over this line scores.
const GOAL: u32 = 50;

type Anything = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Anything> {
    let server = endpoint()?;
    let address = server.local_addresses()[0];
    let players = [1, 2].map(|speed| thread::spawn(move || play(address, speed)));
    serve(server)?;
    for player in players {
        println!("{}", player.join().map_err(|_| "a player failed")??);
    }
    Ok(())
}

fn endpoint() -> Result<Endpoint, Anything> {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Ok(Endpoint::bind(Config::default(), Identity::from_seed(entropy()?), loopback)?)
}

/// Serves the network until the frame is over.
fn frame(
    endpoint: &mut Endpoint,
    end: Instant,
    mut on_event: impl FnMut(&mut Endpoint, Event),
) -> Result<(), Anything> {
    loop {
        endpoint.turn(Some(end.saturating_duration_since(Instant::now())))?;
        while let Some(event) = endpoint.poll_event() {
            on_event(endpoint, event);
        }
        if Instant::now() >= end {
            return Ok(());
        }
    }
}

/// Moves the players as they say, until all that came have left.
fn serve(mut endpoint: Endpoint) -> Result<(), Anything> {
    let mut positions: BTreeMap<PeerHandle, u32> = BTreeMap::new();
    let (mut came, mut end) = (0, Instant::now());
    while came == 0 || !positions.is_empty() {
        end += FRAME;
        let mut steps: Vec<(PeerHandle, Message)> = Vec::new();
        frame(&mut endpoint, end, |endpoint, event| match event {
            Event::Connected { peer, .. } => {
                positions.insert(peer, 0);
                came += 1;
            }
            Event::Readable { peer } => {
                let messages = std::iter::from_fn(|| endpoint.receive(peer));
                steps.extend(messages.map(|message| (peer, message)));
            }
            Event::Ended { peer, .. } => {
                positions.remove(&peer);
            }
            _ => {}
        })?;
        for (peer, step) in steps {
            let Some(at) = positions.get_mut(&peer) else { continue };
            let before = *at;
            *at += u32::from(step.payload.first().copied().unwrap_or(0));
            if before < GOAL && *at >= GOAL {
                let all: Vec<_> = positions.keys().copied().collect();
                let scorer = all.iter().position(|known| *known == peer).unwrap_or_default();
                endpoint.send_to_all(all, EVENTS, format!("a goal of number {scorer}"));
            }
        }
        let state: Vec<u8> = positions.values().flat_map(|at| at.to_le_bytes()).collect();
        // Who has no room for this state gets the next.
        let all: Vec<_> = positions.keys().copied().collect();
        endpoint.send_to_all(all, STATE, state);
    }
    Ok(())
}

/// Takes a step in each frame. Returns what the player saw.
fn play(server: SocketAddr, speed: u8) -> Result<String, Anything> {
    let mut endpoint = endpoint()?;
    let peer = endpoint.connect(server)?;
    let (mut states, mut goals, mut end) = (0, Vec::new(), Instant::now());
    for _ in 0..FRAMES {
        endpoint.send(peer, STATE, vec![speed])?;
        end += FRAME;
        frame(&mut endpoint, end, |endpoint, event| {
            let Event::Readable { peer } = event else { return };
            while let Some(message) = endpoint.receive(peer) {
                match message.delivery.channel {
                    0 => states += 1,
                    _ => goals.push(String::from_utf8_lossy(&message.payload).into_owned()),
                }
            }
        })?;
    }
    let reason = DisconnectReason::new(0, "played");
    endpoint.close(DisconnectOptions::default().with_reason(reason));
    endpoint.run(|endpoint, event| {
        if let Event::Readable { peer } = event {
            while endpoint.receive(peer).is_some() {}
        }
        ControlFlow::Continue(())
    })?;
    Ok(format!("a player saw {states} states and {} events: {}", goals.len(), goals.join(", ")))
}
