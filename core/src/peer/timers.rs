//! What a peer does when its deadlines pass.

use crate::context::Context;
use crate::peer::Peer;
use crate::timer::TimerKind;

/// What a peer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The `Disconnect`, or what goes before it, has taken long enough.
    Close,
    /// The next round of our handshake.
    Dial,
    /// A message is of no use any more.
    Deadline,
    /// Our handshake has taken long enough.
    DialDeadline,
    /// Nothing more of the ended peer is expected.
    Drain,
    /// The peer was silent: ask for a sign of life.
    Heartbeat,
    /// The peer was silent for too long.
    Idle,
    /// A message may find memory by now.
    Memory,
    /// Keys are old, or retired keys may be forgotten.
    Keys,
    /// The search for a direct way or the test of the NAT before us goes on.
    Probing,
}

impl Timer {
    pub(crate) const COUNT: usize = 10;
}

impl TimerKind<{ Self::COUNT }> for Timer {
    const ALL: [Self; Self::COUNT] = [
        Self::Close,
        Self::Dial,
        Self::Deadline,
        Self::DialDeadline,
        Self::Drain,
        Self::Heartbeat,
        Self::Idle,
        Self::Memory,
        Self::Keys,
        Self::Probing,
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
            let (path, own) = (self.paths.deadline(), self.timers.min());
            if path.is_some_and(|at| at <= cx.now && own.is_none_or(|own| at < own)) {
                self.on_path_timer(cx);
            } else if let Some(timer) = self.timers.take_due::<Timer>(cx.now) {
                self.on_timer(cx, timer, slept);
            } else {
                return;
            }
            self.review(cx);
        }
    }

    fn on_timer(&mut self, cx: &mut Context, timer: Timer, slept: bool) {
        match timer {
            Timer::Close => self.on_close_timer(cx),
            Timer::Deadline => self.on_message_deadline(cx),
            Timer::Dial => self.on_dial_timer(cx),
            Timer::DialDeadline => self.on_dial_deadline(cx),
            Timer::Drain => self.on_drain_timer(cx),
            Timer::Heartbeat => self.on_heartbeat_timer(cx, slept),
            Timer::Idle => self.on_idle_timer(cx, slept),
            // Memory is looked at after every input.
            Timer::Memory => {}
            // The search is looked at after every input, too.
            Timer::Probing => self.on_nat_test_timer(cx),
            Timer::Keys => self.expire_keys(cx),
        }
    }

    fn on_close_timer(&mut self, cx: &mut Context) {
        if self.state.is_flushing() {
            self.leave(cx);
        } else {
            self.finish_leaving(cx);
        }
    }

    fn on_message_deadline(&mut self, cx: &Context) {
        self.outbound.queue.pass_deadlines(cx.now);
        self.timers.set(Timer::Deadline, self.outbound.queue.next_deadline());
    }

    fn on_drain_timer(&mut self, cx: &mut Context) {
        if self.state.is_gone() {
            self.inbox.clear();
        } else {
            self.discard(cx);
        }
    }
}

/// More than a peer has timers: a handler that sets its own for now is due at the next call.
const MAX_STEPS: usize = 24;
