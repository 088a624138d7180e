//! Packets inside of packets: a neighbour that names others, floods them, or makes loops.

use std::time::Duration;

use handfast_core::wire::{FORWARD_PATH, ForwardFrame, Frame, PROBE_PATH};
use handfast_core::{Config, Delivery, ForwardingPolicy, Identity, PeerId, Target};

use crate::kit::*;

/// The victim forwards for everyone.
fn forwarding() -> Config {
    let mut config = Config::default();
    config.forwarding.policy = ForwardingPolicy::Anyone;
    config
}

fn stage(config: Config) -> Stage {
    Stage::with_honest(config, Config::default())
}

fn forward(source: PeerId, destination: PeerId, hop_limit: u8, packet: &[u8]) -> Vec<u8> {
    let (source, destination) = (source.as_bytes(), destination.as_bytes());
    frame(Frame::Forward(ForwardFrame { hop_limit, ecn: 0, source, destination, packet }))
}

/// Looks like a sealed packet.
fn sealed(len: usize) -> Vec<u8> {
    let mut packet = vec![7; len];
    packet[..4].copy_from_slice(&[SEALED, VERSION, 0, 0]);
    packet
}

/// What the honest one got from the victim since the last call, and the victim sent to it.
fn reach_honest(stage: &mut Stage) -> Vec<Vec<u8>> {
    let honest = stage.ends[HONEST].address;
    let mut reached = Vec::new();
    for datagram in std::mem::take(&mut stage.flight) {
        if datagram.to == honest {
            reached.push(datagram.bytes.clone());
        }
        stage.deliver(datagram);
    }
    reached
}

#[test]
fn ours_a_probe_outside_of_its_place_ends_the_session() {
    let challenge = || frame(Frame::PathChallenge { token: [7; 8] });
    let observed =
        frame(Frame::Observed { address: std::net::SocketAddr::from(([192, 0, 2, 7], 1)).into() });
    let cases = [
        (0, observed.clone()),
        (PROBE_PATH, frame(Frame::Ping { token: 1 })),
        (PROBE_PATH, [challenge(), frame(Frame::AckNow)].concat()),
        (PROBE_PATH, frame(Frame::ProbeMe { index: 0, token: [7; 8] })),
        (PROBE_PATH, frame(Frame::Opened { round: 1, list: 1 })),
    ];
    for (path, content) in cases {
        let mut pair = Stage::connected(Config::default());
        lie(&mut pair, path, &content);
        assert_eq!(violation(&mut pair), Some("probe outside of its place"), "{content:?}");
    }
    let mut pair = Stage::connected(Config::default());
    lie(&mut pair, PROBE_PATH, &[challenge(), vec![0; 19], observed].concat());
    assert_eq!(violation(&mut pair), None);
}

#[test]
fn ours_answers_to_probes_are_no_longer_than_what_they_answer() {
    let mut pair = Stage::connected(Config::default());
    let challenge = |token: u8| frame(Frame::PathChallenge { token: [token; 8] });
    for (padding, many) in [(0, 1), (18, 1), (19, 1), (600, 1), (0, 100), (10, 3)] {
        let content: Vec<u8> = (0..many).flat_map(challenge).chain(vec![0; padding]).collect();
        let before = pair.ends[VICTIM].sent.1;
        lie(&mut pair, PROBE_PATH, &content);
        pair.step(Duration::from_millis(100));
        let answered = pair.ends[VICTIM].sent.1 - before;
        assert!(answered > 0 && answered <= content.len() as u64 + 32, "{answered} bytes");
    }
    // Nor is there one to a question for a socket that is not there.
    let before = pair.ends[VICTIM].sent.0;
    lie(&mut pair, 0, &frame(Frame::ProbeMe { index: 3, token: [7; 8] }));
    pair.step(Duration::from_millis(100));
    assert!(pair.ends[VICTIM].sent.0 - before <= 1, "an acknowledgement");
}

/// What a liar puts into a packet for its victim.
type Content = fn(PeerId, PeerId) -> Vec<u8>;

#[test]
fn ours_a_forward_outside_of_its_place_ends_the_session() {
    let liar = |stage: &Stage| (stage.id(LIAR), stage.id(VICTIM));
    let cases: [(u8, Content); 5] = [
        (0, |liar, victim| forward(liar, victim, 12, &sealed(40))),
        (FORWARD_PATH, |_, _| frame(Frame::Ping { token: 1 })),
        (FORWARD_PATH, |_, _| vec![0; 40]),
        (FORWARD_PATH, |liar, victim| {
            [frame(Frame::AckNow), forward(liar, victim, 12, &sealed(40))].concat()
        }),
        (FORWARD_PATH, |_, _| vec![0x10; 80]),
    ];
    for (path, content) in cases {
        let mut pair = Stage::connected(forwarding());
        let (liar, victim) = liar(&pair);
        lie(&mut pair, path, &content(liar, victim));
        assert_eq!(violation(&mut pair), Some("forward outside of its place"), "path {path}");
    }
}

#[test]
fn ours_a_neighbour_forwards_under_no_name_but_its_own() {
    let mut stage = stage(forwarding());
    let [liar, victim, honest] = [LIAR, VICTIM, HONEST].map(|side| stage.id(side));
    let stranger = Identity::from_seed([77; 32]).id();
    for source in [honest, victim, stranger] {
        lie(&mut stage, FORWARD_PATH, &forward(source, honest, 12, &sealed(100)));
        assert_eq!(reach_honest(&mut stage), Vec::<Vec<u8>>::new(), "{source}");
    }
    // Neither back to itself, nor what no end would make, nor beyond the hop limit.
    let mut noise = sealed(100);
    noise[0] = 0x16;
    for (destination, hop_limit, packet) in
        [(liar, 12, sealed(100)), (honest, 12, noise), (honest, 0, sealed(100))]
    {
        lie(&mut stage, FORWARD_PATH, &forward(liar, destination, hop_limit, &packet));
        assert_eq!(reach_honest(&mut stage), Vec::<Vec<u8>>::new());
    }
    assert_eq!(stage.endpoint(VICTIM).stats().forwards_dropped, 6);
    lie(&mut stage, FORWARD_PATH, &forward(liar, honest, 12, &sealed(100)));
    let reached = reach_honest(&mut stage);
    assert_eq!(reached.iter().map(Vec::len).collect::<Vec<_>>(), [100 + 98], "as long as it came");
    assert!(stage.endpoint(HONEST).peer_by_id(&liar).is_none());
    assert_eq!(stage.endpoint(HONEST).drops().unknown_session, 1);
}

#[test]
fn ours_who_forwards_for_nobody_is_asked_in_vain_and_says_so_once_a_second() {
    let mut stage = stage(Config::default());
    let (liar, honest) = (stage.id(LIAR), stage.id(HONEST));
    for _ in 0..100 {
        lie(&mut stage, FORWARD_PATH, &forward(liar, honest, 12, &sealed(1000)));
    }
    stage.step(Duration::from_millis(900));
    assert_eq!(stage.endpoint(VICTIM).stats().forwards_refused, 100);
    assert_eq!(stage.endpoint(LIAR).stats().packets_not_forwarded, 1);
    // One is told of at most as many as are remembered, whatever names it makes up.
    let before = stage.ends[VICTIM].sent.1;
    for n in 0..3000_u32 {
        let mut name = *honest.as_bytes();
        name[..4].copy_from_slice(&n.to_le_bytes());
        let bytes = {
            let source = liar.as_bytes();
            let packet = &sealed(33);
            frame(Frame::Forward(ForwardFrame {
                hop_limit: 12,
                ecn: 0,
                source,
                destination: &name,
                packet,
            }))
        };
        lie(&mut stage, FORWARD_PATH, &bytes);
    }
    let sent = stage.ends[VICTIM].sent.1 - before;
    assert!(sent < 3000 * 131, "less than came: {sent}");
    assert_intact(&mut stage, "after refusals");
}

#[test]
fn ours_a_flood_of_forwards_is_policed_and_holds_nobody_back() {
    let mut config = forwarding();
    config.forwarding.pair_rate = 100_000;
    let mut stage = stage(config);
    let (liar, honest) = (stage.id(LIAR), stage.id(HONEST));
    let packet = forward(liar, honest, 12, &sealed(1000));
    let (held, passed) = memory::growth(&mut stage, |stage| {
        let mut passed = 0;
        for round in 0..50 {
            for _ in 0..100 {
                lie(stage, FORWARD_PATH, &packet);
            }
            passed += reach_honest(stage).len();
            stage.send(HONEST, VICTIM, Delivery::ordered(0), b"and I?").expect("room");
            stage.step(Duration::from_millis(20));
            stage.read(VICTIM, HONEST);
            assert_eq!(stage.ends[VICTIM].received.len(), round + 1, "nobody waits");
            passed += reach_honest(stage).len();
        }
        passed
    });
    let most = (64 << 10) / 1000 + 100;
    assert!((20..=most).contains(&passed), "{passed} of 5,000 packets in a second");
    assert!(held < 200_000, "{held} bytes are kept");
}

#[test]
fn ours_a_request_in_a_forward_counts_for_nobody_but_its_source_and_is_answered_by_the_way_it_came()
{
    let mut stage = stage(forwarding());
    let (victim, honest) = (stage.id(VICTIM), stage.id(HONEST));
    stage.restart(HONEST);
    let target = Target::new(victim, [stage.ends[VICTIM].address]);
    stage.with(HONEST, |endpoint, now| endpoint.connect(now, target)).expect("a dial");
    let request = std::mem::take(&mut stage.flight).pop_back().expect("a request").bytes;
    assert_eq!(request[0], REQUEST);
    let stranger = Identity::from_seed([77; 32]).id();
    let before = stage.endpoint(VICTIM).drops().bad_identity;
    lie(&mut stage, FORWARD_PATH, &forward(stranger, victim, 12, &request));
    assert_eq!(stage.endpoint(VICTIM).drops().bad_identity, before + 1);
    assert!(stage.flight.is_empty(), "no answer");
    lie(&mut stage, FORWARD_PATH, &forward(honest, victim, 12, &request));
    let answers: Vec<_> = std::mem::take(&mut stage.flight).into();
    let liar = stage.ends[LIAR].address;
    assert!(!answers.is_empty() && answers.iter().all(|answer| answer.to == liar), "{answers:?}");
    // Nobody asks for a key that he has to name.
    let unsolicited = stage.endpoint(VICTIM).drops().unsolicited;
    let mut question = vec![0; 240];
    question[..2].copy_from_slice(&[KEY_REQUEST, VERSION]);
    lie(&mut stage, FORWARD_PATH, &forward(honest, victim, 12, &question));
    assert_eq!(stage.endpoint(VICTIM).drops().unsolicited, unsolicited + 1);
}

#[test]
fn ours_a_relay_keeps_little_for_each_pair_whose_packets_it_passes_on() {
    let mut stage = Stage::crowd(16, &forwarding());
    let callers: Vec<_> = (0..16).filter(|side| *side != VICTIM).collect();
    let pairs = callers.len() * (callers.len() - 1) / 2;
    let (grown, ()) = memory::growth(&mut stage, |stage| {
        for (at, caller) in callers.iter().enumerate() {
            for called in &callers[..at] {
                let target = Target::from(stage.id(*called));
                stage.with(*caller, |endpoint, now| endpoint.connect(now, target)).expect("new");
            }
            stage.step(Duration::from_secs(1));
        }
    });
    for (at, caller) in callers.iter().enumerate() {
        let is_met = |called: &usize| stage.peer_of(*called, *caller).is_some();
        assert!(callers[..at].iter().all(is_met), "{caller} reached everybody");
    }
    let each = grown / pairs as i64;
    assert!((0..=256).contains(&each), "{each} bytes for each of {pairs} pairs");
}
