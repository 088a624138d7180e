//! Several endpoints behind one address: datagrams are steered by the low byte of the receiver index,
//! those without one go anywhere.

use std::net::SocketAddr;

use handfast_core::{
    Config, CookieSecret, Endpoint, Event, Identity, Instant, Origin, Retry, Target,
};

/// The first byte of requests: they carry no index of the server's.
const REQUEST: u8 = 0xc1;

fn at(ms: u64) -> Instant {
    Instant::from_micros(1_000_000 + ms * 1000)
}

fn shard(number: u8, cookie_secret: Option<CookieSecret>) -> Endpoint {
    let mut config = Config::default();
    config.shard = number;
    config.retry = Retry::Always;
    config.cookie_secret = cookie_secret;
    let config = config.validate().expect("valid");
    Endpoint::new(config, Identity::from_seed([2; 32]), [number + 10; 32], at(0))
}

fn sent(endpoint: &mut Endpoint, now: Instant) -> Vec<Vec<u8>> {
    let (mut all, mut buf) = (Vec::new(), [0; 1452]);
    while let Some(transmit) = endpoint.poll_transmit(now, &mut buf) {
        all.push(buf[..transmit.len].to_vec());
    }
    all
}

/// A client calls a server of two shards; each of its requests reaches another shard. Whether it is
/// connected after a second, and what each shard did.
fn connects(secrets: [Option<CookieSecret>; 2]) -> (bool, [Endpoint; 2]) {
    let [first, second] = secrets;
    let mut shards = [shard(0, first), shard(1, second)];
    let addresses = ["10.0.0.1:4263", "10.0.0.2:4263"].map(|text| text.parse().expect("address"));
    let [home, server]: [SocketAddr; 2] = addresses;
    let config = Config::default().validate().expect("valid");
    let mut client = Endpoint::new(config, Identity::from_seed([1; 32]), [1; 32], at(0));
    client.connect(at(0), Target::new(shards[0].id(), [server])).expect("nothing against it");
    let mut requests = 0;
    for ms in 0..1000 {
        let now = at(ms);
        if client.poll_timeout().is_some_and(|due| due <= now) {
            client.handle_timeout(now);
        }
        for mut datagram in sent(&mut client, now) {
            let to = if datagram[0] == REQUEST {
                requests += 1;
                (requests + 1) % 2
            } else {
                usize::from(datagram[4])
            };
            shards[to].handle_datagram(now, Origin::from_remote(home), &mut datagram);
        }
        for endpoint in &mut shards {
            for mut datagram in sent(endpoint, now) {
                client.handle_datagram(now, Origin::from_remote(server), &mut datagram);
            }
        }
        let connected = |event: Event| matches!(event, Event::Connected { .. });
        if std::iter::from_fn(|| client.poll_event()).any(connected) {
            return (true, shards);
        }
    }
    (false, shards)
}

#[test]
fn a_cookie_of_one_endpoint_is_good_for_another_that_shares_the_secret() {
    let secret = || Some(CookieSecret::new([7; 32]));
    let (connected, shards) = connects([secret(), secret()]);
    assert!(connected);
    let [first, second] = shards.map(|shard| (*shard.stats(), *shard.drops()));
    assert_eq!((first.0.retries_sent, second.0.retries_sent), (1, 0));
    assert_eq!((first.0.requests_opened, second.0.requests_opened), (0, 1));
    assert_eq!(second.1.bad_cookie, 0);
}

#[test]
fn without_a_shared_secret_it_is_not() {
    let other = |byte| Some(CookieSecret::new([byte; 32]));
    for secrets in [[None, None], [other(7), other(8)]] {
        // The initiator gets another cookie, and may be lucky with it.
        let (_, [_, second]) = connects(secrets);
        assert!(second.drops().bad_cookie > 0);
    }
}
