//! The streams that are open. Those that the application needs no more give their places back (PROTOCOL.md section 15.8).

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::mem;

use super::SendQueue;
use crate::delivery::Delivery;
use crate::error::CommandError;
use crate::message::send_stream::Ending;
use crate::message::window::EndedStreams;
use crate::pack::pack;
use crate::wire::StreamKey;

/// Which streams ended, and which the peer is to be told of.
#[derive(Debug, Default)]
pub(super) struct StreamEnds {
    ended: EndedStreams,
    /// Names of ends of which the peer is to be told.
    untold: VecDeque<u32>,
    /// The name of the next end.
    next: u32,
    /// Streams that ended, of which the application is to be told.
    done: BTreeSet<StreamKey>,
}

pack!(StreamEnds: ended, untold, next, done);

impl StreamEnds {
    /// The number with which a stream begins.
    pub(super) fn first_of(&self, key: StreamKey) -> u64 {
        self.ended.end_of(key)
    }
}

impl SendQueue {
    /// A stream ends once all its messages met their fate.
    pub(crate) fn end_stream(&mut self, key: StreamKey) -> Result<(), CommandError> {
        let Some(index) = self.find_stream(key) else {
            self.ends.done.insert(key);
            return Ok(());
        };
        // It counts from here on: the peer never knows of more ends than we do.
        if !self.ends.ended.admit(key) {
            return Err(CommandError::TooMany);
        }
        let stream = &mut self.streams[index];
        if stream.ending == Ending::No {
            stream.ending = Ending::Asked;
            self.end_if_settled(index as u16);
        }
        Ok(())
    }

    /// Tells the peer of the end of a stream if nothing of it is on its way any more.
    pub(super) fn end_if_settled(&mut self, index: u16) {
        let stream = &mut self.streams[usize::from(index)];
        if !stream.may_end() {
            return;
        }
        let known_to_peer = self.ends.first_of(stream.key);
        if stream.next() == known_to_peer {
            // The peer knows of none of its messages.
            self.close_stream(index);
            return;
        }
        let name = self.ends.next;
        self.ends.next = name.wrapping_add(1);
        stream.ending = Ending::Told(name);
        self.ends.ended.insert(stream.key, stream.next());
        self.ends.untold.push_back(name);
    }

    /// Whether the peer is to be told of an end.
    pub(crate) fn has_stream_ends(&self) -> bool {
        !self.ends.untold.is_empty()
    }

    /// The next stream of whose end the peer is to be told: the name of the end, the stream, and the number with which
    /// it goes on if it is used again.
    pub(crate) fn take_stream_end(&mut self) -> Option<(u32, StreamKey, u64)> {
        loop {
            let name = self.ends.untold.pop_front()?;
            if let Some(index) = self.find_end(name) {
                let stream = &self.streams[usize::from(index)];
                return Some((name, stream.key, stream.next()));
            }
        }
    }

    /// The peer did not hear of the end with this name, or it did not fit.
    pub(crate) fn repeat_stream_end(&mut self, name: u32) {
        if self.find_end(name).is_some() && !self.ends.untold.contains(&name) {
            self.ends.untold.push_back(name);
        }
    }

    /// The peer knows of the end with this name: the place of the stream is free, unless it is used again.
    pub(crate) fn on_stream_end_acked(&mut self, name: u32) {
        let Some(index) = self.find_end(name) else { return };
        let stream = &mut self.streams[usize::from(index)];
        if stream.open > 0 {
            self.use_again(index);
        } else {
            self.close_stream(index);
        }
    }

    /// Whether the application is to be told that a stream ended.
    pub(crate) fn has_ended_streams(&self) -> bool {
        !self.ends.done.is_empty()
    }

    /// A stream that ended, as far as the application was not told.
    pub(crate) fn take_ended_stream(&mut self) -> Option<Delivery> {
        self.ends.done.pop_first().map(|key| key.delivery(false))
    }

    /// The peer lost its state.
    pub(super) fn restart_streams(&mut self) {
        let StreamEnds { next, done, .. } = mem::take(&mut self.ends);
        self.ends = StreamEnds { next, done, ..StreamEnds::default() };
        let ending: Vec<_> = self.streams.iter().map(|(index, _)| index as u16).collect();
        for index in ending {
            let stream = &mut self.streams[usize::from(index)];
            stream.restart();
            match stream.ending {
                Ending::No => {}
                _ if stream.open == 0 => self.close_stream(index),
                Ending::Told(_) => self.use_again(index),
                // A peer that remembers nothing has room for all of ours.
                Ending::Asked => drop(self.ends.ended.admit(stream.key)),
            }
        }
    }

    /// Nothing more is sent on any stream.
    pub(super) fn forget_stream_ends(&mut self) {
        self.ends.untold.clear();
    }

    /// The place of a stream is free.
    fn close_stream(&mut self, index: u16) {
        let stream = self.streams.remove(usize::from(index));
        for lane in stream.lanes {
            self.schedule.leave(lane, &mut self.lanes.remove(lane as usize));
        }
        self.ends.done.insert(stream.key);
    }

    /// A stream ended, and messages were sent on it since.
    fn use_again(&mut self, index: u16) {
        let stream = &mut self.streams[usize::from(index)];
        stream.ending = Ending::No;
        self.ends.done.insert(stream.key);
        for lane in &stream.lanes {
            self.schedule.wake(*lane, &mut self.lanes[*lane as usize], &self.messages);
        }
    }

    /// The place of a stream, if it is open.
    pub(super) fn find_stream(&self, key: StreamKey) -> Option<usize> {
        self.streams.iter().find(|(_, stream)| stream.key == key).map(|(index, _)| index)
    }

    /// Whether the stream is open at this place.
    pub(super) fn is_stream(&self, at: usize, key: StreamKey) -> bool {
        self.streams.get(at).is_some_and(|stream| stream.key == key)
    }

    fn find_end(&self, name: u32) -> Option<u16> {
        let mut streams = self.streams.iter();
        streams
            .find(|(_, stream)| stream.ending == Ending::Told(name))
            .map(|(index, _)| index as u16)
    }
}
