use std::collections::{BTreeMap, BTreeSet};
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Instant {
    Instant::from_micros(1 + millis * 1000)
}

fn data(size: u16) -> Sent {
    Sent { size, ack_eliciting: true, ..Sent::default() }
}

fn counters(settled: &mut Vec<u64>) -> impl FnMut(ResolvedPacket<'_, u32>) + '_ {
    |packet| settled.push(packet.counter)
}

#[derive(Clone, Debug)]
enum Operation {
    Send {
        frames: u8,
        ack_eliciting: bool,
    },
    Abandon,
    Skip,
    /// Ranges as (distance back from the newest, length).
    Ack(Vec<(u64, u64)>),
    Lose(u8),
    Forget(u64),
    Release,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        10 => (0u8..4, prop::bool::weighted(0.8))
            .prop_map(|(frames, ack_eliciting)| Operation::Send { frames, ack_eliciting }),
        1 => Just(Operation::Abandon),
        1 => Just(Operation::Skip),
        5 => prop::collection::vec((0u64..30, 1u64..9), 1..4).prop_map(Operation::Ack),
        2 => (1u8..5).prop_map(Operation::Lose),
        2 => (0u64..60).prop_map(Operation::Forget),
        1 => Just(Operation::Release),
    ]
}

#[derive(Clone, Debug)]
struct ModelPacket {
    sent_at: Instant,
    size: u16,
    frames: Vec<u32>,
    state: State,
}

/// The ledger as one would write it without thought for cost.
struct Model {
    packets: BTreeMap<u64, ModelPacket>,
    next: u64,
    acked_end: u64,
    frame: u32,
}

impl Model {
    fn in_flight(&self) -> impl Iterator<Item = (&u64, &ModelPacket)> {
        self.packets.iter().filter(|(_, packet)| packet.state == State::InFlight)
    }

    fn forget(&mut self, now: Instant, horizon: Duration) {
        while let Some(entry) = self.packets.first_entry() {
            let old = entry.get().sent_at + horizon <= now;
            let gone = match entry.get().state {
                State::InFlight => false,
                State::Acked => true,
                State::Lost | State::Untracked => old,
                State::Skipped => self.acked_end > *entry.key(),
            };
            if !gone {
                break;
            }
            entry.remove();
        }
    }

    /// What an acknowledgement settles: counter, frames, whether it was lost.
    fn ack(&mut self, claimed: &BTreeSet<u64>) -> Vec<(u64, Vec<u32>, bool)> {
        let mut settled = Vec::new();
        for (counter, packet) in &mut self.packets {
            if claimed.contains(counter) && packet.state != State::Acked {
                settled.push((*counter, packet.frames.clone(), packet.state == State::Lost));
                packet.state = State::Acked;
            }
        }
        self.acked_end = self.acked_end.max(claimed.last().map_or(0, |last| last + 1));
        settled
    }
}

fn send(
    ledger: &mut SentPackets<u32>,
    model: &mut Model,
    now: Instant,
    frames: u8,
    eliciting: bool,
) {
    let frames: Vec<u32> = (0..u32::from(frames)).map(|frame| model.frame + frame).collect();
    model.frame += 10;
    frames.iter().for_each(|frame| ledger.push_frame(*frame));
    let size = 100 + frames.len() as u16;
    let sent = Sent { size, ack_eliciting: eliciting, ..Sent::default() };
    assert_eq!(ledger.commit(now, sent), model.next);
    let state = if eliciting { State::InFlight } else { State::Untracked };
    model.packets.insert(model.next, ModelPacket { sent_at: now, size, frames, state });
    model.next += 1;
}

fn acknowledge(
    ledger: &mut SentPackets<u32>,
    model: &mut Model,
    ranges: &[(u64, u64)],
) -> Result<(), TestCaseError> {
    let mut list = Vec::new();
    for &(back, length) in ranges {
        let Some(last) = model.next.checked_sub(1 + back) else { continue };
        list.push(last.saturating_sub(length - 1)..=last);
    }
    let claimed: BTreeSet<u64> = list.iter().cloned().flatten().collect();
    let is_skipped =
        |counter| model.packets.get(counter).is_some_and(|packet| packet.state == State::Skipped);
    if claimed.iter().any(is_skipped) {
        // A lie ends the session: try it on a copy.
        return Ok(());
    }
    let before: u64 = model.in_flight().map(|(_, packet)| u64::from(packet.size)).sum();
    let end_before = model.acked_end;
    let expected = model.ack(&claimed);
    let after: u64 = model.in_flight().map(|(_, packet)| u64::from(packet.size)).sum();

    let mut settled = Vec::new();
    let outcome = ledger.on_ack(list, |packet| {
        settled.push((packet.counter, packet.frames.copied().collect(), packet.was_lost));
    });
    let outcome = outcome.expect("only packets that were sent are acknowledged");
    settled.sort();
    prop_assert_eq!(outcome.bytes, before - after);
    prop_assert_eq!(outcome.packets as usize, expected.len());
    prop_assert_eq!(outcome.spurious as usize, expected.iter().filter(|news| news.2).count());
    prop_assert_eq!(
        outcome.late_sent_at.is_some(),
        expected.iter().any(|news| news.0 < end_before)
    );
    prop_assert_eq!(outcome.largest.map(|news| news.0), expected.last().map(|news| news.0));
    prop_assert_eq!(settled, expected);
    Ok(())
}

fn lose(ledger: &mut SentPackets<u32>, model: &mut Model, count: u8) -> Result<(), TestCaseError> {
    for _ in 0..count {
        let Some(oldest) = model.in_flight().next().map(|(counter, _)| *counter) else { break };
        prop_assert_eq!(ledger.oldest_in_flight().map(|packet| packet.0), Some(oldest));
        let mut frames = None;
        ledger.lose(oldest, |packet| frames = Some(packet.frames.copied().collect::<Vec<_>>()));
        ledger.lose(oldest, |_| panic!("lost twice"));
        let packet = model.packets.get_mut(&oldest).expect("it is in flight");
        packet.state = State::Lost;
        prop_assert_eq!(frames.as_ref(), Some(&packet.frames));
    }
    Ok(())
}

proptest! {
    #[test]
    fn the_ledger_agrees_with_a_map(
        first in 0u64..1 << 40,
        operations in prop::collection::vec(operation(), 1..200),
    ) {
        let mut ledger = SentPackets::<u32>::new(first);
        let mut model =
            Model { packets: BTreeMap::new(), next: first, acked_end: first, frame: 0 };
        for (step, operation) in operations.into_iter().enumerate() {
            let now = at(10 * step as u64);
            match operation {
                Operation::Send { frames, ack_eliciting } => {
                    send(&mut ledger, &mut model, now, frames, ack_eliciting);
                }
                Operation::Abandon => {
                    ledger.push_frame(u32::MAX);
                    ledger.abandon();
                }
                Operation::Skip => {
                    ledger.skip_counter(now);
                    let packet = ModelPacket {
                        sent_at: now, size: 0, frames: vec![], state: State::Skipped,
                    };
                    model.packets.insert(model.next, packet);
                    model.next += 1;
                }
                Operation::Ack(ranges) => acknowledge(&mut ledger, &mut model, &ranges)?,
                Operation::Lose(count) => lose(&mut ledger, &mut model, count)?,
                Operation::Forget(horizon) => {
                    ledger.forget(now, Duration::from_millis(horizon));
                    model.forget(now, Duration::from_millis(horizon));
                }
                Operation::Release => {
                    ledger.release();
                    if model.in_flight().next().is_none() {
                        model.packets.clear();
                        prop_assert_eq!(ledger.packets.capacity() + ledger.frames.capacity(), 0);
                    }
                }
            }
            let bytes: u64 = model.in_flight().map(|(_, packet)| u64::from(packet.size)).sum();
            prop_assert_eq!(ledger.bytes_in_flight(), bytes);
            prop_assert_eq!(ledger.packets_in_flight() as usize, model.in_flight().count());
            prop_assert_eq!(ledger.next_counter(), model.next);
            prop_assert_eq!(ledger.len(), model.packets.len());
            let newest = ledger.newest_in_flight().map(|packet| packet.0);
            prop_assert_eq!(newest, model.in_flight().last().map(|(counter, _)| *counter));
            for (counter, packet) in &model.packets {
                prop_assert_eq!(&ledger.frames_of(*counter).copied().collect::<Vec<_>>(),
                    &packet.frames);
            }
        }
    }
}

#[test]
fn acknowledging_what_was_never_sent_is_an_error() {
    let mut ledger = SentPackets::<u32>::new(5);
    assert_eq!(ledger.on_ack([5..=5], |_| ()), Err(NeverSent));
    (0..4).for_each(|_| _ = ledger.commit(at(0), data(100)));
    ledger.skip_counter(at(0));
    ledger.commit(at(0), data(100));
    assert_eq!(ledger.on_ack([5..=11], |_| ()), Err(NeverSent), "beyond the newest");
    assert_eq!(ledger.on_ack([0..=u64::MAX], |_| ()), Err(NeverSent));
    assert_eq!(ledger.on_ack(core::iter::once(RangeInclusive::new(6, 5)), |_| ()), Err(NeverSent));
    assert_eq!(ledger.on_ack([5..=8], |_| ()).map(|outcome| outcome.packets), Ok(4));
    ledger.forget(at(0), Duration::ZERO);
    assert_eq!(ledger.on_ack([5..=10], |_| ()), Err(NeverSent), "covers the skipped counter");
}

#[test]
fn a_range_over_forgotten_and_acknowledged_packets_settles_only_the_news() {
    let mut ledger = SentPackets::<u32>::new(0);
    (0..10).for_each(|_| _ = ledger.commit(at(0), data(100)));
    let mut settled = Vec::new();
    ledger.on_ack([7..=8, 0..=3], counters(&mut settled)).expect("sent");
    ledger.forget(at(0), Duration::from_secs(1));
    ledger.on_ack([0..=8], counters(&mut settled)).expect("sent");
    assert_eq!(settled, [7, 8, 0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_sample_needs_a_new_highest_counter_and_an_eliciting_packet() {
    let mut ledger = SentPackets::<u32>::new(0);
    let silent = Sent { size: 50, acks_up_to: Some(77), ..Sent::default() };
    ledger.commit(at(1), data(100));
    ledger.commit(at(2), silent);
    ledger.commit(at(3), data(100));
    let outcome = ledger.on_ack([1..=1], |_| ()).expect("sent");
    assert_eq!((outcome.sample_sent_at, outcome.acked_our_ack), (None, Some(77)));
    let outcome = ledger.on_ack([2..=2], |_| ()).expect("sent");
    assert_eq!(outcome.sample_sent_at, Some(at(3)));
    let outcome = ledger.on_ack([0..=2], |_| ()).expect("sent");
    assert_eq!((outcome.sample_sent_at, outcome.late_sent_at), (None, Some(at(1))));
}

#[test]
fn an_epoch_is_spurious_when_three_of_four_of_its_losses_are_acknowledged() {
    let mut ledger = SentPackets::<u32>::new(0);
    (0..12).for_each(|_| _ = ledger.commit(at(0), data(100)));
    ledger.begin_loss_epoch();
    ledger.lose(0, |_| ());
    ledger.begin_loss_epoch();
    (1..9).for_each(|counter| ledger.lose(counter, |_| ()));
    let mut spurious = |counters| {
        let outcome = ledger.on_ack([counters], |_| ()).expect("sent");
        (outcome.spurious, outcome.epoch_spurious)
    };
    assert_eq!(spurious(1..=5), (5, false));
    assert_eq!(spurious(0..=0), (1, false), "an older epoch");
    assert_eq!(spurious(11..=11), (0, false));
    assert_eq!(spurious(6..=6), (1, true));
}

#[test]
fn counters_that_were_left_out_overtake_nothing() {
    let mut ledger = SentPackets::<u32>::new(0);
    (0..2).for_each(|_| _ = ledger.commit(at(0), data(100)));
    ledger.skip_counter(at(0));
    (0..2).for_each(|_| _ = ledger.commit(at(0), data(100)));
    ledger.on_ack([3..=3], |_| ()).expect("sent");
    assert!(!ledger.is_overtaken(0, 3), "by two packets");
    ledger.on_ack([4..=4], |_| ()).expect("sent");
    assert!(ledger.is_overtaken(0, 3) && !ledger.is_overtaken(1, 3));
}

#[test]
fn a_path_that_only_acknowledges_keeps_few_records() {
    let mut ledger = SentPackets::<u32>::new(0);
    for counter in 0..5_000 {
        ledger.push_frame(1);
        ledger.commit(at(counter), Sent { size: 60, ..Sent::default() });
    }
    let most = MAX_UNTRACKED as usize + 1;
    assert_eq!((ledger.packets.len(), ledger.frames.len()), (most, most));
    assert_eq!(ledger.next_counter(), 5_000);
}

#[test]
fn a_lost_packet_is_remembered_whatever_is_in_flight_and_no_more_of_them_than_fit() {
    let mut ledger = SentPackets::<u32>::new(0);
    (0..100_000).for_each(|_| _ = ledger.commit(at(0), data(1200)));
    ledger.lose(0, |_| ());
    ledger.forget(at(1), Duration::from_secs(1));
    assert_eq!(ledger.on_ack([0..=0], |_| ()).map(|outcome| outcome.spurious), Ok(1));
    (1..50_000).for_each(|counter| ledger.lose(counter, |_| ()));
    ledger.forget(at(1), Duration::from_secs(1));
    assert_eq!(ledger.len(), 50_000 + MAX_LATE as usize);
    ledger.forget(at(1000), Duration::from_secs(1));
    assert_eq!(ledger.len(), 50_000, "what is in flight stays");
}

#[test]
fn steady_sending_does_not_grow_the_ledger() {
    let mut ledger = SentPackets::<u32>::new(0);
    let mut grown = 0;
    for counter in 0..5_000u64 {
        ledger.push_frame(1);
        ledger.push_frame(2);
        ledger.commit(at(counter), data(100));
        if counter >= 50 && counter % 7 != 0 {
            ledger.on_ack([counter - 50..=counter - 50], |_| ()).expect("sent");
        }
        if counter > 60 {
            ledger.lose(counter - 60, |_| ());
        }
        ledger.forget(at(counter), Duration::from_millis(200));
        if counter == 500 {
            grown = ledger.packets.capacity();
        }
    }
    assert_eq!(ledger.packets.capacity(), grown);
    assert!(ledger.packets.len() <= 270 && ledger.frames.len() == 2 * ledger.packets.len());
}
