//! Answers to strangers that wait to be sent.

use alloc::collections::VecDeque;

use smallvec::SmallVec;

use crate::net::{Departure, Via};

/// A datagram that answers one of a stranger. It is never larger than what it answers.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(super) via: Via,
    bytes: SmallVec<[u8; 144]>,
}

/// Answers to strangers that wait to be sent.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    queue: VecDeque<Reply>,
}

/// The most answers that wait. A driver that drains after each datagram never has more than one.
const MAX_REPLIES: usize = 256;

impl Replies {
    /// Queues a response; false when too many answers wait already.
    pub(crate) fn push(&mut self, via: Via, bytes: &[u8]) -> bool {
        self.push_below(MAX_REPLIES, via, bytes)
    }

    /// Queues an answer that cost next to nothing; half the queue is kept for others.
    pub(crate) fn push_cheap(&mut self, via: Via, bytes: &[u8]) -> bool {
        self.push_below(MAX_REPLIES / 2, via, bytes)
    }

    fn push_below(&mut self, most: usize, via: Via, bytes: &[u8]) -> bool {
        let room = self.queue.len() < most;
        if room {
            self.queue.push_back(Reply { via, bytes: SmallVec::from_slice(bytes) });
        }
        room
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Copies the next answer that fits into `buf`.
    pub(crate) fn poll(&mut self, buf: &mut [u8]) -> Option<Departure> {
        let reply = self.queue.front()?;
        let departure = Departure::single(reply.via, reply.bytes.len());
        let room = buf.get_mut(..departure.len)?;
        room[reply.via.headroom()..][..reply.bytes.len()].copy_from_slice(&reply.bytes);
        self.queue.pop_front();
        Some(departure)
    }
}
