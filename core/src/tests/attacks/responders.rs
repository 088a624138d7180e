//! Answers to our calls, by somebody who saw them.

use super::*;
use crate::crypto::rng::Rng;
use crate::wire::kind;

fn retry(request: &HandshakeRequest, cookie: Cookie) -> HandshakeRetry {
    let mut retry = HandshakeRetry::new(request.sender_index.get(), cookie, None);
    retry.mac = MacKey::retry(&request.mac).mac(retry.authenticated());
    retry
}

fn bogus(n: u8) -> Cookie {
    Cookie { time: 7.into(), mac: [n; 16] }
}

fn answer(responder: &mut Forger, request: &HandshakeRequest) -> HandshakeResponse {
    let index = responder.index;
    let payload = ResponsePayload::new(1, usual_parameters(), address(2), index);
    responder.respond(request, &payload)
}

fn dialling() -> (Victim, Forger, HandshakeRequest) {
    let (mut victim, responder) = (Victim::new(Config::default()), Forger::new(9));
    let target = Target::new(responder.identity.id(), [responder.address]);
    let (_, request) = victim.dial(target);
    (victim, responder, request)
}

/// The forger knows who calls, so every MAC is right.
#[test]
fn row_31_tailscale_rs_334_no_forged_response_spoils_the_genuine_one() {
    let (mut victim, mut responder, request) = dialling();
    let genuine = answer(&mut responder, &request);
    let initiator = victim.node.endpoint.id();
    let forgeries = genuine.as_bytes().len() - 16;
    for at in 4..forgeries {
        let mut bytes = genuine.as_bytes().to_vec();
        bytes[at] ^= 0x11;
        let mut forged = HandshakeResponse::read_from_bytes(&bytes).expect("140 bytes");
        sign_response(&mut forged, &request.ephemeral, &initiator);
        assert!(victim.take(responder.address, forged.as_bytes()).is_empty(), "byte {at}");
        assert!(!victim.is_connected(), "byte {at}");
    }
    let mut rng = Rng::from_seed([31; 32]);
    for _ in 0..1_000 {
        let mut forged = genuine.clone();
        forged.ephemeral = SecretKey::from_bytes(&rng.bytes()).public();
        sign_response(&mut forged, &request.ephemeral, &initiator);
        assert!(victim.take(responder.address, forged.as_bytes()).is_empty());
    }
    victim.take(responder.address, genuine.as_bytes());
    assert!(victim.is_connected());
}

/// Whoever was called can answer with nonsense as fast as it likes; opening it costs Diffie-Hellman.
#[test]
fn ours_nonsense_under_a_right_mac_is_opened_a_thousand_times_a_second_at_most() {
    let (mut victim, mut responder, request) = dialling();
    let genuine = answer(&mut responder, &request);
    let initiator = victim.node.endpoint.id();
    let mut forged = genuine.clone();
    forged.payload_ciphertext[0] ^= 1;
    sign_response(&mut forged, &request.ephemeral, &initiator);
    for _ in 0..10_000 {
        assert!(victim.take(responder.address, forged.as_bytes()).is_empty());
    }
    let drops = *victim.node.endpoint.drops();
    assert_eq!((drops.authentication, drops.rate_limited), (4_000, 6_000));
    victim.pass(Duration::from_millis(2));
    victim.take(responder.address, genuine.as_bytes());
    assert!(victim.is_connected(), "once the flood pauses");
}

/// The head of a response is no part of the handshake's transcript. Its index is told once more
/// where it cannot be changed, or packets would go to a session of nobody.
#[test]
fn ours_a_response_with_another_index_in_its_head_is_not_believed() {
    let (mut victim, mut responder, request) = dialling();
    let genuine = answer(&mut responder, &request);
    let mut forged = genuine.clone();
    forged.sender_index = 0x6666_6600.into();
    sign_response(&mut forged, &request.ephemeral, &victim.node.endpoint.id());
    victim.take(responder.address, forged.as_bytes());
    assert!(!victim.is_connected());
    assert_eq!(victim.node.endpoint.drops().authentication, 1);
    let sent = victim.take(responder.address, genuine.as_bytes());
    assert!(victim.is_connected());
    assert_eq!(sent[0].1[4..8], responder.index.to_le_bytes());
}

/// Who sees a call can ask for another with a cookie of his own making, faster than the responder
/// answers. The answer to the first call still counts.
#[test]
fn ours_forged_retries_do_not_stop_a_call_that_is_answered() {
    let (mut victim, mut responder, first) = dialling();
    let mut last = first.clone();
    for n in 1..10 {
        let sent = victim.take(responder.address, retry(&last, bogus(n)).as_bytes());
        let Some((_, bytes)) = sent.first() else { break };
        last = HandshakeRequest::read_from_bytes(bytes).expect("a request");
        assert_eq!(last.cookie, bogus(n));
    }
    assert_ne!(last.ephemeral, first.ephemeral, "they were followed, to a point");
    victim.take(responder.address, answer(&mut responder, &first).as_bytes());
    assert!(victim.is_connected());
}

/// Off the path nobody sees the call, and without it makes neither retry nor response.
#[test]
fn ours_retries_and_responses_of_those_who_did_not_see_the_call_are_nothing() {
    let (mut victim, mut responder, request) = dialling();
    let mut rng = Rng::from_seed([1; 32]);
    for _ in 0..1_000 {
        let mut guess = request.clone();
        guess.mac = rng.bytes();
        assert!(victim.take(responder.address, retry(&guess, bogus(1)).as_bytes()).is_empty());
    }
    // Even a retry made by who saw it counts only from an address that was called.
    assert!(victim.take(address(66), retry(&request, bogus(1)).as_bytes()).is_empty());
    let genuine = answer(&mut responder, &request);
    victim.take(address(66), genuine.as_bytes());
    assert!(!victim.is_connected());
    victim.take(responder.address, genuine.as_bytes());
    assert!(victim.is_connected());
}

/// A true hint makes a peer call at once. Who hints and then answers as if it had restarted, again and
/// again, would be called as fast as the line carries it.
#[test]
fn ours_a_peer_that_restarts_all_the_time_is_met_at_once_four_times() {
    let (mut victim, mut responder, request) = dialling();
    let (mut call, mut life) = (request, 0);
    // Returns how many hints were followed.
    let mut provoke = |victim: &mut Victim| {
        for hints in 0..20 {
            // Each answer names another life, so that the victim begins anew with the next request.
            let sent = loop {
                life += 1;
                let index = responder.index;
                let payload = ResponsePayload::new(life, usual_parameters(), address(2), index);
                let response = responder.respond(&call, &payload);
                let sent = victim.take(responder.address, response.as_bytes());
                let Some(anew) = sent.iter().find_map(|(_, packet)| request_in(packet)) else {
                    break sent;
                };
                call = anew;
            };
            let Some((_, packet)) = sent.last() else { return hints };
            let mut hint = packet[..16].to_vec();
            hint[0] = kind::UNKNOWN_SESSION;
            let sent = victim.take(responder.address, &hint);
            let Some(next) = sent.iter().find_map(|(_, packet)| request_in(packet)) else {
                return hints;
            };
            call = next;
        }
        20
    };
    assert_eq!(provoke(&mut victim), 1 + 4, "the first hint, four restarts");
    victim.pass(Duration::from_secs(5));
    let more = provoke(&mut victim);
    assert!(more <= 2, "{more} calls");
}

fn request_in(packet: &[u8]) -> Option<HandshakeRequest> {
    let is_request = packet[0] == kind::HANDSHAKE_REQUEST;
    is_request.then(|| HandshakeRequest::read_from_bytes(packet).ok()).flatten()
}
