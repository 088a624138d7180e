//! Copies of urgent messages, looked at packet by packet.

use alloc::collections::VecDeque;

use super::*;

const ROOM: usize = 1160;
const URGENT: Delivery = Delivery::ordered(0).with_priority(Priority::REAL_TIME);

/// A queue and the time.
struct Sender {
    queue: SendQueue,
    now: Instant,
    copied: u64,
    repeated: u64,
}

impl Sender {
    fn new() -> Self {
        let mut queue = SendQueue::default();
        queue.restart(1 << 40, NOW);
        queue.set_stream_window(1 << 16);
        Self { queue, now: NOW, copied: 0, repeated: 0 }
    }

    fn push(&mut self, delivery: Delivery, len: usize) -> u32 {
        let payload = Bytes::from(alloc::vec![7; len]);
        self.queue.push(&LIMITS, self.now, delivery, payload).expect("room").slot
    }

    /// The parts in the next packet, and how long it is.
    fn packet(&mut self) -> (Vec<Part>, usize) {
        self.queue.pass_deadlines(self.now);
        let (mut parts, mut buffer) = (Vec::new(), [0; ROOM]);
        let mut writer = Writer::new(&mut buffer);
        let pass = Pass { now: self.now, ..PASS };
        let written = self.queue.write(pass, &mut writer, ROOM, &mut |part| parts.push(part));
        self.copied += written.copied;
        self.repeated += written.repeated;
        (parts, writer.position())
    }

    /// Sends an urgent message that arrives, `count` times.
    fn calm(&mut self, count: usize) {
        for _ in 0..count {
            self.push(URGENT, 100);
            let (parts, _) = self.packet();
            self.wait(20);
            parts.into_iter().for_each(|part| self.queue.on_acked(part));
        }
    }

    /// Loses one urgent message, which is sent again and arrives.
    fn lose(&mut self) {
        let slot = self.push(URGENT, 100);
        let (parts, _) = self.packet();
        for part in parts {
            if part.slot == slot { self.queue.on_lost(part) } else { self.queue.on_acked(part) }
        }
        let (parts, _) = self.packet();
        parts.into_iter().for_each(|part| self.queue.on_acked(part));
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }
}

#[test]
fn copies_begin_with_a_loss_and_end_a_while_after_the_last() {
    let mut sender = Sender::new();
    // What is acknowledged before its copy is due is not copied, so nothing is acknowledged here for a while.
    let copies_of = |sender: &mut Sender, count: usize| {
        let before = sender.copied;
        let mut parts = Vec::new();
        for _ in 0..count {
            sender.push(URGENT, 100);
            parts.extend(sender.packet().0);
            sender.wait(20);
        }
        parts.into_iter().for_each(|part| sender.queue.on_acked(part));
        sender.copied - before
    };
    assert_eq!(copies_of(&mut sender, 300), 0);
    sender.lose();
    assert!(copies_of(&mut sender, 50) >= 40, "the budget pays for most");
    // Copies are acknowledged as well: 270 messages are enough.
    sender.calm(270);
    assert_eq!(copies_of(&mut sender, 50), 0);
    assert_eq!(sender.repeated, 1, "copies are not sent again");
}

#[test]
fn only_small_reliable_messages_of_the_most_urgent_class_are_copied() {
    let cases = [
        (URGENT, 512, true),
        (Delivery::reliable(1).with_priority(Priority::REAL_TIME), 0, true),
        (URGENT, 513, false),
        (Delivery::ordered(2), 100, false),
        (Delivery::unreliable(3).with_priority(Priority::REAL_TIME).with_receipt(), 100, false),
    ];
    for (delivery, len, is_copied) in cases {
        let mut sender = Sender::new();
        sender.calm(20);
        sender.lose();
        let slot = sender.push(delivery, len);
        assert_eq!(sender.packet().0.len(), 1);
        assert!(!sender.queue.has_work());
        let alone = sender.queue.next_deadline();
        assert_eq!(alone.is_some(), is_copied, "{delivery:?}");
        // Alone it goes after a while, with another packet before.
        sender.wait(24);
        assert!(sender.packet().0.is_empty() || is_copied);
        sender.wait(1);
        let other = sender.push(Delivery::ordered(4), 100);
        let slots: Vec<_> = sender.packet().0.iter().map(|part| part.slot).collect();
        assert!(slots.contains(&other) && !slots[1..].contains(&slot), "{slots:?}");
    }
}

#[test]
fn a_copy_joins_the_next_packet_or_goes_alone_after_a_while() {
    for joins in [false, true] {
        let mut sender = Sender::new();
        sender.calm(50);
        sender.lose();
        let slot = sender.push(URGENT, 100);
        let (first, _) = sender.packet();
        sender.wait(1);
        sender.push(Delivery::ordered(1), 100);
        assert_eq!(sender.packet().0.len(), 1, "that is too soon");
        sender.wait(9);
        if joins {
            let other = sender.push(Delivery::ordered(1), 100);
            let slots: Vec<_> = sender.packet().0.iter().map(|part| part.slot).collect();
            assert_eq!(slots, [slot, other], "before what is less urgent");
        } else {
            let due = sender.queue.next_deadline().expect("a copy waits");
            assert_eq!(due.saturating_since(sender.now), Duration::from_millis(15));
            sender.wait(15);
            sender.queue.pass_deadlines(sender.now);
            assert!(sender.queue.has_work());
            let slots: Vec<_> = sender.packet().0.iter().map(|part| part.slot).collect();
            assert_eq!(slots, [slot]);
        }
        assert!(!sender.queue.has_work() && sender.queue.next_deadline().is_none());
        // The first is lost and its copy under way: nothing is sent again, until that is lost, too.
        sender.queue.on_lost(first[0]);
        assert!(!sender.queue.has_work());
        sender.queue.on_lost(first[0]);
        assert_eq!(sender.packet().0[0].slot, slot);
    }
}

#[test]
fn what_was_lost_is_sent_once_more_with_the_next_packet_that_has_room_for_it() {
    // Whole and small; an unreliable one is never sent again, and a long one only once.
    for (len, is_copied) in [(100, true), (512, true), (513, false)] {
        for (wait, is_joined) in [(1, false), (7, true), (25, true), (26, false)] {
            let mut sender = Sender::new();
            let slot = sender.push(Delivery::ordered(1), len);
            let (first, _) = sender.packet();
            sender.queue.on_lost(first[0]);
            let (again, _) = sender.packet();
            assert_eq!((sender.repeated, again[0].slot), (1, slot));
            sender.wait(wait);
            assert!(!sender.queue.has_work() && sender.queue.next_deadline().is_none());
            assert!(sender.packet().0.is_empty(), "it goes with others only");
            let other = sender.push(Delivery::ordered(2), 100);
            let slots: Vec<_> = sender.packet().0.iter().map(|part| part.slot).collect();
            let copies = usize::from(is_copied && is_joined);
            assert_eq!(slots, [other, slot][..1 + copies], "{len} bytes after {wait} ms");
            // Either may arrive: only once both are lost, it is sent again.
            sender.queue.on_lost(again[0]);
            assert_eq!(sender.queue.has_work(), copies == 0);
            if copies > 0 {
                sender.queue.on_lost(again[0]);
                assert!(sender.queue.has_work());
            }
        }
    }
}

#[test]
fn what_was_lost_is_not_sent_once_more_if_it_arrived_or_something_else_wants_the_room() {
    for arrives in [false, true] {
        let mut sender = Sender::new();
        sender.push(Delivery::ordered(1), 100);
        let (first, _) = sender.packet();
        sender.queue.on_lost(first[0]);
        let (again, _) = sender.packet();
        sender.wait(10);
        if arrives {
            sender.queue.on_acked(again[0]);
        }
        sender.push(Delivery::ordered(2), 1000);
        if !arrives {
            sender.push(Delivery::ordered(2), 1000);
        }
        let (parts, _) = sender.packet();
        assert!(!parts.contains(&again[0]) && sender.copied == 0, "{parts:?}");
    }
}

/// Sends messages that fill packets, and so many small ones one by one between them. All arrive, and a hundred parts are
/// under way.
fn beside(sender: &mut Sender, small: Delivery, count: usize) {
    let mut under_way = VecDeque::new();
    for n in 0..20 * count {
        sender.push(Delivery::ordered(2), 1000);
        if n % 20 == 19 {
            sender.push(small, 100);
        }
        for _ in 0..2 {
            under_way.extend(sender.packet().0);
            sender.wait(1);
        }
        while under_way.len() > 100 {
            under_way.pop_front().into_iter().for_each(|part| sender.queue.on_acked(part));
        }
        while sender.queue.poll_fate().is_some() {}
    }
    under_way.into_iter().for_each(|part| sender.queue.on_acked(part));
}

#[test]
fn beside_large_messages_small_ones_are_copied_while_a_path_is_unknown_or_loses_something() {
    for small in [Delivery::ordered(1), URGENT] {
        let mut sender = Sender::new();
        // 659 parts in each turn.
        for copies in [28..=30, 28..=30, 28..=30, 4..=14, 0..=0] {
            beside(&mut sender, small, 30);
            assert!(copies.contains(&sender.copied), "{small:?}: {} copied", sender.copied);
            sender.copied = 0;
        }
        let lost = sender.push(Delivery::ordered(2), 900);
        let (parts, _) = sender.packet();
        assert_eq!(parts[0].slot, lost);
        sender.queue.on_lost(parts[0]);
        beside(&mut sender, small, 10);
        assert!((8..=12).contains(&sender.copied), "{small:?}: {} copied", sender.copied);
        assert_eq!(sender.repeated, 1, "nothing is sent again but what was lost");
    }
}

/// Ten times as many small messages as there are bytes for.
#[test]
fn copies_beside_large_messages_take_a_sixty_fourth_of_what_those_take() {
    let mut sender = Sender::new();
    let mut others = 0;
    for _ in 0..400 {
        sender.push(Delivery::ordered(2), 600);
        sender.push(Delivery::ordered(1), 150);
        others += sender.packet().1;
        sender.wait(1);
    }
    let spent = sender.copied as usize * 158;
    assert!(spent > others / 100 && spent <= others / 64, "{spent} of {others}");
}

proptest! {
    /// Whatever is sent, lost and acknowledged, copies keep to their budget, and all arrives.
    #[test]
    fn copies_keep_to_their_budget_and_every_message_arrives(
        len in 0_usize..600,
        steps in proptest::collection::vec((0_u64..60, 0_u8..10, 0_u8..4), 1..400),
    ) {
        let mut sender = Sender::new();
        let mut under_way = VecDeque::new();
        // What copies cost, and what the others did, with packets.
        let (mut spent, mut allowed) = (0, 0);
        let mut acked = 0;
        let count = steps.iter().filter(|(_, _, kind)| *kind < 3).count();
        let rest = core::iter::repeat_n((100, 9, 9), 2000);
        for (ms, luck, kind) in steps.into_iter().chain(rest) {
            if kind < 3 {
                let delivery = if kind == 0 { Delivery::ordered(1) } else { URGENT };
                sender.push(delivery.with_receipt(), len);
            }
            let (copied, repeated) = (sender.copied, sender.repeated);
            let (parts, written) = sender.packet();
            let copied = (sender.copied - copied) as usize;
            spent += copied * len;
            if parts.len() > copied {
                allowed += (written + 120) * 3 / 5;
            } else if copied > 0 {
                spent += 120;
                prop_assert_eq!(repeated, sender.repeated);
            }
            under_way.extend(parts);
            sender.wait(ms);
            if let Some(part) = under_way.pop_front() {
                if luck < 3 { sender.queue.on_lost(part) } else { sender.queue.on_acked(part) }
            }
            acked += core::iter::from_fn(|| sender.queue.poll_fate()).count();
        }
        prop_assert_eq!(acked, count);
        prop_assert!(spent <= allowed, "{} of {}", spent, allowed);
        prop_assert!(sender.copied == 0 || len <= 512);
        prop_assert!(under_way.is_empty() && !sender.queue.has_work());
    }
}
