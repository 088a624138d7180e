//! Bytes that do not parse, or parse to absurd values.

use std::time::Duration;

use handfast_core::wire::{Frames, StreamKey};
use handfast_core::{Config, Delivery, EndReason, Order, Violation};

use crate::kit::memory::growth;
use crate::kit::*;

/// Hands the victim these frames. If the session ended, a new pair takes the old one's place.
fn provoke(pair: &mut Stage, plaintext: &[u8]) -> Option<EndReason> {
    let (grown, _) = growth(pair, |pair| lie(pair, 0, plaintext));
    assert!(grown < 1 << 20, "{grown} bytes for {plaintext:02x?}");
    pair.step(MS * 100);
    let end = end_of(pair, VICTIM);
    if end.is_some() || pair.peer(LIAR).is_none() || pair.peer(VICTIM).is_none() {
        *pair = Stage::connected(small());
    }
    end
}

#[test]
fn row_01_cve_2023_42805_unknown_frame_types_never_panic() {
    let mut pair = Stage::connected(small());
    for kind in 0..=u8::MAX {
        for len in [0, 1, 2, 9, 40] {
            for fill in [0, 0xff] {
                let mut plaintext = vec![kind];
                plaintext.resize(1 + len, fill);
                let legal = Frames::new(&plaintext).all(|frame| frame.is_ok());
                let end = provoke(&mut pair, &plaintext);
                let known = matches!(kind, 0..=0x1e | 0x20..=0x7f);
                if !known {
                    assert_eq!(end, Some(EndReason::Violation(Violation::UnknownFrameType)));
                } else if !legal {
                    assert!(
                        matches!(
                            end,
                            Some(EndReason::Violation(_) | EndReason::PeerDisconnected { .. })
                        ),
                        "{plaintext:02x?}: {end:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn row_07_ghsa_hvhj_4r52_8568_every_type_at_every_length_is_counted_and_changes_nothing() {
    let mut pair = Stage::connected(Config::default());
    let (home, before) = (pair.ends[LIAR].address, info(&pair, VICTIM));
    for kind in (0xbf..=0xc8).chain([0, 0x40, 0xff]) {
        for len in 0..=256 {
            for fill in [0, 1, 0xff] {
                let mut bytes = vec![fill; len];
                let head = [kind, VERSION, 0, 0];
                let preamble = len.min(4);
                bytes[..preamble].copy_from_slice(&head[..preamble]);
                for from in [home, elsewhere(1)] {
                    let drops = dropped(&pair, VICTIM);
                    let answers = inject(&mut pair, VICTIM, from, &bytes);
                    assert_eq!(dropped(&pair, VICTIM) - drops, 1, "{kind:02x}, {len} bytes");
                    let answer: usize = answers.iter().map(|answer| answer.bytes.len()).sum();
                    assert!(answer <= len, "{answer} bytes for {len}");
                }
            }
        }
    }
    assert_eq!(info(&pair, VICTIM), before);
    assert_intact(&mut pair, "after all lengths");
}

#[test]
fn row_07_ghsa_95mj_575f_47cq_genuine_packets_of_every_shorter_length_are_dropped() {
    let (mut pair, heard) = overheard(&Config::default());
    for (to, bytes) in heard {
        let home = pair.ends[1 - to].address;
        for len in 0..bytes.len() {
            let drops = dropped(&pair, to);
            inject(&mut pair, to, home, &bytes[..len]);
            assert_eq!(dropped(&pair, to) - drops, 1, "{:02x} cut to {len}", bytes[0]);
        }
    }
    assert_intact(&mut pair, "after cut packets");
}

/// Every step of the parser takes at least a byte: its fuel is its input.
#[test]
fn row_08_cve_2020_24944_the_parser_advances_with_every_step() {
    let mut rng = handfast_sim::Rng::from_seed(8);
    for round in 0..60_000_u32 {
        let len = 1 + rng.index(40);
        let mut bytes: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
        bytes[0] = round as u8;
        if round % 3 == 0 {
            // Integers that are cut off, or longer than they need be.
            bytes[len - 1] = 0xff;
        }
        let mut frames = Frames::new(&bytes);
        let (mut rest, mut steps) = (bytes.len(), 0);
        while let Some(frame) = frames.next() {
            steps += 1;
            let left = frames.rest().len();
            assert!(left < rest, "no progress in {bytes:02x?}");
            rest = left;
            if frame.is_err() {
                assert!(frames.next().is_none(), "an error is the end");
            }
        }
        assert!(steps <= bytes.len());
    }
}

#[test]
fn row_09_cve_2026_11352_empty_datagrams_are_counted_like_others() {
    let mut pair = Stage::connected(Config::default());
    let (home, before) = (pair.ends[LIAR].address, info(&pair, VICTIM));
    let malformed = pair.endpoint(VICTIM).drops().malformed;
    for n in 0..1000 {
        let from = if n % 2 == 0 { home } else { elsewhere(n) };
        assert!(inject(&mut pair, VICTIM, from, &[]).is_empty(), "no answer");
    }
    assert_eq!(pair.endpoint(VICTIM).drops().malformed - malformed, 1000);
    assert_eq!(info(&pair, VICTIM), before);
    assert_intact(&mut pair, "after empty datagrams");
}

#[test]
fn row_10_cve_2020_6016_ciphertexts_shorter_than_a_tag_are_no_packets() {
    let mut pair = Stage::connected(Config::default());
    let genuine = pair.seal(0, &[1, 0, 0, 0, 0, 0, 0, 0, 0]).expect("a session").bytes;
    let (home, before) = (pair.ends[LIAR].address, info(&pair, VICTIM));
    for len in 4..genuine.len() {
        let drops = *pair.endpoint(VICTIM).drops();
        inject(&mut pair, VICTIM, home, &genuine[..len]);
        let after = pair.endpoint(VICTIM).drops();
        let (malformed, forged) =
            (after.malformed - drops.malformed, after.authentication - drops.authentication);
        // A header, a byte of frames and a tag are the least.
        assert_eq!((malformed, forged), if len < 33 { (1, 0) } else { (0, 1) }, "{len} bytes");
    }
    assert_eq!(info(&pair, VICTIM), before);
}

#[test]
fn row_10_cve_2020_6019_absurd_places_of_fragments_cost_nothing_and_are_no_message() {
    let places = [0, 1, 255, 256, 1 << 15, 1 << 16, (1 << 31) - 1, 1 << 31, u32::MAX];
    let mut pair = Stage::connected(small());
    let mut survived = 0;
    for reliable in [false, true] {
        let key = StreamKey::new(0, reliable, Order::Unordered);
        for total in places {
            for offset in places {
                for len in [0, 1, 255, 256, 1000] {
                    let mut plaintext = raw_fragment(key, 0, total, offset, len);
                    plaintext.extend_from_slice(&vec![7; len]);
                    let end = provoke(&mut pair, &plaintext);
                    let end_of_part = u64::from(offset) + len as u64;
                    let sound = len > 0
                        && (len as u64) < u64::from(total)
                        && end_of_part <= u64::from(total)
                        && (len >= 256 || end_of_part == u64::from(total))
                        && total <= 1 << 16;
                    let case = format!("{len} bytes at {offset} of {total}");
                    if sound {
                        survived += 1;
                        // The next one would be another message of the same number.
                        pair = Stage::connected(small());
                    }
                    assert_eq!(end.is_none(), sound, "{case}: {end:?}");
                }
            }
        }
    }
    assert!(survived > 10, "{survived}");
}

/// The header of a fragment, whether it is legal or not.
fn raw_fragment(key: StreamKey, number: u64, total: u32, offset: u32, len: usize) -> Vec<u8> {
    let kind = 0x20 | 0x10 | u8::from(key.is_reliable()) << 2 | key.order() as u8;
    let mut bytes = vec![kind];
    for value in [key.channel().into(), number, total.into(), offset.into(), len as u64] {
        bytes.extend_from_slice(&varint(value));
    }
    bytes
}

/// Integers with their top bits set, wherever a frame has an integer.
#[test]
fn row_13_cve_2006_1194_no_length_count_or_number_is_taken_for_a_negative_one() {
    let huge = [varint((1 << 62) - 1), varint(1 << 61), varint((1 << 32) - 1), varint(1 << 31)];
    let mut pair = Stage::connected(small());
    for kind in (0..=0x0d).chain(0x20..=0x40) {
        for lead in [&[][..], &[0], &[2], &[6]] {
            for number in &huge {
                for count in [1, 2, 6] {
                    let plaintext = [&[kind], lead, &number.repeat(count)].concat();
                    provoke(&mut pair, &plaintext);
                }
            }
        }
    }
    pair.step(Duration::from_secs(1));
    pair = Stage::connected(small());
    send(&mut pair, LIAR, Delivery::ordered(0), b"still in order");
    pair.step(MS * 100);
    assert_eq!(received(&mut pair, VICTIM), [&b"still in order"[..]]);
}

/// An integer in the protocol's encoding.
fn varint(value: u64) -> Vec<u8> {
    packet(|writer| writer.varint(value))
}
