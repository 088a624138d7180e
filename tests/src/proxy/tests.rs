//! The proxy between plain sockets.

use super::*;

fn plain() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    socket
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 2048];
    let (len, from) = socket.recv_from(&mut buffer).expect("a datagram");
    (buffer[..len].to_vec(), from)
}

fn start(config: ProxyConfig, server: &UdpSocket) -> Proxy {
    Proxy::start(config, server.local_addr().expect("an address")).expect("a proxy")
}

fn gentle() -> Conditions {
    Conditions { latency: Duration::from_millis(1), ..Conditions::default() }
}

#[test]
fn every_client_gets_its_own_answers() {
    let (server, clients) = (plain(), [plain(), plain(), plain()]);
    let proxy = start(ProxyConfig::both_ways(1, gentle()), &server);
    for (number, client) in (0_u8..).zip(&clients) {
        client.send_to(&[number], proxy.address()).expect("sent");
    }
    for _ in &clients {
        let (bytes, from) = receive(&server);
        server.send_to(&[bytes[0], 100 + bytes[0]], from).expect("sent");
    }
    for (number, client) in (0_u8..).zip(&clients) {
        assert_eq!(receive(client), (vec![number, 100 + number], proxy.address()));
    }
    let counters = proxy.counters();
    assert_eq!((counters.clients, counters.from_clients, counters.from_server), (3, 3, 3));
}

#[test]
fn what_the_seed_loses_is_counted_and_the_rest_arrives_in_order() {
    let (server, client) = (plain(), plain());
    let loss = Probability::percent(20);
    let config = ProxyConfig::both_ways(1, Conditions { loss, ..gentle() });
    let proxy = start(ProxyConfig { capture: 5, ..config }, &server);
    for number in 0..200_u8 {
        client.send_to(&[number], proxy.address()).expect("sent");
    }
    while proxy.counters().from_clients < 200 {
        thread::yield_now();
    }
    proxy.set(gentle(), gentle());
    client.send_to(&[255], proxy.address()).expect("sent");
    let arrived = std::iter::from_fn(|| Some(receive(&server).0[0]).filter(|n| *n != 255));
    let arrived: Vec<u8> = arrived.collect();
    assert!(arrived.is_sorted());
    assert_eq!(arrived.len() as u64, 200 - proxy.counters().faults.lost);
    assert!((120..190).contains(&arrived.len()), "{}", arrived.len());
    assert_eq!(proxy.captured(Way::ToServer), [[0], [1], [2], [3], [4]]);
}

#[test]
fn a_full_queue_drops_the_newest() {
    let (server, client) = (plain(), plain());
    let conditions = Conditions { rate: Some(1_000_000), queue: 5_000, ..gentle() };
    let proxy = start(ProxyConfig::both_ways(1, conditions), &server);
    for number in 0..100_u8 {
        client.send_to(&[number; 1000], proxy.address()).expect("sent");
    }
    assert_eq!(receive(&server).0[0], 0);
    while proxy.counters().from_clients < 100 {
        thread::yield_now();
    }
    assert!(proxy.counters().faults.queue_drops > 0, "{:?}", proxy.counters());
}

#[test]
fn injected_datagrams_come_from_the_client_or_the_server() {
    let (server, client) = (plain(), plain());
    let proxy = start(ProxyConfig::both_ways(1, gentle()), &server);
    client.send_to(b"real", proxy.address()).expect("sent");
    let (_, from) = receive(&server);
    proxy.inject(0, Way::ToServer, b"forged".to_vec());
    proxy.inject(0, Way::ToClient, b"answer".to_vec());
    proxy.inject(7, Way::ToClient, b"to nobody".to_vec());
    assert_eq!(receive(&server), (b"forged".to_vec(), from));
    assert_eq!(receive(&client), (b"answer".to_vec(), proxy.address()));
}
