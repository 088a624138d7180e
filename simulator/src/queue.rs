//! The queue in front of a line: what waits leaves one after the other at the rate of the line.

use std::collections::VecDeque;

use crate::conditions::{CoDel, Conditions};
use crate::link::micros;

/// Things of any kind that wait. Times are in nanoseconds: at 500 Mbit/s a datagram takes 20 us.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: VecDeque<Waiting<T>>,
    bytes: usize,
    /// When the line began with the first of what waits, or became free.
    begun: u64,
    /// What CoDel remembers: since when it may act, and how often it has acted since.
    act_at: Option<u64>,
    acts: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    len: usize,
    since: u64,
}

/// Something that left the queue.
#[derive(Debug)]
pub(crate) struct Left<T> {
    pub(crate) item: T,
    /// When its last byte left, in nanoseconds.
    pub(crate) at: u64,
    /// CoDel wants its sender to slow down.
    pub(crate) signal: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), bytes: 0, begun: 0, act_at: None, acts: 0 }
    }
}

impl<T> Queue<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether `len` bytes fit, and whether they are to be marked then. The part of the first that
    /// is on the line already takes no room.
    pub(crate) fn admit(&self, now: u64, len: usize, conditions: &Conditions) -> Option<bool> {
        let on_line = u128::from(conditions.rate.unwrap_or(0))
            * u128::from(now.saturating_sub(self.begun))
            / u128::from(SECOND);
        let first = self.waiting.front().map_or(0, |first| first.len);
        let waiting = self.bytes - usize::try_from(on_line).unwrap_or(first).min(first);
        let marked = conditions.ce_threshold.is_some_and(|threshold| waiting > threshold);
        (waiting + len <= conditions.queue).then_some(marked)
    }

    /// Adds what was admitted.
    pub(crate) fn push(&mut self, now: u64, len: usize, item: T) {
        if self.is_empty() {
            self.begun = self.begun.max(now);
        }
        self.bytes += len;
        self.waiting.push_back(Waiting { item, len, since: now });
    }

    /// When the first of what waits has left, in nanoseconds.
    pub(crate) fn next(&self, rate: Option<u64>) -> Option<u64> {
        let first = self.waiting.front()?;
        let takes = rate.map_or(0, |rate| (first.len as u64 * SECOND).div_ceil(rate.max(1)));
        Some(self.begun + takes)
    }

    /// Takes the first of what waits if it has left by `now`.
    pub(crate) fn pop(&mut self, now: u64, conditions: &Conditions) -> Option<Left<T>> {
        let at = self.next(conditions.rate).filter(|&at| at <= now)?;
        let Waiting { item, len, since } = self.waiting.pop_front()?;
        self.bytes -= len;
        let began = std::mem::replace(&mut self.begun, at);
        let waited = began.saturating_sub(since);
        let signal = conditions.codel.is_some_and(|codel| self.signals(at, waited, codel));
        Some(Left { item, at, signal })
    }

    /// Whether CoDel acts on something that waited for so long.
    fn signals(&mut self, now: u64, waited: u64, codel: CoDel) -> bool {
        let [target, interval] = [codel.target, codel.interval].map(|it| micros(it) * 1_000);
        if waited < target || self.is_empty() {
            (self.act_at, self.acts) = (None, 0);
            return false;
        }
        let due = *self.act_at.get_or_insert(now + interval);
        if now < due {
            return false;
        }
        self.acts += 1;
        // The pauses shrink with the square root of how often it acted.
        self.act_at = Some(due + interval * 1_000 / (self.acts * 1_000_000).isqrt());
        true
    }
}

/// Nanoseconds.
const SECOND: u64 = 1_000_000_000;
