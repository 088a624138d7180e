//! The program is killed in the middle of traffic and started again: it is the same peer, and its
//! clients need not be told.
#![cfg(unix)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Client, PATIENCE, Scratch, Server, pairs};
use handfast_mio::{Delivery, Event, Fate, MessageId};

#[test]
fn a_killed_server_is_back_for_its_clients_and_gets_no_message_twice() {
    for (first, second) in pairs() {
        let scratch = Scratch::new(&format!("kill-{first}"));
        let local = ["--runtime", first, "--listen", "127.78.0.1:0"];
        let server = Server::start(&scratch.0, &local);
        let (id, address) = (server.id, server.address.to_string());
        let mut client = Client::connect(id, server.address);
        let before = say(&mut client, 0..MESSAGES);
        client.endpoint.turn(Some(PATIENCE)).expect("a turn");
        let mut first_life = vec![server.log(" message ")];
        server.signal("KILL");
        first_life.extend(server.rest());
        let after = say(&mut client, MESSAGES..2 * MESSAGES);

        let server = Server::start(&scratch.0, &["--runtime", second, "--listen", &address]);
        assert_eq!(server.id, id, "the key was kept");
        let (fates, restarts) = fates(&mut client, before.len() + after.len());
        assert_eq!(restarts, 1);
        server.signal("TERM");
        let second_life = heard(&server.rest());
        let first_life = heard(&first_life);
        assert!(first_life.is_disjoint(&second_life), "something came twice");
        for (number, message) in (0..).zip(before.iter().chain(&after)) {
            match fates[message] {
                Fate::Unknown => assert!(!second_life.contains(&number), "{number} was given up"),
                // The program may have died before it said so.
                Fate::Acked if number < MESSAGES => {}
                Fate::Acked => assert!(second_life.contains(&number), "{number} was lost"),
                fate => panic!("{number} ended as {fate:?}"),
            }
        }
        let last = after.last().expect("many");
        assert_eq!(fates[last], Fate::Acked, "it was certainly not sent when the server died");
    }
}

/// Messages whose length tells their number.
fn say(client: &mut Client, numbers: std::ops::Range<usize>) -> Vec<MessageId> {
    let delivery = Delivery::ordered(0).with_receipt();
    let (endpoint, peer) = (&mut client.endpoint, client.peer);
    numbers
        .map(|number| endpoint.send(peer, delivery, vec![7; number + 1]).expect("sent"))
        .collect()
}

/// Every message's fate, and how often the client was told of a restart.
fn fates(client: &mut Client, count: usize) -> (BTreeMap<MessageId, Fate>, usize) {
    let (mut fates, mut restarts) = (BTreeMap::new(), 0);
    while fates.len() < count || restarts == 0 {
        match client.wait(|event| Some(event.clone())) {
            Event::Fate { message, fate, .. } => assert_eq!(fates.insert(message, fate), None),
            Event::Restarted { .. } => restarts += 1,
            Event::Ended { reason, .. } => panic!("{reason}"),
            _ => {}
        }
    }
    (fates, restarts)
}

/// The messages in a log, each once.
fn heard(log: &[String]) -> BTreeSet<usize> {
    let mut numbers = BTreeSet::new();
    for line in log.iter().filter(|line| line.contains(" message ")) {
        let bytes = line.split(' ').find_map(|word| word.strip_prefix("bytes=")).expect("a length");
        let number = bytes.parse::<usize>().expect("a number") - 1;
        assert!(numbers.insert(number), "{number} came twice");
    }
    numbers
}

const MESSAGES: usize = 1000;
