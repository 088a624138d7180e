use std::net::{SocketAddr, UdpSocket};
use std::thread;

use crate::common::{FAST, Node, Scratch};

#[test]
fn a_server_that_answers_is_reached_and_silence_is_not_success() {
    let (scratch, server) = (Scratch::new("netcheck"), Node::relay(FAST));
    let name = server.name("127.0.0.1");
    // Nobody answers at these: bound, and never read.
    let closed = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("bound"));
    let [one, other] = closed.each_ref().map(|s| s.local_addr().expect("an address").port());
    let (code, text) = scratch
        .start(&["netcheck", &name, "--probe-ports", &format!("{one},{other}"), NO_ROUTER])
        .end();
    assert_eq!(code, Some(0), "{text}");
    for words in [
        "UDP          gets through",
        &format!("IPv4         reached 127.0.0.1:{} from 127.0.0.1, round trip ", server.port()),
        "  NAT        none: seen at our own address, 127.0.0.1:",
        &format!("  silent     ports {one} and {other} of the server: closed there"),
        "  mapping    unknown",
        "IPv6         not tried: the server has no such address",
        "port mapping not tried",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    let wrong = Node::at("127.0.0.1:0").id();
    let silent = format!("{wrong}@127.0.0.1:{}", server.port());
    let (code, text) = scratch.start(&["netcheck", &silent, "--timeout", "300ms", NO_ROUTER]).end();
    assert_eq!(code, Some(1), "{text}");
    let named =
        if cfg!(unix) { "UDP          blocked, unless the PeerId" } else { "UDP          " };
    assert!(text.contains(named) && text.contains("handfast: UDP does not"), "{text}");
    #[cfg(unix)]
    {
        drop(server);
        let (code, text) =
            scratch.start(&["netcheck", &name, "--timeout", "300ms", NO_ROUTER]).end();
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains("UDP          refused: no server runs"), "{text}");
    }
}

#[test]
fn the_further_ports_of_a_server_tell_the_nat() {
    let scratch = Scratch::new("netcheck-nat");
    let server = Node::at("127.0.0.1:0");
    let ports = server.open_probe_ports();
    let list = format!("{},{}", ports[0], ports[1]);
    let name = server.name("127.0.0.1");
    let router = format!("--map-port={}", router());
    let (code, text) = scratch.start(&["netcheck", &name, "--probe-ports", &list, &router]).end();
    assert_eq!(code, Some(0), "{text}");
    for words in [
        "  NAT        none: seen at our own address, 127.0.0.1:",
        "  mapping    all ports of the server see the same one",
        "  filtering  lets in other ports",
        "  order      does not matter",
        "  direct     open peers: yes; behind a cone: yes; behind a symmetric NAT: yes",
        "port mapping works: the router forwards 203.0.113.7:40000 to us (NAT-PMP), but the server sees us at 127.0.0.1",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    assert!(!text.contains("silent"), "{text}");
}

/// A router that speaks NAT-PMP and forwards nothing.
fn router() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let address = socket.local_addr().expect("an address");
    thread::spawn(move || {
        let mut request = [0; 100];
        while let Ok((len, from)) = socket.recv_from(&mut request) {
            let answer = match &request[..len] {
                [2, ..] => vec![0, 0x80, 0, 1, 0, 0, 0, 1],
                [0, 0] => vec![0, 0x80, 0, 0, 0, 0, 0, 1, 203, 0, 113, 7],
                asked => [&[0, 0x81, 0, 0, 0, 0, 0, 1], &asked[4..6], &[0x9c, 0x40], &asked[8..12]]
                    .concat(),
            };
            socket.send_to(&answer, from).expect("sent");
        }
    });
    address
}

const NO_ROUTER: &str = "--map-port=false";
