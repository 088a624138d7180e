//! Changing keys inside a live session: two frames and a fresh Diffie-Hellman secret.
//!
//! Either end may begin. When both do at once, the request of the end with the larger identity
//! wins: that end ignores the other's request, the other drops its own.

use alloc::boxed::Box;
use core::time::Duration;

use crate::crypto::backend::active::SecretKey;
use crate::pack::{pack, pack_never};
use crate::time::Instant;
use crate::wire::{Frame, Writer};

/// Our request, until it is answered.
pub(crate) struct RekeyOffer {
    pub(crate) index: u32,
    pub(crate) ephemeral: SecretKey,
    /// Until when an answer is worth waiting for.
    pub(crate) until: Instant,
}

pack_never!(RekeyOffer);

/// Our answer to a request, as long as it may have to be repeated.
#[derive(Debug)]
struct RekeyAnswer {
    index: u32,
    ephemeral: [u8; 32],
    request_index: u32,
    request_ephemeral: [u8; 32],
}

pack!(RekeyAnswer: index, ephemeral, request_index, request_ephemeral);

/// What a packet carried of a key change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RekeyFrame {
    Request,
    Response,
}

/// A key change under way. It is seldom, so its keys are boxed.
#[derive(Default)]
pub(crate) struct Rekey {
    offer: Option<Box<RekeyOffer>>,
    answer: Option<Box<RekeyAnswer>>,
    request_due: bool,
    response_due: bool,
    /// How many requests were answered since when.
    answered: u8,
    answered_since: Option<Instant>,
}

pack!(Rekey: offer, answer, request_due, response_due, answered, answered_since);

/// Each answer costs two Diffie-Hellman operations: a peer gets so many in [`PERIOD`].
const MAX_ANSWERS: u8 = 16;
const PERIOD: Duration = Duration::from_secs(1);

impl Rekey {
    /// Asks for new keys; packets under them will name `index`.
    pub(crate) fn begin(&mut self, index: u32, ephemeral: SecretKey, until: Instant) {
        self.offer = Some(Box::new(RekeyOffer { index, ephemeral, until }));
        self.request_due = true;
    }

    /// Our request that waits for its answer.
    pub(crate) fn offer(&self) -> Option<&RekeyOffer> {
        self.offer.as_deref()
    }

    /// Our request is answered, or withdrawn.
    /// It stays in its box, and with that its key is erased.
    pub(crate) fn take_offer(&mut self) -> Option<Box<RekeyOffer>> {
        self.request_due = false;
        self.offer.take()
    }

    /// The keys that the last answer led to are forgotten.
    pub(crate) fn forget_answer(&mut self) {
        self.answer = None;
        self.response_due = false;
    }

    /// Whether this request was answered already: then the answer is due again.
    pub(crate) fn is_repeat(&mut self, request_ephemeral: &[u8; 32]) -> bool {
        let answered = |answer: &RekeyAnswer| answer.request_ephemeral == *request_ephemeral;
        let repeat = self.answer.as_deref().is_some_and(answered);
        self.response_due |= repeat;
        repeat
    }

    /// Whether another request may be answered now; it counts as answered then.
    pub(crate) fn may_answer(&mut self, now: Instant) -> bool {
        if self.answered_since.is_none_or(|since| since + PERIOD <= now) {
            (self.answered, self.answered_since) = (0, Some(now));
        }
        let allowed = self.answered < MAX_ANSWERS;
        self.answered += u8::from(allowed);
        allowed
    }

    /// Answers a request.
    pub(crate) fn answer(
        &mut self,
        index: u32,
        ephemeral: [u8; 32],
        request_index: u32,
        request_ephemeral: [u8; 32],
    ) {
        let answer = RekeyAnswer { index, ephemeral, request_index, request_ephemeral };
        self.answer = Some(Box::new(answer));
        self.response_due = true;
    }

    pub(crate) fn is_due(&self) -> bool {
        self.request_due || self.response_due
    }

    /// The frame was lost: what it said is due again, if still true.
    pub(crate) fn on_lost(&mut self, frame: RekeyFrame) {
        match frame {
            RekeyFrame::Request => self.request_due = self.offer.is_some(),
            RekeyFrame::Response => self.response_due = self.answer.is_some(),
        }
    }

    /// Writes what is due while it fits, and calls `sent` for each frame.
    pub(crate) fn write(&mut self, writer: &mut Writer<'_>, sent: &mut impl FnMut(RekeyFrame)) {
        if let Some(offer) = self.offer.as_ref().filter(|_| self.request_due) {
            let ephemeral = &offer.ephemeral.public();
            if (Frame::RekeyRequest { sender_index: offer.index, ephemeral }).encode(writer) {
                self.request_due = false;
                sent(RekeyFrame::Request);
            }
        }
        if let Some(answer) = self.answer.as_ref().filter(|_| self.response_due) {
            let (sender_index, receiver_index) = (answer.index, answer.request_index);
            let ephemeral = &answer.ephemeral;
            if (Frame::RekeyResponse { sender_index, receiver_index, ephemeral }).encode(writer) {
                self.response_due = false;
                sent(RekeyFrame::Response);
            }
        }
    }
}

impl core::fmt::Debug for Rekey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (offered, answered) = (self.offer.is_some(), self.answer.is_some());
        write!(f, "Rekey {{ offered: {offered}, answered: {answered} }}")
    }
}
