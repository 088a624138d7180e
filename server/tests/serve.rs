//! The program at work, on the runtimes that are built in, with a client on loopback.
#![cfg(unix)]

mod common;
#[path = "serve/logs.rs"]
mod logs;
#[path = "serve/reload.rs"]
mod reload;
#[cfg(target_os = "linux")]
#[path = "serve/shards.rs"]
mod shards;
#[path = "serve/status.rs"]
mod status;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use common::{Client, PATIENCE, Scratch, Server, pairs, runtimes};
use handfast_mio::{
    Config, Delivery, DisconnectReason, EndReason, Event, Fate, Identity, NatFiltering, NatMapping,
    NetworkSecret,
};
use handfast_server::SHUTTING_DOWN;

fn on(runtime: &str) -> [&str; 4] {
    ["--runtime", runtime, "--listen", "127.0.0.1:0"]
}

/// Says `payload` reliably and waits until the server has it.
fn say(client: &mut Client, payload: &'static [u8]) {
    let delivery = Delivery::ordered(3).with_receipt();
    let message = client.endpoint.send(client.peer, delivery, payload).expect("sent");
    let fate = client.wait(|event| match event {
        Event::Fate { message: about, fate, .. } if *about == message => Some(*fate),
        _ => None,
    });
    assert_eq!(fate, Fate::Acked);
}

fn end_reason(client: &mut Client) -> EndReason {
    client.wait(|event| match event {
        Event::Ended { reason, .. } => Some(reason.clone()),
        _ => None,
    })
}

#[test]
fn a_signal_ends_the_server_politely() {
    for runtime in runtimes() {
        for signal in ["TERM", "INT"] {
            let scratch = Scratch::new(&format!("signal-{runtime}-{signal}"));
            let server = Server::start(&scratch.0, &on(runtime));
            let mut client = Client::connect(server.id, server.address);
            say(&mut client, b"not a secret, but nobody's business");
            let line = server.log(" message ");
            assert!(line.contains("sequence_number=0") && line.contains("bytes=35"), "{line}");
            assert!(!line.contains("business"), "{line}");
            server.signal(signal);
            let reason = DisconnectReason::new(SHUTTING_DOWN, "the server is shutting down");
            assert_eq!(
                end_reason(&mut client),
                EndReason::PeerDisconnected { reason, complete: true }
            );
            assert_eq!(server.end(), Some(0), "{runtime} {signal}");
        }
    }
}

/// As `timeout` does it: to the process and to its group.
#[test]
fn signals_within_half_a_second_are_one() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("twice-{runtime}"));
        let server = Server::start(&scratch.0, &on(runtime));
        let mut client = Client::connect(server.id, server.address);
        say(&mut client, b"still here");
        let pid = server.pid();
        let script = format!("kill -TERM {pid}; sleep 0.03; kill -TERM {pid}");
        let sent = Command::new("sh").args(["-c", &script]).status().expect("a shell is there");
        assert!(sent.success());
        assert!(matches!(end_reason(&mut client), EndReason::PeerDisconnected { .. }));
        assert_eq!(server.end(), Some(0), "{runtime}");
    }
}

/// The client takes nothing, so that the server has something to wait for: its echoes, for two seconds.
#[test]
fn a_second_signal_ends_the_server_at_once() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("second-{runtime}"));
        // A machine that is too busy to send the second signal within the two seconds gets another try.
        let end = (0..10).find_map(|_| {
            let server = Server::start(&scratch.0, &[&on(runtime)[..], &["--echo"]].concat());
            let mut client = Client::connect(server.id, server.address);
            client.endpoint.send(client.peer, Delivery::ordered(3), "say it again").expect("sent");
            client.endpoint.turn(Some(Duration::ZERO)).expect("a turn");
            server.log(" message ");
            let begin = Instant::now();
            server.signal("TERM");
            server.log("stopping");
            thread::sleep(Duration::from_millis(600));
            server.signal("TERM");
            let is_in_time = begin.elapsed() < Duration::from_millis(1500);
            let code = server.end();
            is_in_time.then_some(code)
        });
        assert_eq!(end, Some(Some(1)), "{runtime}");
    }
}

#[test]
fn a_host_or_a_port_is_a_place_to_listen() {
    for (listen, runtime) in ["localhost:0", ":0"].into_iter().zip(runtimes().into_iter().cycle()) {
        let scratch = Scratch::new(&format!("place-{}", listen.len()));
        let server = Server::start(&scratch.0, &["--runtime", runtime, "--listen", listen]);
        assert!(server.address.ip().is_loopback(), "{}", server.address);
        say(&mut Client::connect(server.id, server.address), b"found you");
    }
}

#[test]
fn a_server_without_peers_ends_at_once() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("alone-{runtime}"));
        // Statistics that never come are no trouble either.
        let never = ["--stats-interval", "500000000000y"];
        let server = Server::start(&scratch.0, &[&on(runtime)[..], &never].concat());
        server.signal("TERM");
        assert_eq!(server.end(), Some(0), "{runtime}");
    }
}

#[test]
fn a_server_whose_log_nobody_reads_goes_on() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("unread-{runtime}"));
        let server = Server::start_unread(&scratch.0, &on(runtime));
        say(&mut Client::connect(server.id, server.address), b"is anybody there?");
        server.signal("TERM");
        assert_eq!(server.end(), Some(0), "{runtime}");
    }
}

#[test]
fn a_restarted_server_is_the_same_peer() {
    for (first, second) in pairs() {
        let scratch = Scratch::new(&format!("restart-{first}"));
        let server = Server::start(&scratch.0, &on(first));
        let (id, address) = (server.id, server.address.to_string());
        say(&mut Client::connect(id, server.address), b"before");
        server.signal("TERM");
        assert_eq!(server.end(), Some(0));

        let server = Server::start(&scratch.0, &["--runtime", second, "--listen", &address]);
        assert_eq!(server.id, id, "the key was kept");
        say(&mut Client::connect(id, server.address), b"after");
        server.log(" message ");
    }
}

#[test]
fn an_echo_comes_back_as_it_was_sent() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("echo-{runtime}"));
        let file = scratch.write("server.toml", "echo = true\nlisten = [\"127.0.0.1:0\"]\n");
        let file = file.to_str().expect("text");
        let server = Server::start(&scratch.0, &["--runtime", runtime, "--config", file]);
        let mut client = Client::connect(server.id, server.address);
        let deliveries =
            [Delivery::ordered(1), Delivery::reliable(2).with_receipt(), Delivery::sequenced(3)];
        for delivery in deliveries {
            // More than a packet holds.
            let payload = vec![7; 5_000];
            client.endpoint.send(client.peer, delivery, payload.clone()).expect("sent");
            client.wait(|event| matches!(event, Event::Readable { .. }).then_some(()));
            let echo = client.endpoint.receive(client.peer).expect("a message");
            assert_eq!((echo.delivery, echo.payload.to_vec()), (delivery, payload));
            assert!(client.endpoint.receive(client.peer).is_none());
        }
    }
}

/// The client reads nothing until the buffers on the whole way round are all but full: its own for
/// sending and the server's for sending (half of 64 MiB each). Those for receiving are small as long as nobody
/// reads.
#[test]
fn echoes_wait_for_a_client_that_reads_late() {
    const BYTES: usize = 256 << 10;
    const BEFORE_READING: usize = 62 * 4;
    const MESSAGES: usize = 110 * 4;
    let fill = |number: usize| u8::try_from(number % 251).expect("small");
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("late-{runtime}"));
        let server = Server::start(&scratch.0, &[&on(runtime)[..], &["--echo"]].concat());
        let mut config = Config::default();
        (config.flow.max_message, config.flow.receive_window) = (1 << 20, 2 << 20);
        let mut client = Client::with(config, server.id, server.address);
        let (mut sent, mut received) = (0, 0);
        while received < MESSAGES {
            while sent < MESSAGES
                && let payload = vec![fill(sent); BYTES]
                && client.endpoint.send(client.peer, Delivery::ordered(0), payload).is_ok()
            {
                sent += 1;
            }
            while sent >= BEFORE_READING
                && let Some(echo) = client.endpoint.receive(client.peer)
            {
                assert_eq!(echo.payload.len(), BYTES);
                assert!(echo.payload.iter().all(|byte| *byte == fill(received)), "out of order");
                received += 1;
            }
            if received < MESSAGES {
                client.wait(|event| {
                    matches!(event, Event::Writable { .. } | Event::Readable { .. }).then_some(())
                });
            }
        }
    }
}

#[test]
fn silent_peers_are_pinged_and_statistics_are_logged() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("beat-{runtime}"));
        let often = ["--heartbeat", "100ms", "--stats-interval", "100ms"];
        let server = Server::start(&scratch.0, &[&on(runtime)[..], &often].concat());
        let mut client = Client::connect(server.id, server.address);
        let turning = thread::spawn(move || end_reason(&mut client));
        let pong = server.log(" pong ");
        assert!(pong.contains("rtt_us="), "{pong}");
        let statistics = server.log("statistics peers=1");
        assert!(statistics.contains("handshakes=1"), "{statistics}");
        server.signal("TERM");
        assert_eq!(server.end(), Some(0));
        let reason = turning.join().expect("no panic");
        assert!(matches!(reason, EndReason::PeerDisconnected { .. }), "{reason:?}");
    }
}

#[test]
fn only_those_on_the_list_and_in_the_network_come_in() {
    let scratch = Scratch::new("list");
    let secret = scratch.write("network.secret", &format!("b{}", "a".repeat(51)));
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("set");
    let friend = Identity::from_seed([7; 32]).id();
    scratch.write("peers", &format!("# one\n{friend}\n"));
    // Relative paths start at the file.
    let text = "network-secret-file = \"network.secret\"\nallow = \"peers\"\n";
    let file = scratch.write("server.toml", text);
    let file = ["--config", file.to_str().expect("text")];
    for runtime in runtimes() {
        let server = Server::start(&scratch.0, &[&on(runtime)[..], &file].concat());
        let call = |seed, secret, patience| {
            let mut config = Config::default();
            (config.network_secret, config.timers.connect_timeout) = (secret, patience);
            Client::call(config, Identity::from_seed([seed; 32]), server.id, server.address)
        };
        let mut bytes = [0; 32];
        bytes[0] = 8;
        let secret = || Some(NetworkSecret::new(bytes));
        assert!(call(7, secret(), PATIENCE).is_some(), "{runtime}: the friend");
        // Who lacks the secret gets no answer, and gives up; who is not on the list is told so.
        let soon = Duration::from_millis(300);
        assert!(call(8, secret(), soon).is_none(), "{runtime}: a stranger in the network");
        assert!(call(7, None, soon).is_none(), "{runtime}: the friend without the secret");
    }
}

/// Two ports that are free for the moment.
fn two_ports() -> [u16; 2] {
    let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("bound"));
    sockets.map(|socket| socket.local_addr().expect("an address").port())
}

#[test]
fn a_client_tests_its_nat_with_the_further_ports_of_the_server() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("nat-{runtime}"));
        let ports = two_ports();
        let list = format!("{},{}", ports[0], ports[1]);
        let server =
            Server::start(&scratch.0, &[&on(runtime)[..], &["--probe-ports", &list]].concat());
        let mut client = Client::connect(server.id, server.address);
        let mut test = |ports| {
            client.endpoint.test_nat(client.peer, ports).expect("a test");
            client.wait(|event| match event {
                Event::NatTested { evidence, .. } => Some(evidence.clone()),
                _ => None,
            })
        };
        let found = test(ports);
        assert_eq!(found.mapping, Some(NatMapping::Same), "{runtime}: {found}");
        assert_eq!(found.filtering, Some(NatFiltering::OtherPorts), "{runtime}: {found}");
        assert_eq!(found.order_sensitive, Some(false), "{runtime}: {found}");
        assert!(found.silent_ports.is_empty(), "{runtime}: {found}");
        // Nobody is there: it is said which.
        let closed = two_ports();
        let found = test(closed);
        assert_eq!(found.silent_ports[..], closed, "{runtime}: {found}");
        assert_eq!((found.mapping, found.filtering), (None, None), "{runtime}: {found}");
    }
}

/// A router that speaks NAT-PMP and refuses, or not.
fn router(refuses: bool) -> (SocketAddr, Receiver<u32>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let address = socket.local_addr().expect("an address");
    let (tell, seconds) = channel();
    thread::spawn(move || {
        let mut request = [0; 100];
        while let Ok((len, from)) = socket.recv_from(&mut request) {
            let answer = match &request[..len] {
                [2, ..] => vec![0, 0x80, 0, 1, 0, 0, 0, 1],
                [0, 0] => vec![0, 0x80, 0, u8::from(refuses) * 2, 0, 0, 0, 1, 203, 0, 113, 7],
                asked => {
                    let wanted = asked[8..12].try_into().expect("four");
                    tell.send(u32::from_be_bytes(wanted)).expect("the test listens");
                    [&[0, 0x81, 0, 0, 0, 0, 0, 1], &asked[4..6], &[0x9c, 0x40], &asked[8..12]]
                        .concat()
                }
            };
            socket.send_to(&answer, from).expect("sent");
        }
    });
    (address, seconds)
}

#[test]
fn a_port_of_the_router_is_logged_in_a_line_and_given_back() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("port-{runtime}"));
        let (address, asked) = router(false);
        let map_port = format!("--map-port={address}");
        let server = Server::start(&scratch.0, &[&on(runtime)[..], &[&map_port]].concat());
        let line = server.log("the router forwards a port to us");
        assert!(line.contains("address=203.0.113.7:40000") && line.contains("NAT-PMP"), "{line}");
        server.signal("TERM");
        assert_eq!(server.end(), Some(0));
        assert_eq!(asked.try_iter().collect::<Vec<_>>(), [3600, 0], "{runtime}");
        // One that refuses is a line, and no more.
        let (address, _asked) = router(true);
        let map_port = format!("--map-port={address}");
        let server = Server::start(&scratch.0, &[&on(runtime)[..], &[&map_port]].concat());
        let line = server.log("no router forwards a port to us");
        assert!(line.contains("the router refused (code 2)"), "{line}");
        say(&mut Client::connect(server.id, server.address), b"hello");
        server.signal("TERM");
        assert_eq!(server.end(), Some(0));
    }
}
