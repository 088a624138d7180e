//! How fast the path delivers (draft-cheng-iccrg-delivery-rate-estimation): what was delivered between two
//! acknowledgements, by the time that it took to send or to acknowledge it, whichever was longer.
//!
//! The draft keeps its stamps in the record of each packet. Here they are kept apart, one for all packets of
//! about a thirty-second of a round trip: a stamp that is older than its packet measures over a little more
//! than a round trip, and is as right. So a path with another controller pays nothing for them.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::time::{Instant, micros};

/// Counts what was delivered, and remembers how much it was when packets were sent.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    marks: VecDeque<Mark>,
    /// Bytes delivered in all, and when the last of them were.
    delivered: u64,
    delivered_at: Option<Instant>,
    /// When the newest packet was sent that was delivered.
    first_sent: Option<Instant>,
    /// What was sent when the sender had too little to send is delivered when so much is.
    limited_until: Option<u64>,
    /// The newest packet of the present acknowledgement, and what it acknowledged.
    news: Option<(Instant, Mark)>,
    acked: u64,
    spacing: Duration,
}

/// What was known when packets were sent: those from a time on, up to that of the next mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    from: Instant,
    delivered: u64,
    delivered_at: Instant,
    first_sent: Instant,
    /// The most that was in flight.
    in_flight: u64,
    is_limited: bool,
}

/// What an acknowledgement shows about the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// Bytes per second; none if it was measured over less than a round trip.
    pub(super) rate: Option<u64>,
    /// Bytes delivered since the packet was sent.
    pub(super) delivered: u64,
    /// Bytes that had been delivered in all when it was sent.
    pub(super) prior: u64,
    /// Bytes in flight when it was sent.
    pub(super) in_flight: u64,
    /// The sender had too little to send: the path may be faster.
    pub(super) is_limited: bool,
    /// Bytes that the acknowledgement is about.
    pub(super) acked: u64,
}

impl Marks {
    /// Nothing was sent.
    pub(super) const fn new() -> Self {
        Self {
            marks: VecDeque::new(),
            delivered: 0,
            delivered_at: None,
            first_sent: None,
            limited_until: None,
            news: None,
            acked: 0,
            spacing: Duration::ZERO,
        }
    }

    /// Bytes delivered in all.
    pub(super) const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Whether what is sent now shows less than the path bears.
    pub(super) const fn is_limited(&self) -> bool {
        self.limited_until.is_some()
    }

    /// A packet of `bytes` left; `in_flight` includes it.
    pub(super) fn on_sent(&mut self, now: Instant, bytes: u64, in_flight: u64) {
        if in_flight <= bytes {
            // The time in which nothing was under way shows nothing.
            (self.delivered_at, self.first_sent) = (Some(now), Some(now));
            self.marks.clear();
        }
        let is_limited = self.is_limited();
        match self.marks.back_mut() {
            Some(last) if last.is_limited == is_limited && now < last.from + self.spacing => {
                last.in_flight = last.in_flight.max(in_flight);
            }
            _ => self.push(now, in_flight),
        }
    }

    fn push(&mut self, now: Instant, in_flight: u64) {
        if self.marks.len() >= MOST_MARKS {
            self.marks.pop_front();
        }
        self.marks.push_back(Mark {
            from: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at.unwrap_or(now),
            first_sent: self.first_sent.unwrap_or(now),
            in_flight,
            is_limited: self.is_limited(),
        });
    }

    /// A packet that was sent at `sent_at` arrived.
    pub(super) fn on_ack(&mut self, now: Instant, sent_at: Instant, bytes: u64) {
        self.delivered += bytes;
        self.acked += bytes;
        self.delivered_at = Some(now);
        if self.news.is_some_and(|(newest, _)| newest >= sent_at) {
            return;
        }
        let after = self.marks.partition_point(|mark| mark.from <= sent_at);
        if let Some(mark) = after.checked_sub(1).and_then(|at| self.marks.get(at)) {
            self.news = Some((sent_at, *mark));
        }
    }

    /// What the packets show that were acknowledged together, if any were. `least` is the least round-trip
    /// time, `smoothed` the usual one.
    pub(super) fn take(
        &mut self,
        now: Instant,
        least: Duration,
        smoothed: Duration,
    ) -> Option<Sample> {
        self.spacing = smoothed / MARKS_PER_ROUND;
        let acked = core::mem::take(&mut self.acked);
        if self.limited_until.is_some_and(|until| self.delivered > until) {
            self.limited_until = None;
        }
        let (sent_at, mark) = self.news.take()?;
        self.first_sent = self.first_sent.max(Some(sent_at));
        let to_send = sent_at.saturating_since(mark.first_sent);
        let interval = micros(now.saturating_since(mark.delivered_at).max(to_send));
        let delivered = self.delivered - mark.delivered;
        let is_long = interval > 0 && interval >= micros(least);
        let rate = is_long.then(|| delivered.saturating_mul(1_000_000) / interval);
        let Mark { delivered: prior, in_flight, is_limited, .. } = mark;
        Some(Sample { rate, delivered, prior, in_flight, is_limited, acked })
    }

    /// The sender has nothing to send, though more than `in_flight` could be under way.
    pub(super) const fn on_lack(&mut self, in_flight: u64) {
        self.limited_until = Some(self.delivered + in_flight);
    }

    /// What is under way shows nothing: time passed in which nobody looked.
    pub(super) fn forget(&mut self) {
        (self.delivered_at, self.first_sent, self.news) = (None, None, None);
        self.marks = VecDeque::new();
    }
}

/// So many marks are made in a round trip.
const MARKS_PER_ROUND: u32 = 32;
/// Those of four round trips: 7 KB.
const MOST_MARKS: usize = 128;
const _: () = assert!(size_of::<Mark>() <= 48);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(millis: u64) -> Instant {
        Instant::from_micros(1 + millis * 1000)
    }

    /// A packet of 1,000 bytes each millisecond, acknowledged after 50.
    fn steady(marks: &mut Marks, from: u64, count: u64) -> Option<Sample> {
        let mut last = None;
        for now in from..from + count {
            if now >= from + 50 {
                marks.on_ack(at(now), at(now - 50), 1000);
                last = marks.take(at(now), MS * 50, MS * 50).or(last);
            }
            marks.on_sent(at(now), 1000, (now - from + 1).min(50) * 1000);
        }
        last
    }

    #[test]
    fn a_steady_sender_measures_its_rate() {
        let mut marks = Marks::new();
        let sample = steady(&mut marks, 0, 200).expect("acknowledged");
        let rate = sample.rate.expect("a round trip");
        assert!((960_000..=1_000_000).contains(&rate), "{rate}");
        assert_eq!((sample.in_flight, sample.is_limited, sample.acked), (50_000, false, 1000));
        assert_eq!(marks.delivered(), 150_000);
    }

    #[test]
    fn a_pause_is_no_part_of_a_measurement() {
        let mut marks = Marks::new();
        steady(&mut marks, 0, 200);
        let sample = steady(&mut marks, 5_000, 120).expect("acknowledged");
        let rate = sample.rate.expect("a round trip");
        assert!((960_000..=1_000_000).contains(&rate), "{rate}");
    }

    #[test]
    fn acknowledgements_that_come_together_are_no_faster_than_what_was_sent() {
        let mut marks = Marks::new();
        (0..100).for_each(|n| marks.on_sent(at(n), 1000, (n + 1) * 1000));
        (0..100).for_each(|n| marks.on_ack(at(120), at(n), 1000));
        let sample = marks.take(at(120), MS * 50, MS * 50).expect("acknowledged");
        assert_eq!(sample.rate, Some(100_000 * 1000 / 120));
        assert_eq!(marks.take(at(121), MS * 50, MS * 50), None, "taken");
    }

    #[test]
    fn what_is_sent_for_lack_of_data_is_marked_until_it_arrived() {
        let mut marks = Marks::new();
        marks.on_sent(at(0), 1000, 1000);
        marks.on_lack(1000);
        marks.on_sent(at(10), 1000, 2000);
        marks.on_ack(at(50), at(0), 1000);
        assert!(!marks.take(at(50), MS * 50, MS * 50).expect("acknowledged").is_limited);
        marks.on_ack(at(60), at(10), 1000);
        assert!(marks.take(at(60), MS * 50, MS * 50).expect("acknowledged").is_limited);
        assert!(!marks.is_limited(), "all that was under way arrived");
        marks.on_sent(at(61), 1000, 1000);
        marks.on_ack(at(111), at(61), 1000);
        assert!(!marks.take(at(111), MS * 50, MS * 50).expect("acknowledged").is_limited);
    }

    proptest! {
        /// However acknowledgements come, no rate is measured above the one that was sent at.
        #[test]
        fn no_rate_is_above_that_of_the_sender(
            pauses in prop::collection::vec(0u64..40, 20..200),
            lags in prop::collection::vec(50u64..90, 200),
        ) {
            let (mut marks, mut now) = (Marks::new(), 0);
            let mut under_way: VecDeque<(u64, u64)> = VecDeque::new();
            for (pause, lag) in pauses.into_iter().zip(lags) {
                for _ in 0..pause {
                    now += 1;
                    while let Some((sent, _)) = under_way.front().copied().filter(|it| it.1 <= now) {
                        under_way.pop_front();
                        marks.on_ack(at(now), at(sent), 1000);
                        if let Some(rate) = marks.take(at(now), MS * 50, MS * 50).and_then(|it| it.rate) {
                            // One a millisecond at most, and one more at each end of the measurement.
                            prop_assert!(rate <= 1_040_000, "{rate}");
                        }
                    }
                }
                now += 1;
                under_way.push_back((now, now + lag));
                marks.on_sent(at(now), 1000, under_way.len() as u64 * 1000);
                prop_assert!(marks.marks.len() <= MOST_MARKS);
            }
        }
    }
}
