//! Whether packets that came regularly have stopped.
//!
//! Who only receives sends nothing that could go unanswered, so nothing tells it that its NAT has another address
//! now, or forgot it. Nobody else can know: only it can show where it is. So it asks once when what came many times
//! a second does not come any more.

use core::time::Duration;

use crate::pack::pack;
use crate::time::Instant;

/// The packets of one path that is not the only one.
#[derive(Debug)]
pub(in crate::path) struct Lull {
    /// When to look next; `None` until a packet comes.
    look_at: Option<Instant>,
    /// Packets since the last look, and between the looks before.
    heard: [u16; 3],
    /// When it was last asked, and how often within a minute of the time before.
    asked: Option<(Instant, u8)>,
}

pack!(Lull: look_at, heard, asked);

impl Lull {
    /// Nothing came so far.
    pub(in crate::path) const fn new() -> Self {
        Self { look_at: None, heard: [0; 3], asked: None }
    }

    /// A packet arrived.
    pub(in crate::path) fn on_heard(&mut self, now: Instant) {
        self.heard[0] = self.heard[0].saturating_add(1);
        self.look_at.get_or_insert(now + SPAN);
    }

    /// When to call [`Self::on_look`].
    pub(in crate::path) const fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// Time went by; the last packet came at `heard_at`. True if it is time to ask.
    pub(in crate::path) fn on_look(&mut self, heard_at: Instant, now: Instant) -> bool {
        if self.look_at.is_none_or(|at| now < at) {
            return false;
        }
        let [new, old, oldest] = self.heard;
        if heard_at + SPAN > now {
            // Deadlines are not moved by every packet: they look back when they fire.
            (self.look_at, self.heard) = (Some(heard_at + SPAN), [0, new, old]);
            return false;
        }
        let rests = self.asked.is_some_and(|(at, times)| now < at + PAUSE * (1 << times));
        let stopped = new.saturating_add(old).saturating_add(oldest) >= REGULAR && !rests;
        if stopped {
            let recent = self.asked.filter(|(at, _)| now < *at + CALM);
            let times = recent.map_or(0, |(_, times)| (times + 1).min(MOST_PAUSES));
            self.asked = Some((now, times));
        }
        (self.look_at, self.heard) = (None, [0; 3]);
        stopped
    }
}

/// So many packets in the two or three spans before are regular ones, more than a challenge brings with all that
/// answers it; none for one span is a stop.
const REGULAR: u16 = 6;
const SPAN: Duration = Duration::from_millis(400);
/// Between two questions, doubled up to 16 s while there is one each minute: a peer may speak in bursts.
const PAUSE: Duration = Duration::from_secs(1);
const MOST_PAUSES: u8 = 4;
const CALM: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// Packets at these times (ms) on a path; when there is a question.
    fn asked(packets: impl Iterator<Item = u64>, until: u64) -> Vec<u64> {
        let at = |ms: u64| Instant::from_micros(1_000_000 + ms * 1000);
        let (mut lull, mut asked, mut heard_at) = (Lull::new(), Vec::new(), at(0));
        let mut packets = packets.peekable();
        for ms in 0..until {
            if packets.next_if_eq(&ms).is_some() {
                heard_at = at(ms);
                lull.on_heard(at(ms));
            }
            if lull.on_look(heard_at, at(ms)) {
                asked.push(ms);
            }
        }
        asked
    }

    #[test]
    fn the_end_of_regular_packets_is_noticed_once_and_soon() {
        assert_eq!(asked((0..200).map(|n| n * 20), 20_000), [199 * 20 + 400]);
        assert_eq!(asked((0..20).map(|n| n * 100), 20_000), [1900 + 400]);
    }

    #[test]
    fn rare_packets_and_frequent_bursts_are_no_reason_to_ask_often() {
        assert!(asked((0..60).map(|n| n * 1000), 60_000).is_empty());
        let bursts = (0..60).flat_map(|second| (0..10).map(move |n| second * 1000 + n * 10));
        let asked = asked(bursts, 60_000);
        assert!((1..=8).contains(&asked.len()), "{asked:?}");
    }
}
