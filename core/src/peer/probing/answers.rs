//! Answers that wait for their turn.

use alloc::vec::Vec;

use crate::net::Via;
use crate::pack::{pack, pack_never};

/// A packet that the peer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// To a challenge: the peer hears where we see it, too, if `observed`.
    Response { via: Via, token: [u8; 8], observed: bool },
    /// From another of our sockets.
    Challenge { via: Via, token: [u8; 8] },
}

pack_never!(Answer);

/// What the peer asked for and did not get yet.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    list: Vec<Answer>,
}

pack!(Answers: list);

impl Answers {
    /// A packet that came by `via` challenges us.
    pub(super) fn on_challenge(&mut self, via: Via, token: [u8; 8], observed: bool) {
        self.push(Answer::Response { via, token, observed });
    }

    /// The peer wants a challenge by `via`. Of several that wait, it gets the newest.
    pub(super) fn on_probe_me(&mut self, via: Via, token: [u8; 8]) {
        self.list.retain(|one| !matches!(one, Answer::Challenge { .. }));
        self.push(Answer::Challenge { via, token });
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What to send next.
    pub(super) fn take(&mut self) -> Option<Answer> {
        (!self.list.is_empty()).then(|| self.list.remove(0))
    }

    /// An honest peer asks for no more before we get to answer.
    fn push(&mut self, answer: Answer) {
        if self.list.len() < MAX_ANSWERS {
            self.list.push(answer);
        }
    }
}

/// How many answers wait. Others are not given.
const MAX_ANSWERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Arrival;

    #[test]
    fn a_flood_of_questions_is_answered_up_to_a_bound() {
        let via = Arrival::from_remote("192.0.2.7:1".parse().expect("an address")).via;
        let mut answers = Answers::default();
        for at in 0..100 {
            answers.on_probe_me(via, [at; 8]);
        }
        for at in 0..100 {
            answers.on_challenge(via, [at; 8], true);
        }
        assert_eq!(answers.take(), Some(Answer::Challenge { via, token: [99; 8] }));
        let first = Answer::Response { via, token: [0; 8], observed: true };
        assert_eq!(answers.take(), Some(first));
        assert_eq!(core::iter::from_fn(|| answers.take()).count(), MAX_ANSWERS - 2);
    }
}
