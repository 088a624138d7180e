//! The statistics lines.

use std::fmt;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use handfast_core::{Drops, Stats};
use handfast_udp::SocketStats;
use serde_json::{Map, Value};
use tracing::info;

use crate::app::Counters;

/// Everything that is counted, since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Peers that are connected now.
    pub peers: usize,
    /// What the application saw.
    pub counters: Counters,
    /// What the protocol did.
    pub stats: Stats,
    /// Why datagrams were dropped.
    pub drops: Drops,
    /// What happened at the sockets.
    pub sockets: SocketStats,
    /// Lines that nobody read in time.
    pub log_lines_dropped: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        let Self { peers, counters, stats, drops, sockets, log_lines_dropped } = other;
        self.peers += peers;
        self.counters += counters;
        self.stats += stats;
        self.drops += drops;
        self.sockets += sockets;
        self.log_lines_dropped += log_lines_dropped;
    }
}

/// Logs totals, and how much came in a second since the line before.
#[derive(Debug)]
pub struct Statistics {
    started: Instant,
    last: Instant,
    before: Totals,
}

impl Statistics {
    /// Nothing happened yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { started: now, last: now, before: Totals::default() }
    }

    /// A line with the totals as of `now`.
    pub fn report(&mut self, now: Instant, totals: &Totals) {
        log("statistics", totals, &self.before, now.saturating_duration_since(self.last));
        (self.last, self.before) = (now, *totals);
    }

    /// The last line, with rates over the whole life.
    pub fn finish(&self, now: Instant, totals: &Totals) {
        let life = now.saturating_duration_since(self.started);
        log("totals", totals, &Totals::default(), life);
    }
}

/// A line with the totals of each shard.
pub fn report_shards<'a>(shards: impl Iterator<Item = (&'a Stats, &'a SocketStats)>) {
    for (shard, (stats, sockets)) in shards.enumerate() {
        info!(
            shard,
            handshakes = stats.handshakes,
            datagrams_received = stats.datagrams_received,
            datagrams_sent = stats.datagrams_sent,
            handed_over = sockets.datagrams_handed_over,
            handovers_dropped = sockets.handovers_dropped,
            "shard"
        );
    }
}

fn log(message: &str, totals: &Totals, before: &Totals, span: Duration) {
    let Totals { peers, counters, stats, sockets, log_lines_dropped, .. } = *totals;
    let rate = |of: fn(&Totals) -> u64| rate(of(totals) - of(before), span);
    info!(
        peers,
        connected = counters.connected,
        ended = counters.ended,
        refused = counters.refused,
        evicted = counters.evicted,
        messages = counters.messages,
        message_bytes = counters.bytes,
        handshakes = stats.handshakes,
        rekeys = stats.rekeys,
        datagrams_received = stats.datagrams_received,
        datagrams_sent = stats.datagrams_sent,
        bytes_received = stats.bytes_received,
        bytes_sent = stats.bytes_sent,
        forwards = stats.forwards_passed,
        forward_bytes = stats.forward_bytes_passed,
        forwards_refused = stats.forwards_refused,
        forwards_dropped = stats.forwards_dropped,
        sends_blocked = sockets.sends_blocked,
        log_lines_dropped,
        seconds = rounded(span.as_secs_f64()),
        messages_per_second = rate(|totals| totals.counters.messages),
        datagrams_received_per_second = rate(|totals| totals.stats.datagrams_received),
        datagrams_sent_per_second = rate(|totals| totals.stats.datagrams_sent),
        bytes_received_per_second = rate(|totals| totals.stats.bytes_received),
        bytes_sent_per_second = rate(|totals| totals.stats.bytes_sent),
        forward_bytes_per_second = rate(|totals| totals.stats.forward_bytes_passed),
        dropped = %Reasons(&totals.drops),
        "{message}"
    );
}

/// How many a second, to a tenth.
fn rate(count: u64, span: Duration) -> f64 {
    let seconds = span.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a tenth is precise enough")]
    let count = count as f64;
    if seconds > 0.0 { rounded(count / seconds) } else { 0.0 }
}

fn rounded(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// The reasons that occurred, such as `bad_mac:3,malformed:1`; in the alternate form as an object in JSON.
struct Reasons<'a>(&'a Drops);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let occurred = self.0.iter().filter(|(_, count)| *count > 0);
        if f.alternate() {
            let object: Map<_, _> =
                occurred.map(|(reason, count)| (reason.to_owned(), Value::from(count))).collect();
            return write!(f, "{}", Value::from(object));
        }
        let list: Vec<_> = occurred.map(|(reason, count)| format!("{reason}:{count}")).collect();
        f.write_str(if list.is_empty() { "none" } else { "" })?;
        f.write_str(&list.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reasons_that_occurred_are_named() {
        let mut drops = Drops::default();
        let shown = |drops: &Drops| [Reasons(drops).to_string(), format!("{:#}", Reasons(drops))];
        assert_eq!(shown(&drops), ["none", "{}"]);
        (drops.malformed, drops.bad_mac) = (1, 3);
        assert_eq!(shown(&drops), ["bad_mac:3,malformed:1", r#"{"bad_mac":3,"malformed":1}"#]);
    }

    #[test]
    fn rates_are_a_second_and_to_a_tenth() {
        assert_eq!(rate(0, Duration::ZERO), 0.0);
        assert_eq!(rate(7, Duration::from_secs(60)), 0.1);
        assert_eq!(rate(1_000_000, Duration::from_millis(500)), 2_000_000.0);
    }
}
