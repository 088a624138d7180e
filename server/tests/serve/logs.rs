//! What is in the log, and that no reader of it, or none, stops anything.

use std::fs::File;
use std::io::Read;
use std::net::UdpSocket;
use std::process::Command;
use std::thread;
use std::time::Duration;

use handfast_mio::{Config, Delivery, DisconnectOptions, EndReason, Event, Identity};
use serde_json::Value;

use super::common::{Client, PATIENCE, Scratch, Server, failure, program, runtimes};
use super::{end_reason, on, say};

#[test]
fn a_log_in_a_pipe_that_nobody_reads_stops_nothing() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("stuck-{runtime}"));
        let (server, mut pipe) = Server::start_stuck(&scratch.0, &on(runtime));
        let mut client = Client::connect(server.id, server.address);
        // Far more lines than the pipe and the program keep.
        for _ in 0..20 {
            for _ in 0..100 {
                let delivery = Delivery::ordered(3);
                client.endpoint.send(client.peer, delivery, "x".repeat(2000)).expect("sent");
            }
            say(&mut client, b"is that understood?");
        }
        server.signal("TERM");
        assert!(matches!(end_reason(&mut client), EndReason::PeerDisconnected { .. }), "{runtime}");
        assert_eq!(server.end(), Some(0), "{runtime}");
        let mut log = Vec::new();
        pipe.read_to_end(&mut log).expect("read");
        assert!(log.len() > 10_000, "{runtime}: nothing was logged");
    }
}

#[test]
fn lines_that_were_not_read_in_time_are_counted_and_told() {
    let scratch = Scratch::new("told");
    let often = ["--stats-interval", "100ms"];
    let (server, mut pipe) =
        Server::start_stuck(&scratch.0, &[&on(runtimes()[0])[..], &often].concat());
    let mut client = Client::connect(server.id, server.address);
    for _ in 0..60 {
        for _ in 0..100 {
            let delivery = Delivery::ordered(3);
            client.endpoint.send(client.peer, delivery, "x".repeat(2000)).expect("sent");
        }
        say(&mut client, b"is that understood?");
    }
    // The reader is back.
    let (told, tells) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut log = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut piece) {
            log.extend_from_slice(&piece[..length]);
            let text = String::from_utf8_lossy(&log);
            let is_told = text.contains("log lines were dropped");
            // Statistics of before the end tell as well.
            if is_told
                && text.lines().any(|line| {
                    let counted = line.split_once(" log_lines_dropped=");
                    counted.is_some_and(|(_, rest)| !rest.starts_with('0'))
                })
            {
                told.send(()).ok();
            }
        }
    });
    tells.recv_timeout(PATIENCE).expect("told");
}

#[test]
fn a_stdout_that_takes_nothing_is_no_reason_to_end() {
    for (runtime, full) in runtimes().into_iter().cycle().zip([true, false]) {
        let scratch = Scratch::new(&format!("mute-{full}"));
        let made = program(&scratch.0, &["genkey"]).output().expect("run");
        assert!(made.status.success());
        let id = String::from_utf8_lossy(&made.stdout).trim().parse().expect("an id");
        let free = UdpSocket::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address");
        let free_text = free.to_string();
        let mut command = program(&scratch.0, &["--runtime", runtime, "--listen", &free_text]);
        if full {
            command.stdout(File::create("/dev/full").expect("it is there"));
        }
        let mut child = command.spawn().expect("started");
        drop(child.stdout.take());
        let mut client = Client::connect(id, free);
        say(&mut client, b"are you there?");
        // Its log is small, and fits into the pipe.
        let pid = child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().expect("kill is there").success());
        end_reason(&mut client);
        assert_eq!(child.wait().expect("waited").code(), Some(0), "{runtime}");
    }
    let mut help = program(&Scratch::new("mute").0, &["--help"]);
    help.stdout(File::create("/dev/full").expect("it is there"));
    let (code, text) = failure(help);
    assert_eq!(code, Some(1), "what was asked for was not given: {text}");
}

#[test]
fn the_usual_log_grows_with_peers_and_not_with_messages() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("quiet-{runtime}"));
        let server = Server::start_usual(&scratch.0, &on(runtime));
        let mut client = Client::connect(server.id, server.address);
        for _ in 0..99 {
            client.endpoint.send(client.peer, Delivery::ordered(3), "once more").expect("sent");
        }
        say(&mut client, b"that was all");
        server.signal("TERM");
        end_reason(&mut client);
        let log = server.rest();
        assert!(log.len() < 12, "{log:#?}");
        for (word, count) in [(" connected ", 1), (" ended ", 1), ("totals", 1), (" message ", 0)] {
            let found = log.iter().filter(|line| line.contains(word)).count();
            assert_eq!(found, count, "{word} in {log:#?}");
        }
        let totals = log.iter().find(|line| line.contains("totals")).expect("there");
        assert!(totals.contains("messages=100") && totals.contains("ended=1"), "{totals}");
    }
}

#[test]
fn a_log_in_json_has_numbers_and_objects() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("json-{runtime}"));
        let peers = scratch.write("peers", &Identity::from_seed([7; 32]).id().to_string());
        let peers = peers.to_str().expect("text");
        let words = ["--log-format", "json", "--stats-interval", "100ms", "--allow", peers];
        let server = Server::start_usual(&scratch.0, &[&on(runtime)[..], &words].concat());
        let call = |seed, patience| {
            let mut config = Config::default();
            config.timers.connect_timeout = patience;
            Client::call(config, Identity::from_seed([seed; 32]), server.id, server.address)
        };
        let mut friend = call(7, PATIENCE).expect("admitted");
        say(&mut friend, b"hello");
        assert!(call(8, Duration::from_millis(300)).is_none());
        let refused = server.log("\"refused\"");
        server.signal("TERM");
        end_reason(&mut friend);
        let lines: Vec<Value> = server
            .rest()
            .iter()
            .chain([&refused])
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect();
        let of = |message: &str| {
            let found = lines.iter().rfind(|line| line["message"] == message);
            found.unwrap_or_else(|| panic!("no {message} in {lines:#?}"))
        };
        let refused: Value = serde_json::from_str(&refused).expect("JSON");
        let stranger = Identity::from_seed([8; 32]).id().to_string();
        assert!(refused["callers"][0].as_str().expect("text").starts_with(&stranger), "{refused}");
        assert_eq!(
            (&refused["reason"], &refused["level"]),
            (&"not admitted".into(), &"INFO".into())
        );
        let totals = of("totals");
        for number in ["peers", "messages", "refused", "bytes_received", "log_lines_dropped"] {
            assert!(totals[number].is_u64(), "{number} in {totals}");
        }
        for rate in ["seconds", "messages_per_second", "bytes_sent_per_second"] {
            assert!(totals[rate].is_f64(), "{rate} in {totals}");
        }
        assert!(totals["dropped"]["admission"].as_u64() > Some(0), "{totals}");
        assert_eq!(totals["messages"], 1);
    }
}

#[test]
fn who_finds_no_place_is_named_with_the_reason() {
    let scratch = Scratch::new("full");
    let one = ["--max-peers", "1", "--stats-interval", "100ms"];
    let server = Server::start_usual(&scratch.0, &[&on(runtimes()[0])[..], &one].concat());
    let mut first = Client::connect(server.id, server.address);
    let mut config = Config::default();
    config.timers.connect_timeout = Duration::from_secs(1);
    let late = Identity::from_seed([9; 32]);
    let name = late.id().to_string();
    assert!(Client::call(config, late, server.id, server.address).is_none());
    let line = server.log("refused ");
    assert!(line.contains(&name) && line.contains("no place for it"), "{line}");
    // The rest are one sum an interval.
    server.signal("TERM");
    end_reason(&mut first);
    let lines = server.rest();
    let refused = lines.iter().filter(|line| line.contains(" refused ")).count();
    assert!(refused <= 12, "{lines:#?}");
}

/// More than the log keeps for a slow reader would drop lines: these fit.
#[test]
fn the_end_is_logged_after_the_last_message_and_counts_all() {
    const MESSAGES: usize = 4000;
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("order-{runtime}"));
        let server = Server::start(&scratch.0, &on(runtime));
        let mut client = Client::connect(server.id, server.address);
        for _ in 0..MESSAGES {
            client.endpoint.send(client.peer, Delivery::ordered(3), "x").expect("sent");
        }
        client.endpoint.disconnect(client.peer, DisconnectOptions::default()).expect("connected");
        end_reason(&mut client);
        let mut log = Vec::new();
        while log.last().is_none_or(|line: &String| !line.contains(" ended ")) {
            log.push(server.log(""));
        }
        server.signal("TERM");
        log.extend(server.rest());
        let at = |text| move |line: &String| line.contains(text);
        let first = log.iter().position(at(" message ")).expect("messages");
        let last = log.iter().rposition(at(" message ")).expect("messages");
        let connected = log.iter().position(at(" connected ")).expect("connected");
        let ended = log.iter().position(at(" ended ")).expect("ended");
        let count = log.iter().filter(|line| line.contains(" message ")).count();
        let late = log[ended..].iter().filter(|line| line.contains(" message ")).count();
        let line = &log[ended];
        assert_eq!(late, 0, "{runtime}: messages after {line}");
        assert!(connected < first && last < ended, "{runtime}: {connected} {first} {last} {ended}");
        assert_eq!(count, MESSAGES, "{runtime}");
        assert!(line.contains(&format!(" messages={MESSAGES} ")), "{line}");
        assert!(
            line.contains("the peer disconnected") && line.contains(" complete=true"),
            "{line}"
        );
        assert!(!line.contains("unread") && !line.contains("undeliverable"), "{line}");
    }
}

#[test]
fn an_end_that_cut_something_short_says_so() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("cut-{runtime}"));
        let server = Server::start(&scratch.0, &on(runtime));
        let mut client = Client::connect(server.id, server.address);
        say(&mut client, b"and then");
        client.endpoint.send(client.peer, Delivery::ordered(3), "more").expect("sent");
        client.endpoint.disconnect(client.peer, DisconnectOptions::now()).expect("connected");
        end_reason(&mut client);
        let line = server.log(" ended ");
        assert!(line.contains(" complete=false ") && line.contains("may be missing"), "{line}");
    }
}

/// A program that was started twice.
#[test]
fn two_with_one_key_are_one_warning_that_says_what_to_do() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("twins-{runtime}"));
        let server = Server::start_usual(&scratch.0, &on(runtime));
        let call = || {
            let identity = Identity::from_seed([7; 32]);
            Client::call(Config::default(), identity, server.id, server.address).expect("admitted")
        };
        let mut first = call();
        say(&mut first, b"I am");
        let second = call();
        let addresses = [&first, &second].map(|client| client.endpoint.local_addresses()[0]);
        // It has lost its place, and asks for it.
        first.endpoint.send(first.peer, Delivery::ordered(3), "I am still").expect("sent");
        first.wait(|event| matches!(event, Event::DuplicateIdentity { .. }).then_some(()));
        let line = server.log("one peer's key");
        let id = Identity::from_seed([7; 32]).id().to_string();
        for word in ["WARN", "count=1", "stop one of", &id] {
            assert!(line.contains(word), "{word} in {line}");
        }
        for address in addresses {
            assert!(line.contains(&address.to_string()), "{address} in {line}");
        }
        server.signal("TERM");
        let rest = server.rest();
        assert!(!rest.iter().any(|line| line.contains("take each other's place")), "{rest:#?}");
    }
}
