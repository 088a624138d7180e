//! What the applications on the nodes do: send messages, and note when they arrive.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use handfast_sim::{App, Cx, NodeId};

use super::stack::{Arrived, Rider, Stamp, Told};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Load {
    /// 100 bytes five times a second.
    Hz5,
    /// 100 bytes fifty times a second.
    Hz50,
    /// The same in both directions.
    Hz50Both,
    /// 16 KiB as often as there is room.
    Bulk,
    /// 4 MiB as often as there is room, beside 100 bytes fifty times a second.
    Mixed,
    /// 100 bytes fifty times a second, of the most urgent class.
    Urgent,
    /// 4 MiB of the least urgent class as often as there is room, beside the same.
    UrgentMixed,
}

impl Load {
    pub(crate) const ALL: [Self; 7] = [
        Self::Hz5,
        Self::Hz50,
        Self::Hz50Both,
        Self::Bulk,
        Self::Mixed,
        Self::Urgent,
        Self::UrgentMixed,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hz5 => "5 Hz",
            Self::Hz50 => "50 Hz",
            Self::Hz50Both => "50 Hz both ways",
            Self::Bulk => "bulk",
            Self::Mixed => "4 MiB beside 50 Hz",
            Self::Urgent => "real-time 50 Hz",
            Self::UrgentMixed => "4 MiB beside real-time 50 Hz",
        }
    }

    /// The pause between small messages.
    const fn pause(self) -> Option<Duration> {
        match self {
            Self::Hz5 => Some(Duration::from_millis(200)),
            Self::Hz50 | Self::Hz50Both | Self::Mixed | Self::Urgent | Self::UrgentMixed => {
                Some(Duration::from_millis(20))
            }
            Self::Bulk => None,
        }
    }

    /// The length of large messages.
    const fn large(self) -> Option<usize> {
        match self {
            Self::Bulk => Some(16 << 10),
            Self::Mixed | Self::UrgentMixed => Some(4 << 20),
            Self::Hz5 | Self::Hz50 | Self::Hz50Both | Self::Urgent => None,
        }
    }

    /// Whether small messages are more urgent than others. Only handfast has classes.
    pub(crate) const fn has_classes(self) -> bool {
        matches!(self, Self::Urgent | Self::UrgentMixed)
    }

    /// Whether small messages travel beside large ones.
    pub(crate) const fn is_mixed(self) -> bool {
        matches!(self, Self::Mixed | Self::UrgentMixed)
    }

    /// Whether as much is sent as there is room for.
    pub(crate) const fn is_bulk(self) -> bool {
        self.large().is_some()
    }
}

/// What one node sends to another.
pub(crate) struct Flow {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    load: Load,
    begins: Duration,
    ends: Duration,
    /// Until then, no more large messages are sent than belong to the present chunk, and none is counted.
    chunks_end: Duration,
    chunk: u32,
    /// Small messages that found no room yet.
    waiting: VecDeque<Bytes>,
    /// How many were made, and how many arrived, on each lane.
    made: [u64; 2],
    arrived: [u64; 2],
    /// Bytes of messages that arrived before the flow ended, and in all.
    pub(crate) bytes: u64,
    pub(crate) all_bytes: u64,
    /// How long small messages took, in microseconds.
    pub(crate) latencies: Vec<u64>,
    /// Messages that arrived out of order.
    wrong: u64,
}

impl Flow {
    pub(crate) fn new(ends: [NodeId; 2], load: Load, begins: Duration, takes: Duration) -> Self {
        Self {
            from: ends[0],
            to: ends[1],
            load,
            begins,
            ends: begins + takes,
            chunks_end: begins,
            chunk: 0,
            waiting: VecDeque::new(),
            made: [0; 2],
            arrived: [0; 2],
            bytes: 0,
            all_bytes: 0,
            latencies: Vec::new(),
            wrong: 0,
        }
    }

    /// Sends a chunk now and then until this time.
    pub(crate) fn in_chunks(self, until: Duration) -> Self {
        Self { chunks_end: until, ..self }
    }

    /// Small messages that did not arrive, and all that arrived out of order.
    pub(crate) fn missing(&self) -> u64 {
        self.made[SMALL] - self.arrived[SMALL] + self.wrong
    }

    fn stamp(&mut self, lane: usize, now: Duration) -> Stamp {
        let number = self.made[lane];
        self.made[lane] += 1;
        Stamp { time: micros(now), number }
    }

    fn make_small(&mut self, cx: &mut Cx<'_, Rider>, pause: Duration) {
        if cx.time() < self.ends {
            let message = self.stamp(SMALL, cx.time()).message(SMALL_LEN);
            self.waiting.push_back(message);
            cx.wake_after(pause, SMALL as u64);
        }
    }

    /// Sends all that there is room for.
    fn fill(&mut self, cx: &mut Cx<'_, Rider>) {
        let (time, now) = (cx.time(), cx.now());
        if time < self.begins {
            return;
        }
        while let Some(message) = self.waiting.front() {
            if !cx.endpoint().stack().send(now, SMALL, message) {
                break;
            }
            self.waiting.pop_front();
        }
        let Some(len) = self.load.large() else { return };
        while time < self.ends && (time >= self.chunks_end || self.chunk > 0) {
            let message = self.stamp(LARGE, time).message(len);
            if !cx.endpoint().stack().send(now, LARGE, &message) {
                self.made[LARGE] -= 1;
                break;
            }
            self.chunk = self.chunk.saturating_sub(1);
        }
    }

    /// Another chunk is to be sent, or all that there is room for.
    fn begin_chunk(&mut self, cx: &mut Cx<'_, Rider>) {
        if cx.time() < self.chunks_end {
            self.chunk = CHUNK;
            cx.wake_after(CHUNK_PAUSE, LARGE as u64);
        }
    }

    fn note(&mut self, arrived: Arrived, now: Duration) {
        let Arrived { lane, len, stamp } = arrived;
        self.wrong += u64::from(stamp.number != self.arrived[lane]);
        self.arrived[lane] += 1;
        self.all_bytes += len as u64;
        if now > self.chunks_end && now <= self.ends {
            self.bytes += len as u64;
        }
        if lane == SMALL {
            self.latencies.push(micros(now) - stamp.time);
        }
    }
}

/// All flows, and what happened to the ends.
#[derive(Default)]
pub(crate) struct Traffic {
    pub(crate) flows: Vec<Flow>,
    pub(crate) connected: usize,
    pub(crate) ended: u64,
}

impl App<Rider> for Traffic {
    fn on_event(&mut self, cx: &mut Cx<'_, Rider>, told: &Told) {
        match told {
            Told::Connected => self.connected += 1,
            Told::Ended => self.ended += 1,
            Told::Writable => {
                let node = cx.node();
                self.flows.iter_mut().filter(|flow| flow.from == node).for_each(|it| it.fill(cx));
            }
            Told::Readable => {
                let (node, time, now) = (cx.node(), cx.time(), cx.now());
                while let Some(arrived) = cx.endpoint().stack().receive(now) {
                    if let Some(flow) = self.flows.iter_mut().find(|flow| flow.to == node) {
                        flow.note(arrived, time);
                    }
                }
            }
        }
    }

    fn on_timer(&mut self, cx: &mut Cx<'_, Rider>, token: u64) {
        let node = cx.node();
        for flow in self.flows.iter_mut().filter(|flow| flow.from == node) {
            if let Some(pause) = flow.load.pause().filter(|_| token == SMALL as u64) {
                flow.make_small(cx, pause);
            }
            if token == LARGE as u64 {
                flow.begin_chunk(cx);
            }
            flow.fill(cx);
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// The lanes, and the tokens of the timers that begin them.
pub(crate) const SMALL: usize = 0;
pub(crate) const LARGE: usize = 1;

/// A chunk is so many large messages (64 KiB), and comes twice a second: a window that is never full.
const CHUNK: u32 = 4;
const CHUNK_PAUSE: Duration = Duration::from_millis(500);

/// Bytes of a small message.
const SMALL_LEN: usize = 100;
