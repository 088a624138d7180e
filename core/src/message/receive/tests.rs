use alloc::vec::Vec;

use super::unreliable::MAX_PARTIAL;
use super::*;
use crate::time::Instant;
use crate::wire::Fragment;

const NOW: Instant = Instant::from_micros(0);
const ROOM: Room = Room { free: 1 << 40, floor: 1000, first: 1 << 40 };
const REVIEW: Review = Review { now: NOW, round_trip: core::time::Duration::ZERO, room: ROOM };
const LIMITS: ReceiveLimits = ReceiveLimits {
    max_message: 1000,
    max_streams: 4,
    stream_window: 64,
    window: 10_000,
    unreliable: 100_000,
};

/// The first or second half of a message of 600 bytes.
fn half(stream: StreamKey, sequence_number: u64, second: bool) -> DataFrame<'static> {
    let fragment = Some(Fragment { total: 600, offset: if second { 300 } else { 0 } });
    let payload = &[1; 300];
    DataFrame { stream, requires_ack: false, sequence_number, fragment, payload }
}

#[test]
fn credit_flows_again_when_a_restarted_peer_filled_its_window_before_it_was_read() {
    let stream = StreamKey::new(0, true, Order::Ordered);
    let whole = |sequence_number| DataFrame {
        stream,
        requires_ack: false,
        sequence_number,
        fragment: None,
        payload: &[0; 936],
    };
    let mut inbox = ReceiveQueue::new(LIMITS);
    for number in 0..100 {
        inbox.on_data(&whole(number)).expect("within the credit");
        inbox.take().expect("a message");
        inbox.review_credit(REVIEW, false);
        if inbox.is_credit_due() {
            inbox.advertise();
        }
    }
    let granted = inbox.fresh_grant(ROOM);
    inbox.restart(granted);
    for number in 0..10 {
        inbox.on_data(&whole(number)).expect("within the credit");
    }
    inbox.on_blocked(granted, 0);
    inbox.review_credit(REVIEW, false);
    assert!(!inbox.is_credit_due(), "there is nothing to give");
    while inbox.take().is_some() {}
    inbox.review_credit(REVIEW, false);
    assert!(inbox.is_credit_due());
    assert_eq!(inbox.advertise(), 2 * granted);
}

/// While a lost message is sent again, others come that wait for it: the application is not to blame.
#[test]
fn the_window_grows_while_much_of_it_waits_for_one_message() {
    let stream = StreamKey::new(0, true, Order::Ordered);
    let whole = |sequence_number| DataFrame {
        stream,
        requires_ack: false,
        sequence_number,
        fragment: None,
        payload: &[0; 936],
    };
    let limits = ReceiveLimits { window: 1 << 20, stream_window: 4096, ..LIMITS };
    let first = ReceiveQueue::new(limits).advertise();
    let told = |numbers: core::ops::Range<u64>| {
        let mut inbox = ReceiveQueue::new(limits);
        for number in numbers {
            inbox.on_data(&whole(number)).expect("within the credit");
            if inbox.is_unreviewed() {
                inbox.review_credit(REVIEW, false);
            }
        }
        if inbox.is_credit_due() { inbox.advertise() } else { 0 }
    };
    let part = first / 8 / 1000;
    assert_eq!(told(1..part), 0, "little waits");
    assert_eq!(told(1..part + 2), 2 * first);
    assert_eq!(told(0..part + 2), 0, "the application could take them");
}

/// Where much is lost, no message may be whole for long.
#[test]
fn the_window_grows_with_what_comes_of_messages_that_are_not_whole() {
    let key = StreamKey::new(0, true, Order::Ordered);
    let piece = |sequence_number, offset| DataFrame {
        stream: key,
        requires_ack: false,
        sequence_number,
        fragment: Some(Fragment { total: 60_000, offset }),
        payload: &[0; 1000],
    };
    let limits =
        ReceiveLimits { max_message: 60_000, window: 1 << 20, stream_window: 4096, ..LIMITS };
    // All but the first piece of each of so many messages, at times that are so far apart.
    let told = |messages: u64, apart: u64| {
        let mut inbox = ReceiveQueue::new(limits);
        let first = inbox.advertise();
        let mut now = NOW;
        for (number, offset) in (0..messages).flat_map(|n| (1..60).map(move |at| (n, at * 1000))) {
            now += core::time::Duration::from_millis(apart);
            inbox.on_data(&piece(number, offset)).expect("within the credit");
            if inbox.is_unreviewed() {
                inbox.review_credit(Review { now, ..REVIEW }, false);
            }
        }
        inbox.advertise() / first
    };
    assert_eq!(told(1, 0), 2, "an eighth of the window came");
    assert_eq!(told(2, 0), 4);
    assert_eq!(told(4, 0), 4, "no more than it may be");
    assert_eq!(told(4, 10), 2, "a slow sender needs no more");
}

/// It was sent whole, and again in pieces that overtook it.
#[test]
fn a_message_that_comes_whole_after_pieces_of_it_counts_once() {
    for reliable in [true, false] {
        for order in [Order::Unordered, Order::Sequenced, Order::Ordered] {
            let stream = StreamKey::new(0, reliable, order);
            let whole = DataFrame { fragment: None, payload: &[2; 600], ..half(stream, 0, false) };
            let mut inbox = ReceiveQueue::new(LIMITS);
            let taken = inbox.on_data(&half(stream, 0, true)).map(|taken| taken.then_some(()));
            assert!(taken.is_ok());
            let shorter = DataFrame { payload: &[2; 599], ..whole };
            let mut other = ReceiveQueue::new(LIMITS);
            assert!(other.on_data(&half(stream, 0, true)).is_ok());
            assert_eq!(other.on_data(&shorter), Err(Violation::FragmentsDisagree));
            assert!(inbox.on_data(&whole).is_ok());
            let message = inbox.take().expect("it is whole");
            assert_eq!(message.payload.len(), 600);
            assert!(message.payload[..300].iter().all(|byte| *byte == 2));
            assert!(message.payload[300..].iter().all(|byte| *byte == 1), "what came first stays");
            assert_eq!(inbox.unreliable_bytes, 0, "{order:?}");
            if reliable {
                assert!(inbox.on_data(&half(stream, 0, false)).is_ok() && inbox.take().is_none());
            }
        }
    }
}

/// Whoever shakes hands is told what is left of the window: that is not to be counted anew.
#[test]
fn what_waits_is_known_without_counting() {
    let mut inbox = ReceiveQueue::new(LIMITS);
    let mut counted = 0;
    for number in 0..30 {
        let stream = StreamKey::new(0, number % 3 > 0, Order::Unordered);
        let payload = &[0; 40][..number as usize];
        let fragment = None;
        let frame =
            DataFrame { stream, requires_ack: false, sequence_number: number, fragment, payload };
        inbox.on_data(&frame).expect("within the credit");
        let charge = |delivery: crate::Delivery, len| if delivery.reliable { cost(len) } else { 0 };
        counted += charge(stream.delivery(false), payload.len());
        if number % 5 == 0 {
            let taken = inbox.take().expect("a message");
            counted -= charge(taken.delivery, taken.payload.len());
        }
        if number == 20 {
            inbox.restart(10_000);
        }
        assert_eq!(inbox.fresh_grant(ROOM), LIMITS.window - counted);
    }
    assert!(counted > 0);
    inbox.clear();
    assert_eq!(inbox.fresh_grant(ROOM), LIMITS.window);
}

#[test]
fn a_peer_that_is_stuck_hears_of_the_least_credit() {
    let stream = StreamKey::new(0, true, Order::Unordered);
    let mut inbox = ReceiveQueue::new(LIMITS);
    inbox.on_blocked(10_000, 0);
    let payload = &[0; 10];
    let fragment = None;
    let frame = DataFrame { stream, requires_ack: false, sequence_number: 0, fragment, payload };
    inbox.on_data(&frame).expect("within the credit");
    inbox.take().expect("a message");
    inbox.review_credit(REVIEW, false);
    assert!(inbox.is_credit_due());
    assert_eq!(inbox.advertise(), 10_000 + cost(10));
    assert!(!inbox.is_credit_due());
}

/// The limit that is told again may be the one at which the peer is stuck: it says nothing to that.
#[test]
fn a_peer_that_is_stuck_is_not_forgotten_when_an_old_limit_is_told_again() {
    let stream = StreamKey::new(0, true, Order::Unordered);
    let mut inbox = ReceiveQueue::new(LIMITS);
    inbox.on_blocked(10_000, 0);
    inbox.repeat_credit();
    assert_eq!(inbox.advertise(), 10_000);
    let (payload, fragment) = (&[0; 10], None);
    let frame = DataFrame { stream, requires_ack: false, sequence_number: 0, fragment, payload };
    inbox.on_data(&frame).expect("within the credit");
    inbox.take().expect("a message");
    inbox.review_credit(REVIEW, false);
    assert!(inbox.is_credit_due());
}

#[test]
fn making_room_on_an_unreliable_ordered_stream_neither_stalls_it_nor_turns_it_back() {
    let stream = StreamKey::new(0, false, Order::Ordered);
    let mut inbox = ReceiveQueue::new(LIMITS);
    let begun = MAX_PARTIAL as u64 + 6;
    for number in 0..begun {
        inbox.on_data(&half(stream, number, false)).expect("legal");
    }
    assert_eq!(inbox.overflowed, 6);
    // All are finished, newest first; the six that gave way are not waited for.
    for number in (0..begun).rev() {
        inbox.on_data(&half(stream, number, true)).expect("legal");
    }
    let taken = core::iter::from_fn(|| inbox.take().map(|message| message.sequence_number));
    assert_eq!(taken.collect::<Vec<_>>(), (6..begun).collect::<Vec<_>>());
    assert_eq!(inbox.unreliable_bytes + inbox.waiting.unreliable_bytes(), 0);
    // A late beginning of one that gave way changes nothing.
    inbox.on_data(&half(stream, 2, false)).expect("legal");
    inbox.on_data(&half(stream, begun, false)).expect("legal");
    inbox.on_data(&half(stream, begun, true)).expect("legal");
    assert_eq!(inbox.take().map(|message| message.sequence_number), Some(begun));
}

#[test]
fn what_making_room_went_past_is_neither_kept_nor_delivered() {
    let stream = StreamKey::new(0, false, Order::Ordered);
    let mut inbox = ReceiveQueue::new(LIMITS);
    for number in 1..=MAX_PARTIAL as u64 {
        inbox.on_data(&half(stream, number, false)).expect("legal");
    }
    // Room for it is made by giving up the first that waits, and with it everything before.
    inbox.on_data(&half(stream, 0, false)).expect("legal");
    inbox.on_data(&half(stream, 2, true)).expect("legal");
    inbox.on_data(&half(stream, 0, true)).expect("legal");
    let taken = core::iter::from_fn(|| inbox.take().map(|message| message.sequence_number));
    assert_eq!(taken.collect::<Vec<_>>(), [2]);
    assert_eq!(inbox.unreliable_bytes, 600 * (MAX_PARTIAL as u64 - 2));
}

/// A message that is larger than the window: the limit is raised once for each time that it is asked
/// for, not for words that were said before, and not beyond two of the largest messages.
#[test]
fn the_limit_is_raised_for_a_message_that_does_not_fit() {
    let mut inbox = ReceiveQueue::new(ReceiveLimits { max_message: 50_000, ..LIMITS });
    let largest = cost(50_000);
    for round in 1..=2 {
        let limit = 10_000 + (round - 1) * largest;
        for _ in 0..3 {
            inbox.on_blocked(limit, 1 << 30);
            inbox.review_credit(REVIEW, false);
            assert!(inbox.is_credit_due());
            assert_eq!(inbox.advertise(), limit + largest, "as large as a message may be");
        }
    }
    inbox.on_blocked(10_000 + 2 * largest, largest);
    inbox.review_credit(REVIEW, false);
    assert!(!inbox.is_credit_due(), "nothing was taken");
}

#[test]
fn without_memory_a_large_message_waits_for_its_turn_and_small_ones_have_the_floor() {
    let mut inbox = ReceiveQueue::new(LIMITS);
    let review = Review { room: Room { free: 0, ..ROOM }, ..REVIEW };
    inbox.on_blocked(10_000, 500);
    inbox.review_credit(review, false);
    assert!(inbox.needs_turn(review.room) && !inbox.is_credit_due());
    inbox.review_credit(review, true);
    assert!(!inbox.needs_turn(review.room) && inbox.is_beyond(review.room));
    assert_eq!(inbox.advertise(), 10_500);
    // All is used and taken: what is granted shrinks to the floor, and what was told stands.
    let stream = StreamKey::new(0, true, Order::Unordered);
    for sequence_number in 0..10 {
        let payload = &[0; 936];
        let frame =
            DataFrame { stream, requires_ack: false, sequence_number, fragment: None, payload };
        inbox.on_data(&frame).expect("within the credit");
        inbox.take().expect("a message");
        inbox.review_credit(review, false);
    }
    assert_eq!(inbox.advertise(), 11_000);
    assert_eq!(inbox.memory(), 1000);
}

#[test]
fn what_comes_late_of_a_stream_that_ended_neither_opens_it_nor_is_handed_over() {
    for (reliable, order) in
        [(true, Order::Ordered), (true, Order::Unordered), (false, Order::Unordered)]
    {
        let stream = StreamKey::new(0, reliable, order);
        let whole = |sequence_number| DataFrame {
            stream,
            requires_ack: false,
            sequence_number,
            fragment: None,
            payload: b"whole",
        };
        let mut inbox = ReceiveQueue::new(LIMITS);
        for number in 0..3 {
            inbox.on_data(&whole(number)).expect("legal");
        }
        inbox.on_stream_end(stream, 3).expect("legal");
        inbox.on_stream_end(stream, 3).expect("said again");
        assert!(inbox.streams.is_empty());
        let taken = core::iter::from_fn(|| inbox.take()).count();
        assert_eq!(taken, 3, "what came before stays");
        assert_eq!(inbox.on_data(&whole(2)), Ok(true));
        assert_eq!(inbox.on_data(&half(stream, 1, true)), Ok(true));
        assert!(inbox.streams.is_empty() && inbox.take().is_none());
        // It is used again.
        assert_eq!(inbox.on_data(&whole(3)), Ok(true));
        assert_eq!(inbox.on_data(&whole(2)), Ok(true));
        assert_eq!(inbox.take().map(|message| message.sequence_number), Some(3));
        assert!(inbox.take().is_none());
        inbox.on_stream_end(stream, 3).expect("that was the first end");
        assert_eq!(inbox.streams.len(), 1);
        inbox.on_stream_end(stream, 4).expect("legal");
        assert!(inbox.streams.is_empty());
    }
}

#[test]
fn the_end_of_an_unreliable_stream_hands_over_what_waits_and_forgets_what_is_in_pieces() {
    let stream = StreamKey::new(0, false, Order::Ordered);
    let mut inbox = ReceiveQueue::new(LIMITS);
    let third = DataFrame {
        stream,
        requires_ack: false,
        sequence_number: 2,
        fragment: None,
        payload: b"third",
    };
    inbox.on_data(&half(stream, 1, false)).expect("legal");
    inbox.on_data(&third).expect("legal");
    assert!(inbox.take().is_none(), "it waits for the others");
    inbox.on_stream_end(stream, 3).expect("legal");
    assert_eq!(inbox.take().map(|message| message.sequence_number), Some(2));
    assert_eq!(inbox.unreliable_bytes, 0);
}
