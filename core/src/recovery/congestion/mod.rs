//! Congestion control: how much may be in flight on one path, and how fast it may leave.

mod bbr;
mod cubic;
mod delays;
mod fixed;
mod hystart;
mod tolerance;
mod usage;

use alloc::boxed::Box;
use core::time::Duration;

use crate::config::CongestionControl;
use crate::pack::{Pack, Packer, Unpacker};
use crate::recovery::Rtt;
use crate::time::{Instant, micros};
use bbr::Bbr;
use cubic::Cubic;
use fixed::Fixed;

/// A congestion controller of one path. Sizes are bytes of UDP payload; `now` never goes back.
pub(crate) trait Controller {
    /// An ack-eliciting packet of `bytes` left; `in_flight` includes it.
    fn on_sent(&mut self, now: Instant, bytes: u64, in_flight: u64);

    /// A packet of `bytes`, sent at `sent_at` and not declared lost, was acknowledged.
    fn on_ack(&mut self, now: Instant, sent_at: Instant, bytes: u64, rtt: &Rtt);

    /// All packets of an acknowledgement were handed over, and what it showed to be lost; so much is still in
    /// flight. Returns whether the controller slowed down.
    fn after_ack(&mut self, _now: Instant, _in_flight: u64, _rtt: &Rtt) -> bool {
        false
    }

    /// More could be in flight, and leave now, but nothing waits to be sent.
    fn on_lack(&mut self, _in_flight: u64) {}

    /// Whether [`on_lack`](Self::on_lack) makes a difference: else nobody finds out.
    fn heeds_lack(&self) -> bool {
        false
    }

    /// Congestion may have been seen. Packets sent before the last reaction show nothing new (RFC 9002
    /// section 7.3.2). Returns whether the controller slowed down.
    fn on_congestion(&mut self, now: Instant, signs: &Signs, rtt: &Rtt) -> bool;

    /// The packets whose loss led to the last slowdown arrived late after all: takes the slowdown back.
    fn on_spurious(&mut self, now: Instant);

    /// The largest datagram of the path is now `mtu` bytes.
    fn on_mtu(&mut self, mtu: u16);

    /// The driver was away for so long: that time shows nothing about the path.
    fn on_absence(&mut self, span: Duration);

    /// Nothing is in flight and nothing waits: what was known of the path's load grows old.
    fn on_idle(&mut self);

    /// How many bytes may be in flight.
    fn window(&self) -> u64;

    /// The rate at which to send, in bytes per second, if the controller has a view: otherwise the
    /// pacer spreads the window over a round trip.
    fn pacing_rate(&self, rtt: &Rtt) -> Option<u64>;
}

/// What may be a sign of congestion: packets were lost, or one was marked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signs {
    /// When the newest packet was sent that shows it.
    pub(crate) sent_at: Instant,
    /// What was lost.
    pub(crate) bytes: u64,
    /// All packets of a long time were lost (RFC 9002 section 7.6).
    pub(crate) persistent: bool,
    /// A router marked a packet, none was lost.
    pub(crate) ecn: bool,
    /// It will turn out together with the signs before whether the losses were ones.
    pub(crate) is_continued: bool,
}

/// The configured controller: an enum, so that a peer needs no allocation and no indirection.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "the large one is the usual one")]
pub(crate) enum Congestion {
    Bbr(Box<Bbr>),
    Cubic(Cubic),
    Fixed(Fixed),
}

/// Only which it is, as after [`Congestion::restart`]: what a controller learned is stale once its peer rests.
impl Pack for Congestion {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        (self.choice(), self.mtu()).pack(into)?;
        if let Self::Fixed(fixed) = self { fixed.pack(into) } else { Some(()) }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let (choice, mtu) = Pack::unpack(from)?;
        if let CongestionControl::Fixed(_) = choice {
            return Fixed::unpack(from).map(Self::Fixed);
        }
        Some(Self::new(choice, mtu))
    }

    fn pack_like(&self, like: &Self, into: &mut Packer) -> Option<()> {
        let is_fixed = matches!(self, Self::Fixed(_));
        if !is_fixed && (self.choice(), self.mtu()) == (like.choice(), like.mtu()) {
            into.same();
            return Some(());
        }
        into.own(self)
    }

    fn unpack_like(like: &Self, from: &mut Unpacker<'_>) -> Option<Self> {
        if from.is_same() {
            return Some(Self::new(like.choice(), like.mtu()));
        }
        from.own(Self::unpack)
    }
}

impl Congestion {
    /// A controller for a path whose datagrams have up to `mtu` bytes.
    pub(crate) fn new(choice: CongestionControl, mtu: u16) -> Self {
        match choice {
            CongestionControl::Tolerant => Self::Cubic(Cubic::tolerant(mtu)),
            CongestionControl::Bbr => Self::Bbr(Box::new(Bbr::new(mtu))),
            CongestionControl::Cubic => Self::Cubic(Cubic::new(mtu)),
            CongestionControl::Fixed(rate) => Self::Fixed(Fixed::new(rate, mtu)),
        }
    }

    /// Begins as on a fresh path: what it learned was long ago. A fixed rate is no matter of time.
    pub(crate) fn restart(&mut self) {
        if !matches!(self, Self::Fixed(_)) {
            *self = Self::new(self.choice(), self.mtu());
        }
    }

    const fn choice(&self) -> CongestionControl {
        match self {
            Self::Bbr(_) => CongestionControl::Bbr,
            Self::Cubic(cubic) if cubic.is_tolerant() => CongestionControl::Tolerant,
            Self::Cubic(_) => CongestionControl::Cubic,
            Self::Fixed(fixed) => CongestionControl::Fixed(fixed.rate()),
        }
    }
}

/// Calls the same method of whichever controller it is.
macro_rules! dispatch {
    ($self:ident, $controller:ident => $call:expr) => {
        match $self {
            Self::Bbr($controller) => $call,
            Self::Cubic($controller) => $call,
            Self::Fixed($controller) => $call,
        }
    };
}

impl Congestion {
    /// The size of the largest datagrams.
    const fn mtu(&self) -> u16 {
        dispatch!(self, controller => controller.mtu())
    }
}

impl Controller for Congestion {
    fn on_sent(&mut self, now: Instant, bytes: u64, in_flight: u64) {
        dispatch!(self, controller => controller.on_sent(now, bytes, in_flight));
    }

    fn on_ack(&mut self, now: Instant, sent_at: Instant, bytes: u64, rtt: &Rtt) {
        dispatch!(self, controller => controller.on_ack(now, sent_at, bytes, rtt));
    }

    fn after_ack(&mut self, now: Instant, in_flight: u64, rtt: &Rtt) -> bool {
        dispatch!(self, controller => controller.after_ack(now, in_flight, rtt))
    }

    fn on_lack(&mut self, in_flight: u64) {
        dispatch!(self, controller => controller.on_lack(in_flight));
    }

    fn heeds_lack(&self) -> bool {
        dispatch!(self, controller => controller.heeds_lack())
    }

    fn on_congestion(&mut self, now: Instant, signs: &Signs, rtt: &Rtt) -> bool {
        dispatch!(self, controller => controller.on_congestion(now, signs, rtt))
    }

    fn on_spurious(&mut self, now: Instant) {
        dispatch!(self, controller => controller.on_spurious(now));
    }

    fn on_mtu(&mut self, mtu: u16) {
        dispatch!(self, controller => controller.on_mtu(mtu));
    }

    fn on_absence(&mut self, span: Duration) {
        dispatch!(self, controller => controller.on_absence(span));
    }

    fn on_idle(&mut self) {
        dispatch!(self, controller => controller.on_idle());
    }

    fn window(&self) -> u64 {
        dispatch!(self, controller => controller.window())
    }

    fn pacing_rate(&self, rtt: &Rtt) -> Option<u64> {
        dispatch!(self, controller => controller.pacing_rate(rtt))
    }
}

/// The rate, in bytes per second, that sends `window` bytes in `time`.
pub(super) fn per_second(window: u64, time: Duration) -> u64 {
    window.saturating_mul(1_000_000) / micros(time).max(1)
}

/// On a path as short as that, what is under way waits in the buffer of the receiver's socket, and that holds
/// no more at first: beyond, the window grows as it is read.
const FIRST_BOUND: u64 = 128 * 1024;
const NEAR: Duration = Duration::from_millis(2);
/// The window of a fresh path, in packets (RFC 6928; RFC 9002 section 7.2).
const INITIAL_PACKETS: u64 = 10;
/// The least window, in packets (RFC 9002 section 7.2 has two): a flow that sends little is not slowed
/// down below it.
const MIN_PACKETS: u64 = 4;
