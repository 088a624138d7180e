use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::receipt::Receipt;

const CHANNEL: Delivery = Delivery::ordered(3);

fn message(len: usize) -> Outgoing {
    Outgoing::new(CHANNEL, vec![0; len].into())
}

/// A mailbox whose stream and sizes are known to be fine.
fn proven() -> Mailbox {
    let mailbox = Mailbox::default();
    mailbox.note_accepted(&CHANNEL, usize::MAX);
    mailbox
}

fn push(mailbox: &Mailbox, len: usize) -> (bool, bool) {
    match mailbox.push(message(len)) {
        Push::Queued { ring, verdict } => (ring, verdict.is_some()),
        Push::Full(_) | Push::Closing => panic!("no room"),
        Push::Ended(reason) => panic!("{reason}"),
    }
}

#[test]
fn only_the_first_message_rings_until_the_driver_answers() {
    let mailbox = proven();
    let wakes = [(); 3].map(|()| push(&mailbox, 5).0);
    assert_eq!(wakes, [true, false, false]);
    mailbox.answer();
    assert!(push(&mailbox, 5).0);
}

#[test]
fn a_verdict_is_awaited_only_for_a_new_stream_or_a_new_size() {
    let mailbox = Mailbox::default();
    let doubts = |len| push(&mailbox, len).1;
    assert!(doubts(0), "a new stream");
    mailbox.note_accepted(&CHANNEL, 10);
    assert!(!doubts(10));
    assert!(doubts(11), "the largest so far");
    mailbox.forget_accepted();
    assert!(doubts(10), "a restarted peer may have other limits");
}

#[test]
fn a_full_mailbox_gives_the_message_back_and_tells_when_there_is_room() {
    for len in [0, 100, MAX_BYTES, 10 * MAX_BYTES] {
        let mailbox = proven();
        let mut queued = 0;
        let returned = loop {
            match mailbox.push(message(len)) {
                Push::Queued { .. } => queued += 1,
                Push::Full(message) => break message,
                Push::Closing => panic!("nobody leaves"),
                Push::Ended(reason) => panic!("{reason}"),
            }
        };
        assert_eq!(returned.payload.len(), len);
        assert!((1..=MAX_MESSAGES).contains(&queued));
        assert!((queued - 1) * len < MAX_BYTES, "only the last may exceed the bound");

        let writable = mailbox.writable();
        let mut queue = VecDeque::new();
        mailbox.collect(&mut queue);
        assert_eq!(queue.len(), queued);
        completes(writable);
        push(&mailbox, len);
    }
}

#[test]
fn what_the_core_withheld_is_asked_for_once_there_is_room() {
    let mailbox = Mailbox::default();
    let readable = mailbox.readable();
    mailbox.deposit(&mut incoming(MAX_MESSAGES), true);
    completes(readable);
    assert_eq!(mailbox.room(), (0, 0));
    assert!(!mailbox.wants_more());
    let wakes = (0..MAX_MESSAGES).filter(|_| pop(&mailbox)).count();
    assert_eq!(wakes, 1);
    assert!(mailbox.wants_more());
}

#[test]
fn room_made_before_the_driver_said_it_withholds_is_not_overlooked() {
    let mailbox = Mailbox::default();
    mailbox.deposit(&mut VecDeque::new(), true);
    assert!(mailbox.wants_more(), "nobody will ring for this room");
}

#[test]
fn a_peer_that_ended_leaves_its_messages_and_takes_none() {
    let mailbox = proven();
    let (sender, receipt) = Receipt::with_stub(&Arc::default());
    let mut unsent = message(5);
    unsent.receipt = Some(sender);
    assert!(matches!(mailbox.push(unsent), Push::Queued { .. }));
    mailbox.deposit(&mut incoming(1), false);
    let (readable, writable) = (mailbox.readable(), mailbox.writable());

    mailbox.end(EndReason::IdleTimeout);
    completes(readable);
    completes(writable);
    assert_eq!(completes(receipt), Fate::Lost);
    assert!(matches!(mailbox.push(message(5)), Push::Ended(EndReason::IdleTimeout)));
    assert!(matches!(mailbox.pop(), Pop::Message { .. }));
    assert!(matches!(mailbox.pop(), Pop::Ended));
}

#[test]
fn a_message_that_is_withdrawn_makes_room_and_the_others_keep_their_order() {
    let mailbox = Arc::new(proven());
    let receipts = [(); 3].map(|()| {
        let (sender, receipt) = Receipt::with_stub(&mailbox);
        let mut message = message(MAX_BYTES / 3 + 1);
        message.receipt = Some(sender);
        assert!(matches!(mailbox.push(message), Push::Queued { .. }));
        receipt
    });
    assert!(matches!(mailbox.push(message(1)), Push::Full(_)));
    let writable = mailbox.writable();
    mailbox.withdraw(&receipts[1].key).expect("it waits").finish(Fate::Cancelled);
    completes(writable);
    push(&mailbox, 1);
    assert!(mailbox.withdraw(&receipts[1].key).is_none());

    let mut queue = VecDeque::new();
    mailbox.collect(&mut queue);
    let [first, cancelled, last] = receipts;
    assert!(queue[0].is_named(&first.key) && queue[1].is_named(&last.key));
    assert_eq!((queue.len(), completes(cancelled)), (3, Fate::Cancelled));
}

#[test]
fn a_peer_is_wanted_while_a_handle_to_it_is_on_its_way_and_ever_after_it_arrived() {
    let mailbox = Mailbox::default();
    assert!(!mailbox.is_wanted());
    mailbox.offer();
    mailbox.offer();
    mailbox.settle_offer(false);
    assert!(mailbox.is_wanted());
    mailbox.settle_offer(false);
    assert!(!mailbox.is_wanted());
    mailbox.offer();
    mailbox.settle_offer(true);
    assert!(mailbox.is_wanted());
}

/// Whether taking a message wakes.
fn pop(mailbox: &Mailbox) -> bool {
    match mailbox.pop() {
        Pop::Message { ring, .. } => ring,
        Pop::Empty | Pop::Ended => panic!("no message"),
    }
}

fn completes<T>(future: impl Future<Output = T>) -> T {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("not complete"),
    }
}

fn incoming(count: usize) -> VecDeque<Message> {
    (0..).map(|number| Message::new(CHANNEL, number, Bytes::new())).take(count).collect()
}

#[test]
fn who_leaves_takes_no_more_and_knows_whether_it_held_something_back() {
    let unreliable = Outgoing::new(Delivery::unreliable(0), Bytes::from_static(b"u"));
    for (messages, cut) in [(vec![], false), (vec![unreliable], false), (vec![message(1)], true)] {
        let mailbox = Mailbox::default();
        for message in messages {
            assert!(matches!(mailbox.push(message), Push::Queued { .. }));
        }
        assert_eq!(mailbox.stop_sending(), cut);
        assert!(matches!(mailbox.push(message(2)), Push::Closing));
    }
}
