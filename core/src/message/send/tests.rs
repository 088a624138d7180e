mod copies;
mod join;
mod priorities;

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::delivery::Priority;
use crate::error::CommandError;
use crate::wire::Writer;

const LIMITS: SendLimits = SendLimits {
    max_message: 1000,
    max_streams: 4,
    buffer: 1 << 20,
    unreliable: 10_000,
    age: Duration::from_secs(1),
};
const NOW: Instant = Instant::from_micros(0);
const PASS: Pass = Pass { now: NOW, age: LIMITS.age, round_trip: Duration::from_millis(100) };

#[test]
fn a_message_is_cancelled_once_though_its_fate_was_not_told_yet() {
    let mut queue = SendQueue::default();
    let id =
        queue.push(&LIMITS, NOW, Delivery::ordered(0), Bytes::from_static(b"no")).expect("room");
    assert_eq!(queue.cancel(id), Ok(()));
    assert_eq!(queue.cancel(id), Err(CommandError::TooLate));
    let fates: Vec<_> = core::iter::from_fn(|| queue.poll_fate()).collect();
    assert_eq!(fates, [(id, Fate::Cancelled { may_have_arrived: false })]);
    assert_eq!((queue.messages.len(), queue.buffer.bytes()), (0, 0));
}

#[test]
fn messages_beyond_limits_that_were_not_known_are_refused_and_the_others_stay() {
    let mut queue = SendQueue::default();
    let mut push = |channel, len| {
        let delivery = Delivery::ordered(channel);
        queue.push(&LIMITS, NOW, delivery, Bytes::from(alloc::vec![0; len])).expect("room")
    };
    let [_small, large, _other, far] = [push(0, 100), push(0, 101), push(1, 100), push(2, 100)];
    queue.refuse_beyond(&SendLimits { max_message: 100, max_streams: 2, ..LIMITS });
    let fates: Vec<_> = core::iter::from_fn(|| queue.poll_fate()).collect();
    assert_eq!(fates, [(large, Fate::Refused), (far, Fate::Refused)]);
    assert_eq!(queue.messages.len(), 2);
    assert_eq!(queue.buffer.bytes(), 2 * cost(100));
    let queued: Vec<_> = queue.lanes.iter().map(|(_, lane)| lane.line.waiting()).collect();
    assert_eq!(queued, [1, 1, 0]);
}

/// The last message of a stream that is to end may go whenever messages give way.
#[test]
fn a_stream_may_end_while_its_messages_give_way() {
    let large = || Bytes::from(alloc::vec![0; 1000]);
    let limits = SendLimits { unreliable: 1500, ..LIMITS };
    let delivery = Delivery::unreliable(0);
    let mut queue = SendQueue::default();
    queue.restart(1 << 20, NOW);
    queue.push(&limits, NOW, delivery, large()).expect("room");
    assert_eq!(queue.end_stream(delivery.into()), Ok(()));
    // Makes room for the next of its own stream.
    queue.push(&limits, NOW, delivery, large()).expect("room");
    assert_eq!(queue.take_ended_stream(), Some(delivery));
    assert_eq!(queue.end_stream(delivery.into()), Ok(()));
    // The other one waits for too long.
    let late = Pass { now: NOW + Duration::from_secs(2), ..PASS };
    queue.push(&limits, late.now, Delivery::ordered(1), Bytes::new()).expect("room");
    let mut buffer = [0; 1200];
    let written = queue.write(late, &mut Writer::new(&mut buffer), 1200, &mut |_| {});
    assert_eq!(written.repeated, 0);
    assert_eq!(queue.take_ended_stream(), Some(delivery));
    assert_eq!((queue.streams.len(), queue.lanes.len(), queue.dropped()), (1, 1, 2));
}

#[test]
fn a_reliable_stream_sends_as_far_ahead_of_what_is_lost_as_the_peer_takes() {
    for window in [64, 1 << 16] {
        let mut queue = SendQueue::default();
        queue.restart(1 << 30, NOW);
        queue.set_stream_window(window);
        let limits = SendLimits { buffer: 1 << 30, ..LIMITS };
        for _ in 0..window + 10 {
            queue.push(&limits, NOW, Delivery::reliable(0), Bytes::new()).expect("room");
        }
        let parts = write_all(&mut queue, 1200);
        assert_eq!(parts.len() as u64, window);
        parts[1..].iter().for_each(|part| queue.on_acked(*part));
        assert!(write_all(&mut queue, 1200).is_empty(), "the first is still missing");
        queue.on_acked(parts[0]);
        assert_eq!(write_all(&mut queue, 1200).len(), 10);
    }
}

/// What became of the copies of one message's bytes, byte by byte.
struct Model {
    under_way: Vec<Part>,
    acked: Vec<bool>,
}

impl Model {
    fn covers(part: &Part, byte: usize) -> bool {
        (part.offset as usize..(part.offset + part.len.max(1)) as usize).contains(&byte)
    }

    fn acknowledge(&mut self, part: &Part) {
        let bytes = self.acked.iter_mut().enumerate();
        bytes.filter(|(at, _)| Self::covers(part, *at)).for_each(|(_, acked)| *acked = true);
    }

    /// Whether some byte has neither arrived nor a copy under way.
    fn is_lost(&self) -> bool {
        let carried = |byte| self.under_way.iter().any(|part| Self::covers(part, byte));
        self.acked.iter().enumerate().any(|(at, acked)| !acked && !carried(at))
    }

    fn fate(&self) -> Option<Fate> {
        let arrived = self.acked.iter().all(|acked| *acked);
        if arrived { Some(Fate::Acked) } else { self.is_lost().then_some(Fate::Lost) }
    }
}

/// Writes packets of `space` bytes until nothing is left to write. Returns the parts in them.
fn write_all(queue: &mut SendQueue, space: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut buffer = [0; 1500];
    while queue.has_work() {
        let mut writer = Writer::new(&mut buffer[..space]);
        queue.write(PASS, &mut writer, space, &mut |part| parts.push(part));
        assert!(
            writer.position() > 0 || !queue.has_work(),
            "a packet of {space} bytes takes nothing"
        );
    }
    parts
}

#[test]
fn an_unreliable_message_with_two_copies_under_way_outlives_the_loss_of_one() {
    for arrives in [false, true] {
        let mut queue = SendQueue::default();
        let delivery = Delivery { requires_ack: true, ..Delivery::unreliable(0) };
        let id = queue.push(&LIMITS, NOW, delivery, Bytes::from_static(b"twice")).expect("room");
        let first = write_all(&mut queue, 1000)[0];
        queue.schedule.repair(Priority::NORMAL).probe(first);
        let second = write_all(&mut queue, 1000)[0];
        queue.on_lost(first);
        assert_eq!(queue.poll_fate(), None, "the copy may arrive");
        let fate = if arrives { Fate::Acked } else { Fate::Lost };
        if arrives {
            queue.on_acked(second)
        } else {
            queue.on_lost(second)
        }
        assert_eq!(queue.poll_fate(), Some((id, fate)));
    }
}

proptest! {
    /// Copies of a message's parts are cut anew, lost and acknowledged in any order.
    #[test]
    fn a_message_is_lost_once_no_copy_of_some_byte_is_left(
        reliable in any::<bool>(),
        len in 0_usize..4000,
        spaces in (600_usize..1400, 600_usize..1400),
        steps in proptest::collection::vec((0_u8..3, any::<prop::sample::Index>()), 1..40),
    ) {
        let mut queue = SendQueue::default();
        queue.restart(1 << 20, NOW);
        queue.set_stream_window(64);
        let delivery = if reliable { Delivery::ordered(0) } else { Delivery::unreliable(0) };
        let delivery = Delivery { requires_ack: true, ..delivery };
        let limits = SendLimits { max_message: 4000, ..LIMITS };
        let id = queue.push(&limits, NOW, delivery, Bytes::from(alloc::vec![7; len])).expect("room");
        let mut model = Model { under_way: write_all(&mut queue, spaces.0), acked: alloc::vec![false; len.max(1)] };
        for (step, which) in steps {
            if model.under_way.is_empty() {
                break;
            }
            let at = which.index(model.under_way.len());
            match step {
                0 => queue.schedule.repair(Priority::NORMAL).probe(model.under_way[at]),
                1 => queue.on_lost(model.under_way.swap_remove(at)),
                _ => {
                    let part = model.under_way.swap_remove(at);
                    model.acknowledge(&part);
                    queue.on_acked(part);
                }
            }
            let expected = model.fate().filter(|fate| !reliable || *fate == Fate::Acked);
            prop_assert_eq!(queue.poll_fate(), expected.map(|fate| (id, fate)));
            if expected.is_some() {
                break;
            }
            if step != 0 {
                prop_assert_eq!(queue.has_work(), model.is_lost(), "only what is lost is repaired");
            }
            model.under_way.extend(write_all(&mut queue, spaces.1));
            prop_assert!(!model.is_lost(), "what was lost is under way again");
        }
    }
}
