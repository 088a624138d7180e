use crate::common::{FAST, Node, Scratch};

#[test]
fn a_peer_at_an_address_is_pinged_directly() {
    let (scratch, peer) = (Scratch::new("ping-direct"), Node::relay(FAST));
    let name = peer.name("127.0.0.1");
    let program = scratch.start(&["ping", &name, "--count", "3", "--interval", "10ms"]);
    let (code, text) = program.end();
    assert_eq!(code, Some(0), "{text}");
    let direct = format!(" direct 127.0.0.1:{} ", peer.port());
    assert_eq!(text.lines().filter(|line| line.contains(&direct)).count(), 3, "{text}");
    assert!(text.contains("3 sent, 3 answered, 0 lost, round trip min/avg/max "), "{text}");
    let until = scratch.start(&["ping", &name, "--until-direct"]).end();
    assert!(until.0 == Some(0) && until.1.contains("direct after "), "{until:?}");
}

/// One of them has IPv4 alone, the other IPv6: only a relay that has both brings them together.
#[test]
fn a_peer_is_pinged_by_its_id_alone_and_what_stays_routed_is_no_success_of_until_direct() {
    let (scratch, relay) = (Scratch::new("ping-routed"), Node::relay(FAST));
    let mut peer = Node::at("127.0.0.1:0");
    peer.join(&relay);
    let (id, server) = (peer.id().to_string(), relay.name("[::1]"));
    let ping = ["ping", &id, "--server", &server, "--listen", "[::1]:0", "--interval", "10ms"];
    let (code, text) = scratch.start(&[&ping[..], &["--count", "3"]].concat()).end();
    assert_eq!(code, Some(0), "{text}");
    let routed = format!(" routed via {} ", relay.id());
    assert_eq!(text.lines().filter(|line| line.contains(&routed)).count(), 3, "{text}");
    let until = [&ping[..], &["--until-direct", "--timeout", "2s"]].concat();
    let (code, text) = scratch.start(&until).end();
    assert_eq!(code, Some(1), "{text}");
    let named =
        format!("handfast: no direct path, not within 2s (--timeout): routed via {}", relay.id());
    assert!(text.contains(&named), "{text}");
}

/// The two know each other's key and a relay. Addresses of loopback are told to nobody: the interfaces of the
/// machine are, if it has one.
#[test]
fn a_peer_that_the_relay_leads_to_is_soon_reached_directly_and_said_to_be() {
    // The first is loopback.
    if handfast_program::addresses::machine().len() < 2 {
        return;
    }
    let (scratch, relay) = (Scratch::new("ping-punched"), Node::relay(FAST));
    let server = relay.name("127.0.0.1");
    let directory = scratch.0.join("in");
    let directory = directory.to_str().expect("text");
    let mut receiver = scratch.start(&["receive", directory, "--yes", "--server", &server]);
    let said = receiver.line(" send FILE ");
    let id = said.split_whitespace().skip_while(|word| *word != "FILE").nth(1).expect("an id");
    let ping = ["ping", id, "--server", &server, "--interval", "20ms", "--until-direct"];
    let (code, text) = scratch.start(&ping).end();
    assert!(code == Some(0) && text.contains("direct after "), "{text}");
    assert!(text.contains(&format!("1 routed via {} ", relay.id())), "{text}");
}

#[test]
fn whom_nobody_reaches_is_named_with_what_to_do() {
    let (scratch, relay) = (Scratch::new("ping-nobody"), Node::relay(FAST));
    let stranger = Node::at("127.0.0.1:0");
    let (id, server) = (stranger.id().to_string(), relay.name("127.0.0.1"));
    for (arguments, code, words) in [
        (&["ping", &id][..], 2, "name one with --server"),
        (&["ping", &id, "--server", &server, "--timeout", "500ms"], 1, &id),
        (
            &[
                "ping",
                &relay.name("127.0.0.1").replace(&relay.port().to_string(), "1"),
                "--timeout",
                "500ms",
            ],
            1,
            "firewall",
        ),
        (&["ping", &id, "--server", "127.0.0.1:1", "--timeout", "500ms"], 1, "no server answered"),
    ] {
        let (found, text) = scratch.start(arguments).end();
        assert_eq!(found, Some(code), "{arguments:?}: {text}");
        let errors: Vec<_> = text.lines().filter(|line| line.starts_with("handfast: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(words), "{arguments:?}: {text}");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_ping_still_sums_up() {
    let (scratch, peer) = (Scratch::new("ping-interrupted"), Node::relay(FAST));
    let mut program = scratch.start(&["ping", &peer.name("127.0.0.1"), "--interval", "10ms"]);
    program.line("2 direct ");
    program.interrupt();
    let (code, text) = program.end();
    assert!(code == Some(0) && text.contains(" lost, round trip min/avg/max "), "{text}");
}

#[test]
fn the_key_that_is_made_is_the_one_that_is_shown_and_used() {
    let scratch = Scratch::new("ping-key");
    let (code, missing) = scratch.start(&["id"]).end();
    assert!(code == Some(2) && missing.contains("`handfast genkey` makes one"), "{missing}");
    let (code, made) = scratch.start(&["genkey"]).end();
    assert_eq!((code, scratch.start(&["id"]).end()), (Some(0), (Some(0), made.clone())));
    // Whoever listens with it is the one that it names.
    let own = format!("{}@127.0.0.1:1", made.trim());
    let (code, text) = scratch.start(&["ping", &own]).end();
    assert!(code == Some(2) && text.contains("--identity"), "{text}");
}
