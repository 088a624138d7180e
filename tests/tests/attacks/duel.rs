//! A liar and its victim alone, and how that ends.

use std::time::Duration;

use handfast_core::{Config, EndReason, Event};

use crate::kit::*;

pub(crate) const MAX_MESSAGE: u32 = 1 << 16;

/// Two ends with small limits, connected.
pub(crate) fn pair() -> Stage {
    let mut config = Config::default();
    config.flow.max_message = MAX_MESSAGE;
    config.flow.receive_window = 2 * MAX_MESSAGE;
    config.flow.max_streams = 4;
    Stage::connected(config)
}

/// How the session ends at the victim after these packets; `None` if it lives.
pub(crate) fn end_after(packets: &[Vec<u8>]) -> Option<&'static str> {
    let mut pair = pair();
    for packet in packets {
        lie(&mut pair, 0, packet);
    }
    end_of(&mut pair)
}

pub(crate) fn end_of(pair: &mut Stage) -> Option<&'static str> {
    pair.step(Duration::from_secs(5));
    let mut reasons = pair.ends[VICTIM].events.iter().filter_map(|event| match event {
        Event::Ended { reason: EndReason::Violation(violation), .. } => Some(violation.as_str()),
        _ => None,
    });
    let reason = reasons.next_back();
    let told = pair.ends[LIAR].events.iter().any(|event| match event {
        Event::Ended { reason: EndReason::PeerDisconnected { reason: told, .. }, .. } => {
            Some(told.reason.as_str()) == reason
        }
        _ => false,
    });
    assert_eq!(told, reason.is_some(), "the liar is told the reason: {reason:?}");
    reason
}
