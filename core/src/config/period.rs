//! A time as text, for serde: a whole number and its unit, such as `250ms` or `2h`.

use alloc::format;
use core::fmt;
use core::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserializer, Serializer};

/// Each unit in nanoseconds, the largest first.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1000),
    ("ns", 1),
];

/// Writes a time in the largest unit of which it is a whole number.
pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    let nanos = time.as_nanos();
    let whole = UNITS.iter().find(|(_, unit)| nanos > 0 && nanos.is_multiple_of(*unit));
    let (name, unit) = whole.unwrap_or(&("s", 1_000_000_000));
    serializer.collect_str(&format_args!("{}{name}", nanos / unit))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from.deserialize_str(Text)
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time such as \"250ms\", \"20s\" or \"2h\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        read(text).ok_or_else(|| {
            E::custom(format!(
                "{text:?} is no time: write a whole number and its unit, one of ns, us, ms, s, min, h, d, such as 250ms"
            ))
        })
    }
}

fn read(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, name) = text.split_at(unit_at);
    let (_, unit) = UNITS.iter().find(|(unit, _)| *unit == name)?;
    let nanos = number.parse::<u128>().ok()?.checked_mul(*unit)?;
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    Some(Duration::new(seconds, (nanos % 1_000_000_000) as u32))
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use proptest::prelude::*;

    use crate::{Budgets, Config, Flow, KeyUpdates, Limits, PeerId, Timing};

    fn error<'de, T: serde::Deserialize<'de> + core::fmt::Debug>(text: &'de str) -> String {
        serde_json::from_str::<T>(text).expect_err("wrong").to_string()
    }

    #[test]
    fn groups_that_name_nothing_are_the_defaults_and_all_that_is_written_is_read() {
        let config = Config::default();
        assert_eq!(serde_json::from_str::<Timing>("{}").expect("right"), config.timers);
        assert_eq!(serde_json::from_str::<Limits>("{}").expect("right"), config.limits);
        assert_eq!(serde_json::from_str::<Budgets>("{}").expect("right"), config.budgets);
        assert_eq!(serde_json::from_str::<Flow>("{}").expect("right"), config.flow);
        assert_eq!(serde_json::from_str::<KeyUpdates>("{}").expect("right"), config.keys);
        let written = serde_json::to_string(&config.timers).expect("text");
        let expected = r#"{"heartbeat":"20s","idle_timeout":"1min","connect_timeout":"10s","max_ack_delay":"25ms"}"#;
        assert_eq!(written, expected);
        let written = serde_json::to_string(&config.budgets).expect("text");
        assert_eq!(serde_json::from_str::<Budgets>(&written).expect("right"), config.budgets);
        let some: Limits = serde_json::from_str(r#"{"max_peers": 7}"#).expect("right");
        assert_eq!((some.max_peers, some.max_half_open), (7, config.limits.max_half_open));
    }

    #[test]
    fn what_is_wrong_is_refused_with_its_name() {
        let unknown = error::<Flow>(r#"{"max_mesage": 5}"#);
        assert!(unknown.starts_with("unknown field `max_mesage`, expected one of"), "{unknown}");
        assert!(error::<Budgets>(r#"{"retries": {"per_second": 5}}"#).contains("`burst`"));
        for wrong in ["20", "s", "", "-1s", "1.5s", "1 s", "1y", "99999999999999999999999d"] {
            let told = error::<Timing>(&std::format!(r#"{{"heartbeat": "{wrong}"}}"#));
            assert!(told.contains("is no time: write a whole number and its unit"), "{told}");
        }
        assert!(error::<Timing>(r#"{"heartbeat": 20}"#).contains("expected a time such as"));
        // The rules are asked when all choices are known.
        let mut config = Config::default();
        let timers = serde_json::from_str(r#"{"heartbeat": "1ms"}"#).expect("it is a time");
        config.timers = timers;
        assert_eq!(config.validate().expect_err("too often").field, "timers.heartbeat");
    }

    #[test]
    fn a_peer_id_is_its_text_and_says_what_is_wrong_with_another() {
        let id = crate::Identity::from_seed([7; 32]).id();
        let text = serde_json::to_string(&id).expect("text");
        assert_eq!(text, std::format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<PeerId>(&text).expect("right"), id);
        let short = error::<PeerId>(r#""abc""#);
        assert!(short.starts_with("a peer id has 52 characters, this has 3"), "{short}");
        assert!(error::<PeerId>("7").contains("expected a peer id of 52 characters"));
    }

    proptest! {
        #[test]
        fn choices_and_times_are_the_same_after_a_round_trip(
            times in proptest::array::uniform4((0..=u64::MAX, 0_u32..1_000_000_000, 0_u8..4)),
            numbers in any::<(u32, u32, u32, u16)>(),
        ) {
            let [a, b, c, d] = times.map(|(seconds, nanos, scale)| {
                let nanos = [0, nanos, nanos / 1000 * 1000, nanos / 1_000_000 * 1_000_000];
                core::time::Duration::new(seconds, nanos[usize::from(scale)])
            });
            let mut timers = Timing::default();
            (timers.heartbeat, timers.idle_timeout) = (a, b);
            (timers.connect_timeout, timers.max_ack_delay) = (c, d);
            let written = serde_json::to_string(&timers).expect("text");
            prop_assert_eq!(serde_json::from_str::<Timing>(&written).expect("right"), timers);
            let mut flow = Flow::default();
            (flow.max_message, flow.receive_window) = (numbers.0, numbers.1);
            (flow.send_buffer, flow.max_streams) = (numbers.2 as usize, numbers.3);
            flow.unreliable_age = a;
            let written = serde_json::to_string(&flow).expect("text");
            prop_assert_eq!(serde_json::from_str::<Flow>(&written).expect("right"), flow);
            let mut keys = KeyUpdates::default();
            (keys.rekey_after, keys.active_keys) = (b, numbers.0);
            let written = serde_json::to_string(&keys).expect("text");
            prop_assert_eq!(serde_json::from_str::<KeyUpdates>(&written).expect("right"), keys);
        }
    }
}
