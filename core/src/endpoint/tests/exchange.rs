//! What is sent and received many at a time is what would be one by one.

use std::collections::BTreeSet;
use std::format;

use super::*;
use crate::{Message, MessageId, SendError};

/// Who does many at a time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtOnce {
    Nobody,
    /// In one exchange.
    Sender,
    Receiver,
    /// One by one, with nothing else in between.
    SenderInRow,
    ReceiverInRow,
}

/// All that could be told apart.
#[derive(Default, PartialEq, Eq)]
struct Log {
    sent: Vec<Result<MessageId, SendError>>,
    received: Vec<Message>,
    datagrams: Vec<(u64, bool, Vec<u8>)>,
    events: Vec<String>,
}

#[test]
fn many_messages_are_sent_at_once_as_they_would_be_one_by_one_to_the_last_byte() {
    let mut config = Config::default();
    config.flow.max_message = 2000;
    (config.flow.send_buffer, config.flow.unreliable_buffer) = (20_000, 20_000);
    let who = [AtOnce::Nobody, AtOnce::Sender, AtOnce::SenderInRow];
    let [apart, at_once, in_row] = who.map(|who| converse(&config, who));
    assert!(apart.sent.contains(&Err(SendError::Blocked)), "there was always room");
    assert!(apart == at_once && apart == in_row);
}

#[test]
fn many_messages_are_received_at_once_as_they_would_be_one_by_one() {
    let config = Config::default();
    let apart = converse(&config, AtOnce::Nobody);
    assert_eq!(apart.received.len(), apart.sent.len());
    for who in [AtOnce::Receiver, AtOnce::ReceiverInRow] {
        let at_once = converse(&config, who);
        assert!(apart.received == at_once.received);
        assert!(apart.sent == at_once.sent && apart.events == at_once.events);
    }
}

fn converse(config: &Config, who: AtOnce) -> Log {
    let mut pair = Pair::connected(config);
    let (peer, initiator, mut log) = (pair.peer(), pair.initiator(), Log::default());
    for round in 0..40 {
        let now = pair.now;
        let messages = (0..round % 19).map(|number| (delivery(number), message(length(number))));
        if who == AtOnce::Sender {
            let mut exchange = pair.a.endpoint.exchange(now, peer);
            log.sent.extend(messages.map(|(delivery, bytes)| exchange.send(delivery, bytes)));
        } else {
            let endpoint = &mut pair.a.endpoint;
            log.sent.extend(messages.map(|(delivery, bytes)| {
                let sent = endpoint.send(now, peer, delivery, bytes);
                if who != AtOnce::SenderInRow {
                    settle(endpoint);
                }
                sent
            }));
        }
        receive(&mut pair, initiator, who, &mut log.received);
        let datagrams = &mut log.datagrams;
        pair.run_with(1000 + 7 * (round as u64 + 1), |ms, from_a, bytes| {
            datagrams.push((ms, from_a, bytes.to_vec()));
            true
        });
    }
    for second in 2..5 {
        pair.run(second * 1000);
        receive(&mut pair, initiator, who, &mut log.received);
    }
    log.events.extend(pair.a.events.iter().map(|event| format!("{event:?}")));
    assert!(pair.a.endpoint.exchange(pair.now, peer).receive_from(3).is_none());
    log
}

/// One channel apart, then all others.
fn receive(pair: &mut Pair, initiator: PeerHandle, who: AtOnce, received: &mut Vec<Message>) {
    let (now, apart) = (pair.now, BTreeSet::from([3]));
    let endpoint = &mut pair.b.endpoint;
    if who == AtOnce::Receiver {
        let mut exchange = endpoint.exchange(now, initiator);
        received.extend(std::iter::from_fn(|| exchange.receive_from(3)));
        received.extend(std::iter::from_fn(|| exchange.receive_except(&apart)));
    } else {
        let see_to = |endpoint: &mut Endpoint| {
            if who != AtOnce::ReceiverInRow {
                settle(endpoint);
            }
        };
        while let Some(message) = endpoint.receive_from(now, initiator, 3) {
            received.push(message);
            see_to(endpoint);
        }
        while let Some(message) = endpoint.receive_except(now, initiator, &apart) {
            received.push(message);
            see_to(endpoint);
        }
    }
}

/// What waits until the next call is about something else is seen to now. The next deadline was known before.
fn settle(endpoint: &mut Endpoint) {
    let due = endpoint.poll_timeout();
    endpoint.settle();
    assert_eq!(endpoint.poll_timeout(), due);
}

#[test]
fn a_deadline_of_the_last_message_counts_at_once() {
    let mut pair = Pair::connected(&Config::default());
    let (now, peer) = (pair.now, pair.peer());
    let delivery = Delivery::ordered(0).with_deadline(Duration::from_millis(1));
    pair.a.endpoint.send(now, peer, delivery, message(10)).expect("room");
    assert_eq!(pair.a.endpoint.unsettled, Some(peer.slot), "nothing was looked at since");
    let deadline = now + Duration::from_millis(1);
    assert_eq!(pair.a.endpoint.poll_timeout(), Some(deadline));
    pair.a.endpoint.settle();
    assert_eq!(pair.a.endpoint.poll_timeout(), Some(deadline));
}

/// An acknowledgement puts a deadline off, and the endpoint is asked for packets only when that would have passed long ago.
#[test]
fn a_deadline_that_a_packet_put_off_is_not_missed() {
    let mut pair = Pair::connected(&Config::default());
    pair.run(1000);
    let (now, peer) = (pair.now, pair.peer());
    pair.a.endpoint.send(now, peer, Delivery::ordered(0), message(10)).expect("room");
    pair.exchange(&mut |_, _, _| true);
    let due = pair.a.endpoint.poll_timeout().expect("an acknowledgement is awaited");
    for _ in 0..2 {
        pair.now += Duration::from_millis(LATENCY);
        pair.deliver();
        if pair.now < now + Duration::from_millis(2 * LATENCY) {
            pair.exchange(&mut |_, _, _| true);
        }
    }
    assert!(pair.now < due);
    assert_eq!(pair.a.endpoint.unsettled, Some(peer.slot), "nothing was looked at since");
    let later = due + Duration::from_secs(1);
    assert!(pair.a.sent(later).is_empty(), "nothing is lost");
    assert!(pair.a.endpoint.poll_timeout().expect("a heartbeat") > later);
    assert_eq!(pair.a.endpoint.shared.absence.until, None, "nobody was away");
}

fn delivery(number: usize) -> Delivery {
    let channel = number as u16 % 5;
    if number.is_multiple_of(3) {
        Delivery::unreliable(channel)
    } else {
        Delivery::ordered(channel)
    }
}

const fn length(number: usize) -> usize {
    number * 331 % 1900
}

#[test]
fn an_exchange_with_nobody_takes_and_gives_nothing() {
    let mut pair = Pair::connected(&Config::default());
    let peer = pair.peer();
    pair.a.endpoint.disconnect(pair.now, peer, DisconnectOptions::now()).expect("a peer");
    pair.run(120_000);
    let mut exchange = pair.a.endpoint.exchange(pair.now, peer);
    let sent = exchange.send(Delivery::ordered(0), message(1));
    assert_eq!(sent, Err(SendError::UnknownPeer));
    assert!(exchange.receive().is_none());
    assert!(exchange.receive_from(0).is_none());
    assert!(exchange.receive_except(&BTreeSet::new()).is_none());
}
