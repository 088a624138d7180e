//! What leaves first, looked at packet by packet.

use super::*;

const ROOM: usize = 1160;
const LEVELS: core::ops::Range<u8> = 0..8;
const WIDE: SendLimits =
    SendLimits { max_message: 8 << 20, max_streams: 64, buffer: 1 << 40, ..LIMITS };

fn level(level: u8) -> Priority {
    Priority::new(level).expect("one of eight")
}

/// A queue that nothing holds back.
fn queue() -> SendQueue {
    let mut queue = SendQueue::default();
    queue.restart(1 << 40, NOW);
    queue.set_stream_window(1 << 16);
    queue
}

fn push(queue: &mut SendQueue, delivery: Delivery, len: usize) -> MessageId {
    queue.push(&WIDE, NOW, delivery, Bytes::from(alloc::vec![7; len])).expect("room")
}

/// The parts in the next packet.
fn packet(queue: &mut SendQueue) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut buffer = [0; ROOM];
    let mut writer = Writer::new(&mut buffer);
    queue.write(PASS, &mut writer, ROOM, &mut |part| parts.push(part));
    parts
}

fn priorities(queue: &SendQueue, parts: &[Part]) -> Vec<Priority> {
    parts.iter().map(|part| queue.messages[part.slot as usize].delivery.priority).collect()
}

#[test]
fn whatever_of_other_classes_is_sent_again_a_fresh_urgent_message_goes_first() {
    for (urgent, other) in
        LEVELS.flat_map(|urgent| (urgent + 1..8).map(move |other| (urgent, other)))
    {
        let (urgent, other) = (level(urgent), level(other));
        let mut queue = queue();
        push(&mut queue, Delivery::ordered(0).with_priority(other), 4 << 20);
        let mut under_way: Vec<_> = (0..300).flat_map(|_| packet(&mut queue)).collect();
        let (mut again, mut turn) = (0, 0);
        // Each third is lost, the rest arrives.
        while !under_way.is_empty() && turn < 4000 {
            let part = under_way.remove(0);
            if turn % 3 == 0 {
                queue.on_lost(part)
            } else {
                queue.on_acked(part)
            }
            if turn % 7 == 0 {
                queue.probe(part);
            }
            let fresh = (turn % 2 == 0)
                .then(|| push(&mut queue, Delivery::ordered(1).with_priority(urgent), 100));
            let parts = packet(&mut queue);
            if let Some(fresh) = fresh {
                assert_eq!(parts[0].slot, fresh.slot, "{urgent:?} before {other:?}, turn {turn}");
                queue.on_acked(parts[0]);
            }
            let bulk = parts.into_iter().skip(usize::from(fresh.is_some()));
            again += usize::from(turn % 3 == 0);
            under_way.extend(bulk);
            turn += 1;
        }
        assert!(again > 1000, "{again} parts were sent again");
    }
}

#[test]
fn each_class_has_a_twentieth_of_what_is_sent_however_much_the_more_urgent_send() {
    // Bytes of each message by class, and which classes have some.
    let mixes: [([usize; 8], u8); 4] = [
        ([100; 8], 0b1111_1111),
        ([64, 9000, 64, 9000, 64, 9000, 64, 9000], 0b1111_1111),
        ([300, 0, 0, 0, 0, 0, 0, 4 << 20], 0b1000_0001),
        ([0, 0, 1 << 20, 0, 100, 0, 0, 0], 0b0001_0100),
    ];
    for (sizes, classes) in mixes {
        let mut queue = queue();
        let mut sent = [0_usize; 8];
        for _ in 0..6000 {
            for class in LEVELS.filter(|class| classes & 1 << class != 0) {
                let of = |lane: &&Lane| {
                    queue.streams[usize::from(lane.stream)].key.channel() == u16::from(class)
                };
                let lane = queue.lanes.iter().map(|(_, lane)| lane).find(of);
                let waiting = lane.map_or(0, |lane| lane.line.waiting());
                let delivery = Delivery::ordered(u16::from(class)).with_priority(level(class));
                for _ in waiting..1 + ROOM / sizes[usize::from(class)] {
                    push(&mut queue, delivery, sizes[usize::from(class)]);
                }
            }
            for part in packet(&mut queue) {
                let priority = queue.messages[part.slot as usize].delivery.priority;
                sent[usize::from(priority.level())] += part.len as usize;
                queue.on_acked(part);
            }
        }
        let all: usize = sent.iter().sum();
        let used = LEVELS.filter(|class| classes & 1 << class != 0);
        let (first, lower) = used.fold((None, Vec::new()), |(first, mut lower), class| {
            if first.is_some() {
                lower.push(class)
            }
            (first.or(Some(class)), lower)
        });
        for class in &lower {
            let share = sent[usize::from(*class)] as f64 / all as f64;
            // Frames have headers: the small ones of others take more of a packet than their bytes.
            assert!((0.045..0.065).contains(&share), "{class}: {share} of {sent:?}");
        }
        let most = sent[usize::from(first.expect("one"))] as f64 / all as f64;
        assert!(most > 1.0 - 0.065 * lower.len() as f64, "{most} of {sent:?}");
    }
}

#[test]
fn small_messages_of_all_classes_share_a_packet_most_urgent_first() {
    let mut queue = queue();
    for class in LEVELS.rev() {
        push(&mut queue, Delivery::reliable(0).with_priority(level(class)), 50);
        push(&mut queue, Delivery::ordered(u16::from(class)).with_priority(level(class)), 50);
    }
    let parts = packet(&mut queue);
    let levels: Vec<_> = priorities(&queue, &parts).iter().map(|it| it.level()).collect();
    assert_eq!(levels, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7]);
    assert!(!queue.has_work());
}

#[test]
fn in_an_ordered_stream_each_message_goes_at_its_own_priority_once_those_before_it_are_gone() {
    for withdrawn in [false, true] {
        let mut queue = queue();
        let slow = push(&mut queue, Delivery::ordered(0).with_priority(Priority::BULK), 3000);
        let urgent = push(&mut queue, Delivery::ordered(0).with_priority(Priority::REAL_TIME), 10);
        push(&mut queue, Delivery::ordered(1), 100_000);
        assert!(
            packet(&mut queue)
                .iter()
                .all(|part| part.slot != slow.slot && part.slot != urgent.slot)
        );
        if withdrawn {
            queue.cancel(slow).expect("nothing of it was sent");
            assert_eq!(packet(&mut queue)[0].slot, urgent.slot);
            continue;
        }
        let mut order = Vec::new();
        while queue.has_work() {
            let parts = packet(&mut queue);
            let stream = parts
                .iter()
                .map(|part| part.slot)
                .filter(|slot| [slow.slot, urgent.slot].contains(slot));
            order.extend(stream);
            assert!(!order.contains(&urgent.slot) || order.contains(&slow.slot));
        }
        assert_eq!(order.last(), Some(&urgent.slot));
        assert!(order.len() > 3, "the long one took several packets");
    }
}

#[test]
fn an_urgent_message_passes_others_of_its_unordered_stream() {
    let mut queue = queue();
    let bulk = |len| (Delivery::reliable(0).with_priority(Priority::BULK), len);
    for (delivery, len) in [bulk(100), bulk(100_000), bulk(500), bulk(900)] {
        push(&mut queue, delivery, len);
    }
    packet(&mut queue);
    let urgent = push(&mut queue, Delivery::reliable(0).with_priority(Priority::REAL_TIME), 100);
    assert_eq!(packet(&mut queue)[0].slot, urgent.slot);
    assert_eq!(queue.streams.len(), 1);
}

#[test]
fn of_unreliable_messages_the_least_urgent_give_way_and_an_urgent_one_never_to_another() {
    let mut queue = SendQueue::default();
    let mut push = |priority, len| {
        let delivery = Delivery::unreliable(0).with_receipt().with_priority(priority);
        let limits = SendLimits { unreliable: 1000, ..LIMITS };
        let pushed = queue.push(&limits, NOW, delivery, Bytes::from(alloc::vec![7; len]));
        (pushed, queue.poll_fate())
    };
    let (urgent, _) = push(Priority::REAL_TIME, 400);
    let (bulk, _) = push(Priority::BULK, 300);
    assert!(urgent.is_ok());
    let (normal, fate) = push(Priority::NORMAL, 300);
    assert_eq!(fate, Some((bulk.expect("room"), Fate::Lost)));
    assert_eq!(push(Priority::BULK, 300), (Err(SendError::NoRoom), None));
    let (_, fate) = push(Priority::REAL_TIME, 300);
    assert_eq!(fate, Some((normal.expect("room"), Fate::Lost)));
    let (_, fate) = push(Priority::REAL_TIME, 300);
    assert_eq!(fate, Some((urgent.expect("room"), Fate::Lost)), "of equals the oldest");
}

proptest! {
    /// Messages of any class, order and size, in packets of any size that are lost or repeated: a packet holds
    /// nothing of a class while something of a more urgent one is left out of it, but what a class is owed.
    #[test]
    fn a_packet_goes_to_the_most_urgent_but_for_what_others_are_owed(
        messages in proptest::collection::vec((0_u8..8, 0_u8..3, 0_u16..3, 1_usize..6000), 1..60),
        steps in proptest::collection::vec((0_u8..4, any::<u16>()), 1..300),
    ) {
        let mut queue = queue();
        let mut messages = messages.into_iter();
        let mut under_way = Vec::new();
        let (mut written, mut out_of_turn) = (0_usize, 0_usize);
        let mut acked = 0;
        let count = messages.len();
        let rest = core::iter::repeat_n((9, 0), 4000);
        for (step, which) in steps.into_iter().chain(rest) {
            if let Some((class, order, channel, len)) = messages.next() {
                let order = [Order::Ordered, Order::Unordered, Order::Sequenced][usize::from(order)];
                let delivery = Delivery::new(channel, true, order).with_priority(level(class));
                push(&mut queue, delivery.with_receipt(), len);
            }
            let parts = packet(&mut queue);
            let left = queue.schedule.next().map(|class| queue.schedule.priority(class));
            for (part, priority) in parts.iter().zip(priorities(&queue, &parts)) {
                written += part.len as usize;
                if left.is_some_and(|left| left < priority) {
                    out_of_turn += part.len as usize;
                }
            }
            under_way.extend(parts);
            if !under_way.is_empty() && step > 0 {
                let part = under_way.swap_remove(usize::from(which) % under_way.len());
                if step == 1 { queue.on_lost(part) } else { queue.on_acked(part) }
            }
            // What gave way to a newer one is told, and the peer hears of it.
            let (mut buffer, mut told) = ([0; ROOM], Vec::new());
            queue.write_given_up((0, 0), &mut Writer::new(&mut buffer), &mut |it| told.push(it));
            told.into_iter().for_each(|it| queue.on_told(it));
            acked += core::iter::from_fn(|| queue.poll_fate()).count();
            if acked == count && !queue.has_work() {
                break;
            }
        }
        prop_assert_eq!(acked, count, "every message met its fate");
        prop_assert!(out_of_turn <= written * 7 / 20 + 8 * ROOM, "{} of {}", out_of_turn, written);
    }
}

#[test]
fn a_lane_that_changes_its_class_while_it_cannot_be_written_from_takes_no_turn_of_others() {
    let mut queue = queue();
    queue.set_stream_window(2);
    let sound = Delivery::unreliable(0).with_order(Order::Ordered).with_receipt();
    for _ in 0..2 {
        push(&mut queue, sound, 100);
    }
    let first = packet(&mut queue);
    assert_eq!(first.len(), 2, "the window is full");
    let old = push(&mut queue, sound.with_priority(Priority::BULK), 100);
    let other = push(&mut queue, Delivery::ordered(1).with_priority(Priority::BULK), 100);
    let later = NOW + LIMITS.age;
    let payload = Bytes::from_static(b"new");
    let urgent = queue
        .push(
            &SendLimits { age: LIMITS.age * 2, ..WIDE },
            later,
            sound.with_priority(Priority::REAL_TIME),
            payload,
        )
        .expect("room");
    let mut slots = Vec::new();
    let mut write = |queue: &mut SendQueue| {
        let mut buffer = [0; ROOM];
        let pass = Pass { now: later, ..PASS };
        queue.write(pass, &mut Writer::new(&mut buffer), ROOM, &mut |part| slots.push(part.slot));
    };
    write(&mut queue);
    assert_eq!(queue.poll_fate(), Some((old, Fate::Lost)), "it waited for too long");
    first.into_iter().for_each(|part| queue.on_acked(part));
    write(&mut queue);
    assert_eq!(slots, [other.slot, urgent.slot]);
}
