//! What was sent and what may be received, among any number of ends that come, go and forget: a
//! plain account, kept beside the endpoints and knowing nothing of how they work.

mod checks;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use handfast_core::{
    Delivery, EndReason, Event, Fate, Message, MessageId, Order, PeerHandle, PeerState, PingId,
    Priority,
};

use super::model::content;
use super::operation::{Direction, ENDS};

/// Everything that was promised so far.
#[derive(Debug, Default)]
pub(super) struct Account {
    messages: Vec<Entry>,
    by_id: BTreeMap<Name, BTreeMap<MessageId, usize>>,
    /// The messages of each stream in the order of sending.
    streams: BTreeMap<(Name, Stream), Vec<usize>>,
    peers: BTreeMap<Name, Peer>,
    /// How often each end began.
    lives: [u32; ENDS],
    /// How many messages were received.
    pub(super) received: u32,
    /// How often an end was told that another had forgotten it.
    pub(super) restarts: u32,
    /// What became of the others, by fate.
    pub(super) fates: BTreeMap<&'static str, u32>,
}

/// A handle in one life of one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    end: usize,
    life: u32,
    handle: PeerHandle,
}

/// Channel, reliability, order.
type Stream = (u16, bool, Order);

/// A message that was accepted.
#[derive(Debug)]
struct Entry {
    from: Name,
    to: usize,
    /// The life of the receiver when it was handed over.
    to_life: u32,
    delivery: Delivery,
    len: usize,
    fate: Option<Fate>,
    is_withdrawn: bool,
    is_received: bool,
}

/// What an end was told about a peer.
#[derive(Debug)]
struct Peer {
    is: usize,
    /// How many messages there were in the world when it connected.
    connected_at: Option<usize>,
    /// The same when it was last told to have restarted.
    restarted_at: usize,
    has_ended: bool,
    is_closing: bool,
    /// A message ended in a way that only this explains, which must be told in the same breath.
    owes: Owes,
    /// What was told.
    explains: Owes,
    blocked: BTreeSet<u16>,
    pings: BTreeSet<PingId>,
    /// The last message received of each stream of each handle of the other end.
    newest: BTreeMap<(Name, Stream), usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owes {
    Nothing,
    RestartOrEnd,
    End,
}

impl Account {
    /// An end calls another, or was called by it.
    pub(super) fn learn(&mut self, end: usize, handle: PeerHandle, is: usize) {
        let name = self.name(end, handle);
        let peer = self.peers.entry(name).or_insert_with(|| Peer::new(is));
        assert_eq!(peer.is, is, "{name:?} is another now");
    }

    /// The handles an end holds that have not ended, with who they are.
    pub(super) fn handles(&self, end: usize) -> Vec<(PeerHandle, usize)> {
        let mine = self.peers.iter().filter(|(name, _)| self.is_current(name, end));
        let open = mine.filter(|(_, peer)| !peer.has_ended);
        open.map(|(name, peer)| (name.handle, peer.is)).collect()
    }

    /// The content of the next message, at least four bytes long.
    pub(super) fn payload(&self, len: usize) -> Bytes {
        content(self.messages.len(), len.max(4)).collect()
    }

    /// The message with that content was accepted.
    pub(super) fn note_sent(
        &mut self,
        end: usize,
        handle: PeerHandle,
        id: MessageId,
        delivery: Delivery,
        len: usize,
    ) {
        let from = self.name(end, handle);
        let to = self.peers[&from].is;
        let number = self.messages.len();
        let earlier = self.by_id.entry(from).or_default().insert(id, number);
        assert_eq!(earlier, None, "{id:?} was given twice");
        self.streams.entry((from, stream(&delivery))).or_default().push(number);
        self.messages.push(Entry {
            from,
            to,
            to_life: self.lives[to],
            // Only the sender knows how urgent it is.
            delivery: delivery.with_priority(Priority::NORMAL),
            len: len.max(4),
            fate: None,
            is_withdrawn: false,
            is_received: false,
        });
    }

    /// The newest messages of an end, newest first, to withdraw.
    pub(super) fn sent_lately(&self, pair: Direction) -> Vec<(PeerHandle, MessageId)> {
        let mine = |name: &Name| self.is_current(name, pair.from) && self.peers[name].is == pair.to;
        let all = self.by_id.iter().filter(|(name, _)| mine(name));
        let all = all.flat_map(|(name, ids)| ids.iter().map(|(id, at)| (*at, name.handle, *id)));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|(at, ..)| usize::MAX - at);
        all.into_iter().map(|(_, handle, id)| (handle, id)).collect()
    }

    /// A message was withdrawn.
    pub(super) fn note_cancelled(&mut self, end: usize, handle: PeerHandle, id: MessageId) {
        let number = self.by_id[&self.name(end, handle)][&id];
        self.messages[number].is_withdrawn = true;
    }

    pub(super) fn note_ping(&mut self, end: usize, handle: PeerHandle, ping: PingId) {
        assert!(self.peer(end, handle).pings.insert(ping), "{ping:?} was given twice");
    }

    pub(super) fn note_blocked(&mut self, end: usize, handle: PeerHandle, channel: u16) {
        self.peer(end, handle).blocked.insert(channel);
    }

    /// The end forgot everything.
    pub(super) fn note_restart(&mut self, end: usize) {
        self.lives[end] += 1;
    }

    /// All that an end had to tell at once.
    ///
    /// # Panics
    /// It breaks a promise.
    pub(super) fn note_events(&mut self, end: usize, events: &[Event]) {
        for event in events {
            let Some(peer) = event.peer() else {
                assert!(matches!(event, Event::Refused { .. }), "{event:?}: nobody asked for it");
                continue;
            };
            let name = self.name(end, peer);
            let known = self.peers.get(&name);
            assert!(known.is_none_or(|peer| !peer.has_ended), "{event:?} after the end");
            self.note_event(name, event);
        }
        for peer in self.peers.values_mut() {
            let owes = core::mem::replace(&mut peer.owes, Owes::Nothing);
            assert!(owes <= peer.explains, "a message's fate has no cause: {events:?}");
            // Whoever parts knows why, though the end is yet to come.
            peer.explains = if peer.is_closing { Owes::End } else { Owes::Nothing };
        }
    }

    fn note_event(&mut self, name: Name, event: &Event) {
        let count = self.messages.len();
        let peer = self.peers.get_mut(&name).expect("a peer that was dialled or introduced");
        let is_connected = peer.connected_at.is_some();
        match event {
            Event::Connected { .. } => {
                assert!(!is_connected, "{name:?} connected twice");
                peer.connected_at = Some(count);
            }
            Event::Ended { reason, .. } => {
                assert!(!matches!(reason, EndReason::Violation(_)), "{name:?}: {reason}");
                assert!(!matches!(reason, EndReason::OwnIdentity), "{name:?}: {reason}");
                let dialling = matches!(reason, EndReason::DialTimeout);
                assert!(!(dialling && is_connected), "{name:?} connected before: {reason}");
                peer.has_ended = true;
                peer.explains = Owes::End;
                self.check_all_told(name);
            }
            Event::Fate { message, fate, .. } => self.note_fate(name, *message, *fate),
            Event::Pong { ping, .. } => assert!(peer.pings.remove(ping), "not asked: {ping:?}"),
            Event::Restarted { .. } => {
                assert!(is_connected, "{name:?} restarted before it was there");
                peer.restarted_at = count;
                peer.explains = peer.explains.max(Owes::RestartOrEnd);
                self.restarts += 1;
            }
            Event::StateChanged { state: PeerState::Closing, .. } => {
                peer.is_closing = true;
                peer.explains = Owes::End;
            }
            Event::Writable { channel, .. } => {
                assert!(peer.blocked.remove(channel), "{name:?} was not blocked on {channel}");
            }
            Event::Readable { .. } | Event::PathChanged { .. } => {
                assert!(is_connected, "{event:?} before it was there");
            }
            _ => {}
        }
    }

    fn note_fate(&mut self, name: Name, id: MessageId, fate: Fate) {
        let number = self.by_id.get(&name).and_then(|ids| ids.get(&id)).copied();
        let number = number.expect("a message that was sent");
        let entry = &mut self.messages[number];
        let Entry { delivery, is_received, is_withdrawn, .. } = *entry;
        let is_news = fate != Fate::Acked || is_withdrawn;
        let reported = delivery.requires_ack || (delivery.reliable && is_news);
        assert!(reported, "nobody asked: {fate:?} of {entry:?}");
        assert_eq!(entry.fate, None, "{fate:?}, too: {entry:?}");
        let is_cancelled = matches!(fate, Fate::Cancelled { .. });
        // Some of it was sent: it arrived before the peer heard of it, or the peer ended.
        let is_known = is_withdrawn && matches!(fate, Fate::Acked | Fate::Unknown);
        assert!(is_cancelled == is_withdrawn || is_known, "{fate:?} of {entry:?}");
        let is_sequenced = delivery.order == Order::Sequenced;
        let is_superseded = matches!(fate, Fate::Superseded { .. });
        assert!(is_sequenced || !is_superseded, "{entry:?}");
        entry.fate = Some(fate);
        assert!(!(is_received && entry.cannot_arrive()), "it was received: {entry:?}");
        let owes = match fate {
            Fate::Unknown => Owes::RestartOrEnd,
            Fate::Lost if delivery.reliable => Owes::End,
            _ => Owes::Nothing,
        };
        let peer = self.peers.get_mut(&name).expect("named by the message");
        peer.owes = peer.owes.max(owes);
        *self.fates.entry(fate_name(fate)).or_default() += 1;
    }

    /// An application took a message.
    ///
    /// # Panics
    /// The message was not sent like this, or was received before, or comes out of order.
    pub(super) fn note_received(&mut self, end: usize, handle: PeerHandle, message: &Message) {
        let name = self.name(end, handle);
        let payload = &message.payload;
        let id = payload.first_chunk().map(|id| u32::from_le_bytes(*id) as usize);
        let found = id.and_then(|id| Some((id, self.messages.get_mut(id)?)));
        let (number, entry) = found.expect("a message that was sent");
        assert_eq!((entry.from.end, entry.to), (self.peers[&name].is, end), "{entry:?}");
        assert!(content(number, entry.len).eq(payload.iter().copied()), "changed: {entry:?}");
        assert_eq!(message.delivery, entry.delivery, "message {number}");
        assert!(!entry.is_received, "received twice: {entry:?}");
        assert!(!entry.cannot_arrive(), "received all the same: {entry:?}");
        entry.is_received = true;
        self.received += 1;
        let (from, delivery) = (entry.from, entry.delivery);
        if delivery.order == Order::Unordered {
            return;
        }
        let key = (from, stream(&delivery));
        let peer = self.peers.get_mut(&name).expect("looked at above");
        let before = peer.newest.insert(key, number);
        assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
        if delivery.reliable && delivery.order == Order::Ordered {
            self.check_no_gap(name, key, number);
        }
    }

    fn peer(&mut self, end: usize, handle: PeerHandle) -> &mut Peer {
        let name = self.name(end, handle);
        self.peers.get_mut(&name).expect("a handle that was learned")
    }

    const fn name(&self, end: usize, handle: PeerHandle) -> Name {
        Name { end, life: self.lives[end], handle }
    }

    fn is_current(&self, name: &Name, end: usize) -> bool {
        name.end == end && name.life == self.lives[end]
    }
}

impl Peer {
    fn new(is: usize) -> Self {
        Self {
            is,
            connected_at: None,
            restarted_at: 0,
            has_ended: false,
            is_closing: false,
            owes: Owes::Nothing,
            explains: Owes::Nothing,
            blocked: BTreeSet::new(),
            pings: BTreeSet::new(),
            newest: BTreeMap::new(),
        }
    }
}

impl Entry {
    /// Its fate says that no byte of it was sent.
    fn cannot_arrive(&self) -> bool {
        match self.fate {
            Some(
                Fate::Cancelled { may_have_arrived: false }
                | Fate::Superseded { may_have_arrived: false }
                | Fate::Refused,
            ) => true,
            Some(Fate::Lost) => self.delivery.reliable,
            _ => false,
        }
    }
}

const fn stream(delivery: &Delivery) -> Stream {
    (delivery.channel, delivery.reliable, delivery.order)
}

const fn fate_name(fate: Fate) -> &'static str {
    match fate {
        Fate::Acked => "acked",
        Fate::Cancelled { .. } => "cancelled",
        Fate::Lost => "lost",
        Fate::Refused => "refused",
        Fate::Superseded { .. } => "superseded",
        _ => "unknown",
    }
}
