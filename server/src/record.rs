//! What the server knows of one peer, and when it tells of the peer's end.

use std::mem;

use handfast_core::{EndReason, PeerId};
use tracing::{debug, info};

/// What is known about one peer. Its end is told once, after its last message.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) id: PeerId,
    /// Where it was last.
    pub(crate) place: String,
    messages: u64,
    bytes: u64,
    /// No message came since the last beat.
    is_quiet: bool,
    reading: Reading,
    end: Option<End>,
    is_told: bool,
    /// The endpoint did not know it at the last cleaning.
    is_stale: bool,
}

/// How the end of a peer is reported.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) reason: EndReason,
    /// Whole messages that nobody can receive.
    pub(crate) undeliverable: u64,
    /// Messages that waited to be received.
    pub(crate) unread: usize,
}

/// Whether somebody takes the messages apart from the events.
#[derive(Debug)]
enum Reading {
    /// Not now.
    No,
    Going,
    /// All are taken; and the peer had ended so.
    Done(EndReason),
}

impl Record {
    pub(crate) const fn new(id: PeerId) -> Self {
        Self {
            id,
            place: String::new(),
            messages: 0,
            bytes: 0,
            is_quiet: false,
            reading: Reading::No,
            end: None,
            is_told: false,
            is_stale: false,
        }
    }

    pub(crate) fn on_message(&mut self, bytes: u64) {
        self.messages += 1;
        self.bytes += bytes;
        self.is_quiet = false;
    }

    /// Whether no message came since the last call.
    pub(crate) fn was_quiet(&mut self) -> bool {
        mem::replace(&mut self.is_quiet, true)
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// From now on somebody takes the messages apart from the events.
    pub(crate) fn begin_reading(&mut self) {
        self.reading = Reading::Going;
    }

    /// All messages were taken, and the peer has ended so; `None` if nobody takes them any more.
    pub(crate) fn end_reading(&mut self, reason: Option<EndReason>) {
        self.reading = reason.map_or(Reading::No, Reading::Done);
        self.tell_if_due();
    }

    pub(crate) fn on_ended(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.tell_if_due();
    }

    /// Whether it can be forgotten, now that everything is cleaned up.
    pub(crate) fn is_done_with(&mut self, is_known: bool) -> bool {
        if self.is_told {
            return true;
        }
        if is_known || matches!(self.reading, Reading::Going) {
            self.is_stale = false;
            return false;
        }
        // What is on its way here comes before the next time.
        if !mem::replace(&mut self.is_stale, true) {
            return false;
        }
        self.tell();
        true
    }

    fn tell_if_due(&mut self) {
        let Some(end) = &mut self.end else { return };
        match self.reading {
            Reading::Going => return,
            Reading::No if end.unread > 0 => return,
            Reading::No => {}
            Reading::Done(_) => end.unread = 0,
        }
        self.tell();
    }

    /// Tells of the end as far as it is known, once.
    pub(crate) fn tell(&mut self) {
        if let (None, Reading::Done(reason)) = (&self.end, &self.reading) {
            self.end = Some(End { reason: reason.clone(), undeliverable: 0, unread: 0 });
        }
        let Some(End { reason, undeliverable, unread }) = &self.end else { return };
        if mem::replace(&mut self.is_told, true) {
            return;
        }
        let (messages, bytes) = (self.messages, self.bytes);
        if *reason == EndReason::Evicted {
            // Under attack there are many: a sum tells of them.
            debug!(peer = %self.id, %reason, messages, bytes, "ended");
            return;
        }
        info!(
            peer = %self.id,
            %reason,
            complete = reason.is_complete(),
            messages,
            bytes,
            unread = (*unread > 0).then_some(unread),
            undeliverable = (*undeliverable > 0).then_some(undeliverable),
            "ended"
        );
    }

    #[cfg(test)]
    pub(crate) const fn is_told(&self) -> bool {
        self.is_told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::Identity;

    fn record() -> Record {
        Record::new(Identity::from_seed([3; 32]).id())
    }

    const fn end(unread: usize) -> End {
        End { reason: EndReason::IdleTimeout, undeliverable: 0, unread }
    }

    #[test]
    fn the_end_is_told_after_the_last_message_whatever_comes_first() {
        let mut record = record();
        record.begin_reading();
        record.on_ended(end(7));
        assert!(!record.is_told(), "it is read yet");
        assert!(!record.is_done_with(false) && !record.is_done_with(false), "still");
        record.end_reading(Some(EndReason::IdleTimeout));
        assert!(record.is_told() && record.end.is_some_and(|end| end.unread == 0));

        let mut record = self::record();
        record.begin_reading();
        record.end_reading(Some(EndReason::IdleTimeout));
        assert!(!record.is_told(), "the endpoint knows more about the end");
        record.on_ended(end(7));
        assert!(record.is_told());
    }

    #[test]
    fn messages_that_nobody_takes_are_told_with_the_end_and_not_for_ever_waited_for() {
        let mut record = record();
        record.on_ended(end(7));
        assert!(!record.is_told(), "somebody may be about to take them");
        assert!(!record.is_done_with(false), "the first time");
        assert!(record.is_done_with(false) && record.is_told());
        assert!(record.end.is_some_and(|end| end.unread == 7));

        let mut record = self::record();
        record.on_ended(end(0));
        assert!(record.is_told(), "nothing to wait for");
    }

    #[test]
    fn an_end_of_which_no_event_came_is_told_by_whoever_read() {
        let mut record = record();
        record.begin_reading();
        record.end_reading(Some(EndReason::IdleTimeout));
        record.tell();
        assert!(record.is_told());
        let mut alive = self::record();
        alive.begin_reading();
        alive.tell();
        assert!(!alive.is_told());
    }
}
