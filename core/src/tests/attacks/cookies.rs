//! Cookies, which stand in the transcript.

use super::*;
use crate::config::Retry;

fn careful() -> Victim {
    Victim::new(Config { retry: Retry::Always, ..Config::default() })
}

fn half_open(victim: &Victim) -> bool {
    !std::format!("{:?}", victim.node.endpoint).contains("half_open: 0")
}

/// An initiator with a fresh cookie of its own.
fn with_cookie(victim: &mut Victim) -> (Forger, Cookie) {
    let mut initiator = Forger::new(9);
    let payload = initiator.payload();
    let (request, _) = initiator.request(&victim.node.endpoint.id(), Cookie::NONE, &payload);
    let answers = victim.take(initiator.address, request.as_bytes());
    (initiator, cookie_in(&answers))
}

/// Sends a request with this cookie that is genuine otherwise. Whether it was answered with a
/// response; else it was with a retry, and nothing is kept.
fn passes(victim: &mut Victim, initiator: &mut Forger, cookie: Cookie) -> bool {
    let payload = initiator.payload();
    let (request, _) = initiator.request(&victim.node.endpoint.id(), cookie, &payload);
    let answers = victim.take(initiator.address, request.as_bytes());
    assert_eq!(answers.len(), 1);
    let (to, bytes) = &answers[0];
    assert_eq!(*to, initiator.address);
    assert!(bytes.len() <= 140);
    if bytes.len() != 140 {
        cookie_in(&answers);
        assert!(!half_open(victim), "nothing is kept of who is asked to come again");
    }
    bytes.len() == 140
}

/// The request is right in everything but the cookie; or wrong in everything but the MAC, so that a
/// look at the handshake would show in the count.
#[test]
fn row_29_tinydtls_74_without_a_good_cookie_there_is_no_diffie_hellman_and_no_larger_answer() {
    let mut victim = careful();
    let (mut initiator, cookie) = with_cookie(&mut victim);
    let to = victim.node.endpoint.id();
    for bit in 0..160 {
        let mut bytes = [0; 20];
        bytes.copy_from_slice(cookie.as_bytes());
        bytes[bit / 8] ^= 1 << (bit % 8);
        let forged = Cookie::read_from_bytes(&bytes).expect("20 bytes");
        assert!(!passes(&mut victim, &mut initiator, forged), "bit {bit}");
        let mut rubbish = HandshakeRequest::new(initiator.index, forged);
        rubbish.ephemeral = [9; 32];
        sign(&mut rubbish, &to);
        let answers = victim.take(initiator.address, rubbish.as_bytes());
        cookie_in(&answers);
    }
    assert_eq!(victim.node.endpoint.drops().authentication, 0, "no handshake was looked at");
    assert_eq!(victim.node.endpoint.drops().bad_cookie, 320);
    // With the cookie it is.
    let mut rubbish = HandshakeRequest::new(initiator.index, cookie);
    rubbish.ephemeral = [9; 32];
    sign(&mut rubbish, &to);
    assert!(victim.take(initiator.address, rubbish.as_bytes()).is_empty());
    assert_eq!(victim.node.endpoint.drops().authentication, 1);
    assert!(passes(&mut victim, &mut initiator, cookie));
}

#[test]
fn ours_a_cookie_is_good_for_one_address_one_index_and_half_a_minute() {
    let mut victim = careful();
    let (mut initiator, cookie) = with_cookie(&mut victim);
    let home = initiator.address;
    for elsewhere in [address(10), SocketAddr::from(([10, 0, 0, 9], 4264))] {
        initiator.address = elsewhere;
        assert!(!passes(&mut victim, &mut initiator, cookie), "{elsewhere}");
    }
    initiator.address = home;
    let index = initiator.index;
    for bit in 0..32 {
        initiator.index = index ^ 1 << bit;
        assert!(!passes(&mut victim, &mut initiator, cookie), "bit {bit} of the index");
    }
    initiator.index = index;
    // A time that was not, will be, or never is.
    for time in [0, 1, cookie.time.get() + 1, cookie.time.get() - 1, u32::MAX] {
        let forged = Cookie { time: time.into(), ..cookie };
        assert!(!passes(&mut victim, &mut initiator, forged), "time {time}");
    }
    victim.pass(Duration::from_secs(31));
    assert!(!passes(&mut victim, &mut initiator, cookie), "31 s later");
    let (mut initiator, cookie) = with_cookie(&mut victim);
    victim.pass(Duration::from_secs(29));
    assert!(passes(&mut victim, &mut initiator, cookie), "29 s later");
}

/// The cookie is part of what is encrypted: a request is not the same with another, or without.
#[test]
fn ours_a_cookie_cannot_be_changed_for_another_or_taken_away() {
    let mut victim = careful();
    let (mut initiator, cookie) = with_cookie(&mut victim);
    victim.pass(Duration::from_secs(2));
    let (_, newer) = with_cookie(&mut victim);
    assert_ne!(cookie, newer);
    let (to, payload) = (victim.node.endpoint.id(), initiator.payload());
    let (genuine, _) = initiator.request(&to, cookie, &payload);
    let mut changed = genuine.clone();
    changed.cookie = newer;
    sign(&mut changed, &to);
    assert!(victim.take(initiator.address, changed.as_bytes()).is_empty());
    assert_eq!(victim.node.endpoint.drops().authentication, 1, "a good cookie of another request");
    // Whoever does not insist on cookies notices that one is missing.
    let mut lenient = Victim::new(Config::default());
    for cookie in [Cookie::NONE, newer] {
        let mut stripped = genuine.clone();
        stripped.cookie = cookie;
        sign(&mut stripped, &to);
        let answers = lenient.take(initiator.address, stripped.as_bytes());
        assert!(answers.iter().all(|(_, bytes)| bytes.len() == 80), "at most: come again");
        assert!(!half_open(&lenient));
    }
    assert_eq!(victim.take(initiator.address, genuine.as_bytes())[0].1.len(), 140);
}
