//! What a peer does when its deadlines pass.

use core::time::Duration;

use crate::context::Context;
use crate::event::EndReason;
use crate::peer::Peer;
use crate::time::{Instant, micros};
use crate::timer::TimerKind;

/// What a peer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The goodbye, or what goes before it, has taken long enough.
    Close,
    /// The next round of our handshake.
    Dial,
    /// Our handshake has taken long enough.
    DialDeadline,
    /// Nothing more of the ended peer is expected.
    Drain,
    /// The peer was silent: ask for a sign of life.
    Heartbeat,
    /// The peer was silent for too long.
    Idle,
    /// Keys are old, or retired keys may be forgotten.
    Keys,
}

impl Timer {
    pub(crate) const COUNT: usize = 7;
}

impl TimerKind<{ Self::COUNT }> for Timer {
    const ALL: [Self; Self::COUNT] = [
        Self::Close,
        Self::Dial,
        Self::DialDeadline,
        Self::Drain,
        Self::Heartbeat,
        Self::Idle,
        Self::Keys,
    ];

    fn index(self) -> usize {
        self as usize
    }
}

impl Peer {
    /// Acts on every deadline that `cx.now` has reached. `slept` if the driver was away for so long
    /// that silence proves nothing.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context, slept: bool) {
        self.paths.on_absence(cx.absence);
        for _ in 0..MAX_STEPS {
            let paths_first = self.paths.deadline() < self.timers.min().or(Some(Instant::MAX));
            if paths_first && self.paths.deadline().is_some_and(|at| at <= cx.now) {
                self.on_path_timer(cx);
            } else if let Some(timer) = self.timers.take_due::<Timer>(cx.now) {
                self.on_timer(cx, timer, slept);
            } else {
                return;
            }
        }
    }

    fn on_timer(&mut self, cx: &mut Context, timer: Timer, slept: bool) {
        match timer {
            Timer::Close => self.on_close_timer(cx),
            Timer::Dial => self.on_dial_timer(cx),
            Timer::DialDeadline => self.end(cx, EndReason::DialTimeout),
            Timer::Drain => self.on_drain_timer(cx),
            Timer::Heartbeat => self.on_heartbeat_timer(cx, slept),
            Timer::Idle => self.on_idle_timer(cx, slept),
            Timer::Keys => self.on_keys_timer(cx),
        }
    }

    fn on_close_timer(&mut self, cx: &mut Context) {
        if self.state.is_flushing() {
            self.leave(cx);
        } else {
            self.finish_leaving(cx);
        }
    }

    fn on_dial_timer(&mut self, cx: &mut Context) {
        let granted = self.inbox.fresh_grant();
        if let Some(dial) = &mut self.dial {
            let next = dial.next_round(cx, self.incarnation, granted);
            self.timers.set(Timer::Dial, Some(next));
        }
    }

    fn on_drain_timer(&mut self, cx: &mut Context) {
        if self.state.is_gone() {
            self.inbox.clear();
        } else {
            self.bury(cx);
        }
    }

    /// Deadlines of silence are not moved by every packet; they look back when they fire.
    fn on_heartbeat_timer(&mut self, cx: &mut Context, slept: bool) {
        let Some(last) = self.last_received else { return };
        let due = last + cx.config.heartbeat;
        if cx.now < due {
            self.timers.set(Timer::Heartbeat, Some(due));
            return;
        }
        self.paths.on_idle();
        self.ack_result = Default::default();
        if self.state.is_up() {
            self.outbound.pings.heartbeat();
            self.timers.set(Timer::Heartbeat, Some(cx.now + cx.config.heartbeat));
        }
        // Probes may have to wait for longer than a heartbeat, and each heartbeat puts them off: what
        // we know about the round trip may be wrong, or a lie.
        let unanswered = !slept && cx.now >= due + cx.config.heartbeat.max(ANSWER_TIME);
        if unanswered && self.state.is_live() {
            self.fall_silent(cx);
        }
    }

    fn on_idle_timer(&mut self, cx: &mut Context, slept: bool) {
        let Some(last) = self.last_received else { return };
        let due = last + self.idle_timeout;
        if cx.now < due {
            self.timers.set(Timer::Idle, Some(due));
        } else if slept && !self.grace {
            // We were not there to hear it: ask once before giving it up.
            self.grace = true;
            self.outbound.queue_ping();
            self.timers.set(Timer::Idle, Some(cx.now + self.idle_timeout / 4));
        } else {
            self.end(cx, EndReason::IdleTimeout);
        }
    }

    /// The peer gave a sign of life.
    pub(super) fn note_life(&mut self, cx: &mut Context) {
        self.last_received = Some(cx.now);
        self.grace = false;
        if self.state.is_connecting() || self.state.is_silent() {
            self.state.move_to_connected();
        }
        if self.timers.get(Timer::Idle).is_none() && !self.state.is_over() {
            self.timers.set(Timer::Idle, Some(cx.now + self.idle_timeout));
            // Two ends that met at one instant do not ask at one instant.
            let jitter = cx.rng.below(micros(cx.config.heartbeat) / 8 + 1);
            let soon = Duration::from_micros(jitter);
            self.timers.set(Timer::Heartbeat, Some(cx.now + cx.config.heartbeat + soon));
        }
    }

    /// Says goodbye if nothing goes before it any more.
    pub(super) fn leave_if_flushed(&mut self, cx: &Context) {
        if self.state.is_flushing() && self.outbound.queue.is_flushed() {
            self.leave(cx);
        }
    }

    /// Says goodbye now.
    pub(super) fn leave(&mut self, cx: &Context) {
        self.state.move_to_leaving();
        self.outbound.leave(core::mem::take(&mut self.farewell));
        let patience = self.probe_timeout() * GOODBYE_PATIENCE;
        self.timers.set(Timer::Close, Some(cx.now + patience));
    }

    /// The goodbye is through, or has taken long enough.
    pub(super) fn finish_leaving(&mut self, cx: &mut Context) {
        let acknowledged = self.outbound.goodbye_acked;
        let reason = self.end_reason.take();
        self.end(cx, reason.unwrap_or(EndReason::Disconnected { acknowledged }));
    }
}

/// A heartbeat that was not answered for so long, and not before the next, will not be.
const ANSWER_TIME: Duration = Duration::from_secs(3);
/// In probe timeouts: the goodbye is repeated after 1, 3 and 7 of them.
const GOODBYE_PATIENCE: u32 = 8;
/// More than a peer has timers: a handler that sets its own for now is due at the next call.
const MAX_STEPS: usize = 24;
