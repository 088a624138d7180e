//! Two endpoints on loopback, each with its thread.

use std::net::{SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use handfast_mio::{
    Admission, Config, Delivery, DisconnectOptions, DisconnectReason, EndReason, Endpoint, Event,
    Fate, Identity, Listen, Message, NetworkSecret, Reconnect, Refusal, SendError, Target,
    TargetName, entropy,
};

const MESSAGES: u32 = 20_000;

fn endpoint() -> Endpoint {
    let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let identity = Identity::from_seed(entropy().expect("entropy"));
    Endpoint::bind(Config::default(), identity, Listen::from(address)).expect("bound")
}

#[test]
fn peers_meet_talk_and_part() {
    let (mut alice, mut bob) = (endpoint(), endpoint());
    let (bob_id, bob_address, remote) = (bob.id(), bob.local_addresses()[0], bob.remote());
    let (ended, end) = channel();
    let server = thread::spawn(move || {
        let mut expected = 0;
        bob.run(|bob, event| {
            match event {
                Event::Readable { peer } => {
                    while let Some(message) = bob.receive(peer) {
                        assert_eq!(number(&message), expected);
                        expected += 1;
                    }
                }
                Event::Ended { reason, .. } => ended.send((expected, reason)).expect("a listener"),
                _ => {}
            }
            ControlFlow::Continue(())
        })
        .expect("no fatal error");
        assert!(bob.is_closed());
    });

    let peer = alice.connect(bob_address).expect("a dial");
    let (mut next, mut fates) = (0_u32, Vec::new());
    let mut pong = None;
    while !alice.is_closed() {
        alice.turn(Some(Duration::from_secs(30))).expect("no fatal error");
        while let Some(event) = alice.poll_event() {
            match event {
                Event::Connected { id, .. } => {
                    assert_eq!(id, bob_id);
                    alice.ping(peer).expect("a ping");
                    next = send_from(&mut alice, next);
                }
                Event::Writable { .. } => next = send_from(&mut alice, next),
                Event::Pong { rtt, .. } => pong = Some(rtt),
                Event::Fate { fate, .. } => {
                    fates.push(fate);
                    let reason = DisconnectReason::new(7, "done");
                    alice.close(
                        DisconnectOptions::after(Duration::from_secs(30)).with_reason(reason),
                    );
                }
                _ => {}
            }
        }
    }
    assert_eq!(fates, [Fate::Acked]);
    assert!(pong.expect("a pong") > Duration::ZERO);
    let end = end.recv_timeout(Duration::from_secs(30)).expect("an end");
    assert_eq!(
        end,
        (
            MESSAGES,
            EndReason::PeerDisconnected {
                reason: DisconnectReason::new(7, "done"),
                complete: true
            }
        )
    );
    remote.run(|bob| bob.close(DisconnectOptions::default())).expect("room");
    server.join().expect("no panic");
}

/// What closed means is the core's to say, on every runtime.
#[test]
fn an_endpoint_is_not_closed_before_the_messages_that_arrived_are_received() {
    let (mut alice, mut bob) = (endpoint(), endpoint());
    let to_bob = alice.connect(bob.local_addresses()[0]).expect("a dial");
    let start = Instant::now();
    let mut turn_until =
        |alice: &mut Endpoint, done: &dyn Fn(&Endpoint, Option<&Event>) -> bool| {
            loop {
                assert!(start.elapsed() < Duration::from_secs(60), "hangs");
                alice.turn(Some(Duration::ZERO)).expect("no fatal error");
                bob.turn(Some(Duration::ZERO)).expect("no fatal error");
                if let Some(Event::Connected { peer, .. }) = bob.poll_event() {
                    bob.send(peer, Delivery::ordered(0), "hello").expect("room");
                }
                let event = alice.poll_event();
                if done(alice, event.as_ref()) {
                    return;
                }
            }
        };
    turn_until(&mut alice, &|_, event| matches!(event, Some(Event::Readable { .. })));
    alice.close(DisconnectOptions::default());
    turn_until(&mut alice, &|_, event| matches!(event, Some(Event::Ended { .. })));
    let ended = Instant::now();
    turn_until(&mut alice, &|alice, _| {
        assert!(!alice.is_closed());
        ended.elapsed() > Duration::from_millis(300)
    });
    assert_eq!(alice.receive(to_bob).expect("a message").payload, "hello");
    assert!(alice.receive(to_bob).is_none());
    turn_until(&mut alice, &|alice, _| alice.is_closed());
}

#[test]
fn a_turn_takes_in_few_datagrams() {
    let (mut alice, mut bob) = (endpoint(), endpoint());
    let flood = 250;
    let stranger = UdpSocket::bind("127.0.0.1:0").expect("bound");
    for _ in 0..flood {
        stranger.send_to(&[0xc4; 40], bob.local_addresses()[0]).expect("sent");
    }
    let turn = |endpoint: &mut Endpoint| {
        let before = endpoint.stats().datagrams_received;
        endpoint.turn(Some(Duration::ZERO)).expect("no fatal error");
        endpoint.stats().datagrams_received - before
    };
    while bob.stats().datagrams_received < flood {
        assert!(turn(&mut bob) <= 64);
    }
    // Coalesced ones are counted one by one.
    let peer = alice.connect(bob.local_addresses()[0]).expect("a dial");
    let mut most = 0;
    let start = Instant::now();
    while bob.stats().datagrams_received < 3000 {
        assert!(start.elapsed() < Duration::from_secs(60), "hangs");
        // Its buffer is full whenever bob comes to read.
        for _ in 0..8 {
            turn(&mut alice);
            while alice.poll_event().is_some() {}
            alice.send(peer, Delivery::reliable(0), vec![7; 1 << 16]).ok();
        }
        most = most.max(turn(&mut bob));
        while let Some(event) = bob.poll_event() {
            if let Event::Readable { peer } = event {
                while bob.receive(peer).is_some() {}
            }
        }
    }
    assert!((2..=64).contains(&most), "{most} datagrams in a turn");
}

#[test]
fn who_may_come_in_changes_while_an_endpoint_runs_and_who_may_not_is_reported() {
    let (mut alice, mut bob) = (endpoint(), endpoint());
    let name = format!("{}@{}", bob.id(), bob.local_addresses()[0]);
    let target = name.parse::<TargetName>().expect("a name").resolve().expect("an address");
    bob.set_admission(Admission::Nobody);
    alice.connect(target.clone()).expect("a dial");
    let refused = until(&mut alice, &mut bob, |event| match event {
        Event::Refused { id, reason, .. } => Some((*id, *reason)),
        _ => None,
    });
    assert_eq!(refused, (alice.id(), Refusal::NotAdmitted));
    // Until she has the answer, another dial is the same dial.
    let reason = until(&mut bob, &mut alice, |event| match event {
        Event::Ended { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(reason, EndReason::Refused(Refusal::NotAdmitted));
    bob.set_admission(Admission::Anyone);
    let connected = |event: &Event| matches!(event, Event::Connected { .. }).then_some(());
    alice.connect(target.clone()).expect("a dial");
    until(&mut alice, &mut bob, connected);

    let secret = |byte| Some(NetworkSecret::new([byte; 32]));
    assert!(bob.set_secrets(None, secret(1)).is_err(), "a second one without a first");
    bob.set_secrets(secret(1), None).expect("sound");
    let mut carol = endpoint();
    carol.set_secrets(secret(1), None).expect("sound");
    carol.connect(Target::new(bob.id(), target.addresses)).expect("a dial");
    until(&mut carol, &mut bob, connected);
}

/// Turns both until an event of the second answers.
fn until<T>(alice: &mut Endpoint, bob: &mut Endpoint, answer: impl Fn(&Event) -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        for endpoint in [&mut *alice, &mut *bob] {
            endpoint.turn(Some(Duration::from_millis(1))).expect("a turn");
        }
        while alice.poll_event().is_some() {}
        while let Some(event) = bob.poll_event() {
            if let Some(answer) = answer(&event) {
                return answer;
            }
        }
    }
    panic!("it did not happen");
}

/// Sends until blocked; the last message asks for a receipt.
fn send_from(endpoint: &mut Endpoint, first: u32) -> u32 {
    let peer = endpoint.peers().next().expect("a peer").handle;
    for number in first..MESSAGES {
        let mut delivery = Delivery::ordered(1);
        delivery.requires_ack = number + 1 == MESSAGES;
        match endpoint.send(peer, delivery, number.to_le_bytes().to_vec()) {
            Ok(_) => {}
            Err(SendError::Blocked) => return number,
            Err(error) => panic!("{error}"),
        }
    }
    MESSAGES
}

fn number(message: &Message) -> u32 {
    u32::from_le_bytes(message.payload.as_ref().try_into().expect("four bytes"))
}

#[test]
fn a_peer_that_is_kept_connected_is_found_again_after_silence() {
    let mut config = Config::default();
    config.timers.connect_timeout = Duration::from_millis(200);
    config.timers.heartbeat = Duration::from_millis(300);
    config.timers.idle_timeout = Duration::from_secs(1);
    let bind = |address: SocketAddr| {
        let identity = Identity::from_seed(entropy().expect("entropy"));
        Endpoint::bind(config.clone(), identity, Listen::from(address)).expect("bound")
    };
    let anywhere = "127.0.0.1:0".parse().expect("an address");
    let (mut alice, nobody) = (bind(anywhere), bind(anywhere));
    let place = nobody.local_addresses()[0];
    drop(nobody);
    let mut reconnect = Reconnect::default();
    reconnect.first = Duration::from_millis(50);
    let first = alice.keep_connected(place, reconnect).expect("a dial");
    let start = Instant::now();
    // Nobody is there, then somebody, who vanishes, then somebody else.
    let (mut ends, mut bob, mut met) = (0, None, Vec::new());
    while met.len() < 2 {
        assert!(start.elapsed() < Duration::from_secs(60), "hangs");
        alice.turn(Some(Duration::from_millis(1))).expect("no fatal error");
        while let Some(event) = alice.poll_event() {
            match event {
                Event::Connected { peer, id, .. } => {
                    met.push(peer);
                    assert_eq!(bob.as_ref().map(Endpoint::id), Some(id));
                    bob = None;
                }
                Event::Ended { .. } => ends += 1,
                _ => {}
            }
        }
        if bob.is_none() && ends == met.len() + 1 {
            bob = Some(bind(place));
        }
        if let Some(bob) = &mut bob {
            bob.turn(Some(Duration::ZERO)).expect("no fatal error");
        }
    }
    assert!(met[0] != met[1] && !met.contains(&first));
    assert_eq!(ends, 2);
    // What we end ourselves is over.
    alice.close(DisconnectOptions::default());
    alice.run(|_, _| ControlFlow::Continue(())).expect("no fatal error");
}

/// One says that it is there, the other listens, and nobody tells it an address.
#[cfg(target_os = "linux")]
#[test]
fn an_endpoint_is_found_by_its_beacon_and_called_at_its_port() {
    let secret = entropy().expect("entropy");
    let bind = |announce| {
        let mut config = Config::default();
        config.network_secret = Some(NetworkSecret::new(secret));
        (config.discovery.listen, config.discovery.announce) = (true, announce);
        let identity = Identity::from_seed(entropy().expect("entropy"));
        let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        Endpoint::bind(config, identity, Listen::from(address)).expect("bound")
    };
    let (mut caller, mut called) = (bind(false), bind(true));
    let (mut found, mut connected) = (None, None);
    let start = Instant::now();
    while connected.is_none() {
        assert!(start.elapsed() < Duration::from_secs(60), "{found:?}");
        called.turn(Some(Duration::from_millis(10))).expect("no fatal error");
        assert!(!matches!(called.poll_event(), Some(Event::Discovered { .. })), "nobody said so");
        caller.turn(Some(Duration::from_millis(10))).expect("no fatal error");
        match caller.poll_event() {
            Some(Event::Discovered { id, address, .. }) => {
                found = Some((id, address));
                caller.connect(Target::new(id, [address])).expect("a dial");
            }
            Some(Event::Connected { id, .. }) => connected = Some(id),
            _ => {}
        }
    }
    assert_eq!(found, Some((called.id(), called.local_addresses()[0])));
    assert_eq!(connected, Some(called.id()));
    assert_eq!(caller.discovered().count(), 1);
}

/// The router is asked for the port of the first socket.
#[test]
fn a_port_of_the_router_is_asked_for_the_first_socket() {
    let router = UdpSocket::bind("127.0.0.1:0").expect("bound");
    router.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
    let endpoint = endpoint();
    let gateway = router.local_addr().expect("an address");
    let mapping = endpoint.map_port(Some(gateway), |_| ()).expect("started");
    let mut request = [0; 100];
    let (len, _) = router.recv_from(&mut request).expect("a request");
    // PCP's MAP: our port stands at 40 (RFC 6887 section 11.1).
    assert_eq!((len, &request[..2]), (60, &[2, 1][..]));
    assert_eq!(request[40..42], endpoint.local_addresses()[0].port().to_be_bytes());
    drop((mapping, endpoint));
}
