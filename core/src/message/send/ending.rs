//! Many messages meet their fate at once: the peer restarted, its limits became known, or it is gone.

use alloc::vec::Vec;

use super::SendQueue;
use crate::delivery::Fate;
use crate::message::outgoing::Outgoing;
use crate::message::send_buffer::SendLimits;
use crate::time::Instant;

impl SendQueue {
    /// The peer lost its state: what was under way has an unknown fate, what was not starts over.
    pub(crate) fn restart(&mut self, granted: u64, now: Instant) {
        self.end_all(|message| message.is_started().then_some(Fate::Unknown));
        self.messages.iter_mut().for_each(|(_, message)| message.queued_at = now);
        self.restart_streams();
        self.credit.restart(granted);
        self.wake_all();
    }

    /// The peer's limits are known now: messages beyond them cannot be sent.
    pub(crate) fn refuse_beyond(&mut self, limits: &SendLimits) {
        self.end_all(|message| {
            let beyond = message.len() > limits.max_message || message.stream >= limits.max_streams;
            beyond.then_some(Fate::Refused)
        });
    }

    /// The peer is gone: every message meets its fate.
    pub(crate) fn end(&mut self) {
        self.end_all(|message| Some(if message.is_started() { Fate::Unknown } else { Fate::Lost }));
        // Not all of their messages arrived.
        self.forget_stream_ends();
    }

    /// Ends every message for which `fate` has an answer.
    fn end_all(&mut self, fate: impl Fn(&Outgoing) -> Option<Fate>) {
        self.schedule.clear_repairs();
        self.redundancy.clear();
        let messages = &self.messages;
        for (_, lane) in &mut self.lanes {
            lane.line.retain(messages, |slot| fate(&messages[slot as usize]).is_none());
        }
        let open = |(slot, message): (usize, &Outgoing)| match message.fate {
            Some(_) => None,
            None => fate(message).map(|fate| (slot, fate)),
        };
        let ended: Vec<_> = self.messages.iter().filter_map(open).collect();
        for (slot, fate) in ended {
            self.finish(slot, fate);
        }
    }
}
