//! Whether the peer still answers: signs of life, heartbeats, silence.

use core::time::Duration;

use crate::context::Context;
use crate::event::EndReason;
use crate::pack::pack;
use crate::path::Path;
use crate::peer::Peer;
use crate::peer::timers::Timer;
use crate::time::{Instant, micros};

/// What is known of whether the peer lives.
#[derive(Debug)]
pub(super) struct Liveness {
    /// A peer that is silent for so long is given up: the smaller of both ends' limits.
    pub(super) idle_timeout: Duration,
    /// When the last authenticated packet arrived.
    pub(super) last_received: Option<Instant>,
    /// Our host slept through the idle timeout: the peer has this one chance to answer.
    pub(super) grace: bool,
    /// When we asked for a sign of life, unless the peer asked since.
    asked_at: Option<Instant>,
}

pack!(Liveness: idle_timeout, last_received, grace, asked_at);

impl Liveness {
    pub(super) const fn new(idle_timeout: Duration) -> Self {
        Self { idle_timeout, last_received: None, grace: false, asked_at: None }
    }

    /// How long the peer may be silent before we ask. Who asked last waits a little longer, so that it is the other's turn:
    /// both would ask at one time, and pay twice. What is left until the idle timeout remains long enough for an answer.
    fn patience(&self, heartbeat: Duration) -> Duration {
        let spare = self.idle_timeout.saturating_sub(heartbeat) / 4;
        let longer =
            if self.asked_at.is_some() { spare.min(heartbeat / 8) } else { Duration::ZERO };
        heartbeat + longer
    }
}

impl Peer {
    /// The peer gave a sign of life.
    pub(super) fn on_authenticated_packet(&mut self, cx: &mut Context) {
        self.liveness.last_received = Some(cx.now);
        self.liveness.grace = false;
        if self.state.is_connecting() || self.state.is_unresponsive() {
            self.state.move_to_connected();
        }
        if self.timers.get(Timer::Idle).is_none() && !self.state.is_over() {
            self.timers.set(Timer::Idle, Some(cx.now + self.liveness.idle_timeout));
            // Two ends whose handshake was at one instant must not ping at one instant.
            let jitter = cx.rng.below(micros(cx.config.timers.heartbeat) / 8 + 1);
            let soon = Duration::from_micros(jitter);
            self.timers.set(Timer::Heartbeat, Some(cx.now + cx.config.timers.heartbeat + soon));
        }
    }

    /// Deadlines of silence are not moved by every packet; they look back when they fire.
    pub(super) fn on_heartbeat_timer(&mut self, cx: &mut Context, slept: bool) {
        let Some(last) = self.liveness.last_received else { return };
        // Now and then, whatever comes: who talks takes it back at once.
        self.inbox.rest();
        self.outbound.queue.rest(cx.now);
        if let Some(keep) = cx.memory.scarce() {
            self.inbox.reclaim(keep);
        }
        let heartbeat = cx.config.timers.heartbeat;
        let due = last + self.liveness.patience(heartbeat);
        if cx.now < due {
            self.timers.set(Timer::Heartbeat, Some(due));
            return;
        }
        self.paths.on_idle();
        self.keep_route(cx);
        self.ask_where_we_are();
        if self.state.is_up() {
            self.outbound.heartbeat();
            self.liveness.asked_at = Some(cx.now);
            self.timers.set(Timer::Heartbeat, Some(cx.now + heartbeat));
        }
        // Probes may have to wait for longer than a heartbeat, and each heartbeat puts them off: what
        // we know about the round trip may be wrong, or a lie.
        let unanswered = !slept && cx.now >= last + heartbeat + heartbeat.max(ANSWER_TIME);
        if unanswered && self.state.is_live() {
            self.on_unresponsive(cx);
        }
    }

    /// The peer asks for a sign of life, so the next time is ours. If it did before it can have heard that we ask, both did
    /// at one time: then the next time is that of the smaller identity.
    pub(super) fn on_asked(&mut self, cx: &Context) {
        let Some(asked_at) = self.liveness.asked_at else { return };
        let trip = self.paths.primary().map_or(Duration::ZERO, Path::round_trip);
        let both = cx.now < asked_at + trip;
        if !(both && self.acquaintance.id.is_some_and(|peer| peer < cx.identity.id())) {
            self.liveness.asked_at = None;
        }
    }

    /// What they would find when they look back is known now: they need not wake a peer that rests for that.
    pub(super) fn put_off_silence(&mut self, heartbeat: Duration) {
        let Some(last) = self.liveness.last_received else { return };
        let Liveness { idle_timeout, .. } = self.liveness;
        let patience = self.liveness.patience(heartbeat);
        for (timer, pause) in [(Timer::Heartbeat, patience), (Timer::Idle, idle_timeout)] {
            if self.timers.get(timer).is_some_and(|at| at < last + pause) {
                self.timers.set(timer, Some(last + pause));
            }
        }
    }

    pub(super) fn on_idle_timer(&mut self, cx: &mut Context, slept: bool) {
        let Some(last) = self.liveness.last_received else { return };
        let due = last + self.liveness.idle_timeout;
        if cx.now < due {
            self.timers.set(Timer::Idle, Some(due));
        } else if slept && !self.liveness.grace {
            // We were not there to hear it: ask once before giving it up.
            self.liveness.grace = true;
            self.outbound.queue_ping();
            self.timers.set(Timer::Idle, Some(cx.now + self.liveness.idle_timeout / 4));
        } else {
            self.end(cx, EndReason::IdleTimeout);
        }
    }

    /// Three probes in a row went unanswered: the peer may have lost our session.
    pub(super) fn on_probe_timeout(&mut self, cx: &mut Context) {
        let unanswered = self.paths.primary().map_or(0, Path::unanswered_probes);
        let quiet = self.liveness.last_received.is_some_and(|last| cx.now >= last + QUIET);
        if unanswered >= PROBES_TO_SILENCE && quiet && self.state.is_live() {
            self.on_unresponsive(cx);
        }
    }

    /// The peer does not answer: shakes hands anew.
    pub(super) fn on_unresponsive(&mut self, cx: &mut Context) {
        if !self.state.is_unresponsive() {
            self.state.move_to_unresponsive();
            self.distrust_route(cx);
        }
        if self.dialing.dial.is_none() {
            self.redial(cx);
        }
    }

    /// The peer is alive under keys that still seal: there is no need to shake hands anew.
    pub(super) fn on_answer(&mut self, cx: &mut Context, local_index: u32) {
        if self.dialing.dial.is_none() {
            return;
        }
        let serves = self.sessions.current_mut().is_some_and(|session| {
            session.local_index() == local_index && !session.is_expired(cx.now, &cx.config)
        });
        if serves {
            self.drop_dial(cx);
        }
    }
}

/// A heartbeat that was not answered for so long, and not before the next, will not be.
const ANSWER_TIME: Duration = Duration::from_secs(3);
/// Unanswered probes that make a peer unresponsive, but not before this long without a sign of life.
const PROBES_TO_SILENCE: u8 = 3;
const QUIET: Duration = Duration::from_secs(1);
