//! Following a peer to another address, once it proved that it is there.
//!
//! A packet that is newer than all others and comes from elsewhere makes the new address a
//! candidate. The candidate is challenged, and its own challenges are answered; nothing else goes
//! there, and no more than three times what came from there. The peer's answer, from there, moves
//! the path.

use core::time::Duration;

use crate::context::Context;
use crate::net::{Arrival, Departure, Via};
use crate::path::{Answering, Candidate, PeerPath};
use crate::peer::Peer;
use crate::peer::timers::Timer;
use crate::time::Instant;
use crate::wire::{Frame, SEALED_HEADER_LEN, TAG_LEN, Writer};

impl Peer {
    /// The newest packet of a path came from `origin`.
    pub(super) fn note_origin(
        &mut self,
        cx: &mut Context,
        at: usize,
        arrival: &Arrival,
        len: usize,
    ) {
        let path = &mut self.paths[at];
        let remote = arrival.via.remote();
        if path.via.remote() == remote {
            // Where it reached us is where our answers leave from.
            path.via = arrival.via;
            return;
        }
        let back =
            |(left, when): (Via, Instant)| left.remote() == remote && cx.now < when + FLAP_GUARD;
        if path.left.is_some_and(back) || self.state.is_over() {
            return;
        }
        let len = len as u64;
        match &mut path.candidate {
            Some(candidate) if candidate.via.remote() == remote => {
                candidate.received += len;
            }
            Some(candidate) if candidate.tries < MAX_TRIES => {}
            _ => {
                path.candidate = Some(Candidate {
                    via: arrival.via,
                    token: cx.rng.bytes(),
                    received: len,
                    sent: 0,
                    tries: 0,
                    due: true,
                });
                let peer = self.id.map(tracing::field::debug);
                tracing::debug!(target: "handfast::path", peer, ?remote, "seen elsewhere");
            }
        }
    }

    /// The peer answered a challenge, from `origin`.
    pub(super) fn on_path_response(&mut self, cx: &Context, arrival: &Arrival, token: [u8; 8]) {
        let remote = arrival.via.remote();
        let proved =
            |candidate: &Candidate| candidate.token == token && candidate.via.remote() == remote;
        let mut paths = self.paths.iter().enumerate();
        let found = paths.find_map(|(at, path)| Some((at, path.candidate.filter(proved)?)));
        if let Some((at, candidate)) = found {
            self.move_path(cx, at, candidate.via);
        }
    }

    /// The peer answered a handshake of ours from where `via` leads: it is there, wherever it
    /// seemed to be.
    pub(super) fn follow_answer(&mut self, cx: &Context, via: Via) {
        if self.via().is_some_and(|present| present.remote() != via.remote()) {
            self.move_path(cx, 0, via);
        }
    }

    fn move_path(&mut self, cx: &Context, at: usize, via: Via) {
        self.paths[at].move_to(via, &cx.config, cx.now);
        self.notices.moved = true;
        self.stats.roams += 1;
        let (peer, remote) = (self.id.map(tracing::field::debug), via.remote());
        tracing::debug!(target: "handfast::path", peer, ?remote, "moved");
    }

    /// A challenge was not answered in time.
    pub(super) fn on_roam_timer(&mut self) {
        for path in &mut self.paths {
            if let Some(candidate) = &mut path.candidate {
                if candidate.tries < MAX_TRIES {
                    candidate.due = true;
                } else {
                    path.candidate = None;
                }
            }
        }
    }

    /// Whether a challenge or an answer to one is due.
    pub(super) fn has_roaming(&self) -> bool {
        let due = |path: &PeerPath| path.candidate.is_some_and(|candidate| candidate.due);
        self.answering.is_some() || self.paths.iter().any(due)
    }

    /// Writes a packet that challenges a candidate or answers a challenge. It travels alone.
    pub(super) fn transmit_roaming(
        &mut self,
        cx: &mut Context,
        buf: &mut [u8],
    ) -> Option<Departure> {
        if let Some(Answering { token, via }) = self.answering.take() {
            let frame = Frame::PathResponse { token };
            if self.charge_answer(&via, sealed_len(&frame)) {
                let len = self.seal_alone(cx, 0, frame, buf)?;
                return Some(Departure::single(via, len));
            }
        }
        for at in 0..self.paths.len() {
            let Some(mut candidate) = self.paths[at].candidate.filter(|one| one.due) else {
                continue;
            };
            candidate.due = false;
            candidate.tries += 1;
            let frame = Frame::PathChallenge { token: candidate.token };
            let allowed = candidate.charge(sealed_len(&frame));
            self.paths[at].candidate = Some(candidate);
            let wait = self.probe_timeout() * 3;
            self.timers.set(Timer::Roam, Some(cx.now + wait));
            if allowed {
                let len = self.seal_alone(cx, at, frame, buf)?;
                return Some(Departure::single(candidate.via, len));
            }
        }
        None
    }

    /// Whether an answer of `cost` bytes may go to `via`: a candidate pays for it as it does for
    /// challenges. Anywhere else gets one answer for a packet at least as long.
    fn charge_answer(&mut self, via: &Via, cost: u64) -> bool {
        let mut candidates = self.paths.iter_mut().filter_map(|path| path.candidate.as_mut());
        let candidate = candidates.find(|candidate| candidate.via.remote() == via.remote());
        candidate.is_none_or(|candidate| candidate.charge(cost))
    }

    /// Seals a packet of one frame that is not worth repeating.
    fn seal_alone(
        &mut self,
        cx: &mut Context,
        at: usize,
        frame: Frame<'_>,
        buf: &mut [u8],
    ) -> Option<usize> {
        let body = buf.get_mut(SEALED_HEADER_LEN..)?;
        let mut writer = Writer::new(body);
        if !frame.encode(&mut writer) {
            return None;
        }
        let len = SEALED_HEADER_LEN + writer.position() + TAG_LEN;
        self.seal(cx, at, buf.get_mut(..len)?, None)?;
        Some(len)
    }
}

/// The length of a packet that holds only `frame`.
fn sealed_len(frame: &Frame<'_>) -> u64 {
    (SEALED_HEADER_LEN + frame.encoded_len() + TAG_LEN) as u64
}

/// How often a candidate is challenged.
const MAX_TRIES: u8 = 3;
/// A peer that just left an address is not followed back to it.
const FLAP_GUARD: Duration = Duration::from_secs(2);
