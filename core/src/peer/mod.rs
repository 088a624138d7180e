//! One peer: what it is owed and owes, and when to act.
//!
//! [`Peer`] is glue. Each decision is made elsewhere: numbering, order and fates in `message`, keys
//! and our handshake in `session`, packets and their loss in `path` and `recovery`, the states in
//! `state`. `receive`, `transmit`, `timers` and `events` are the four ways through: datagrams in,
//! datagrams out, time, events.

mod control;
mod establish;
mod events;
mod keys;
mod notices;
mod pings;
mod receive;
mod sent_frame;
mod state;
#[cfg(feature = "testing")]
mod testing;
mod timers;
mod transmit;

use alloc::boxed::Box;
use core::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

pub(crate) use sent_frame::SentFrame;

use control::Outbound;
use notices::Notices;
use state::State;
use timers::Timer;

use crate::bucket::TokenBucket;
use crate::config::Config;
use crate::context::Context;
use crate::delivery::{Delivery, Message, MessageId};
use crate::error::{CommandError, SendError};
use crate::event::{EndReason, Goodbye, PingId};
use crate::message::{MESSAGE_CHARGE, ReceiveLimits, ReceiveQueue, SendLimits};
use crate::net::{FourTuple, Via};
use crate::path::{AckResult, Path, Paths};
use crate::session::{Dial, HandshakeTarget, Owner, Sessions};
use crate::stats::PeerStats;
use crate::time::Instant;
use crate::timer::Timers;
use crate::wire::Cookie;
use crate::{Farewell, PeerHandle, PeerId, PeerInfo};

/// One peer.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) handle: PeerHandle,
    /// Peers are numbered in the order in which they were made.
    pub(crate) number: u64,
    /// Its identity: proved, or what a dial expects.
    pub(crate) id: Option<PeerId>,
    /// Tells our state about the peer from earlier ones that we lost; 0 until its identity is
    /// known.
    pub(crate) incarnation: u64,
    /// The same of the peer, once it told.
    remote_incarnation: Option<u64>,
    /// The newest time the peer claimed to shake hands at.
    pub(crate) timestamp_ms: u64,
    state: State,
    dial: Option<Box<Dial>>,
    sessions: Sessions,
    /// Where the last handshake with the peer was made.
    home: Option<Via>,
    paths: Paths<SentFrame>,
    outbound: Outbound,
    send_limits: SendLimits,
    inbox: ReceiveQueue,
    /// Kept between acknowledgements, so that they cost no allocation.
    ack_result: AckResult<SentFrame>,
    notices: Notices,
    /// How the peer ends, once the goodbye is through.
    end_reason: Option<EndReason>,
    farewell: Goodbye,
    timers: Timers<{ Timer::COUNT }>,
    /// The smaller of both ends'.
    idle_timeout: Duration,
    /// How long the peer delays acknowledgements at most.
    remote_ack_delay: Duration,
    last_received: Option<Instant>,
    last_hint: Option<Instant>,
    /// Restarts of the peer after which a hint counts at once.
    restarts: TokenBucket,
    /// A handshake that the peer began succeeded.
    has_called: bool,
    /// The peer overslept: it has this one chance to answer.
    grace: bool,
    stats: PeerStats,
    /// The address under which the endpoint's table lists the peer.
    pub(crate) listed_at: Option<core::net::SocketAddr>,
}

impl Peer {
    /// A peer about which nothing is proved. `incarnation` is what those who know it are told.
    pub(crate) fn new(
        cx: &mut Context,
        handle: PeerHandle,
        id: Option<PeerId>,
        incarnation: u64,
    ) -> Self {
        let number = cx.peer_number();
        let config = &cx.config;
        let limits = ReceiveLimits {
            max_message: config.max_message,
            max_streams: config.max_streams,
            window: config.receive_window.into(),
            // Room for the largest message and its charge.
            unreliable: config.unreliable_buffer as u64 + MESSAGE_CHARGE,
        };
        Self {
            handle,
            number,
            id,
            incarnation,
            remote_incarnation: None,
            timestamp_ms: 0,
            state: State::new(),
            dial: None,
            sessions: Sessions::default(),
            home: None,
            paths: Paths::default(),
            outbound: Outbound::default(),
            // Until the peer tells its own limits, ours are a guess that queues what is sensible.
            send_limits: SendLimits {
                max_message: config.max_message,
                max_streams: config.max_streams,
                buffer: config.send_buffer,
            },
            inbox: ReceiveQueue::new(limits),
            ack_result: AckResult::default(),
            notices: Notices::default(),
            end_reason: None,
            farewell: Goodbye::default(),
            timers: Timers::new(),
            idle_timeout: config.idle_timeout,
            remote_ack_delay: config.max_ack_delay,
            last_received: None,
            last_hint: None,
            restarts: TokenBucket::FULL,
            has_called: false,
            grace: false,
            stats: PeerStats::default(),
            listed_at: None,
        }
    }

    /// Starts to call the peer.
    pub(crate) fn dial(&mut self, cx: &mut Context, addresses: SmallVec<[Via; 2]>) {
        let deadline = cx.now + cx.config.connect_timeout;
        self.timers.set(Timer::DialDeadline, Some(deadline));
        self.start_dial(cx, addresses, false);
    }

    pub(crate) fn send(
        &mut self,
        delivery: Delivery,
        payload: Bytes,
    ) -> Result<MessageId, SendError> {
        if self.state.is_over() {
            return Err(SendError::UnknownPeer);
        }
        if self.state.is_closing() {
            return Err(SendError::Closing);
        }
        let id = self.outbound.queue.push(&self.send_limits, delivery, payload)?;
        self.stats.messages_sent += 1;
        Ok(id)
    }

    pub(crate) fn receive(&mut self) -> Option<Message> {
        let message = self.inbox.take();
        if message.is_none() {
            self.notices.readable_told = false;
        }
        message
    }

    pub(crate) fn cancel(&mut self, message: MessageId) -> Result<(), CommandError> {
        if self.state.is_over() {
            return Err(CommandError::UnknownPeer);
        }
        self.outbound.queue.cancel(message)
    }

    pub(crate) fn ping(&mut self) -> Result<PingId, CommandError> {
        if self.state.is_over() {
            return Err(CommandError::UnknownPeer);
        }
        if self.state.is_closing() {
            return Err(CommandError::Closing);
        }
        let untold = self.notices.pongs.len();
        self.outbound.pings.start(untold).ok_or(CommandError::TooMany)
    }

    /// Says goodbye once what is queued went through, or `linger` is over.
    pub(crate) fn disconnect(
        &mut self,
        cx: &mut Context,
        farewell: Farewell,
    ) -> Result<(), CommandError> {
        if self.state.is_over() {
            return Err(CommandError::UnknownPeer);
        }
        if self.state.is_closing() {
            return Err(CommandError::Closing);
        }
        if self.state.is_connecting() {
            self.end(cx, EndReason::Disconnected { acknowledged: false });
            return Ok(());
        }
        let Goodbye { code, reason } = farewell.goodbye;
        self.farewell = Goodbye::new(code, &reason);
        self.state.move_to_flushing();
        self.timers.set(Timer::Close, Some(cx.now + farewell.linger));
        if farewell.linger.is_zero() {
            self.leave(cx);
        } else {
            self.leave_if_flushed(cx);
        }
        Ok(())
    }

    /// The host's addresses changed: make the peer notice.
    pub(crate) fn addresses_changed(&mut self, cx: &Context) {
        self.paths.on_local_change(&cx.config);
        self.home.iter_mut().for_each(Via::forget_local);
        self.dial.iter_mut().for_each(|dial| dial.forget_local());
        if self.state.is_live() {
            self.outbound.queue_ping();
        }
    }

    /// Sockets closed: each path goes by the one that `replace` names for it, if any, and the peer is
    /// made to notice.
    pub(crate) fn change_sockets(
        &mut self,
        config: &Config,
        replace: impl FnMut(&FourTuple) -> Option<FourTuple>,
    ) {
        if self.paths.change_sockets(config, replace) && self.state.is_live() {
            self.outbound.queue_ping();
        }
    }

    /// The datagram must have met a session that the peer forgot: perhaps shake hands anew.
    pub(crate) fn on_hint(&mut self, cx: &mut Context, remote_index: u32, path: u8, counter: u64) {
        let Some(session) = self.sessions.current() else { return };
        let recent = self.paths.was_sent_lately(path, counter);
        let early = self.last_hint.is_some_and(|last| cx.now < last + HINT_INTERVAL);
        if session.remote_index() != remote_index || !recent || early || self.state.is_over() {
            cx.drops.unsolicited += 1;
            return;
        }
        self.last_hint = Some(cx.now);
        self.redial(cx);
    }

    /// Shakes hands anew beside the session that stands: where the peer is proved to be, where it was
    /// at the last handshake, and where it was before it moved. Whoever lured both ends elsewhere could
    /// pass on every proof.
    fn redial(&mut self, cx: &mut Context) {
        if let Some(dial) = &mut self.dial {
            dial.expedite();
            self.timers.set(Timer::Dial, Some(dial.schedule(cx)));
        } else if let Some(path) = self.paths.primary() {
            let mut addresses: SmallVec<[Via; 2]> = SmallVec::new();
            for via in [Some(path.via()), self.home, path.previous()].into_iter().flatten() {
                if addresses.iter().all(|one| !one.is_same_remote(&via)) {
                    addresses.push(via);
                }
            }
            self.start_dial(cx, addresses, true);
        }
    }

    fn start_dial(&mut self, cx: &mut Context, addresses: SmallVec<[Via; 2]>, proved: bool) {
        let index = cx.indices.allocate(&mut cx.rng, Owner::Peer(self.handle.slot));
        let mut dial = Dial::new(cx, index, self.id, addresses, proved);
        dial.build(cx, self.incarnation, self.inbox.fresh_grant(), Cookie::NONE);
        self.timers.set(Timer::Dial, Some(dial.schedule(cx)));
        self.dial = Some(Box::new(dial));
    }

    /// Gives up our own handshake.
    fn drop_dial(&mut self, cx: &mut Context) {
        if let Some(dial) = self.dial.take() {
            cx.indices.release(dial.local_index());
        }
        self.timers.clear(Timer::Dial);
        self.timers.clear(Timer::DialDeadline);
    }

    /// The peer ended. Packets are answered a little longer if a session stands.
    pub(crate) fn end(&mut self, cx: &mut Context, reason: EndReason) {
        if self.state.is_over() {
            return;
        }
        let peer = self.id.map(tracing::field::debug);
        tracing::debug!(target: "handfast::handshake", peer, %reason, "ended");
        self.drop_dial(cx);
        self.outbound.queue.end();
        self.notices.pongs.clear();
        self.notices.moved = false;
        self.notices.ended = Some(reason);
        self.timers = Timers::new();
        self.paths.stop_timers();
        let draining = !self.state.is_connecting() && self.sessions.current().is_some();
        if draining {
            self.state.move_to_draining();
            self.timers.set(Timer::Drain, Some(cx.now + self.probe_timeout() * 3));
        } else {
            self.bury(cx);
        }
        cx.note_end();
    }

    /// Nothing is answered any more; only unread messages may keep the peer.
    fn bury(&mut self, cx: &mut Context) {
        self.state.move_to_gone();
        let freed = self.sessions.clear();
        cx.release(freed);
        if let Some(offer) = self.outbound.rekey.take_offer() {
            cx.indices.release(offer.index);
        }
        self.paths.clear();
        self.timers = Timers::new();
        if !self.inbox.is_empty() {
            self.timers.set(Timer::Drain, Some(cx.now + self.idle_timeout));
        }
    }

    /// Whether nothing is left to do, to tell or to read.
    pub(crate) fn is_removable(&self) -> bool {
        self.state.is_gone() && !self.has_events() && self.inbox.is_empty()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state.is_over()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state.is_closing()
    }

    /// Whether a handshake with this incarnation of the peer may grant it `granted` bytes: one that
    /// starts over is granted no more than what unread messages leave.
    pub(crate) fn may_grant(&self, remote_incarnation: u64, granted: u64) -> bool {
        let known = self.remote_incarnation == Some(remote_incarnation);
        known || granted <= self.inbox.fresh_grant()
    }

    /// Whether no handshake with it has succeeded yet.
    pub(crate) fn is_unmet(&self) -> bool {
        self.remote_incarnation.is_none()
    }

    pub(crate) fn has_session(&self) -> bool {
        self.sessions.current().is_some()
    }

    pub(crate) fn has_called(&self) -> bool {
        self.has_called
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timers.min().into_iter().chain(self.paths.deadline()).min()
    }

    /// Where the peer is proved to be.
    pub(crate) fn via(&self) -> Option<Via> {
        self.paths.primary().map(Path::via)
    }

    /// The credit that a handshake with the peer would grant.
    pub(crate) fn fresh_grant(&self) -> u64 {
        self.inbox.fresh_grant()
    }

    pub(crate) fn dialled(&self) -> Option<&Dial> {
        self.dial.as_deref()
    }

    /// Adds the addresses of another dial for the same peer, which gives way to this one. The dial
    /// lasts as long as that one would have.
    pub(crate) fn add_targets(&mut self, others: &[HandshakeTarget], until: Option<Instant>) {
        let Some(dial) = &mut self.dial else { return };
        dial.add_targets(others);
        let until = until.max(self.timers.get(Timer::DialDeadline));
        self.timers.set(Timer::DialDeadline, until);
    }

    /// When our handshake has taken long enough.
    pub(crate) fn dial_deadline(&self) -> Option<Instant> {
        self.timers.get(Timer::DialDeadline)
    }

    /// How long to wait for an answer. Bounded, since the peer decides what round trip we measure.
    fn probe_timeout(&self) -> Duration {
        let pto = self.paths.primary().map(|path| path.pto(self.remote_ack_delay));
        pto.unwrap_or(Duration::from_secs(1)).min(LONGEST_PROBE_TIMEOUT)
    }

    pub(crate) fn info(&self) -> PeerInfo {
        let path_stats = self.paths.primary().map(Path::stats).unwrap_or_default();
        PeerInfo {
            handle: self.handle,
            id: self.id,
            state: self.state.public(),
            path: self.via(),
            last_received: self.last_received,
            path_stats,
            stats: self.stats_now(),
        }
    }

    fn stats_now(&self) -> PeerStats {
        PeerStats {
            messages_overflowed: self.inbox.overflowed(),
            messages_received: self.inbox.delivered(),
            ..self.stats
        }
    }
}

/// Goodbyes, late packets and answers from new addresses are waited for in multiples of this at most.
const LONGEST_PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// Hints may hasten a handshake this often.
const HINT_INTERVAL: Duration = Duration::from_secs(5);
