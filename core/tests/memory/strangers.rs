//! However many strangers call, an endpoint needs no more memory afterwards, and little meanwhile.
//!
//! `HANDFAST_STRANGERS=1000000 cargo test -p handfast-core --test memory strangers` lets a million call.

use std::net::SocketAddr;

use blake2::digest::{KeyInit, Mac};
use blake2::{Blake2s256, Blake2sMac256, Digest};
use handfast_core::{Endpoint, Identity, Instant, Origin, Target, ValidConfig};

use crate::counting::{LIVE, PEAK};

const KEY_REQUEST: u8 = 0xc0;
const REQUEST: u8 = 0xc1;
const RETRY: u8 = 0xc3;
const VERSION: u8 = 6;
/// Bytes of a request.
const LEN: usize = 240;

/// The key of a mac of `docs/PROTOCOL.md`, section 8.
fn mac_key(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Blake2s256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

struct Server {
    endpoint: Endpoint,
    request_key: [u8; 32],
    question_key: [u8; 32],
    micros: u64,
    buf: [u8; 2048],
    /// Bytes of answers.
    said: u64,
}

impl Server {
    fn new() -> Self {
        let identity = Identity::from_seed([2; 32]);
        let id = identity.id();
        let nothing = [0; 48];
        let start = Instant::from_micros(1);
        Self {
            endpoint: Endpoint::new(ValidConfig::default(), identity, [2; 32], start),
            request_key: mac_key(&[b"handfast/1 request mac", id.as_bytes(), &nothing]),
            question_key: mac_key(&[b"handfast/1 key-request mac", &nothing]),
            micros: 1,
            buf: [0; 2048],
            said: 0,
        }
    }

    /// Takes a datagram, 20 us after the one before; the answer, if there is one.
    fn take(&mut self, from: SocketAddr, datagram: &mut [u8]) -> Option<&mut [u8]> {
        self.micros += 20;
        let now = Instant::from_micros(self.micros);
        if self.endpoint.poll_timeout().is_some_and(|due| due <= now) {
            self.endpoint.handle_timeout(now);
        }
        self.endpoint.handle_datagram(now, Origin::from_remote(from), datagram);
        assert_eq!(self.endpoint.poll_event(), None);
        let transmit = self.endpoint.poll_transmit(now, &mut self.buf)?;
        assert!(transmit.len <= datagram.len() && transmit.destination == from);
        self.said += transmit.len as u64;
        Some(&mut self.buf[..transmit.len])
    }

    /// Lets `count` strangers call, and time pass until nothing is to be done any more.
    fn serve(&mut self, from: u32, count: u32) {
        for number in from..from + count {
            if number % 64 == 0 {
                self.take_genuine(number);
            } else {
                let mut datagram = self.forged(number);
                self.take(source(number), &mut datagram);
            }
        }
        while let Some(due) = self.endpoint.poll_timeout() {
            self.micros = due.as_micros();
            self.endpoint.handle_timeout(due);
        }
    }

    /// An initiator that does all it has to, but never uses the session.
    fn take_genuine(&mut self, number: u32) {
        let (now, mut buf) = (Instant::from_micros(self.micros), [0; 2048]);
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let mut initiator =
            Endpoint::new(ValidConfig::default(), Identity::from_seed(seed), seed, now);
        let server = SocketAddr::from(([10, 0, 0, 2], 4263));
        initiator.connect(now, Target::new(self.endpoint.id(), [server])).expect("room");
        // The second time with a cookie.
        for _ in 0..2 {
            let Some(transmit) = initiator.poll_transmit(now, &mut buf) else { return };
            let Some(answer) = self.take(source(number), &mut buf[..transmit.len]) else { return };
            if answer[0] != RETRY {
                return;
            }
            initiator.handle_datagram(now, Origin::from_remote(server), answer);
        }
    }

    /// A datagram with a mac that is genuine, mostly, and nothing else that is.
    fn forged(&self, number: u32) -> [u8; LEN] {
        let mut datagram = [0; LEN];
        datagram[1] = VERSION;
        datagram[4..8].copy_from_slice(&number.to_le_bytes());
        let (key, at) = if number % 4 == 1 {
            datagram[0] = KEY_REQUEST;
            (&self.question_key, 24)
        } else {
            datagram[0] = REQUEST;
            // The ephemeral key, and sometimes a cookie.
            datagram[32..36].copy_from_slice(&number.to_le_bytes());
            datagram[8..28].fill(if number % 4 == 2 { 7 } else { 0 });
            (&self.request_key, LEN - 16)
        };
        let mut mac = Blake2sMac256::new(key.into());
        mac.update(&datagram[..at]);
        let mac: [u8; 32] = mac.finalize().into_bytes().into();
        datagram[at..at + 16].copy_from_slice(&mac[..16]);
        datagram[at] ^= u8::from(number % 32 == 3);
        datagram
    }
}

/// Another address for each number, every other one of IPv6.
fn source(number: u32) -> SocketAddr {
    let [a, b, c, d] = number.wrapping_mul(0x9e37_79b9).to_be_bytes();
    let [high, low] = [[a, b], [c, d]].map(u16::from_be_bytes);
    match number / 64 % 2 {
        0 => SocketAddr::from(([0x2001, 0xdb8, high, low, 5, 6, 7, 8], 4263)),
        _ => SocketAddr::from(([a, b, c, d], 4263)),
    }
}

#[test]
fn strangers_without_number_leave_memory_where_it_was() {
    let strangers = std::env::var("HANDFAST_STRANGERS").map_or(100_000, |number| {
        number.parse().expect("HANDFAST_STRANGERS is a number of initiators")
    });
    let mut server = Server::new();
    let cold = LIVE.get();
    // Tables are made when the first initiator comes, and lists keep some room.
    server.serve(0, 20_000);
    let warm = LIVE.get();
    assert!(warm - cold <= 256 << 10, "{} bytes for tables", warm - cold);
    PEAK.set(warm);
    server.serve(1 << 24, strangers);
    // Before anything is printed, which takes memory too.
    let (left, at_once) = (LIVE.get() - warm, PEAK.get() - warm);
    let (drops, stats) = (*server.endpoint.drops(), *server.endpoint.stats());
    println!("tables {} bytes, at once {at_once} more, left {left}", warm - cold);
    println!("{drops:?}\n{stats:?}");
    assert_eq!(left, 0, "bytes that stayed");
    // 1,024 handshakes that wait, and the initiator that is being made.
    assert!(at_once <= 2 << 20, "{at_once} bytes at once");
    assert_eq!(server.endpoint.peers().count(), 0);
    assert_eq!(stats.unverified_bytes_sent, server.said);
    // It was a flood: of each kind there were many.
    let many = u64::from(strangers / 100);
    assert!(drops.bad_mac > many && drops.bad_cookie > many, "{drops:?}");
    assert!(drops.authentication > 400 && stats.retries_sent > many, "{drops:?} {stats:?}");
}
