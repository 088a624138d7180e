//! What the server does about what happens, on whichever runtime: it keeps the books and logs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use handfast_core::{Bytes, Delivery, EndReason, Event, Message, PeerHandle, PeerId, PeerState};
use tracing::{debug, info};

use crate::record::{End, Record};
use crate::repeats::{Repeats, Twins, Why};

/// The application's state. The endpoint's is the truth about who is connected; this follows it by
/// events, and [`App::forget_ended`] clears up.
#[derive(Debug, Default)]
pub struct App {
    echo: bool,
    peers: BTreeMap<PeerHandle, Record>,
    counters: Counters,
    last_pinged: Option<PeerHandle>,
    refusals: Repeats<Why>,
    twins: Repeats<Twins>,
}

handfast_core::counters! {
    /// What happened so far.
    Counters {
        /// Peers that connected.
        connected,
        /// Peers that ended.
        ended,
        /// Handshakes that were refused to somebody by name.
        refused,
        /// Peers that ended because newcomers got their places.
        evicted,
        /// Messages received.
        messages,
        /// Bytes of payload in them.
        bytes,
    }
}

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How.
    pub delivery: Delivery,
    /// What.
    pub payload: Bytes,
}

impl App {
    /// An application that sends messages back, or only logs them.
    #[must_use]
    pub fn new(echo: bool) -> Self {
        Self { echo, ..Self::default() }
    }

    /// Takes note of an event. The end of a peer is logged after its last message: at once if none waits to
    /// be read and nobody reads apart from the events ([`Self::begin_reading`]).
    pub fn on_event(&mut self, event: &Event) {
        match event {
            Event::Connected { peer, id, path } => {
                self.counters.connected += 1;
                self.record(*peer, *id).place = path.to_string();
                info!(peer = %id, from = %path, "connected");
            }
            Event::Ended { peer, reason, undeliverable, unread, .. } => {
                let (reason, undeliverable, unread) = (reason.clone(), *undeliverable, *unread);
                self.on_ended(*peer, End { reason, undeliverable, unread });
            }
            Event::Refused { id, path, reason, .. } => {
                self.counters.refused += 1;
                self.refusals.note(*id, path.to_string(), Why::Refused(*reason));
            }
            Event::DuplicateIdentity { peer, ours, path, other, .. } => {
                let Some(id) = self.id(*peer) else { return };
                let places: Vec<_> = path.iter().chain(other).map(ToString::to_string).collect();
                let whose = if *ours { Twins::Ours } else { Twins::Theirs };
                self.twins.note(id, places.join(","), whose);
            }
            Event::Discovered { id, address, forwards, .. } => {
                debug!(peer = %id, at = %address, forwards, "heard of in the local network");
            }
            Event::RouteChanged { destination, route, .. } => match route {
                Some(route) => info!(
                    peer = %destination,
                    by = %route.next_hop,
                    metric = route.metric,
                    "route changed"
                ),
                None => info!(peer = %destination, "no route any more"),
            },
            Event::PathChanged { peer, path } if self.peers.contains_key(peer) => {
                self.peers.entry(*peer).and_modify(|record| record.place = path.to_string());
                self.id(*peer).into_iter().for_each(|id| log(event, &id));
            }
            event => {
                if let Some(id) = event.peer().and_then(|peer| self.id(peer)) {
                    log(event, &id);
                }
            }
        }
    }

    /// Takes a message and says what to answer, if anything.
    pub fn on_message(&mut self, peer: PeerHandle, id: PeerId, message: &Message) -> Option<Reply> {
        let Message { delivery, sequence_number, payload, .. } = message;
        let bytes = payload.len();
        debug!(
            peer = %id,
            bytes,
            sequence_number,
            channel = delivery.channel,
            reliable = delivery.reliable,
            order = ?delivery.order,
            requires_ack = delivery.requires_ack,
            "message"
        );
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.counters.messages += 1;
        self.counters.bytes += bytes;
        self.record(peer, id).on_message(bytes);
        self.echo.then(|| Reply { delivery: *delivery, payload: payload.clone() })
    }

    /// Which peers to ping: those from which no message came since the last call, the next few of
    /// them when they are many.
    pub fn peers_to_ping(&mut self) -> Vec<PeerHandle> {
        let alive = self.peers.iter_mut().filter(|(_, record)| !record.has_ended());
        let quiet: Vec<_> =
            alive.filter_map(|(peer, record)| record.was_quiet().then_some(*peer)).collect();
        let first = quiet.partition_point(|peer| Some(*peer) <= self.last_pinged);
        let in_turn = quiet[first..].iter().chain(&quiet[..first]);
        let chosen: Vec<_> = in_turn.take(PINGS_PER_BEAT).copied().collect();
        self.last_pinged = chosen.last().copied().or(self.last_pinged);
        chosen
    }

    /// The peers of which something is known.
    #[must_use]
    pub fn peers(&self) -> BTreeSet<PeerHandle> {
        self.peers.keys().copied().collect()
    }

    /// Somebody takes the messages of this peer apart from the events: its end is logged when they are all
    /// taken.
    pub fn begin_reading(&mut self, peer: PeerHandle, id: PeerId) {
        self.record(peer, id).begin_reading();
    }

    /// All messages of this peer were taken, and it has ended so; `None` if nobody takes them any more.
    pub fn end_reading(&mut self, peer: PeerHandle, reason: Option<EndReason>) {
        if let Some(record) = self.peers.get_mut(&peer) {
            record.end_reading(reason);
        }
    }

    /// The server stops: logs the ends that were not yet.
    pub fn finish(&mut self) {
        self.peers.values_mut().for_each(Record::tell);
        self.summarise();
    }

    /// Drops what is known of peers that have ended, and of those that the endpoint did not know the last
    /// time either. Returns how many there were.
    pub fn forget_ended(&mut self, is_known: impl Fn(PeerHandle) -> bool) -> usize {
        let before = self.peers.len();
        self.peers.retain(|peer, record| !record.is_done_with(is_known(*peer)));
        let forgotten = before - self.peers.len();
        if forgotten > 0 {
            debug!(forgotten, left = self.peers.len(), "cleaned up");
        }
        forgotten
    }

    /// Logs in a few lines what has repeated itself since the last call.
    pub fn summarise(&mut self) {
        self.refusals.summarise();
        self.twins.summarise();
    }

    /// Peers that are connected, as far as events have told.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.peers.values().filter(|record| !record.has_ended()).count()
    }

    /// What happened so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// The identity of a peer, until it is forgotten.
    #[must_use]
    pub fn id(&self, peer: PeerHandle) -> Option<PeerId> {
        self.peers.get(&peer).map(|record| record.id)
    }

    fn record(&mut self, peer: PeerHandle, id: PeerId) -> &mut Record {
        self.peers.entry(peer).or_insert_with(|| Record::new(id))
    }

    fn on_ended(&mut self, peer: PeerHandle, end: End) {
        let Some(record) = self.peers.get_mut(&peer) else { return };
        self.counters.ended += 1;
        if end.reason == EndReason::Evicted {
            self.counters.evicted += 1;
            self.refusals.note(record.id, record.place.clone(), Why::Evicted);
        }
        record.on_ended(end);
    }
}

fn log(event: &Event, peer: &PeerId) {
    match event {
        Event::Pong { rtt, .. } => debug!(%peer, rtt_us = micros(*rtt), "pong"),
        Event::PathChanged { path, .. } => debug!(%peer, to = %path, "moved"),
        Event::Restarted { undeliverable, .. } => debug!(%peer, undeliverable, "restarted"),
        Event::StateChanged { state: PeerState::Silent, .. } => debug!(%peer, "silent"),
        Event::StateChanged { state, .. } => debug!(%peer, ?state, "state"),
        Event::Fate { message, fate, .. } => {
            debug!(%peer, id = message.as_u64(), ?fate, "fate");
        }
        _ => {}
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// More would be a burst.
const PINGS_PER_BEAT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::{Endpoint, Identity, Instant, Target, ValidConfig};

    /// Handles come from endpoints alone.
    fn handles(count: u16) -> Vec<PeerHandle> {
        let now = Instant::from_micros(1);
        let identity = Identity::from_seed([1; 32]);
        let mut endpoint = Endpoint::new(ValidConfig::default(), identity, [2; 32], now);
        let target = |port| Target::from(std::net::SocketAddr::from(([192, 0, 2, 1], port)));
        (1..=count).map(|port| endpoint.connect(now, target(port)).expect("a dial")).collect()
    }

    fn id() -> PeerId {
        Identity::from_seed([3; 32]).id()
    }

    fn message() -> Message {
        Message::new(Delivery::sequenced(7), 3, Bytes::from_static(b"hello"))
    }

    fn ended(peer: PeerHandle) -> Event {
        let reason = EndReason::IdleTimeout;
        Event::Ended { peer, id: Some(id()), reason, undeliverable: 0, unread: 0 }
    }

    #[test]
    fn an_echo_goes_the_way_the_message_came() {
        let peer = handles(1)[0];
        let reply = App::new(true).on_message(peer, id(), &message()).expect("an echo");
        assert_eq!(reply, Reply { delivery: Delivery::sequenced(7), payload: "hello".into() });
        assert_eq!(App::new(false).on_message(peer, id(), &message()), None);
    }

    #[test]
    fn state_is_kept_until_the_end_and_then_dropped() {
        let peers = handles(2);
        let mut app = App::new(false);
        for peer in &peers {
            app.on_message(*peer, id(), &message());
        }
        assert_eq!(app.forget_ended(|_| true), 0);
        app.on_event(&ended(peers[0]));
        assert_eq!((app.connected(), app.counters().ended), (1, 1));
        assert_eq!(app.forget_ended(|_| true), 1);
        assert_eq!((app.id(peers[0]), app.id(peers[1])), (None, Some(id())));
        assert_eq!(app.forget_ended(|_| false), 0, "its end may be on its way");
        assert_eq!(app.forget_ended(|_| false), 1, "the endpoint is the truth");
    }

    #[test]
    fn who_had_to_give_way_is_summed_up_with_where_it_was() {
        let (peers, mut app) = (handles(2), App::new(false));
        let remote = std::net::SocketAddr::from(([192, 0, 2, 1], 7));
        let path = handfast_core::Via::Direct(handfast_core::FourTuple::to(remote));
        for peer in &peers {
            app.on_event(&Event::Connected { peer: *peer, id: id(), path });
            let Event::Ended { id, undeliverable, unread, .. } = ended(*peer) else { panic!() };
            let reason = EndReason::Evicted;
            app.on_event(&Event::Ended { peer: *peer, id, reason, undeliverable, unread });
        }
        assert_eq!((app.counters().ended, app.counters().evicted, app.connected()), (2, 2, 0));
        assert_eq!(app.refusals.waiting(&Why::Evicted), Some(format!("{}@{remote}", id())));
        app.summarise();
        assert_eq!(app.refusals.waiting(&Why::Evicted).as_deref(), Some(""));
    }

    #[test]
    fn peers_that_were_quiet_for_a_whole_interval_are_pinged_in_turn() {
        let peers = handles(100);
        let mut app = App::new(false);
        for peer in &peers {
            app.on_message(*peer, id(), &message());
        }
        assert!(app.peers_to_ping().is_empty(), "they spoke since");
        app.on_message(peers[0], id(), &message());
        app.on_event(&ended(peers[1]));
        let (first, second) = (app.peers_to_ping(), app.peers_to_ping());
        assert_eq!(first, peers[2..66]);
        assert_eq!(second[..34], peers[66..]);
        assert_eq!(second[34..36], [peers[0], peers[2]]);
        assert_eq!(second.len(), PINGS_PER_BEAT);
    }
}
