//! Two peers, a bad network, and no network at all: a seeded simulation in virtual time.
//!
//! ```text
//! cargo run -p handfast-sim --example offline_demo               # another run each time
//! cargo run -p handfast-sim --example offline_demo -- --seed 7   # the same run each time, byte for byte
//! cargo run -p handfast-sim --example offline_demo -- --nat      # both behind NATs; with --seed as well
//! ```
//!
//! Alice sends Bob ten messages over a link that loses a fifth of all datagrams, each way. These
//! are the real protocol machines: only the clock, the randomness and the wire are simulated.

#[path = "offline_demo/nat.rs"]
mod nat;

use std::process::ExitCode;
use std::time::Duration;

use handfast_core::{Config, Delivery, DisconnectOptions, DisconnectReason, Event, Fate, Target};
use handfast_sim::{App, Conditions, Cx, NodeId, Probability, World};

/// Both applications: what the two do about events.
struct Story {
    alice: NodeId,
    acked: u32,
    received: Vec<String>,
}

impl App for Story {
    fn on_event(&mut self, cx: &mut Cx<'_>, event: &Event) {
        let now = cx.now();
        match event {
            Event::Connected { peer, .. } if cx.node() == self.alice => {
                for number in 1..=MESSAGES {
                    let delivery = Delivery::ordered(0).with_receipt();
                    let text = format!("message {number}").into();
                    cx.endpoint().send(now, *peer, delivery, text).expect("room for ten");
                }
            }
            Event::Fate { peer, fate: Fate::Acked, .. } => {
                self.acked += 1;
                if self.acked == MESSAGES {
                    let reason = DisconnectReason::new(0, "that was all");
                    let farewell =
                        DisconnectOptions::after(Duration::from_secs(2)).with_reason(reason);
                    cx.endpoint().disconnect(now, *peer, farewell).expect("connected");
                }
            }
            Event::Readable { peer } => {
                while let Some(message) = cx.endpoint().receive(now, *peer) {
                    self.received.push(String::from_utf8_lossy(&message.payload).into_owned());
                }
            }
            _ => {}
        }
    }
}

/// Runs the story of a seed and prints it. False if it did not end well.
fn tell(seed: u64) -> bool {
    println!("seed {seed}: 20 % loss, 5 % duplication, 40 ms and up to 20 ms more each way\n");
    let mut world = World::new(seed);
    world.record(true);
    let alice = world.add_node(Config::default(), [1; 32], &["10.0.0.1:4263".parse().unwrap()]);
    let bob = world.add_node(Config::default(), [2; 32], &["10.0.0.2:4263".parse().unwrap()]);
    world.set_name(alice, "alice");
    world.set_name(bob, "bob");
    world.network().set_all(Conditions {
        latency: Duration::from_millis(40),
        jitter: Duration::from_millis(20),
        loss: Probability::percent(20),
        duplication: Probability::percent(5),
        ..Conditions::default()
    });

    // Alice knows where Bob is, not who he is: he tells her, at the price of a round trip.
    let mut story = Story { alice, acked: 0, received: Vec::new() };
    let target = Target::from(world.addresses(bob).next().expect("bob's address"));
    let dial = world.with(alice, |endpoint, now| endpoint.connect(now, target));
    dial.expect("nothing speaks against it");
    world.run_until_with(Duration::from_secs(60), &mut story);
    world.lines().iter().for_each(|line| println!("{line}"));

    let lost = world.faults().lost;
    println!("\n{} datagrams, {lost} lost. Bob received, in order:", world.datagrams());
    println!("{}", story.received.join(", "));
    println!("\nThe same again: cargo run -p handfast-sim --example offline_demo -- --seed {seed}");
    story.received.len() == MESSAGES as usize && story.acked == MESSAGES
}

fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args().skip(1).collect();
    let behind_nats = arguments.first().is_some_and(|first| first == "--nat");
    arguments.drain(..usize::from(behind_nats));
    let seed = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => getrandom::u32().map(u64::from).ok(),
        ["--seed", seed] => seed.parse().ok(),
        _ => None,
    };
    let Some(seed) = seed else {
        eprintln!(
            "offline_demo: write nothing, or --nat, and then nothing, or --seed and a number"
        );
        return ExitCode::from(2);
    };
    let told = if behind_nats { nat::tell(seed) } else { tell(seed) };
    if told { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const MESSAGES: u32 = 10;

#[cfg(test)]
mod tests {
    #[test]
    fn both_stories_end_well() {
        assert!(super::tell(7));
        for seed in 1..=5 {
            assert!(super::nat::tell(seed), "seed {seed}, behind NATs");
        }
    }
}
