//! The statistics line.

use std::fmt::Write;

use handfast_core::{Drops, Stats};
use handfast_udp::SocketStats;
use tracing::info;

use crate::app::App;

/// Logs totals since the start: peers and messages, datagrams and bytes, and every reason for
/// which datagrams were dropped.
pub fn log(app: &App, stats: &Stats, drops: &Drops, sockets: &SocketStats) {
    let counters = app.counters();
    info!(
        peers = app.connected(),
        connected = counters.connected,
        ended = counters.ended,
        messages = counters.messages,
        message_bytes = counters.bytes,
        handshakes = stats.handshakes,
        rekeys = stats.rekeys,
        datagrams_received = stats.datagrams_received,
        datagrams_sent = stats.datagrams_sent,
        bytes_received = stats.bytes_received,
        bytes_sent = stats.bytes_sent,
        sends_blocked = sockets.sends_blocked,
        dropped = %reasons(drops),
        "statistics"
    );
}

/// The reasons that occurred, such as `bad_mac:3,malformed:1`.
fn reasons(drops: &Drops) -> String {
    let mut text = String::new();
    for (reason, count) in drops.iter().filter(|(_, count)| *count > 0) {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, "{comma}{reason}:{count}").expect("a string takes any text");
    }
    if text.is_empty() { "none".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reasons_that_occurred_are_named() {
        let mut drops = Drops::default();
        assert_eq!(reasons(&drops), "none");
        (drops.malformed, drops.bad_mac) = (1, 3);
        assert_eq!(reasons(&drops), "bad_mac:3,malformed:1");
    }
}
