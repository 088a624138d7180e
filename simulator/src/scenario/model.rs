//! What was promised about messages: a plain model of all that were sent, without a network.

use std::collections::BTreeMap;

use handfast_core::{Delivery, Fate, Order};

use super::payload::{Flow, Key};

/// A promise that was not kept, in words.
pub(crate) type Broken = String;

/// Every message that was accepted for sending, and what became of it.
#[derive(Default)]
pub(crate) struct Model {
    flows: BTreeMap<Flow, Sent>,
    pub(crate) delivered: u64,
}

/// The messages of one flow.
#[derive(Default)]
struct Sent {
    messages: Vec<Message>,
    /// The newest delivered message of each stream that keeps an order.
    newest: BTreeMap<Stream, u32>,
    /// The sender forgot the receiver: it restarted, or gave it up.
    sender_forgot: bool,
    /// The same of the receiver.
    receiver_forgot: bool,
}

struct Message {
    delivery: Delivery,
    delivered: bool,
    fate: Option<Fate>,
}

type Stream = (u16, bool, Order);

impl Model {
    /// The endpoint accepted the next message of a flow.
    pub(crate) fn accepted(&mut self, flow: Flow, delivery: Delivery) {
        let message = Message { delivery, delivered: false, fate: None };
        self.flows.entry(flow).or_default().messages.push(message);
    }

    /// A flow that may be used from now on.
    pub(crate) fn open(&mut self, flow: Flow) {
        self.flows.entry(flow).or_default();
    }

    /// A node lost its state: it will not report fates, and what it held for others is gone.
    pub(crate) fn restarted(&mut self, node: u8) {
        for (flow, sent) in &mut self.flows {
            sent.sender_forgot |= flow.from == node;
            sent.receiver_forgot |= flow.to == node;
        }
    }

    /// A node gave another one up, and with it all state about it.
    pub(crate) fn forgot(&mut self, node: u8, other: u8) {
        for (flow, sent) in &mut self.flows {
            sent.sender_forgot |= (flow.from, flow.to) == (node, other);
            sent.receiver_forgot |= (flow.from, flow.to) == (other, node);
        }
    }

    /// A message reached the application of node `at`.
    pub(crate) fn delivered(&mut self, at: u8, key: Key, delivery: Delivery) -> Result<(), Broken> {
        let sent = self.flows.get_mut(&key.flow);
        let Some((sent, index)) = sent.map(|sent| (sent, key.number as usize)) else {
            return Err(format!("{key:?} was never sent"));
        };
        let Some(message) = sent.messages.get_mut(index) else {
            return Err(format!("{key:?} was never sent"));
        };
        let breach = |what: &str| Err(format!("{key:?} ({delivery:?}) {what}"));
        if at != key.flow.to {
            return breach("reached the wrong node");
        }
        if message.delivery != delivery {
            return breach("came with another delivery than it was sent with");
        }
        if message.delivered {
            return breach("was delivered twice");
        }
        // A sender that gave the receiver up cannot know what is still on its way.
        let unknown = message.fate == Some(Fate::Unknown) && !sent.sender_forgot;
        let never = message.delivery.reliable && message.fate == Some(Fate::Lost);
        let withdrawn = matches!(message.fate, Some(Fate::Cancelled { may_have_arrived: false }));
        if unknown || never || withdrawn {
            return breach("was delivered after the sender had given it up");
        }
        message.delivered = true;
        self.delivered += 1;
        if delivery.order == Order::Unordered {
            return Ok(());
        }
        match sent.newest.insert(stream(delivery), key.number) {
            Some(newest) if newest > key.number => breach("came after a newer one of its stream"),
            _ if delivery.reliable && delivery.order == Order::Ordered => sent.gapless(key),
            _ => Ok(()),
        }
    }

    /// The sender was told the fate of a message. `ended` if it gave the receiver up.
    pub(crate) fn fate(&mut self, key: Key, fate: Fate, ended: bool) -> Result<(), Broken> {
        let sent = self.flows.get_mut(&key.flow);
        let Some((restarted, message)) = sent.and_then(|sent| {
            let restarted = sent.receiver_forgot || ended;
            Some((restarted, sent.messages.get_mut(key.number as usize)?))
        }) else {
            return Err(format!("{key:?} has a fate but was never sent"));
        };
        let delivery = message.delivery;
        let breach = |what: &str| Err(format!("{key:?} ({delivery:?}) was {fate:?} {what}"));
        if let Some(earlier) = message.fate.replace(fate) {
            return breach(&format!("after it had been {earlier:?}"));
        }
        match fate {
            Fate::Acked if !delivery.requires_ack => breach("though nobody asked"),
            Fate::Acked if delivery.order == Order::Unordered && !message.delivered => {
                breach("before it was delivered")
            }
            Fate::Unknown if !restarted => breach("though nobody restarted"),
            Fate::Lost if delivery.reliable && !ended => breach("though its peer lives"),
            Fate::Lost if !delivery.requires_ack && !delivery.reliable => {
                breach("though nobody asked")
            }
            Fate::Superseded { .. } if delivery.order != Order::Sequenced => {
                breach("on such a stream")
            }
            Fate::Superseded { .. } if !delivery.requires_ack && !delivery.reliable => {
                breach("though nobody asked")
            }
            Fate::Superseded { may_have_arrived: false } if message.delivered => {
                breach("though it was delivered")
            }
            Fate::Acked | Fate::Unknown | Fate::Lost | Fate::Superseded { .. } => Ok(()),
            _ => breach("though nobody did that"),
        }
    }

    /// The first message that still lacks its delivery or its fate, and which.
    pub(crate) fn outstanding(&self) -> Option<(Key, &'static str)> {
        self.flows.iter().filter(|(_, sent)| !sent.sender_forgot).find_map(|(&flow, sent)| {
            sent.messages.iter().zip(0..).find_map(|(message, number)| {
                let lack = sent.lacks(message, number)?;
                Some((Key { flow, number }, lack))
            })
        })
    }
}

impl Sent {
    /// Nothing that `key` had to wait for may still be on its way.
    fn gapless(&self, key: Key) -> Result<(), Broken> {
        if self.receiver_forgot || self.sender_forgot {
            return Ok(());
        }
        let of = stream(self.messages[key.number as usize].delivery);
        // Whatever came before the previous one was checked with it.
        let earlier = self.messages[..key.number as usize].iter().rev();
        match earlier.into_iter().find(|message| stream(message.delivery) == of) {
            Some(previous) if !previous.delivered => {
                Err(format!("{key:?} was delivered before its predecessor"))
            }
            _ => Ok(()),
        }
    }

    fn lacks(&self, message: &Message, number: u32) -> Option<&'static str> {
        let delivery = message.delivery;
        // Only reliable and ordered streams wait for stragglers; others drop what comes too late.
        let skips = match delivery.order {
            Order::Unordered => false,
            Order::Sequenced => true,
            Order::Ordered => !delivery.reliable,
        };
        let newest = self.newest.get(&stream(delivery));
        let superseded = skips && newest.is_some_and(|&newest| newest > number);
        // What a restarted receiver held back for the sake of order was acknowledged all the same, and what gave way to
        // a newer one may have done so in vain.
        let forgotten = self.receiver_forgot
            && match message.fate {
                Some(Fate::Acked) => delivery.order != Order::Unordered,
                Some(fate) => matches!(fate, Fate::Unknown | Fate::Superseded { .. }),
                None => !delivery.requires_ack && delivery.order != Order::Unordered,
            };
        let arrived = message.delivered || superseded || forgotten;
        if delivery.requires_ack && message.fate.is_none() {
            Some("a fate")
        } else if !arrived && (delivery.reliable || message.fate == Some(Fate::Acked)) {
            Some("its delivery")
        } else {
            None
        }
    }
}

const fn stream(delivery: Delivery) -> Stream {
    (delivery.channel, delivery.reliable, delivery.order)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: Flow = Flow { from: 0, life: 0, to: 1 };

    fn sent(deliveries: &[Delivery]) -> Model {
        let mut model = Model::default();
        deliveries.iter().for_each(|&delivery| model.accepted(FLOW, delivery));
        model
    }

    fn key(number: u32) -> Key {
        Key { flow: FLOW, number }
    }

    #[test]
    fn each_broken_promise_is_noticed() {
        let ordered = Delivery::ordered(3);
        let mut model = sent(&[ordered; 3]);
        assert!(model.delivered(0, key(0), ordered).is_err(), "the wrong node");
        assert!(model.delivered(1, key(0), Delivery::ordered(4)).is_err(), "another delivery");
        assert!(model.delivered(1, key(3), ordered).is_err(), "never sent");
        assert!(model.delivered(1, key(0), ordered).is_ok());
        assert!(model.delivered(1, key(0), ordered).is_err(), "twice");
        assert!(model.delivered(1, key(2), ordered).is_err(), "a gap");

        let sequenced = Delivery::sequenced(0);
        let mut model = sent(&[sequenced; 3]);
        assert!(model.delivered(1, key(1), sequenced).is_ok(), "a gap is fine");
        assert!(model.delivered(1, key(0), sequenced).is_err(), "backwards");
    }

    #[test]
    fn fates_come_once_and_only_when_due() {
        let receipt = Delivery::reliable(0).with_receipt();
        let mut model = sent(&[receipt, receipt, Delivery::reliable(0), receipt]);
        assert!(model.fate(key(0), Fate::Acked, false).is_err(), "not delivered yet");
        assert!(model.delivered(1, key(1), receipt).is_ok());
        assert!(model.fate(key(1), Fate::Acked, false).is_ok());
        assert!(model.fate(key(1), Fate::Acked, false).is_err(), "a second fate");
        assert!(model.fate(key(2), Fate::Acked, false).is_err(), "nobody asked");
        assert!(model.fate(key(3), Fate::Unknown, false).is_err(), "nobody restarted");
    }

    #[test]
    fn the_run_is_over_when_nothing_reliable_and_no_receipt_is_missing() {
        let receipt = Delivery::unreliable(0).with_receipt();
        let mut model = sent(&[Delivery::unreliable(0), Delivery::reliable(0), receipt]);
        assert_eq!(model.outstanding(), Some((key(1), "its delivery")));
        assert!(model.delivered(1, key(1), Delivery::reliable(0)).is_ok());
        assert_eq!(model.outstanding(), Some((key(2), "a fate")));
        assert!(model.fate(key(2), Fate::Lost, false).is_ok());
        assert_eq!(model.outstanding(), None);
    }

    #[test]
    fn a_restarted_receiver_excuses_what_was_given_up_and_nothing_else() {
        let reliable = Delivery::reliable(0);
        let mut model = sent(&[reliable, reliable]);
        model.restarted(1);
        assert!(model.fate(key(0), Fate::Unknown, false).is_ok());
        assert!(model.delivered(1, key(0), reliable).is_err(), "delivered after all");
        assert_eq!(model.outstanding(), Some((key(1), "its delivery")));
        model.restarted(0);
        assert_eq!(model.outstanding(), None);
    }

    #[test]
    fn what_gave_way_to_a_newer_message_that_a_restarted_receiver_forgot_is_excused() {
        let newest = Delivery::reliable(0).with_order(Order::Sequenced);
        let mut model = sent(&[newest, newest.with_receipt()]);
        assert!(model.fate(key(0), Fate::Superseded { may_have_arrived: false }, false).is_ok());
        assert!(model.outstanding().is_some(), "the newer one may still come");
        model.restarted(1);
        assert!(model.fate(key(1), Fate::Unknown, false).is_ok());
        assert_eq!(model.outstanding(), None);
    }

    #[test]
    fn a_sender_that_gave_up_is_excused_and_its_messages_still_come_once_only() {
        let receipt = Delivery::reliable(0).with_receipt();
        let mut model = sent(&[receipt; 4]);
        assert!(model.fate(key(0), Fate::Lost, false).is_err(), "it gave nobody up");
        assert!(model.fate(key(1), Fate::Lost, true).is_ok());
        assert!(model.fate(key(2), Fate::Unknown, true).is_ok());
        model.forgot(0, 2);
        assert!(model.delivered(1, key(2), receipt).is_err(), "it gave up somebody else");
        model.forgot(0, 1);
        assert!(model.delivered(1, key(2), receipt).is_ok(), "it was on its way");
        assert!(model.delivered(1, key(2), receipt).is_err(), "twice");
        assert!(model.delivered(1, key(1), receipt).is_err(), "it was never begun");
        assert_eq!(model.outstanding(), None, "nobody is left to ask for it");
    }
}
