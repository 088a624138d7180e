//! Many small messages, which drivers and core handle many at a time, and single ones, of which each has to wake
//! whoever waits for it.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use handfast_core::{
    Bytes, Config, Delivery, DisconnectOptions, DisconnectReason, EndReason, Event, Identity,
    PeerHandle,
};
use handfast_mio::Endpoint;
use handfast_tests::{Node, Outgoing, Runtime, Setup, What, loopback, within};

/// Reliable ones arrive once and in order, others at most once, both ways at the same time; and what was handed over
/// before a goodbye arrives before it.
#[test]
fn a_flood_of_small_messages_both_ways_keeps_its_promises_up_to_the_goodbye() {
    for (one, other) in [(0, 1), (1, 0)] {
        let runtimes = [one, other].map(|at: usize| Runtime::ALL[at]);
        within(HANG, move || flood(runtimes, Duration::ZERO));
    }
}

/// The same of ends that ask their sockets again and again before they wait.
#[test]
fn ends_that_poll_busily_keep_the_same_promises() {
    for (one, other) in [(0, 1), (1, 0)] {
        let runtimes = [one, other].map(|at: usize| Runtime::ALL[at]);
        within(HANG, move || flood(runtimes, BUSY));
    }
}

fn flood(runtimes: [Runtime; 2], busy_poll: Duration) {
    let (client, server, [to_server, to_client]) = pair(runtimes, busy_poll);
    for number in 0..FLOOD {
        for (node, peer) in [(&client, to_server), (&server, to_client)] {
            let delivery = if number % 2 == 0 { RELIABLE } else { UNRELIABLE };
            node.send(peer, Outgoing { tag: number, delivery, payload: payload(number) });
        }
    }
    let mut heard = Heard::default();
    while heard.reliable < FLOOD / 2 {
        heard.note(client.next().what);
    }
    let reason = DisconnectReason::new(7, "said all");
    let farewell = DisconnectOptions::after(HANG).with_reason(reason.clone());
    client.disconnect(to_server, farewell);
    let mut heard = Heard::default();
    let end = loop {
        match server.next().what {
            What::Ended(end) => break end,
            what => heard.note(what),
        }
    };
    assert_eq!(end, EndReason::PeerDisconnected { reason, complete: true });
    assert_eq!(heard.reliable, FLOOD / 2);
}

#[derive(Default)]
struct Heard {
    reliable: u64,
    unreliable: BTreeSet<u64>,
}

impl Heard {
    fn note(&mut self, what: What) {
        let What::Message(message) = what else { return };
        let number = message.payload[..8].try_into().map(u64::from_le_bytes).expect("a number");
        assert!(message.payload == payload(number), "{number} is garbled");
        if message.delivery.reliable {
            assert_eq!(number, self.reliable * 2);
            self.reliable += 1;
        } else {
            assert!(number % 2 == 1 && self.unreliable.insert(number), "{number} came twice");
        }
    }
}

/// One datagram at a time, and nothing that would come again if an end slept over it: a reader that takes a socket
/// for empty must be told of what comes next.
#[test]
fn each_of_many_single_datagrams_wakes_the_end_that_waits_for_it() {
    for (runtime, busy_poll) in
        Runtime::ALL.into_iter().flat_map(|it| [(it, Duration::ZERO), (it, BUSY)])
    {
        within(HANG, move || {
            let (client, server, [to_server, to_client]) = pair([runtime; 2], busy_poll);
            let mut lost = 0;
            for number in 0..ROUNDS {
                let say = |node: &Node, peer| {
                    let message =
                        Outgoing { tag: number, delivery: UNRELIABLE, payload: payload(number) };
                    node.send(peer, message);
                };
                say(&client, to_server);
                let heard = hears(&server, number);
                say(&server, to_client);
                lost += u64::from(!heard) + u64::from(!hears(&client, number));
            }
            // A system may drop a datagram of its own, but not many.
            assert!(lost <= ROUNDS / 100, "{lost} of {ROUNDS} on {runtime:?}");
        });
    }
}

/// Messages that are handed over one after the other share a reading of the clock, but not with those before a pause: else
/// the first would be taken for old before it was ever sent.
#[test]
fn a_message_that_follows_a_pause_without_a_turn_is_no_older_than_it_is() {
    within(HANG, || {
        let server = Node::start(Setup::new(Runtime::Mio, 2));
        let identity = Identity::from_seed([1; 32]);
        let mut client = Endpoint::bind(Config::default(), identity, loopback()).expect("bound");
        let peer = client.connect(server.address()).expect("a dial");
        while !matches!(client.poll_event(), Some(Event::Connected { .. })) {
            client.turn(Some(MOMENT)).expect("no fatal error");
        }
        let _to_client = server.accept();
        let say = |client: &mut Endpoint, number| {
            client.send(peer, UNRELIABLE, payload(number)).expect("room");
        };
        (0..10).for_each(|number| say(&mut client, number));
        // What waits for longer than that is not sent any more.
        thread::sleep(Config::default().flow.unreliable_age + Duration::from_millis(100));
        (10..20).for_each(|number| say(&mut client, number));
        let heard = loop {
            client.turn(Some(MOMENT)).expect("no fatal error");
            match server.next_within(MOMENT).map(|happening| happening.what) {
                Some(What::Message(message)) => break message.payload,
                Some(What::Ended(end)) => panic!("{end}"),
                _ => {}
            }
        };
        assert!((10..20).any(|number| heard == payload(number)), "only what is old came");
    });
}

/// Whether this unreliable message comes. Nothing else is on the way that would bring it along.
fn hears(node: &Node, number: u64) -> bool {
    while let Some(happening) = node.next_within(Duration::from_secs(2)) {
        if let What::Message(message) = happening.what
            && message.payload == payload(number)
        {
            return true;
        }
    }
    false
}

fn pair(runtimes: [Runtime; 2], busy_poll: Duration) -> (Node, Node, [PeerHandle; 2]) {
    let [client, server] = [(0, 1), (1, 2)].map(|(at, identity)| {
        let runtime: Runtime = runtimes[at];
        Node::start(Setup { busy_poll, ..Setup::new(runtime, identity) })
    });
    let to_server = client.connect(server.address()).expect("connected");
    let to_client = server.accept();
    (client, server, [to_server, to_client])
}

fn payload(number: u64) -> Bytes {
    Bytes::copy_from_slice(&[number.to_le_bytes(); 8].concat())
}

const RELIABLE: Delivery = Delivery::ordered(1);
const UNRELIABLE: Delivery = Delivery::unreliable(2);
/// Short beside the pauses of the test, long beside a round trip.
const BUSY: Duration = Duration::from_micros(300);
const MOMENT: Duration = Duration::from_millis(5);
const FLOOD: u64 = 20_000;
const ROUNDS: u64 = 500;
const HANG: Duration = Duration::from_secs(150);
