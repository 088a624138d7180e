use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use handfast_core::{Bytes, Delivery, Fate, Order};

use super::outgoing::{MAX_BYTES, MAX_MESSAGES};
use super::*;
use crate::receipt::Receipt;

const CHANNEL: Delivery = Delivery::ordered(3);
const CANCELLED: Fate = Fate::Cancelled { may_have_arrived: false };

fn message(len: usize) -> Outgoing {
    Outgoing::new(CHANNEL, vec![0; len].into())
}

/// A mailbox of a connected peer.
fn connected() -> Mailbox {
    let mailbox = Mailbox::default();
    mailbox.lock().allowed = Some(Allowed { max_message: 1 << 24, max_streams: 3 });
    mailbox
}

/// Whether pushing wakes.
fn push(mailbox: &Mailbox, mut message: Outgoing) -> bool {
    match mailbox.push(&mut message) {
        Push::Queued { ring } => ring,
        Push::Full => panic!("full"),
        Push::Refused(error) => panic!("{error}"),
        Push::Ended(reason) => panic!("{reason}"),
    }
}

fn refusal(mailbox: &Mailbox, mut message: Outgoing) -> Option<SendError> {
    match mailbox.push(&mut message) {
        Push::Refused(error) => Some(error),
        _ => None,
    }
}

/// All that the core would take, oldest first of each turn.
fn collected(mailbox: &Mailbox) -> Vec<Outgoing> {
    let mut under_way = UnderWay::default();
    mailbox.collect(&mut under_way);
    taken(&mut under_way)
}

/// What a core takes that has room.
fn taken(under_way: &mut UnderWay) -> Vec<Outgoing> {
    let mut taken = Vec::new();
    while under_way.offer(|message| {
        let Outgoing { delivery, payload, receipt, .. } = message;
        let mut copy = Outgoing::new(*delivery, payload.clone());
        copy.receipt = receipt.take();
        taken.push(copy);
        true
    }) > 0
    {}
    taken
}

#[test]
fn only_the_first_message_rings_until_the_driver_answers() {
    let mailbox = connected();
    let wakes = [(); 3].map(|()| push(&mailbox, message(5)));
    assert_eq!(wakes, [true, false, false]);
    mailbox.answer();
    assert!(push(&mailbox, message(5)));
}

#[test]
fn what_the_core_would_refuse_is_refused_at_once() {
    assert_eq!(refusal(&Mailbox::default(), message(0)), Some(SendError::Closing), "not connected");
    let mailbox = connected();
    let beyond = SendError::TooLarge(1 << 24);
    assert_eq!(refusal(&mailbox, message((1 << 24) + 1)), Some(beyond));
    let on = |channel| Outgoing::new(Delivery::reliable(channel), Bytes::new());
    for channel in [0, 1, 2, 1, 0] {
        push(&mailbox, on(channel));
    }
    assert_eq!(refusal(&mailbox, on(3)), Some(SendError::TooManyStreams));
    assert_eq!(refusal(&mailbox, message(0)), Some(SendError::TooManyStreams), "another order");
    assert!(!mailbox.close(false), "messages wait");
    assert_eq!(collected(&mailbox).len(), 5);
    assert!(mailbox.close(false));
    assert_eq!(refusal(&mailbox, on(0)), Some(SendError::Closing));
}

#[test]
fn a_full_stream_gives_the_message_back_and_tells_when_there_is_room() {
    for len in [0, 100, MAX_BYTES, 10 * MAX_BYTES] {
        let mailbox = connected();
        let mut queued = 0;
        let returned = loop {
            let mut message = message(len);
            match mailbox.push(&mut message) {
                Push::Queued { .. } => queued += 1,
                Push::Full => break message,
                Push::Refused(error) => panic!("{error}"),
                Push::Ended(reason) => panic!("{reason}"),
            }
        };
        assert_eq!(returned.payload.len(), len);
        assert!((1..=MAX_MESSAGES).contains(&queued));
        assert!((queued - 1) * len < MAX_BYTES, "only the last may exceed the bound");
        push(&mailbox, Outgoing::new(Delivery::reliable(3), Bytes::new()));

        let other = Delivery::reliable(3);
        let (writable, of_other) = (mailbox.writable(&CHANNEL), mailbox.writable(&other));
        let (writable, of_other) = (writable.notified(), of_other.notified());
        assert_eq!(collected(&mailbox).len(), queued + 1);
        completes(writable);
        completes(of_other);
        push(&mailbox, message(len));
    }
}

#[test]
fn a_stream_that_is_stuck_in_the_core_holds_back_itself_alone() {
    let mailbox = connected();
    let mut under_way = UnderWay::default();
    let on = |channel: u16| Outgoing::new(Delivery::ordered(channel), vec![0].into());
    for _ in 0..20 {
        push(&mailbox, on(0));
        push(&mailbox, on(1));
    }
    mailbox.collect(&mut under_way);
    let (mut passed, mut blocked) = (0, 0);
    while under_way.offer(|message| {
        let is_stuck = message.delivery.channel == 0;
        blocked += usize::from(is_stuck);
        passed += usize::from(!is_stuck);
        !is_stuck
    }) > 0
    {}
    assert_eq!((passed, blocked), (20, 1));
    assert!(under_way.is_stuck() && !under_way.is_empty());
    // What comes later waits behind the stuck one, or goes past it.
    let rooms = [0, 1].map(|channel| mailbox.writable(&Delivery::ordered(channel)));
    let [mut of_stuck, of_other] = [&rooms[0], &rooms[1]].map(|room| Box::pin(room.notified()));
    push(&mailbox, on(0));
    push(&mailbox, on(1));
    mailbox.collect(&mut under_way);
    completes(of_other);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(of_stuck.as_mut().poll(&mut cx).is_pending(), "there is no room for it");
    let past: Vec<_> = taken(&mut under_way).iter().map(|it| it.delivery.channel).collect();
    assert_eq!(past, [1]);
    assert!(under_way.is_stuck());
    under_way.unblock(1);
    assert!(under_way.is_stuck(), "another channel has room");
    under_way.unblock(0);
    assert_eq!(taken(&mut under_way).len(), 20);
    mailbox.collect(&mut under_way);
    assert_eq!(taken(&mut under_way).len(), 1);
}

#[test]
fn streams_take_turns() {
    let mailbox = connected();
    for number in 0..100 {
        push(&mailbox, Outgoing::new(Delivery::ordered(number % 2), Bytes::new()));
    }
    let order: Vec<_> = collected(&mailbox).iter().map(|it| it.delivery.channel).collect();
    let longest = order.chunk_by(|a, b| a == b).map(<[u16]>::len).max();
    assert_eq!((order.len(), longest), (100, Some(16)));
}

#[test]
fn whatever_the_core_has_no_room_for_each_message_arrives_once_and_in_the_order_of_its_stream() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for _ in 0..50 {
        let (mailbox, mut under_way) = (connected(), UnderWay::default());
        let (mut pushed, mut arrived) = ([0; 3], [0; 3]);
        let mut is_quiet = false;
        while !is_quiet || arrived != pushed {
            for _ in 0..draw(60) {
                let channel = draw(3) as usize;
                if !is_quiet && pushed[channel] - arrived[channel] < MAX_MESSAGES as u16 {
                    let payload = u16::to_le_bytes(pushed[channel]).to_vec().into();
                    push(&mailbox, Outgoing::new(Delivery::ordered(channel as u16), payload));
                    pushed[channel] += 1;
                }
            }
            is_quiet |= pushed.iter().sum::<u16>() > 1000;
            mailbox.collect(&mut under_way);
            while under_way.offer(|message| {
                if draw(20) == 0 {
                    return false;
                }
                let at = &mut arrived[usize::from(message.delivery.channel)];
                assert_eq!(message.payload.as_ref(), at.to_le_bytes());
                *at += 1;
                true
            }) > 0
            {}
            assert!(under_way.is_stuck());
            under_way.unblock(draw(3) as u16);
        }
        assert!(under_way.is_empty());
    }
}

#[test]
fn sequenced_and_unreliable_messages_never_wait() {
    let mailbox = Arc::new(connected());
    let newest = Delivery::sequenced(0).with_receipt();
    let receipts: Vec<_> = (0..1000_u16)
        .map(|number| {
            let (sender, receipt) = Receipt::with_stub(&mailbox);
            let mut message = Outgoing::new(newest, number.to_le_bytes().to_vec().into());
            message.receipt = Some(sender);
            push(&mailbox, message);
            receipt
        })
        .collect();
    let left = collected(&mailbox);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].payload.as_ref(), 999_u16.to_le_bytes());
    let replaced = receipts.into_iter().take(999).map(completes);
    assert!(replaced.into_iter().all(|fate| fate == Fate::Superseded { may_have_arrived: false }));

    let unreliable = || Outgoing::new(Delivery::unreliable(0), Bytes::new());
    let queued = (0..MAX_MESSAGES).filter(|_| !push(&mailbox, unreliable())).count();
    assert_eq!(queued, MAX_MESSAGES);
    assert_eq!(refusal(&mailbox, unreliable()), Some(SendError::NoRoom));
    let reliable = Delivery::reliable(0).with_order(Order::Sequenced);
    for _ in 0..MAX_MESSAGES * 2 {
        push(&mailbox, Outgoing::new(reliable, "x".into()));
    }
}

#[test]
fn a_sequenced_message_that_waits_for_the_core_gives_way_to_a_newer_one() {
    let mailbox = Arc::new(connected());
    let newest = Delivery::reliable(0).with_order(Order::Sequenced).with_receipt();
    let send = |byte: u8| {
        let (sender, receipt) = Receipt::with_stub(&mailbox);
        let mut message = Outgoing::new(newest, vec![byte].into());
        message.receipt = Some(sender);
        push(&mailbox, message);
        receipt
    };
    let mut under_way = UnderWay::default();
    let first = send(1);
    mailbox.collect(&mut under_way);
    assert_eq!(under_way.offer(|_| false), 1, "the core has no room");
    let last = send(2);
    mailbox.collect(&mut under_way);
    assert_eq!(completes(first), Fate::Superseded { may_have_arrived: false });
    assert!(under_way.is_stuck(), "the core has no more room than before");
    under_way.unblock(0);
    let left = taken(&mut under_way);
    assert!(left.len() == 1 && left[0].is_named(&last.key));
    assert!(under_way.is_empty() && under_way.is_stuck());
}

#[test]
fn what_the_core_withheld_is_asked_for_once_there_is_room() {
    let mailbox = connected();
    let readable = mailbox.readable();
    mailbox.deposit(None, &mut incoming(3, MAX_MESSAGES), true);
    completes(readable);
    assert_eq!(mailbox.room(None), (0, 0));
    assert!(!mailbox.wants_more());
    let wakes = (0..MAX_MESSAGES).filter(|_| pop(&mailbox, None)).count();
    assert_eq!(wakes, 1);
    assert!(mailbox.wants_more());
}

#[test]
fn room_made_before_the_driver_said_it_withholds_is_not_overlooked() {
    let mailbox = connected();
    mailbox.deposit(None, &mut VecDeque::new(), true);
    assert!(mailbox.wants_more(), "nobody will ring for this room");
}

#[test]
fn a_channel_that_is_received_apart_has_a_queue_of_its_own_in_the_same_order() {
    let mailbox = connected();
    let mut all = incoming(0, 100);
    all.extend(incoming(1, 100));
    all.extend(incoming(0, 55));
    mailbox.deposit(None, &mut all, true);
    assert_eq!(mailbox.room(None).0, 1);
    assert!(pop(&mailbox, Some(1)), "there may be more of it in the core");
    assert_eq!((mailbox.room(None).0, mailbox.room(Some(1)).0), (101, MAX_MESSAGES - 99));
    assert_eq!(mailbox.apart(), BTreeSet::from([1]));
    // The driver learned of it too late.
    mailbox.deposit(None, &mut incoming(1, 1), false);
    let channels = |wanted: Option<u16>| {
        let taken = std::iter::from_fn(|| mailbox.pop(wanted, &mut Aside::default()));
        taken.map(|message| message.delivery.channel).collect::<Vec<_>>()
    };
    assert_eq!(mailbox.unread(), 255);
    assert_eq!(channels(None), [0; 155]);
    assert_eq!(channels(Some(1)), [1; 100]);
    mailbox.end(EndReason::IdleTimeout);
    for wanted in [None, Some(1), Some(7)] {
        assert!(is_over(&mailbox, wanted));
    }
}

#[test]
fn a_peer_that_ended_leaves_its_messages_and_takes_none() {
    let mailbox = connected();
    let (sender, receipt) = Receipt::with_stub(&Arc::default());
    let mut unsent = message(5);
    unsent.receipt = Some(sender);
    push(&mailbox, unsent);
    mailbox.deposit(None, &mut incoming(3, 1), false);
    let (readable, room) = (mailbox.readable(), mailbox.writable(&CHANNEL));
    let writable = room.notified();

    mailbox.end(EndReason::IdleTimeout);
    completes(readable);
    completes(writable);
    assert_eq!(completes(receipt), Fate::Lost);
    assert!(matches!(mailbox.push(&mut message(5)), Push::Ended(EndReason::IdleTimeout)));
    assert!(!pop(&mailbox, None));
    assert!(is_over(&mailbox, None));
}

#[test]
fn a_message_that_is_withdrawn_makes_room_and_the_others_keep_their_order() {
    let mailbox = Arc::new(connected());
    let receipts = [(); 3].map(|()| {
        let (sender, receipt) = Receipt::with_stub(&mailbox);
        let mut message = message(MAX_BYTES / 3 + 1);
        message.receipt = Some(sender);
        push(&mailbox, message);
        receipt
    });
    assert!(matches!(mailbox.push(&mut message(1)), Push::Full));
    let room = mailbox.writable(&CHANNEL);
    let writable = room.notified();
    mailbox.withdraw(&receipts[1].key).expect("it waits").finish(CANCELLED);
    completes(writable);
    push(&mailbox, message(1));
    assert!(mailbox.withdraw(&receipts[1].key).is_none());

    let queue = collected(&mailbox);
    let [first, cancelled, last] = receipts;
    assert!(queue[0].is_named(&first.key) && queue[1].is_named(&last.key));
    assert_eq!((queue.len(), completes(cancelled)), (3, CANCELLED));
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
fn pop(mailbox: &Mailbox, channel: Option<u16>) -> bool {
    let mut aside = Aside::default();
    assert!(mailbox.pop(channel, &mut aside).is_some() && !aside.is_over);
    aside.ring
}

/// Whether there is no message, nor will one come.
fn is_over(mailbox: &Mailbox, channel: Option<u16>) -> bool {
    let mut aside = Aside::default();
    mailbox.pop(channel, &mut aside).is_none() && aside == Aside { ring: false, is_over: true }
}

fn completes<T>(future: impl Future<Output = T>) -> T {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut cx) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("not complete"),
    }
}

fn incoming(channel: u16, count: usize) -> VecDeque<Message> {
    let delivery = Delivery::ordered(channel);
    (0..).map(|number| Message::new(delivery, number, Bytes::new())).take(count).collect()
}

#[test]
fn who_leaves_takes_no_more_and_knows_whether_it_held_something_back() {
    let unreliable = Outgoing::new(Delivery::unreliable(0), Bytes::from_static(b"u"));
    for (messages, cut) in [(vec![], false), (vec![unreliable], false), (vec![message(1)], true)] {
        let mailbox = connected();
        for mut message in messages {
            assert!(matches!(mailbox.push(&mut message), Push::Queued { .. }));
        }
        assert!(mailbox.close(true));
        assert_eq!(mailbox.has_reliable(), cut);
        assert_eq!(refusal(&mailbox, message(2)), Some(SendError::Closing));
    }
}

/// They are moved all at once if none is received apart, else one by one.
#[test]
fn messages_keep_their_order_and_are_counted_whether_any_channel_is_received_apart_or_not() {
    for apart in [None, Some(7), Some(3)] {
        let (mailbox, mut number) = (connected(), 0);
        if apart.is_some() {
            mailbox.pop(apart, &mut Aside::default());
        }
        let from = apart.filter(|apart| *apart == 3);
        let mut taken = 0;
        for count in [1, 0, 100, 5, 60] {
            let next = |_| {
                number += 1;
                Message::new(Delivery::ordered(3), number, vec![0; 3].into())
            };
            mailbox.deposit(None, &mut (0..count).map(next).collect(), true);
            assert_eq!(mailbox.incoming_bytes() as u64, 3 * (number - taken));
            assert_eq!(mailbox.room(from).0 as u64, MAX_MESSAGES as u64 - (number - taken));
            // Some stay, in any place of the queue.
            for _ in 0..count / 2 {
                taken += 1;
                let message = mailbox.pop(from, &mut Aside::default()).expect("one");
                assert_eq!(message.sequence_number, taken);
            }
        }
        assert_eq!(mailbox.unread() as u64, number - taken);
    }
}

/// Thousands of peers may say nothing after they said much.
#[test]
fn a_mailbox_that_was_emptied_keeps_little_room() {
    for channel in [None, Some(3)] {
        let mailbox = connected();
        // From now on it is received apart.
        mailbox.pop(channel, &mut Aside::default());
        mailbox.deposit(channel, &mut incoming(3, MAX_MESSAGES), false);
        let room = || mailbox.lock().queues.in_use().map(|both| both.incoming.capacity());
        assert!(room() >= Some(MAX_MESSAGES));
        for _ in 0..MAX_MESSAGES {
            pop(&mailbox, channel);
        }
        assert_eq!(room(), Some(0));
        // One at a time takes no memory anew.
        mailbox.deposit(channel, &mut incoming(3, 1), false);
        let before = room();
        pop(&mailbox, channel);
        assert_eq!(room(), before);
        assert!(before.is_some_and(|room| (1..=8).contains(&room)));
        // Once it is quiet for a while, all of it goes.
        assert_eq!([mailbox.rest(), mailbox.rest(), mailbox.rest()], [false, true, true]);
        assert_eq!(room(), None);
    }
}
