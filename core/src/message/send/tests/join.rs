//! The short way into the queue comes to the same as the long one.

use alloc::format;

use super::*;

/// A message with few of the choices that there are, so that many join the ones before.
fn any_message() -> impl Strategy<Value = (Delivery, usize)> {
    let kind = prop_oneof![Just(Delivery::ordered(0)), Just(Delivery::unreliable(0)), any_kind()];
    let choices = (0_u8..4, 0_u8..12, any::<bool>());
    (kind, choices, prop_oneof![Just(64_usize), 0..1010_usize]).prop_map(
        |(mut kind, (urgency, lifetime, requires_ack), len)| {
            if urgency == 0 {
                kind = kind.with_priority(Priority::REAL_TIME);
            }
            if lifetime == 0 {
                kind = kind.with_deadline(Duration::from_millis(5));
            }
            kind.requires_ack = requires_ack;
            (kind, len)
        },
    )
}

fn any_kind() -> impl Strategy<Value = Delivery> {
    let orders = [Order::Unordered, Order::Sequenced, Order::Ordered];
    (0_u16..3, any::<bool>(), 0_usize..3)
        .prop_map(move |(channel, reliable, at)| Delivery::new(channel, reliable, orders[at]))
}

proptest! {
    #[test]
    fn a_message_that_joins_the_one_before_is_where_the_long_way_leads(
        steps in proptest::collection::vec((any_message(), 0_u8..10, 0_u64..400), 1..80),
        (buffer, unreliable) in (200_u64..8000, 200_u64..8000),
    ) {
        let limits = SendLimits { buffer, unreliable, ..LIMITS };
        let (mut queue, mut model) = (SendQueue::default(), SendQueue::default());
        let mut now = NOW;
        let mut sent = Vec::new();
        for queue in [&mut queue, &mut model] {
            queue.set_stream_window(64);
            queue.restart(1 << 20, now);
        }
        for ((delivery, len), step, pause) in steps {
            let payload = Bytes::from(alloc::vec![1; len]);
            let long = model.accept(&limits, now, delivery, payload.clone());
            if let Ok(id) = long {
                model.supersede_begun(id.slot);
            }
            prop_assert_eq!(queue.push(&limits, now, delivery, payload), long);
            if step < 2 {
                now += Duration::from_millis(pause);
                let pass = Pass { now, ..PASS };
                let first = sent.len();
                let mut buffer = [0; 1200];
                queue.write(pass, &mut Writer::new(&mut buffer), 1200, &mut |part| sent.push(part));
                let mut again = Vec::new();
                let mut other = [0; 1200];
                model.write(pass, &mut Writer::new(&mut other), 1200, &mut |part| again.push(part));
                prop_assert_eq!((&sent[first..], &buffer[..]), (&again[..], &other[..]));
            } else if step == 2 && !sent.is_empty() {
                let part = sent.remove(0);
                queue.on_acked(part);
                model.on_acked(part);
            } else if step == 3 {
                prop_assert_eq!(queue.poll_fate(), model.poll_fate());
            } else if step == 4 {
                let key = StreamKey::from(delivery);
                prop_assert_eq!(queue.end_stream(key), model.end_stream(key));
                while let Some((name, _, _)) = queue.take_stream_end() {
                    model.take_stream_end();
                    queue.on_stream_end_acked(name);
                    model.on_stream_end_acked(name);
                }
            }
            prop_assert_eq!(format!("{queue:?}"), format!("{model:?}"));
        }
    }
}
