//! `p2p_server status` and `kick`, and whoever else finds the socket.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use handfast_mio::{DisconnectReason, EndReason, PeerId};
use handfast_server::KICKED;
use serde_json::Value;

use super::{end_reason, on, say};
use crate::common::{Client, PATIENCE, Scratch, Server, failure, program, runtimes};

/// Where the socket is, for a server that keeps its configuration in `scratch`.
fn place(scratch: &Scratch) -> PathBuf {
    scratch.0.join("handfast").join("p2p_server").join("status.sock")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// What the program prints.
#[track_caller]
fn printed(scratch: &Scratch, arguments: &[&str]) -> String {
    let output = program(&scratch.0, arguments).output().expect("started");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*error), (Some(0), ""), "{arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_status_names_every_peer_and_a_kick_ends_one_with_its_reason() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("status-{runtime}"));
        let server = Server::start(&scratch.0, &on(runtime));
        let mut clients = [(); 2].map(|()| Client::connect(server.id, server.address));
        clients.iter_mut().for_each(|client| say(client, b"hello"));
        assert_eq!(mode(&place(&scratch)), 0o600);
        assert_eq!(mode(place(&scratch).parent().expect("a directory")), 0o700);
        let ids = clients.each_ref().map(|client| client.endpoint.id());
        let text = printed(&scratch, &["status"]);
        assert!(ids.iter().all(|id| text.contains(&id.to_string())), "{text}");
        assert!(text.contains("\n2 peers, "), "{text}");
        let json: Value =
            serde_json::from_str(&printed(&scratch, &["status", "--json"])).expect("JSON");
        let peers = json["peers"].as_array().expect("a list");
        assert_eq!((peers.len(), &json["totals"]["peers"]), (2, &Value::from(2)), "{json}");
        for (peer, client) in peers.iter().zip(&clients) {
            let address = client.endpoint.local_addresses()[0].to_string();
            let id = client.endpoint.id().to_string();
            let shown: Value = address.clone().into();
            assert_eq!((&peer["id"], &peer["address"]), (&id.into(), &shown), "{json}");
            assert_eq!(peer["verdict"], format!("direct {address}"), "{json}");
            assert_eq!((&peer["relayed_bytes"], &peer["search_rounds"]), (&0.into(), &0.into()));
            assert_eq!(peer.get("next_search_s"), Some(&Value::Null), "{json}");
            assert!(peer.get("rtt_us").is_some() && peer["loss"].is_number(), "{json}");
            assert_eq!((&peer["state"], &peer["inbound"]), (&"connected".into(), &true.into()));
            assert!(peer["connected_s"].as_u64().is_some_and(|s| s < PATIENCE.as_secs()), "{json}");
        }
        let kicked = ids[0].to_string();
        printed(&scratch, &["kick", &kicked]);
        let reason = DisconnectReason::new(KICKED, "the operator parts from you");
        let EndReason::PeerDisconnected { reason: heard, .. } = end_reason(&mut clients[0]) else {
            panic!("another end")
        };
        assert_eq!(heard, reason, "{runtime}");
        let (code, text) = failure(program(&scratch.0, &["kick", &server.id.to_string()]));
        assert!(code == Some(1) && text.contains("no such peer"), "{text}");
        say(&mut clients[1], b"still here");
        server.signal("TERM");
        assert_eq!(server.end(), Some(0));
        assert!(!place(&scratch).exists(), "the socket goes with the server");
        let (code, text) = failure(program(&scratch.0, &["status"]));
        assert!(code == Some(1) && text.contains("no server answers"), "{text}");
    }
}

#[test]
fn a_live_server_keeps_its_socket_a_dead_one_loses_it_and_nothing_else_is_replaced() {
    let runtime = runtimes()[0];
    let scratch = Scratch::new("status-place");
    let socket = scratch.0.join("own").join("s");
    let socket = socket.to_str().expect("text");
    let chosen = [&on(runtime)[..], &["--status-socket", socket]].concat();
    let first = Server::start(&scratch.0, &chosen);
    let (code, text) = failure(program(&scratch.0, &chosen));
    assert!(code == Some(1) && text.contains("another server that runs answers at"), "{text}");
    // Killed: the file stays, and nobody answers there.
    drop(first);
    assert!(Path::new(socket).exists());
    let (code, text) = failure(program(&scratch.0, &["status", "--status-socket", socket]));
    assert!(code == Some(1) && text.contains("no server answers"), "{text}");
    let second = Server::start(&scratch.0, &chosen);
    let json = printed(&scratch, &["status", "--json", "--status-socket", socket]);
    assert!(json.starts_with('{'), "{json}");
    // Whoever did not choose a place does without, and says so.
    let usual = Server::start(&scratch.0, &on(runtime));
    let other = Server::start(&scratch.0, &on(runtime));
    assert!(other.log("--status-socket").contains("WARN"));
    let none = [&on(runtime)[..], &["--status-socket", "none"]].concat();
    let none = Server::start(&scratch.0, &none);
    drop((usual, other, none, second));

    let file = scratch.write("file", "mine");
    let open = scratch.0.join("open");
    fs::create_dir(&open).expect("made");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("changed");
    fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o700)).expect("changed");
    for (place, words) in [(file.clone(), "no socket"), (open.join("s"), "chmod 700")] {
        let place = place.to_str().expect("text");
        let arguments = [&on(runtime)[..], &["--status-socket", place]].concat();
        let (code, text) = failure(program(&scratch.0, &arguments));
        assert!(code == Some(2) && text.contains(words), "{text}");
    }
    assert_eq!(fs::read(file).expect("kept"), b"mine");
}

/// The names of a process's threads, where the system tells them.
fn threads(process: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    tasks.filter_map(name).map(|name| name.trim().to_owned()).collect()
}

/// Whatever comes over the socket, the server goes on, and whoever asks in order gets an answer.
#[test]
fn hostile_clients_of_the_socket_hold_up_nobody() {
    for runtime in runtimes() {
        let scratch = Scratch::new(&format!("status-hostile-{runtime}"));
        let server = Server::start(&scratch.0, &[&on(runtime)[..], &["--echo"]].concat());
        let mut client = Client::connect(server.id, server.address);
        let connect = || UnixStream::connect(place(&scratch)).expect("connected");
        let answer = |bytes: &[u8]| {
            let mut stream = connect();
            // It may be closed before all of it is taken.
            stream.write_all(bytes).ok();
            let mut text = String::new();
            stream.read_to_string(&mut text).ok();
            text
        };
        for garbage in [&b"\n"[..], b"\xff\xfe\0\n", b"kick\n", b"kick ../..\n", b"peers;kick\n"] {
            let value: Value = serde_json::from_str(&answer(garbage)).expect("JSON");
            assert!(value["error"].is_string(), "{value}");
        }
        assert_eq!(answer(&[b'a'; 1 << 20]), "", "a line without end is not listened to");
        // More than there are places for, that say nothing or read nothing.
        let mut crowd: Vec<_> = (0..40).map(|_| connect()).collect();
        for stream in &mut crowd {
            stream.write_all(b"pee").ok();
        }
        say(&mut client, b"am I heard?");
        let last = crowd.last_mut().expect("forty");
        last.set_read_timeout(Some(PATIENCE)).expect("set");
        let end = last.read(&mut [0]).map_err(|error| error.kind());
        assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "{end:?}");
        // A thread whose place is free again may be about to end.
        let talking =
            || threads(server.pid()).iter().filter(|name| *name == "status client").count();
        let mut counts = std::iter::repeat_with(|| {
            std::thread::sleep(std::time::Duration::from_millis(1));
            talking()
        });
        assert!(counts.by_ref().take(1000).any(|count| count <= 8), "a thread for everybody");
        drop(crowd);
        let id: PeerId = client.endpoint.id();
        // Their places are free as soon as the server has seen that they are gone.
        let mut answers = std::iter::repeat_with(|| answer(b"peers\n")).take(10_000);
        let text = answers.find(|text| !text.is_empty()).expect("an answer");
        assert!(text.contains(&id.to_string()), "{text}");
        server.signal("TERM");
        assert_eq!(server.end(), Some(0), "{runtime}");
    }
}
