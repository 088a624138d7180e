use super::*;
use crate::crypto::cookie::CookieJar;
use crate::crypto::noise::Split;
use crate::crypto::rng::Rng;
use crate::crypto::transcript::Transcript;
use crate::net::Arrival;
use crate::session::{Established, Pair, Terms};
use crate::time::Instant;
use crate::wire::HandshakeResponse;
use crate::{Identity, Limits};

fn context(config: Config) -> Context {
    let rng = Rng::from_seed([1; 32]);
    Context::new(
        config.validate().expect("valid"),
        Identity::from_seed([1; 32]),
        rng,
        Instant::from_micros(1),
    )
}

fn admission(cx: &Context) -> Admission {
    Admission::new(cx, CookieJar::new([5; 32].into()))
}

fn arrival(host: u8) -> Arrival {
    Arrival::from_remote(([10, 0, 0, host], 4263).into())
}

fn claim(seed: u8, host: u8, timestamp_ms: u64, validated: bool) -> Claim {
    let (id, source) = (Identity::from_seed([seed; 32]).id(), Source::of(&arrival(host).via));
    let (cookie_time, request_mac) = (validated.then_some(50), [seed; 16]);
    Claim { id, source, timestamp_ms, cookie_time, request_mac, admitted: true, incarnation: 9 }
}

/// A peer that made its newest request at 100.
fn known(has_session: bool) -> KnownPeer {
    KnownPeer {
        handle: PeerHandle { slot: 3, generation: 5, shard: 0 },
        has_session,
        incarnation: 7,
        next_incarnation: 8,
        former: [None; 4],
        remote_incarnation: has_session.then_some(9),
        timestamp_ms: 100,
        confirmed_at: 50,
        confirmed: None,
        fresh_grant: 1000,
        most_granted: 1000,
    }
}

const QUIET: Load = Load { peers: 0, peers_at_source: 0, may_evict: false, closing: false };

/// What is kept of a request that was answered.
fn half_open(cx: &mut Context, claim: &Claim, peer: Option<&KnownPeer>, number: u8) -> HalfOpen {
    let split = Split {
        initiator: [1; 32].into(),
        responder: [2; 32].into(),
        transcript: Transcript::new([3; 32]),
    };
    let terms = Terms {
        local_index: number.into(),
        remote_index: 2,
        initiated_by_us: false,
        incarnations: Pair { ours: 7, theirs: 9 },
        parameters: cx.parameters(0),
        granted: 1000,
        via: arrival(1).via,
        is_there: true,
    };
    HalfOpen {
        id: claim.id,
        peer: peer.map(|peer| peer.handle),
        timestamp_ms: claim.timestamp_ms,
        cookie_time: claim.cookie_time,
        established: Established::new(cx, &split, terms),
        response: HandshakeResponse::new(2, number.into()),
        request_mac: [number; 16],
        responded_at: None,
    }
}

#[test]
fn a_request_of_a_peer_is_answered_if_it_is_newer_or_has_a_cookie_and_disturbs_nobody() {
    let cx = context(Config::default());
    let mut admission = admission(&cx);
    let decide = |admission: &Admission, time, validated, session| {
        admission.decide(&cx, &claim(2, 2, time, validated), Some(&known(session)), &QUIET)
    };
    let first = |validated| Decision::Respond { place: Place::Peer { validated }, evicted: None };
    for (time, validated, session, expected) in [
        (101, false, true, first(false)),
        (100, false, true, Decision::Validate),
        (0, false, true, Decision::Validate),
        (0, true, true, first(true)),
        (0, false, false, first(false)),
    ] {
        let decision = decide(&admission, time, validated, session);
        assert_eq!(decision, expected, "{time} {validated} {session}");
    }
    // A cookie from before the session shows no more than where it is.
    let old = Claim { cookie_time: Some(49), ..claim(2, 2, 100, true) };
    assert_eq!(admission.decide(&cx, &old, Some(&known(true)), &QUIET), Decision::Validate);
    // The request that made the session.
    let peer = KnownPeer { confirmed: Some([2; 16]), ..known(true) };
    let again = admission.decide(&cx, &claim(2, 2, 101, true), Some(&peer), &QUIET);
    assert_eq!(again, Decision::Drop(DropReason::Duplicate));
    // Two others of its requests were answered, made at 200, one with a cookie.
    let mut cx = context(Config::default());
    for validated in [false, true] {
        let claim = claim(2, 2, 200, validated);
        let answered = half_open(&mut cx, &claim, Some(&known(true)), u8::from(validated));
        admission.half_open.insert(answered, Place::Peer { validated }, cx.now);
    }
    let instead = |validated| Decision::Respond {
        place: Place::Peer { validated },
        evicted: Some(u32::from(validated)),
    };
    for (time, cookie_time, expected) in [
        (201, None, instead(false)),
        (200, None, Decision::Validate),
        (150, None, Decision::Validate),
        (200, Some(50), instead(true)),
        (0, Some(51), instead(true)),
        (199, Some(50), Decision::Drop(DropReason::Duplicate)),
    ] {
        let claim = Claim { cookie_time, ..claim(2, 2, time, cookie_time.is_some()) };
        let decision = admission.decide(&cx, &claim, Some(&known(true)), &QUIET);
        assert_eq!(decision, expected, "{time} {cookie_time:?}");
    }
}

#[test]
fn a_stranger_takes_a_free_place_or_that_of_the_oldest_once_it_had_its_time() {
    let config = Config {
        limits: Limits { max_half_open: 4, max_half_open_per_source: 2, ..Limits::default() },
        ..Config::default()
    };
    let mut cx = context(config);
    let mut admission = admission(&cx);
    // From the sources 3, 1, 1 and 2, in this order, 100 ms after each other.
    for (number, host) in [(0, 3), (1, 1), (2, 1), (3, 2)] {
        let claim = claim(number + 10, host, 0, false);
        let decision = admission.decide(&cx, &claim, None, &QUIET);
        let place = Place::Stranger(claim.source);
        assert_eq!(decision, Decision::Respond { place, evicted: None });
        let half_open = half_open(&mut cx, &claim, None, number);
        admission.half_open.insert(half_open, place, cx.now);
        cx.advance(cx.now + Duration::from_millis(100));
    }
    let decide =
        |cx: &Context, host| admission.decide(cx, &claim(99, host, 0, false), None, &QUIET);
    assert_eq!(decide(&cx, 4), Decision::Drop(DropReason::Full), "the oldest is 400 ms old");
    cx.advance(cx.now + Duration::from_millis(100));
    let evicted = |host| match decide(&cx, host) {
        Decision::Respond { place: Place::Stranger(_), evicted } => evicted,
        _ => None,
    };
    assert_eq!(evicted(4), Some(0), "the oldest of all");
    assert_eq!(evicted(1), None, "its own oldest still has time");
    cx.advance(cx.now + Duration::from_millis(100));
    let evicted = |host| match decide(&cx, host) {
        Decision::Respond { place: Place::Stranger(_), evicted } => evicted,
        _ => None,
    };
    assert_eq!(evicted(1), Some(1), "its own oldest, as it has its share");
    assert_eq!(evicted(2), Some(0), "it has less than its share: the oldest of all");
}

#[test]
fn no_source_alone_takes_more_than_half_of_the_places_for_peers() {
    let config = Config {
        limits: Limits { max_peers: 8, max_peers_per_source: 2, ..Limits::default() },
        ..Config::default()
    };
    let cx = context(config.clone());
    let admission = admission(&cx);
    for (peers, peers_at_source, room) in
        [(3, 3, true), (4, 1, true), (4, 2, false), (7, 1, true), (7, 2, false), (8, 0, false)]
    {
        let load = Load { peers, peers_at_source, ..QUIET };
        let decision = admission.decide(&cx, &claim(2, 2, 0, true), None, &load);
        let full = decision == Decision::Refuse(ResponseStatus::Full);
        assert_eq!(full, !room, "{peers} peers, {peers_at_source} at the source");
        assert_eq!(has_place(&config, &load), room, "the same when the handshake is confirmed");
        // Unless somebody may give way to it.
        let load = Load { may_evict: true, ..load };
        let decision = admission.decide(&cx, &claim(2, 2, 0, true), None, &load);
        assert!(matches!(decision, Decision::Respond { .. }));
        let decision = admission.decide(&cx, &claim(2, 2, 0, false), None, &load);
        assert_eq!(decision == Decision::Validate, !room, "only for whom it is");
    }
}

#[test]
fn a_handshake_is_confirmed_only_if_what_was_told_is_still_true() {
    let config = Config::default();
    let mut cx = context(config);
    let peer = known(true);
    let answered = half_open(&mut cx, &claim(2, 2, 0, true), Some(&peer), 1);
    let fits = |known: Option<KnownPeer>| answered.still_fits(known.as_ref());
    assert!(fits(Some(peer)));
    assert!(!fits(None), "the peer ended");
    assert!(!fits(Some(KnownPeer { incarnation: 8, ..peer })), "it is told another incarnation");
    let other = PeerHandle { slot: 3, generation: 6, shard: 0 };
    assert!(!fits(Some(KnownPeer { handle: other, ..peer })), "another one, which has a session");
    let unmet = KnownPeer { handle: other, remote_incarnation: None, ..peer };
    assert!(fits(Some(unmet)), "another one that knows no more");
    let restarted = KnownPeer { remote_incarnation: Some(8), ..peer };
    assert!(!fits(Some(restarted)), "our state about another one is still there");
    let restarted = KnownPeer { incarnation: 6, next_incarnation: 7, ..restarted };
    assert!(fits(Some(restarted)), "as much credit as was granted");
    assert!(!fits(Some(KnownPeer { most_granted: 999, ..restarted })), "less than was granted");
}

/// What became of a claim of an initiator that has the incarnation 9.
#[test]
fn who_we_parted_from_is_told_so_before_anything_else_is_looked_at() {
    let cx = context(Config::default());
    let mut admission = admission(&cx);
    let stranger = claim(1, 1, 50, true);
    let (id, source) = (stranger.id, stranger.source);
    let reason = crate::DisconnectReason::new(7, "bye");
    let parting = crate::parting::Parting { id, incarnation: 9, reason, until: cx.now };
    admission.parted.insert(parting, source, cx.now);
    let closing = Load { closing: true, ..QUIET };
    let full = Load { peers: cx.config.limits.max_peers, ..QUIET };
    let unwanted = Claim { admitted: false, ..stranger };
    let parted = Decision::Refuse(ResponseStatus::Parted);
    for (claim, load) in [(stranger, QUIET), (stranger, closing), (unwanted, full)] {
        assert_eq!(admission.decide(&cx, &claim, None, &load), parted);
    }
    // One that began anew is a newcomer, and one that we know under this name is a peer.
    let newcomer = Claim { incarnation: 10, ..stranger };
    let respond = |decision| matches!(decision, Decision::Respond { .. });
    assert!(respond(admission.decide(&cx, &newcomer, None, &QUIET)));
    assert!(respond(admission.decide(&cx, &stranger, Some(&known(true)), &QUIET)));
    let other = KnownPeer { remote_incarnation: Some(10), ..known(true) };
    assert_eq!(admission.decide(&cx, &stranger, Some(&other), &QUIET), parted);
}

#[test]
fn who_is_not_let_in_is_told_so_unless_it_is_a_peer() {
    let cx = context(Config::default());
    let admission = admission(&cx);
    let unwanted = Claim { admitted: false, ..claim(1, 1, 50, true) };
    let decide =
        |known: Option<&KnownPeer>, load: &Load| admission.decide(&cx, &unwanted, known, load);
    assert_eq!(decide(None, &QUIET), Decision::Refuse(ResponseStatus::NotAdmitted));
    for has_session in [false, true] {
        let dropped = Decision::Drop(DropReason::Admission);
        assert_eq!(decide(Some(&known(has_session)), &QUIET), dropped);
    }
    let closing = Load { closing: true, ..QUIET };
    assert_eq!(decide(None, &closing), Decision::Drop(DropReason::Full));
}
