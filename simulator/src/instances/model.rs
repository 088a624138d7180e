//! What was promised about messages between one server and several instances of one identity.

use std::collections::BTreeMap;

use handfast_core::{Bytes, Delivery, Fate, Message, MessageId, Order, PeerHandle};

/// The node that all instances dial.
pub(super) const SERVER: u32 = 0;

/// What is known of a message.
#[derive(Debug)]
struct Sent {
    from: u32,
    delivery: Delivery,
    /// Its place among those of the same sender, life and delivery.
    number: u64,
    fate: Option<Fate>,
    arrived: bool,
}

/// What an application heard.
#[derive(Clone, Debug, Default)]
pub(super) struct Ear {
    pub(super) peer: Option<PeerHandle>,
    life: u64,
    /// How often a pair of incarnations began or ended, as far as it was told.
    pairs: u64,
    /// Whole messages that could not be handed over, as it was told.
    pub(super) undeliverable: u64,
    /// Of another's messages in this pair, the last of each ordered stream.
    last: BTreeMap<(u32, u64), u64>,
    /// In which pair of ours another's last message arrived, and what the other had heard by then.
    heard: BTreeMap<(u32, u64), (u64, u64)>,
}

/// All messages, and what the applications know of each other.
#[derive(Debug, Default)]
pub(super) struct Model {
    sent: Vec<Sent>,
    numbers: BTreeMap<(u32, u64, usize), u64>,
    ids: BTreeMap<(u32, u64, PeerHandle, MessageId), usize>,
    pub(super) ears: Vec<Ear>,
    pub(super) arrived: u64,
    pub(super) acked: u64,
}

/// The kinds of messages that are sent in turn.
const KINDS: [Delivery; 4] = [
    Delivery::ordered(0).with_receipt(),
    Delivery::reliable(1).with_receipt(),
    Delivery::unreliable(2).with_receipt(),
    Delivery::ordered(3).with_receipt(),
];

impl Model {
    pub(super) fn new(nodes: u32) -> Self {
        Self { ears: vec![Ear::default(); nodes as usize], ..Self::default() }
    }

    /// The next message of a node, and how it is to be sent.
    pub(super) fn next(&self) -> (Delivery, Bytes) {
        let number = self.sent.len() as u64;
        let len = [16, 200, 16, 3000][(number / 4 % 4) as usize];
        let mut payload = vec![7; len];
        payload[..8].copy_from_slice(&number.to_le_bytes());
        (KINDS[(number % 4) as usize], payload.into())
    }

    /// The message of the last `next` was taken.
    pub(super) fn accepted(&mut self, from: u32, peer: PeerHandle, id: MessageId) {
        let life = self.ears[from as usize].life;
        let index = self.sent.len();
        let kind = index % KINDS.len();
        let number = self.numbers.entry((from, life, kind)).or_default();
        let (fate, arrived) = (None, false);
        self.sent.push(Sent { from, delivery: KINDS[kind], number: *number, fate, arrived });
        *number += 1;
        self.ids.insert((from, life, peer, id), index);
    }

    /// A node lost what it knew.
    pub(super) fn killed(&mut self, node: u32) {
        let ear = &mut self.ears[node as usize];
        *ear = Ear {
            life: ear.life + 1,
            pairs: ear.pairs + 1,
            undeliverable: ear.undeliverable,
            heard: core::mem::take(&mut ear.heard),
            ..Ear::default()
        };
    }

    /// A pair of incarnations began or ended, so a node was told.
    pub(super) fn pair(&mut self, node: u32, undeliverable: u64) {
        let ear = &mut self.ears[node as usize];
        ear.pairs += 1;
        ear.last.clear();
        ear.undeliverable += undeliverable;
    }

    pub(super) fn fate(&mut self, node: u32, peer: PeerHandle, id: MessageId, fate: Fate) {
        let life = self.ears[node as usize].life;
        let index = self.ids[&(node, life, peer, id)];
        let sent = &mut self.sent[index];
        assert_eq!(sent.fate, None, "{index} {sent:?} has another fate, {fate:?}");
        sent.fate = Some(fate);
        self.acked += u64::from(fate == Fate::Acked);
        let held = sent.arrived || sent.delivery.order == Order::Ordered;
        assert!(fate != Fate::Acked || held, "{index} {sent:?} was acknowledged and never came");
    }

    pub(super) fn arrived(&mut self, node: u32, message: &Message) {
        let number = message.payload.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let index = number.expect("a number") as usize;
        let sent = &mut self.sent[index];
        assert!(!sent.arrived, "{index} {sent:?} came twice");
        sent.arrived = true;
        self.arrived += 1;
        let (from, number) = (sent.from, sent.number);
        assert!((from == SERVER) != (node == SERVER), "{index} {sent:?} came to {node}");
        let (life, pairs) = (self.ears[from as usize].life, self.ears[from as usize].pairs);
        let ear = &mut self.ears[node as usize];
        if sent.delivery.order == Order::Ordered {
            // Stragglers of an earlier life cannot open.
            let key = (from, (life << 8) | (index as u64 % KINDS.len() as u64));
            if let Some(last) = ear.last.insert(key, number) {
                assert_eq!(number, last + 1, "{index} {sent:?} leaves a gap");
            }
        }
        let known = ear.heard.insert((from, life), (ear.pairs, pairs));
        if let Some((ours, theirs)) = known.filter(|(ours, _)| *ours < ear.pairs) {
            assert!(theirs < pairs, "{index} {sent:?} came in pair {} after {ours}", ear.pairs);
        }
    }

    /// What came to the server and was acknowledged and not handed over, and how much of that it was told.
    pub(super) fn unaccounted(&self) -> (u64, u64) {
        let lost =
            |sent: &&Sent| sent.from != SERVER && sent.fate == Some(Fate::Acked) && !sent.arrived;
        let lost = self.sent.iter().filter(lost).count() as u64;
        (lost, self.ears[SERVER as usize].undeliverable)
    }

    /// How many messages there were so far.
    pub(super) fn count(&self) -> usize {
        self.sent.len()
    }

    /// The first reliable message from the `first` on that did not arrive, or of which nobody knows.
    pub(super) fn missing(&self, first: usize) -> Option<String> {
        let late = |sent: &&Sent| {
            sent.delivery.reliable && !(sent.arrived && sent.fate == Some(Fate::Acked))
        };
        self.sent[first..].iter().find(late).map(|sent| format!("{sent:?}"))
    }
}
