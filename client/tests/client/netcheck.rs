use crate::common::{FAST, Node, Scratch};

#[test]
fn a_server_that_answers_is_reached_and_silence_is_not_success() {
    let (scratch, server) = (Scratch::new("netcheck"), Node::relay(FAST));
    let (code, text) = scratch.start(&["netcheck", &server.name("127.0.0.1")]).end();
    assert_eq!(code, Some(0), "{text}");
    for words in [
        "UDP          gets through",
        &format!("IPv4         reached 127.0.0.1:{} from 127.0.0.1, round trip ", server.port()),
        "IPv6         not tried: the server has no such address",
        "NAT (IPv4)   not between us and the server",
        "port mapping not tried",
    ] {
        assert!(text.contains(words), "no {words:?} in {text}");
    }
    let wrong = Node::at("127.0.0.1:0").id();
    let silent = format!("{wrong}@127.0.0.1:{}", server.port());
    let (code, text) = scratch.start(&["netcheck", &silent, "--timeout", "300ms"]).end();
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("UDP          no answer") && text.contains("handfast: UDP does not"),
        "{text}"
    );
}
