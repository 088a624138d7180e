//! Against a router made of two sockets on the loopback.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::*;

/// How the router is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ways {
    /// It knows no end of a mapping.
    permanent_alone: bool,
    /// The port is taken that is asked for first.
    taken: bool,
    /// It answers in chunks, and ends by closing.
    chunked: bool,
    /// It says that it is described elsewhere.
    elsewhere: bool,
}

/// A router. It tells of each command: its name and its body.
fn router(ways: Ways) -> (SocketAddr, Receiver<(String, String)>) {
    let calls = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let (group, port) = (
        calls.local_addr().expect("an address"),
        listener.local_addr().expect("an address").port(),
    );
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = calls.recv_from(&mut buffer) {
            let call = String::from_utf8_lossy(&buffer[..len]);
            assert!(call.starts_with("M-SEARCH * HTTP/1.1\r\n") && call.contains("ssdp:discover"));
            let host = if ways.elsewhere { "192.0.2.1" } else { "127.0.0.1" };
            let answer = format!("HTTP/1.1 200 OK\r\nLocation: http://{host}:{port}/d.xml\r\n\r\n");
            calls.send_to(answer.as_bytes(), from).expect("sent");
        }
    });
    let (told, commands) = channel();
    thread::spawn(move || {
        let mut taken = ways.taken;
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = vec![0; 4096];
            let mut len = 0;
            while !is_request(&request[..len]) {
                len += stream.read(&mut request[len..]).expect("read");
            }
            let request = String::from_utf8_lossy(&request[..len]).into_owned();
            let (status, body) = answer(ways, &mut taken, &request);
            let action = request.lines().find_map(|line| line.strip_prefix("SOAPAction: "));
            if let Some(action) = action {
                let name = action.trim_matches('"').split('#').nth(1).expect("a name").to_owned();
                told.send((name, request.clone())).ok();
            }
            let length = body.len();
            let (head, body) = if ways.chunked {
                (
                    "Transfer-Encoding: chunked".to_owned(),
                    format!("{length:x}\r\n{body}\r\n0\r\n\r\n"),
                )
            } else {
                (format!("Content-Length: {length}"), body)
            };
            write!(stream, "HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}").expect("sent");
        }
    });
    (group, commands)
}

fn is_request(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    body.len() >= length.map_or(0, |length| length.parse().expect("a number"))
}

fn answer(ways: Ways, taken: &mut bool, request: &str) -> (&'static str, String) {
    let refusal = |code: u16| {
        let body = format!(
            "<s:Fault><detail><UPnPError><errorCode>{code}</errorCode></UPnPError></detail></s:Fault>"
        );
        ("500 Internal Server Error", body)
    };
    if request.starts_with("GET /d.xml ") {
        return ("200 OK", DESCRIPTION.to_owned());
    }
    if request.contains("#GetExternalIPAddress\"") {
        let body = "<NewExternalIPAddress>203.0.113.7</NewExternalIPAddress>";
        return ("200 OK", body.to_owned());
    }
    if request.contains("#AddPortMapping\"") {
        if std::mem::take(taken) {
            return refusal(718);
        }
        if ways.permanent_alone && !request.contains("<NewLeaseDuration>0<") {
            return refusal(725);
        }
    }
    ("200 OK", "<s:Envelope></s:Envelope>".to_owned())
}

const DESCRIPTION: &str = "<root><device><serviceList><service>\
  <serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/other</controlURL></service>\
  <service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>\
  <SCPDURL>/scpd</SCPDURL><controlURL>/control?x=1</controlURL></service></serviceList></device></root>";

fn request() -> Request {
    Request { port: 4263, external: 0, nonce: [7; 12] }
}

#[test]
fn a_port_is_forwarded_and_given_back_by_routers_of_all_ways() {
    for (permanent_alone, taken, chunked) in
        [(false, false, false), (true, false, true), (false, true, false)]
    {
        let ways = Ways { permanent_alone, taken, chunked, elsewhere: false };
        let (group, commands) = router(ways);
        let found = find_at(group, None).expect("a router");
        assert_eq!(found.service, "urn:schemas-upnp-org:service:WANIPConnection:1");
        let grant = found.ask(&request(), LIFE).expect("granted");
        let port = if taken { 0x8707 } else { 4263 };
        assert_eq!(grant.external, SocketAddr::from(([203, 0, 113, 7], port)), "{ways:?}");
        assert_eq!((grant.life, grant.protocol), (LIFE, PortProtocol::Upnp));
        let (name, body) = commands.try_iter().last().expect("commands");
        let words =
            ["<NewInternalClient>127.0.0.1<", "<NewInternalPort>4263<", "<NewProtocol>UDP<"];
        assert!(name == "AddPortMapping" && words.iter().all(|word| body.contains(word)), "{body}");
        assert!(body.starts_with("POST /control?x=1 HTTP/1.1\r\n"), "{body}");
        assert!(body.contains(&format!("<NewExternalPort>{port}<")), "{body}");

        let held = Request { external: port, ..request() };
        found.ask(&held, Duration::ZERO).expect("given back");
        let (name, body) = commands.try_iter().last().expect("a command");
        assert!(name == "DeletePortMapping" && body.contains(&format!(">{port}<")), "{body}");
    }
}

#[test]
fn nobody_but_the_router_that_answers_is_called() {
    let ways = Ways { elsewhere: true, ..Ways::default() };
    let places = search::search(router(ways).0, Some(Ipv4Addr::LOCALHOST.into())).expect("sent");
    assert_eq!(places, []);
    let place = Place::parse("http://192.0.2.1:5000/d.xml").expect("a place");
    assert_eq!(place.beside("http://192.0.2.9:5000/x"), None);
    assert_eq!(place.beside("/x\r\nHost: other"), None);
    assert_eq!(place.beside("x"), Place::parse("http://192.0.2.1:5000/x"));
    for no_place in ["https://192.0.2.1/", "http://router.example/", "http://", "ftp://192.0.2.1/"]
    {
        assert_eq!(Place::parse(no_place), None, "{no_place}");
    }
    assert_eq!(Place::parse("http://192.0.2.1"), Place::parse("http://192.0.2.1:80/"));
}

#[test]
fn a_router_that_answers_nonsense_is_an_error_and_no_more() {
    let place = Place::parse("http://192.0.2.1:5000/d.xml").expect("a place");
    for text in ["", "HTTP/1.1 200 OK", "HTTP/1.1\r\n\r\n", "hello\r\n\r\n"] {
        assert_eq!(http::read(text.as_bytes()), None, "{text}");
    }
    let reply = |body: &str| {
        http::read(format!("HTTP/1.1 200 OK\r\n\r\n{body}").as_bytes()).expect("an answer")
    };
    for body in [
        "",
        "<service>",
        "<service><serviceType>:WANIPConnection:1</serviceType>",
        "<service><serviceType>x:WANIPConnection:1\"\r\nA: b</serviceType><controlURL>/</controlURL>",
        "<service><serviceType>x:WANIPConnection:1</serviceType><controlURL>http://192.0.2.9/</controlURL>",
    ] {
        assert!(described(&place, &reply(body)).is_err(), "{body}");
    }
    assert_eq!(http::element("<ab>1</ab><a x='2'> 3 </a>", "a"), Some(" 3 "));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n<errorCode>7</errorCode>";
    assert_eq!(http::read(chunked).expect("an answer").code, Some(7));
}
