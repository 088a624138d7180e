//! STUN: answers that are longer than what they answer, sent wherever somebody likes.

use std::time::Duration;

use handfast_core::Config;

use crate::kit::*;

/// A Binding request of 20 bytes, without attributes.
fn request() -> Vec<u8> {
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.resize(20, 7);
    request
}

fn answering() -> Config {
    let mut config = Config::default();
    config.answer_stun = true;
    config
}

/// Spoofed requests make answers for others: few for each, not without end for all, none much longer.
#[test]
fn ours_stun_is_a_weak_amplifier_and_holds_back_no_peer() {
    let mut pair = Stage::connected(answering());
    let (mut to_one, mut to_all) = (0, 0);
    for n in 0..20_000_u32 {
        for (from, answers) in [(elsewhere(1), &mut to_one), (elsewhere(2 + n), &mut to_all)] {
            for answer in inject(&mut pair, 1, from, &request()) {
                assert_eq!((answer.to, answer.bytes.len()), (from, 32));
                *answers += 1;
            }
        }
        if n % 5_000 == 4_999 {
            pair.step(Duration::from_secs(1));
        }
    }
    assert!((15..=20).contains(&to_one), "{to_one} answers to one in 4 s");
    assert!((3_500..=5_000).contains(&to_all), "{to_all} answers in 4 s");
    let stats = pair.endpoint(1).stats();
    assert_eq!(stats.stun_answers_sent, to_one + to_all);
    assert_eq!(pair.endpoint(1).drops().rate_limited, stats.answers_withheld);
    assert_intact(&mut pair, "after spoofed requests");
}

/// Two servers that are told of each other must not keep each other busy.
#[test]
fn ours_stun_servers_play_no_ping_pong() {
    for unknown in [false, true] {
        let mut pair = Stage::new(answering());
        let mut bytes = request();
        if unknown {
            // CHANGE-REQUEST: the answer is a refusal.
            bytes.extend([0, 3, 0, 4, 0, 0, 0, 6]);
            bytes[3] = 8;
        }
        let (from, to) = (pair.ends[0].address, pair.ends[1].address);
        pair.flight.push_back(Datagram { from, to, bytes });
        let mut seen = 0;
        watch(&mut pair, 10_000, |_| {
            seen += 1;
            1
        });
        assert_eq!(seen, 2, "a request and an answer");
        assert_eq!(pair.endpoint(0).drops().unsolicited, 1, "the answer");
    }
}

/// To be there is not to answer.
#[test]
fn ours_stun_is_not_answered_unless_it_is_switched_on() {
    let mut pair = Stage::connected(Config::default());
    assert_eq!(inject(&mut pair, 1, elsewhere(1), &request()).len(), 0);
    assert_eq!(pair.endpoint(1).drops().unknown_type, 1);
}
