use core::ops::RangeInclusive;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::recovery::Sent;

const ACK_DELAY: Duration = Duration::from_millis(25);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A path with a round-trip time of 80 ms: loss after 90 ms, the first probe after 265 ms.
struct Bench {
    ledger: SentPackets<u32>,
    loss: Loss,
    rtt: Rtt,
    lost: Vec<u64>,
}

impl Bench {
    fn new() -> Self {
        let mut rtt = Rtt::new();
        rtt.update(ms(80), Duration::ZERO, Duration::ZERO);
        Self { ledger: SentPackets::new(0), loss: Loss::new(), rtt, lost: Vec::new() }
    }

    fn at(millis: u64) -> Instant {
        Instant::from_micros(1 + millis * 1000)
    }

    fn send(&mut self, now: u64, count: usize) {
        for _ in 0..count {
            self.ledger
                .commit(Self::at(now), Sent { size: 1000, ack_eliciting: true, ..Sent::default() });
        }
    }

    fn ack(&mut self, now: u64, range: RangeInclusive<u64>) -> (AckOutcome, LossOutcome) {
        let now = Self::at(now);
        let news = self.ledger.on_ack([range], |_| ()).expect("sent");
        self.loss.on_ack(&news, &self.rtt, now);
        let lost = &mut self.lost;
        let outcome = self.loss.detect(&mut self.ledger, &self.rtt, ACK_DELAY, now, |packet| {
            lost.push(packet.counter);
        });
        (news, outcome)
    }

    fn deadline(&self) -> Option<Instant> {
        self.loss.deadline(&self.ledger, &self.rtt, ACK_DELAY)
    }

    fn timeout(&mut self, now: Instant) -> Timeout {
        let lost = &mut self.lost;
        self.loss.on_timeout(&mut self.ledger, &self.rtt, ACK_DELAY, now, |packet| {
            lost.push(packet.counter);
        })
    }
}

#[test]
fn three_later_packets_are_enough_until_the_path_reorders() {
    let mut path = Bench::new();
    path.send(0, 10);
    path.ack(80, 1..=2);
    assert_eq!((&path.lost[..], path.deadline()), (&[][..], Some(Bench::at(90))));
    path.ack(81, 1..=3);
    assert_eq!(path.lost, [0], "overtaken by three");
    let (news, _) = path.ack(82, 0..=3);
    assert!(news.epoch_spurious, "it was only late");
    path.ack(83, 8..=9);
    assert_eq!(path.lost, [0], "the count is no longer trusted");
    assert_eq!(path.deadline(), Some(Bench::at(90)), "two milliseconds are less than an eighth");
    path.timeout(Bench::at(89));
    assert_eq!(path.lost, [0]);
    path.timeout(Bench::at(90));
    assert_eq!(path.lost, [0, 4, 5, 6, 7], "time is");
    path.send(20_000, 10);
    path.ack(20_080, 15..=19);
    assert_eq!(path.lost[5..], [10, 11, 12, 13, 14], "after ten seconds all is forgotten");
}

#[test]
fn a_hole_filled_late_is_reordering_without_any_loss() {
    let mut path = Bench::new();
    path.send(0, 10);
    path.ack(80, 1..=1);
    path.ack(81, 0..=1);
    path.ack(82, 6..=6);
    assert_eq!((path.lost.len(), path.deadline()), (0, Some(Bench::at(90))));
}

#[test]
fn the_time_allowed_covers_the_latest_packets_and_is_forgotten_without_any() {
    let mut path = Bench::new();
    path.send(0, 4);
    path.ack(80, 2..=2);
    // Sent 120 ms ago: 40 ms beyond a round trip, and an eighth of that.
    path.ack(120, 0..=0);
    path.send(200, 3);
    path.ack(280, 6..=6);
    assert_eq!(path.deadline(), Some(Bench::at(200 + 80 + 45)));
    // Ten seconds later there is an eighth of a round trip again.
    path.send(11_000, 3);
    path.ack(11_080, 9..=9);
    assert_eq!(path.deadline(), Some(Bench::at(11_000 + 90)));
}

#[test]
fn no_packet_teaches_more_than_two_round_trips() {
    let mut path = Bench::new();
    path.send(0, 4);
    path.ack(80, 2..=2);
    path.ack(5_000, 0..=0);
    path.send(5_100, 3);
    path.ack(5_180, 6..=6);
    assert_eq!(path.deadline(), Some(Bench::at(5_100 + 80 + 160)));
}

#[test]
fn probes_back_off_to_two_seconds_and_never_stop() {
    let mut path = Bench::new();
    path.send(0, 3);
    let mut waits = Vec::new();
    let mut last = Bench::at(0);
    for round in 0..300 {
        let due = path.deadline().expect("data is pending");
        assert_eq!(path.timeout(due.saturating_sub(ms(1))), Timeout::Nothing);
        // Sometimes the probe cannot be sent.
        let probes = if path.ledger.packets_in_flight() < 4 { 1 } else { 2 };
        assert_eq!(path.timeout(due), Timeout::Probe(probes));
        if round % 2 == 0 {
            path.send((due.as_micros() - 1) / 1000, 1);
        }
        waits.push(due.saturating_since(last));
        last = due;
    }
    assert_eq!(waits[..4], [ms(265), ms(530), ms(1060), ms(2000)]);
    assert!(waits[4..].iter().all(|wait| *wait == ms(2000)));
    assert!(path.lost.is_empty(), "silence alone loses nothing");
    let end = path.ledger.next_counter() - 1;
    path.ack(700_000, end..=end);
    assert_eq!(path.loss.pto_count(), 0);
}

#[test]
fn losses_that_span_three_probe_timeouts_are_persistent_congestion() {
    let persistent = |middle: bool| {
        let mut path = Bench::new();
        path.send(0, 1);
        path.send(400, 1);
        path.send(900, 1);
        path.send(1000, 1);
        if middle {
            path.ledger.on_ack([1..=1], |_| ()).expect("sent");
        }
        path.ack(1080, 3..=3).1.persistent
    };
    assert!(persistent(false));
    assert!(!persistent(true), "something got through");
}

#[test]
fn round_trips_of_weeks_do_not_overflow() {
    let mut path = Bench::new();
    path.rtt.update(Duration::MAX, Duration::ZERO, Duration::ZERO);
    path.loss.pto_count = u8::MAX;
    path.send(0, 2);
    path.ack(1, 1..=1);
    assert!(path.deadline() > Some(Bench::at(1_000_000)));
    path.timeout(Instant::from_micros(u64::MAX));
    assert_eq!(path.lost, [0]);
}

proptest! {
    #[test]
    fn firing_timers_when_due_settles_every_packet_below_the_highest_acknowledged(
        steps in prop::collection::vec((0u64..40, 1usize..6, 0u64..8, 0u64..4), 1..60),
    ) {
        let mut path = Bench::new();
        let mut now = 0;
        for (pause, count, back, length) in steps {
            now += pause;
            path.send(now, count);
            let last = path.ledger.next_counter().saturating_sub(1 + back);
            path.ack(now, last.saturating_sub(length)..=last);
        }
        for _ in 0..200 {
            let below = path.ledger.oldest_in_flight()
                .is_some_and(|(counter, _)| counter < path.ledger.acked_end());
            if !below {
                break;
            }
            let due = path.deadline();
            prop_assert!(due.is_some(), "a packet waits and no timer runs");
            path.timeout(due.expect("checked"));
        }
        let oldest = path.ledger.oldest_in_flight().map(|(counter, _)| counter);
        prop_assert!(oldest.is_none_or(|counter| counter >= path.ledger.acked_end()));
        prop_assert!(path.lost.iter().all(|counter| *counter < path.ledger.acked_end()));
        let mut once = path.lost.clone();
        once.dedup();
        prop_assert_eq!(once, path.lost);
    }
}
