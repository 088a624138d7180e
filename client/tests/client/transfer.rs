use std::fs;
use std::time::Duration;

use handfast_tokio::{Delivery, Peer, Target};

use crate::common::{FAST, Node, Program, Scratch};

/// Starts a receiver: the program, and the command line that it wants the other side to run.
fn receiver(scratch: &Scratch, arguments: &[&str]) -> (Program, Vec<String>) {
    let directory = scratch.0.join("in");
    let directory = directory.to_str().expect("text");
    let mut program = scratch.start(&[&["receive", directory][..], arguments].concat());
    let line = program.line("handfast send FILE ");
    let words = line.split(' ').skip(1).map(str::to_owned).collect();
    (program, words)
}

/// Starts the sender as the receiver said.
fn sender(scratch: &Scratch, words: &[String], file: &str) -> Program {
    let words = words.iter().map(|word| if word == "FILE" { file } else { word });
    scratch.start(&words.collect::<Vec<_>>())
}

/// The hash that a program says.
fn hash(text: &str) -> &str {
    let line = text.lines().find(|line| line.contains(", sha256 ")).unwrap_or_default();
    line.rsplit(' ').next().unwrap_or_default()
}

/// Both end well, and what came is what was sent.
#[track_caller]
fn arrives(
    scratch: &Scratch,
    sender: Program,
    receiver: Program,
    name: &str,
    bytes: &[u8],
) -> String {
    let ((sent, said), (received, heard)) = (sender.end(), receiver.end());
    assert_eq!((sent, received), (Some(0), Some(0)), "{said}\n{heard}");
    assert!(
        fs::read(scratch.inside(name)).expect("arrived") == bytes,
        "other bytes: {said}\n{heard}"
    );
    assert!(!scratch.inside(&format!("{name}.part")).exists());
    assert!(hash(&said).len() == 64 && hash(&said) == hash(&heard), "{said}\n{heard}");
    said
}

#[test]
fn a_file_arrives_whole_directly_and_by_way_of_a_relay() {
    let (scratch, relay) = (Scratch::new("whole"), Node::relay(FAST));
    let server = relay.name("127.0.0.1");
    for (name, length, arguments) in [
        ("direct", 3_000_001, &["--yes", "--listen", "127.0.0.1:0"][..]),
        ("routed", 300_000, &["--yes", "--server", &server]),
        ("empty", 0, &["--yes", "--listen", "127.0.0.1:0"]),
    ] {
        let (file, bytes) = scratch.file(name, length);
        let (receiver, words) = receiver(&scratch, arguments);
        let sender = sender(&scratch, &words, &file);
        arrives(&scratch, sender, receiver, name, &bytes);
    }
    // SHA-256 of nothing, as `sha256sum` has it.
    let (file, _) = scratch.file("nothing", 0);
    let (receiver, words) = receiver(&scratch, &["--yes", "--listen", "127.0.0.1:0"]);
    let said = arrives(&scratch, sender(&scratch, &words, &file), receiver, "nothing", b"");
    assert_eq!(hash(&said), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

#[test]
fn what_is_there_of_a_file_is_gone_on_with_and_what_is_no_part_of_it_is_not() {
    let scratch = Scratch::new("resumed");
    let (file, bytes) = scratch.file("a", 500_000);
    for (part, word) in [
        (bytes[..200_000].to_vec(), "going on   after 200000 of 500000 bytes"),
        (bytes.clone(), "going on   after 500000 of 500000 bytes"),
        ([&bytes[..199_999], &b"!"[..]].concat(), "anew "),
        ([&bytes[..], &b"!"[..]].concat(), "connected"),
    ] {
        fs::write(scratch.inside("a.part"), &part).expect("written");
        let (receiver, words) = receiver(&scratch, &["--yes", "--listen", "127.0.0.1:0"]);
        let said = arrives(&scratch, sender(&scratch, &words, &file), receiver, "a", &bytes);
        assert!(said.contains(word), "no {word:?} in {said}");
        fs::remove_file(scratch.inside("a")).expect("removed");
    }
}

/// Waits until something of a file has come.
fn wait_for_part(scratch: &Scratch, name: &str) {
    let part = scratch.inside(&format!("{name}.part"));
    while fs::metadata(&part).map_or(0, |part| part.len()) < 200_000 {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_sender_that_was_killed_in_the_middle_goes_on_when_it_is_started_again() {
    let (scratch, relay) = (Scratch::new("killed"), Node::relay(1_000_000));
    let (file, bytes) = scratch.file("a", 3_000_000);
    let (receiver, words) = receiver(&scratch, &["--yes", "--server", &relay.name("127.0.0.1")]);
    let first = sender(&scratch, &words, &file);
    wait_for_part(&scratch, "a");
    first.kill();
    let said = arrives(&scratch, sender(&scratch, &words, &file), receiver, "a", &bytes);
    assert!(said.contains("going on "), "{said}");
}

#[test]
fn a_transfer_outlives_its_relay_if_there_is_a_second_one() {
    let relays = [Node::relay(1_000_000), Node::relay(1_000_000)];
    let scratch = Scratch::new("relays");
    let (file, bytes) = scratch.file("a", 3_000_000);
    let servers = relays.each_ref().map(|relay| relay.name("127.0.0.1"));
    let arguments = ["--yes", "--server", &servers[0], "--server", &servers[1]];
    let (receiver, words) = receiver(&scratch, &arguments);
    let mut sender = sender(&scratch, &words, &file);
    let connected = sender.line("routed via ");
    wait_for_part(&scratch, "a");
    let (used, other): (Vec<_>, Vec<_>) =
        relays.into_iter().partition(|relay| connected.contains(&relay.id().to_string()));
    assert_eq!(used.len(), 1, "{connected}");
    // Its sockets vanish with it; a goodbye to its peers may or may not come through.
    used.into_iter().for_each(|relay| relay.runtime.shutdown_background());
    arrives(&scratch, sender, receiver, "a", &bytes);
    drop(other);
}

#[test]
fn who_is_not_meant_is_refused_by_name_and_nothing_is_replaced() {
    let scratch = Scratch::new("refused");
    let (file, _) = scratch.file("a", 1_000);
    let other = Node::at("127.0.0.1:0").id().to_string();
    let (guarded, words) = receiver(&scratch, &["--allow", &other, "--listen", "127.0.0.1:0"]);
    let (code, text) = sender(&scratch, &words, &file).end();
    assert!(code == Some(3) && text.contains("does not admit us"), "{text}");
    drop(guarded);
    fs::write(scratch.inside("a"), "mine").expect("written");
    let (open, words) = receiver(&scratch, &["--yes", "--listen", "127.0.0.1:0"]);
    let (code, text) = sender(&scratch, &words, &file).end();
    assert!(code == Some(3) && text.contains("\"a\" is there already"), "{text}");
    assert_eq!(fs::read(scratch.inside("a")).expect("kept"), b"mine");
    drop(open);
    let (code, text) = scratch.start(&["receive", scratch.0.to_str().expect("text")]).end();
    assert!(code == Some(2) && text.contains("--allow"), "{text}");
    let (code, text) = scratch.start(&["send", scratch.0.to_str().expect("text"), &words[2]]).end();
    assert!(code == Some(2) && text.contains("is no file"), "{text}");
}

/// A sender in this process that says what it likes.
struct Liar(Node, Peer);

impl Liar {
    fn new(words: &[String]) -> Self {
        let (id, address) = words[2].split_once('@').expect("PEERID@IP:PORT");
        let address = address.parse().expect("an address");
        let target = Target::new(id.parse().expect("an id"), [address]);
        let node = Node::at("127.0.0.1:0");
        let peer = node.runtime.block_on(node.endpoint.connect(target)).expect("connected");
        Self(node, peer)
    }

    /// Says these messages, and returns the last answer.
    fn say(&self, messages: &[Vec<u8>]) -> Vec<u8> {
        let Self(node, peer) = self;
        node.runtime.block_on(async {
            for message in messages {
                peer.send(Delivery::ordered(0x6674), message.clone()).await.expect("said");
            }
            let mut last = Vec::new();
            while let Some(message) = peer.recv_from(0x6674).await {
                last = message.payload.to_vec();
                if last[0] >= 6 {
                    break;
                }
            }
            last
        })
    }
}

fn offer(name: &str, size: u64) -> Vec<u8> {
    [&[1, 1][..], &size.to_le_bytes(), name.as_bytes()].concat()
}

#[test]
fn a_hostile_sender_makes_no_file_outside_and_none_that_is_not_what_it_said() {
    let scratch = Scratch::new("hostile");
    let (mut program, line) = receiver(&scratch, &["--yes", "--listen", "127.0.0.1:0"]);
    let begin = [&[3][..], &[0; 8]].concat();
    let data = |bytes: &[u8]| [&[4][..], bytes].concat();
    let end = [&[5][..], &[9; 32]].concat();
    for (messages, words) in [
        (vec![offer("../evil", 1)], "has parts of a path"),
        (vec![offer("..\\evil", 1)], "has parts of a path"),
        (vec![offer("/tmp/evil", 1)], "has parts of a path"),
        (vec![offer("..", 1)], "no name"),
        (vec![offer("", 1)], "no name"),
        (vec![offer("a\nb", 1)], "control characters"),
        (vec![offer("wrong", 1), begin.clone(), data(b"x"), end.clone()], "another hash"),
        (vec![offer("long", 1), begin.clone(), data(b"xy")], "more than it said"),
        (vec![offer("short", 2), begin.clone(), data(b"x"), end], "before all of it"),
        (vec![offer("jump", 9), [&[3][..], &5_u64.to_le_bytes()].concat()], "not asked to"),
        (vec![offer("order", 9), data(b"x")], "order of a transfer"),
        (vec![begin], "order of a transfer"),
        (vec![vec![99]], "no part of a transfer"),
        (vec![vec![1, 2]], "version 2"),
    ] {
        let answer = Liar::new(&line).say(&messages);
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.first() == Some(&7) && text.contains(words), "{messages:?}: {text:?}");
    }
    let found = fs::read_dir(scratch.0.join("in")).expect("read");
    let names: Vec<_> = found.map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(names.iter().all(|name| name.to_string_lossy().ends_with(".part")), "{names:?}");
    assert!(!scratch.0.join("evil").exists());
    program.line("failed ");
}
