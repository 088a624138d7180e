//! One peer: what it is owed and owes, and when to act.
//!
//! [`Peer`] is glue. Each decision is made elsewhere: numbering, order and fates in `message`, keys
//! and our handshake in `session`, packets and their loss in `path` and `recovery`, the states in
//! `state`. `receive`, `transmit`, `timers` and `events` are the four ways through: datagrams in,
//! datagrams out, time, events.

mod acquaintance;
mod carry;
mod closing;
mod events;
mod handshake;
mod keys;
mod liveness;
mod memory;
mod outbound;
mod probing;
mod receive;
mod reports;
mod review;
mod state;
#[cfg(feature = "testing")]
mod testing;
mod timers;
mod transmit;
mod usage;
mod ways;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use core::time::Duration;

use bytes::Bytes;

pub(crate) use outbound::SentFrame;

use acquaintance::Acquaintance;
pub(crate) use acquaintance::FormerIncarnations;
use carry::Carrying;
pub(crate) use carry::{Carried, ForwardRefused};
use events::PendingEvents;
use handshake::Dialing;
use liveness::Liveness;
use memory::Share;
use outbound::Outbound;
pub(crate) use probing::FreshNews;
use probing::{Answers, NatTesting, Observing};
use state::State;
use timers::Timer;
pub(crate) use usage::Gist;
use usage::Usage;
use ways::RouteSearch;

use crate::config::Config;
use crate::context::Context;
use crate::delivery::{Delivery, Message, MessageId};
use crate::disconnect::DisconnectReason;
use crate::error::{CommandError, SendError};
use crate::event::{EndReason, PingId};
use crate::memory::Room;
use crate::message::{MESSAGE_CHARGE, ReceiveLimits, ReceiveQueue, SendLimits};
use crate::net::{Arrival, FourTuple, Place, Via};
use crate::pack::pack;
use crate::path::{Path, Paths};
use crate::punch::Puncher;
use crate::session::{Incarnations, Pair, Session, Sessions};
use crate::stats::{DropReason, PeerStats};
use crate::time::Instant;
use crate::timer::{Timers, earlier};
use crate::wire::{FORWARD_PATH, MAC_LEN, PROBE_PATH, StreamKey};
use crate::{DisconnectOptions, PeerHandle, PeerId, PeerInfo};

/// One peer.
#[derive(Debug)]
pub(crate) struct Peer {
    acquaintance: Acquaintance,
    state: State,
    dialing: Dialing,
    sessions: Sessions,
    paths: Paths<SentFrame>,
    outbound: Outbound,
    inbox: ReceiveQueue,
    events: PendingEvents,
    liveness: Liveness,
    usage: Usage,
    share: Share,
    carrying: Carrying,
    answers: Answers,
    nat_testing: NatTesting,
    observing: Observing,
    search: RouteSearch,
    /// The search for a direct way, once it began.
    puncher: Option<Box<Puncher>>,
    timers: Timers<{ Timer::COUNT }>,
    stats: PeerStats,
}

// Who it is and of what use comes first: that is looked at without the rest.
pack!(Peer:
    acquaintance, usage, state, dialing, sessions, paths, outbound, inbox, events, liveness, share,
    carrying, answers, nat_testing, observing, search, puncher, timers, stats,
);

impl Peer {
    /// A peer that is not authenticated yet. `incarnation` is ours for this peer.
    pub(crate) fn new(
        cx: &mut Context,
        handle: PeerHandle,
        id: Option<PeerId>,
        incarnation: u64,
    ) -> Self {
        let number = cx.peer_number();
        let config = &cx.config;
        let limits = ReceiveLimits {
            max_message: config.flow.max_message,
            max_streams: config.flow.max_streams,
            stream_window: config.flow.stream_window.into(),
            window: config.flow.receive_window.into(),
            // Room for the largest message and its charge.
            unreliable: config.flow.unreliable_buffer as u64 + MESSAGE_CHARGE,
        };
        // Until the peer sends its own limits, ours are a guess that queues what is sensible.
        let send_limits = SendLimits {
            max_message: config.flow.max_message,
            max_streams: config.flow.max_streams,
            buffer: config.flow.send_buffer as u64,
            unreliable: config.flow.unreliable_buffer as u64 + MESSAGE_CHARGE,
            age: config.flow.unreliable_age,
        };
        Self {
            acquaintance: Acquaintance::new(handle, number, id, incarnation),
            state: State::new(),
            dialing: Dialing::default(),
            sessions: Sessions::default(),
            paths: Paths::new(config.timers.max_ack_delay),
            outbound: Outbound::new(send_limits),
            inbox: ReceiveQueue::new(limits),
            events: PendingEvents::default(),
            liveness: Liveness::new(config.timers.idle_timeout),
            usage: Usage::default(),
            share: Share::new(&send_limits, &limits),
            carrying: Carrying::default(),
            answers: Answers::default(),
            nat_testing: NatTesting::default(),
            observing: Observing::default(),
            search: RouteSearch::default(),
            puncher: None,
            timers: Timers::new(),
            stats: PeerStats::default(),
        }
    }

    pub(crate) fn send(
        &mut self,
        cx: &Context,
        delivery: Delivery,
        payload: Bytes,
    ) -> Result<MessageId, SendError> {
        if !self.state.takes_messages() {
            let is_over = self.state.is_over();
            return Err(if is_over { SendError::UnknownPeer } else { SendError::Closing });
        }
        self.limit_sending(cx);
        let id = self.outbound.push(cx.now, delivery, payload)?;
        if delivery.deadline.is_some() {
            self.timers.set(Timer::Deadline, self.outbound.queue.next_deadline());
        }
        self.stats.messages_sent += 1;
        self.usage.on_sent(cx.now);
        Ok(id)
    }

    pub(crate) fn receive(&mut self, now: Instant) -> Option<Message> {
        let taken = self.inbox.take();
        if taken.is_some() {
            self.usage.on_taken(now);
        }
        taken
    }

    /// The same for one channel.
    pub(crate) fn receive_from(&mut self, now: Instant, channel: u16) -> Option<Message> {
        let taken = self.inbox.take_from(channel);
        if taken.is_some() {
            self.usage.on_taken(now);
        }
        taken
    }

    pub(crate) fn receive_except(
        &mut self,
        now: Instant,
        channels: &BTreeSet<u16>,
    ) -> Option<Message> {
        let taken = self.inbox.take_except(channels);
        if taken.is_some() {
            self.usage.on_taken(now);
        }
        taken
    }

    pub(crate) fn cancel(&mut self, message: MessageId) -> Result<(), CommandError> {
        if self.state.is_over() {
            return Err(CommandError::UnknownPeer);
        }
        self.outbound.queue.cancel(message)
    }

    pub(crate) fn end_stream(&mut self, delivery: Delivery) -> Result<(), CommandError> {
        if self.state.is_over() {
            return Err(CommandError::UnknownPeer);
        }
        self.outbound.queue.end_stream(StreamKey::from(delivery))
    }

    pub(crate) fn ping(&mut self) -> Result<PingId, CommandError> {
        if self.state.is_over() {
            return Err(CommandError::UnknownPeer);
        }
        if self.state.is_closing() {
            return Err(CommandError::Closing);
        }
        let unreported = self.events.pongs.len();
        self.outbound.pings.start(unreported).ok_or(CommandError::TooMany)
    }

    /// Sends a `Disconnect` once what is queued went through, or `linger` is over.
    pub(crate) fn disconnect(
        &mut self,
        cx: &mut Context,
        options: DisconnectOptions,
    ) -> Result<(), CommandError> {
        if self.state.is_over() {
            return Err(CommandError::UnknownPeer);
        }
        if self.state.is_closing() {
            return Err(CommandError::Closing);
        }
        if self.state.is_connecting() {
            self.end(cx, EndReason::Disconnected { heard: false });
            return Ok(());
        }
        if options.is_cut {
            self.outbound.queue.note_cut();
        }
        let DisconnectReason { code, reason } = options.reason;
        self.state.move_to_flushing(DisconnectReason::new(code, &reason));
        self.timers.set(Timer::Close, Some(cx.now + options.linger));
        if options.linger.is_zero() {
            self.leave(cx);
        } else {
            self.review(cx);
        }
        Ok(())
    }

    /// The host's addresses changed: make the peer notice.
    pub(crate) fn addresses_changed(&mut self, cx: &Context) {
        self.paths.on_local_change(&cx.config);
        self.dialing.handshake_via.iter_mut().for_each(Via::forget_local);
        self.dialing.dial.iter_mut().for_each(|dial| dial.forget_local());
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

    /// The peer does not know the session of a packet of ours: shake hands anew, if that is plausible.
    pub(crate) fn on_unknown_session(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        remote_index: u32,
        path: u8,
        counter: u64,
    ) {
        let Some(current) = self.sessions.current().map(Session::remote_index) else { return };
        let recent = self.was_sent_lately(path, counter);
        let early = self
            .dialing
            .last_unknown_session
            .is_some_and(|last| cx.now < last + UNKNOWN_SESSION_INTERVAL);
        let ends = self.state.is_leaving() || self.state.is_over();
        if current != remote_index || !recent || early || ends {
            cx.drop_packet(DropReason::Unsolicited, &arrival.via);
            return;
        }
        self.dialing.last_unknown_session = Some(cx.now);
        self.redial(cx);
    }

    /// Whether a packet with this counter left under the path id a short while ago.
    fn was_sent_lately(&mut self, path: u8, counter: u64) -> bool {
        match path {
            FORWARD_PATH | PROBE_PATH => self.acquaintance.untracked(path).was_sent_lately(counter),
            path => self.paths.was_sent_lately(path, counter),
        }
    }

    /// Whether nothing is left to do, to report or to read.
    pub(crate) fn is_removable(&self) -> bool {
        self.state.is_gone() && !self.has_events() && self.inbox.is_empty()
    }

    /// Whether an endpoint that closes can do without it: it ended, and all that is left is to answer
    /// packets of the peer that come late.
    pub(crate) fn is_dispensable(&self) -> bool {
        self.state.is_over() && !self.has_events() && self.inbox.is_empty()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state.is_over()
    }

    /// Its name for the application.
    pub(crate) const fn handle(&self) -> PeerHandle {
        self.acquaintance.handle
    }

    /// Larger than those of all peers that were made before.
    pub(crate) const fn number(&self) -> u64 {
        self.acquaintance.number
    }

    /// Its identity: validated, or what a dial expects.
    pub(crate) const fn id(&self) -> Option<PeerId> {
        self.acquaintance.id
    }

    /// What names our state about the peer.
    pub(crate) const fn incarnation(&self) -> u64 {
        self.acquaintance.incarnation
    }

    /// The newest time at which the peer claimed to shake hands.
    pub(crate) const fn timestamp_ms(&self) -> u64 {
        self.acquaintance.timestamp_ms
    }

    /// When the newest handshake with the peer was confirmed, in seconds of our clock.
    pub(crate) const fn confirmed_at(&self) -> u32 {
        self.acquaintance.confirmed_at
    }

    /// The MAC of the request of its last handshake that was confirmed.
    pub(crate) const fn confirmed_request(&self) -> Option<[u8; MAC_LEN]> {
        self.acquaintance.confirmed_request
    }

    /// Where the endpoint's table lists the peer.
    pub(crate) const fn listed_at(&self) -> Option<Place> {
        self.acquaintance.listed_at
    }

    /// Notes where the table lists the peer; returns the place before.
    pub(crate) const fn list_at(&mut self, place: Option<Place>) -> Option<Place> {
        core::mem::replace(&mut self.acquaintance.listed_at, place)
    }

    /// The peer confirmed the handshake that it asked for at `timestamp_ms`, in the request with this MAC.
    pub(crate) fn on_confirmed(&mut self, timestamp_ms: u64, request_mac: [u8; MAC_LEN]) {
        self.acquaintance.confirmed_request = Some(request_mac);
        self.acquaintance.timestamp_ms = self.acquaintance.timestamp_ms.max(timestamp_ms);
    }

    /// Whether no handshake with it is complete yet.
    pub(crate) fn is_connecting(&self) -> bool {
        self.state.is_connecting()
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.state.is_closing()
    }

    /// Whether we are leaving the peer, and it lost what it knew about us, since it has this incarnation.
    pub(crate) fn is_left_behind(&self, remote_incarnation: u64) -> bool {
        self.state.is_leaving() && self.remote_incarnation() != Some(remote_incarnation)
    }

    /// Whether a handshake with these incarnations may grant the peer `granted` bytes: one that
    /// starts over is granted no more than what unread messages leave.
    fn may_grant(&self, pair: &Pair, granted: u64) -> bool {
        self.acquaintance.is_known_as(pair) || granted <= self.inbox.most_granted()
    }

    /// What names our state about the peer once it is reset.
    pub(crate) fn next_incarnation(&self, incarnations: &Incarnations) -> u64 {
        self.acquaintance.next_incarnation(incarnations)
    }

    /// What named the peer's state about us before, newest first.
    pub(crate) const fn former_incarnations(&self) -> FormerIncarnations {
        self.acquaintance.former()
    }

    /// What names the peer's state about us, once it said so.
    pub(crate) const fn remote_incarnation(&self) -> Option<u64> {
        self.acquaintance.remote_incarnation()
    }

    pub(crate) fn has_session(&self) -> bool {
        self.sessions.current().is_some()
    }

    pub(crate) fn has_initiated(&self) -> bool {
        self.acquaintance.has_initiated
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        earlier(self.timers.min(), self.paths.deadline())
    }

    /// The credit that a handshake with the peer would grant.
    pub(crate) fn fresh_grant(&self, room: Room) -> u64 {
        self.inbox.fresh_grant(room)
    }

    /// The most that a handshake with the peer may have granted if it starts over.
    pub(crate) const fn most_granted(&self) -> u64 {
        self.inbox.most_granted()
    }

    pub(crate) fn info(&self, cx: &Context) -> PeerInfo {
        let path_stats = self.paths.primary().map(Path::stats).unwrap_or_default();
        PeerInfo {
            handle: self.acquaintance.handle,
            id: self.acquaintance.id,
            state: self.state.public(),
            path: self.paths.via(),
            max_message: self.outbound.limits.max_message,
            max_streams: self.outbound.limits.max_streams,
            queued: self.outbound.queue.buffered(),
            room: self.outbound.queue.room(&self.outbound.limits),
            connected_since: self.acquaintance.met.map(|(since, _)| since),
            direction: self.acquaintance.met.map(|(_, direction)| direction),
            last_received: self.liveness.last_received,
            verdict: self.verdict(cx),
            path_stats,
            standby: self.paths.standby().map(Path::info).map(Box::new),
            stats: self.stats_now(),
        }
    }

    fn stats_now(&self) -> PeerStats {
        PeerStats {
            messages_dropped: self.outbound.queue.dropped(),
            messages_overflowed: self.inbox.overflowed(),
            messages_received: self.inbox.delivered(),
            messages_superseded: self.outbound.queue.superseded(),
            ..self.stats
        }
    }
}

/// How often an `UnknownSession` may hasten a handshake.
const UNKNOWN_SESSION_INTERVAL: Duration = Duration::from_secs(5);
