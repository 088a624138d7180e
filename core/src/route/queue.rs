//! Packets on their way through us, while the driver takes others.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::time::Instant;
use crate::wire::{FORWARD_HEADER_LEN, ForwardFrame};

/// A packet that is passed on.
#[derive(Debug)]
pub(crate) struct Passage {
    pub(crate) header: [u8; FORWARD_HEADER_LEN],
    pub(crate) packet: Vec<u8>,
    arrived: Instant,
}

/// What waits for one peer.
#[derive(Debug, Default)]
struct Line {
    packets: VecDeque<Passage>,
    bytes: usize,
}

/// What waits, by the slot of the peer that it goes to. A line holds 64 KiB and 20 ms at most: its
/// oldest packets give way, as those are of least use. Before that, they are marked.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lines: BTreeMap<u32, Line>,
    /// Slots whose turn comes, each once.
    turns: VecDeque<u32>,
    /// Bytes in all lines.
    bytes: usize,
}

impl Passage {
    pub(super) fn new(header: [u8; FORWARD_HEADER_LEN], packet: &[u8], now: Instant) -> Self {
        Self { header, packet: packet.to_vec(), arrived: now }
    }

    /// The same, marked if `is_low` says that a rate is nearly used up.
    pub(super) fn marked(mut self, is_low: bool) -> Self {
        if is_low {
            self.mark();
        }
        self
    }

    /// Its ends are to send less, if they take marks.
    fn mark(&mut self) {
        ForwardFrame::mark(&mut self.header);
    }
}

impl Queue {
    /// A packet waits. Returns how many gave way to it; if all lines together are too long, it does so itself.
    pub(super) fn push(&mut self, slot: u32, passage: Passage) -> u64 {
        if self.bytes + passage.packet.len() > LONGEST_IN_ALL {
            return 1;
        }
        self.bytes += passage.packet.len();
        let line = self.lines.entry(slot).or_default();
        if line.packets.is_empty() {
            self.turns.push_back(slot);
        }
        line.bytes += passage.packet.len();
        line.packets.push_back(passage);
        let mut dropped = 0;
        while line.bytes > LONGEST
            && let Some(oldest) = line.pop()
        {
            self.bytes -= oldest.packet.len();
            dropped += 1;
        }
        dropped
    }

    /// Whose turn it is.
    pub(super) fn turn(&self) -> Option<u32> {
        self.turns.front().copied()
    }

    /// Takes the next packet of whose turn it is, if it is `like` what the caller wants. Returns how many
    /// waited for too long before it.
    pub(super) fn pop(
        &mut self,
        now: Instant,
        like: impl FnOnce(&Passage) -> bool,
    ) -> (Option<Passage>, u64) {
        let mut dropped = 0;
        let Some(line) = self.turn().and_then(|slot| self.lines.get_mut(&slot)) else {
            return (None, 0);
        };
        while line.packets.front().is_some_and(|first| now > first.arrived + OLDEST) {
            self.bytes -= line.pop().map_or(0, |passage| passage.packet.len());
            dropped += 1;
        }
        if let Some(first) = line.packets.front_mut().filter(|first| now > first.arrived + LONG) {
            first.mark();
        }
        let fits = line.packets.front().is_some_and(like);
        let next = if fits { line.pop() } else { None };
        self.bytes -= next.as_ref().map_or(0, |passage| passage.packet.len());
        (next, dropped)
    }

    /// Nothing waits for this slot any more.
    pub(super) fn forget(&mut self, slot: u32) {
        if let Some(line) = self.lines.remove(&slot) {
            self.bytes -= line.bytes;
            self.turns.retain(|turn| *turn != slot);
        }
    }

    /// The next turn is another's.
    pub(super) fn rotate(&mut self) {
        let Some(slot) = self.turns.pop_front() else { return };
        match self.lines.get(&slot) {
            Some(line) if !line.packets.is_empty() => self.turns.push_back(slot),
            _ => _ = self.lines.remove(&slot),
        }
    }
}

impl Line {
    fn pop(&mut self) -> Option<Passage> {
        let passage = self.packets.pop_front()?;
        self.bytes -= passage.packet.len();
        Some(passage)
    }
}

const LONGEST: usize = 64 << 10;
/// A socket may be blocked for longer, and have thousands of lines.
const LONGEST_IN_ALL: usize = 4 << 20;
const OLDEST: Duration = Duration::from_millis(20);
/// What waited for longer shows a queue (RFC 8289 has the same target).
const LONG: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(1_000_000 + ms * 1000)
    }

    fn passage(len: usize, ms: u64) -> Passage {
        Passage::new([0; FORWARD_HEADER_LEN], &alloc::vec![1; len], at(ms))
    }

    fn take(queue: &mut Queue, ms: u64) -> (Option<usize>, u64) {
        let (passage, dropped) = queue.pop(at(ms), |_| true);
        (passage.map(|passage| passage.packet.len()), dropped)
    }

    #[test]
    fn the_oldest_give_way_to_new_ones_and_to_time() {
        let mut queue = Queue::default();
        let dropped: u64 = (0..70).map(|n| queue.push(3, passage(1000 + n, 0))).sum();
        assert_eq!(dropped, 7, "64 KiB are left");
        assert_eq!(take(&mut queue, 20), (Some(1007), 0));
        queue.push(3, passage(500, 10));
        assert_eq!(take(&mut queue, 21), (Some(500), 62));
        assert_eq!(take(&mut queue, 21), (None, 0));
        queue.rotate();
        assert!(queue.turn().is_none() && queue.lines.is_empty());
    }

    #[test]
    fn what_waited_is_marked_before_it_gives_way() {
        let codepoint = |ecn: u8, ms| {
            let mut queue = Queue::default();
            let mut header = [0; FORWARD_HEADER_LEN];
            header[1] = 12 << 2 | ecn;
            queue.push(3, Passage::new(header, &[1; 100], at(0)));
            let seen = queue.pop(at(ms), |next| next.header[1] >> 2 == 12).0.expect("not dropped");
            seen.header[1] & 3
        };
        let after = |ms| [0, 1, 2, 3].map(|ecn| codepoint(ecn, ms));
        assert_eq!((after(5), after(6), after(20)), ([0, 1, 2, 3], [0, 3, 3, 3], [0, 3, 3, 3]));
    }

    #[test]
    fn all_lines_together_are_bounded_and_give_back_what_they_took() {
        let mut queue = Queue::default();
        let dropped: u64 = (0..200).map(|slot| queue.push(slot, passage(60_000, 0))).sum();
        assert_eq!((queue.bytes, dropped), (69 * 60_000, 131));
        queue.forget(0);
        while queue.turn().is_some() {
            take(&mut queue, 0);
            take(&mut queue, 21);
            queue.rotate();
        }
        assert_eq!(queue.bytes, 0);
        assert_eq!(queue.push(1, passage(60_000, 30)), 0);
    }

    #[test]
    fn peers_take_turns() {
        let mut queue = Queue::default();
        for slot in [1, 1, 1, 2, 2] {
            queue.push(slot, passage(100, 0));
        }
        let turns: Vec<_> = core::iter::from_fn(|| {
            let slot = queue.turn()?;
            assert!(take(&mut queue, 0).0.is_some());
            queue.rotate();
            Some(slot)
        })
        .collect();
        assert_eq!(turns, [1, 2, 1, 2, 1]);
    }
}
