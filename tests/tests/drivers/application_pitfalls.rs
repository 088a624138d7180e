//! What an application does to a driver: being slow, being gone, wanting everything at once.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use handfast_core::{Delivery, DisconnectOptions, DisconnectReason, EndReason, Fate};
use handfast_tests::{Node, Outgoing, Runtime, Setup, What, digest, within};

#[test]
fn an_application_that_takes_no_messages_holds_back_nothing_else() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            let mut setup = Setup::new(runtime, 2);
            setup.config.flow.max_message = 1 << 18;
            setup.config.flow.receive_window = 1 << 19;
            let server = Node::start(Setup { deaf: true, ..setup });
            let client = Node::start(Setup::new(runtime, 1));
            let peer = client.connect(server.address()).expect("connected");
            let initiator = server.accept();
            // Far more than the server lets in.
            for tag in 0..64 {
                client.send(peer, message(tag, Delivery::ordered(0), 1 << 16));
            }
            client.ping(peer);
            let (mut acked, mut pongs) = (0, 0);
            // What fits is acknowledged though nobody takes it; pings are answered.
            while acked < 1 || pongs < 1 {
                match client.next().what {
                    What::Fate(tag, Fate::Acked) => acked += u64::from(tag < 64),
                    What::Pong => pongs += 1,
                    other => panic!("{other:?}"),
                }
            }
            // The other direction flows, retransmission and all.
            for tag in 0..200 {
                server.send(initiator, message(tag, Delivery::ordered(0), 10_000));
            }
            let mut received = 0;
            while received < 200 {
                if let What::Message(message) = client.next().what {
                    assert_eq!(message.payload, digest::bytes(received, 10_000));
                    received += 1;
                }
            }
            // Others are served.
            let other = Node::start(Setup::new(runtime, 3));
            let peer = other.connect(server.address()).expect("connected");
            other.send(peer, message(0, Delivery::reliable(0), 1000));
            assert_eq!(other.next().what, What::Fate(0, Fate::Acked));
        });
    }
}

#[test]
fn closing_in_the_middle_of_traffic_delivers_what_linger_allows() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            let (client, server) = (start(runtime, 1), start(runtime, 2));
            let peer = client.connect(server.address()).expect("connected");
            let initiator = server.accept();
            for tag in 0..50 {
                client.send(peer, message(tag, Delivery::ordered(0), 50_000));
                server.send(initiator, message(tag, Delivery::ordered(0), 50_000));
            }
            // On tokio, sends are tasks of their own: wait until the last one is on its way.
            while client.next().what != What::Fate(40, Fate::Acked) {}
            let closing = DisconnectReason::new(3, "closing");
            let farewell = DisconnectOptions::after(Duration::from_secs(30));
            client.close(farewell.with_reason(closing.clone()));
            let mut heard = 0;
            let reason = loop {
                match server.next().what {
                    What::Message(message) => {
                        assert_eq!(message.payload, digest::bytes(heard, 50_000));
                        heard += 1;
                    }
                    What::Fate(..) => {}
                    What::Ended(reason) => break reason,
                    other => panic!("{other:?}"),
                }
            };
            assert!(heard > 40, "{heard}");
            assert_eq!(reason, EndReason::PeerDisconnected { reason: closing, complete: true });
        });
    }
}

#[test]
fn closing_at_once_in_the_middle_of_traffic_says_goodbye() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            let (client, server) = (start(runtime, 1), start(runtime, 2));
            let peer = client.connect(server.address()).expect("connected");
            let initiator = server.accept();
            for tag in 0..200 {
                client.send(peer, message(tag, Delivery::ordered(0), 50_000));
                server.send(initiator, message(tag, Delivery::ordered(0), 50_000));
            }
            assert!(matches!(server.next().what, What::Message(_) | What::Fate(..)));
            client.close(DisconnectOptions::now());
            let reason = loop {
                if let What::Ended(reason) = server.next().what {
                    break reason;
                }
            };
            let EndReason::PeerDisconnected { reason, .. } = reason else { panic!("{reason}") };
            assert_eq!(reason, DisconnectReason::default());
        });
    }
}

#[test]
fn commands_of_many_threads_are_all_obeyed_each_thread_s_in_order() {
    for runtime in Runtime::ALL {
        within(HANG, move || {
            let (client, server) = (start(runtime, 1), start(runtime, 2));
            let peer = client.connect(server.address()).expect("connected");
            let (threads, each) = (8_u16, 2000_u64);
            thread::scope(|scope| {
                for channel in 0..threads {
                    let commander = client.commander();
                    scope.spawn(move || {
                        for tag in 0..each {
                            commander.send(peer, message(tag, Delivery::ordered(channel), 100));
                        }
                    });
                }
            });
            let initiator = server.accept();
            let mut next = BTreeMap::<u16, u64>::new();
            for _ in 0..u64::from(threads) * each {
                let happening = server.next();
                assert_eq!(happening.peer, initiator);
                let What::Message(message) = happening.what else { panic!("{happening:?}") };
                let next = next.entry(message.delivery.channel).or_default();
                assert_eq!(message.payload, digest::bytes(*next, 100));
                *next += 1;
            }
        });
    }
}

fn start(runtime: Runtime, identity: u8) -> Node {
    Node::start(Setup::new(runtime, identity))
}

fn message(tag: u64, delivery: Delivery, len: usize) -> Outgoing {
    Outgoing { tag, delivery: delivery.with_receipt(), payload: digest::bytes(tag, len) }
}

const HANG: Duration = Duration::from_secs(60);
