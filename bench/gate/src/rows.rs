//! The rows of the table: which operations are counted, how often, and after what.

use crate::operations;
use crate::pair::Pair;
use crate::probe::row_ends;
use crate::relayed::Relayed;

/// A row: some operations on endpoints of its own.
pub(crate) struct Row {
    /// Its name in the table and in the file of counts.
    pub(crate) name: &'static str,
    /// Functions whose cost, and the cost of what they call, is left out. Parts of names.
    pub(crate) left_out: &'static [&'static str],
    /// What it is done on.
    run: Run,
    times: u32,
}

/// Does at least so many operations, and returns how many.
enum Run {
    /// On a pair, when so many packets have crossed.
    Pair { packets_before: u32, run: fn(&mut Pair, u32) -> u32 },
    /// On two ends that reach each other by way of a relay.
    Relayed(fn(&mut Relayed, u32) -> u32),
}

impl Row {
    /// Runs the row, and returns the number of operations that were counted.
    pub(crate) fn run(&self) -> u32 {
        let operations = match self.run {
            Run::Pair { packets_before, run } => {
                let mut pair = Pair::connected();
                operations::exchange_packets(&mut pair, packets_before);
                run(&mut pair, self.times)
            }
            Run::Relayed(run) => run(&mut Relayed::connected(), self.times),
        };
        row_ends();
        operations
    }
}

/// All rows, in the order of the table.
pub(crate) const ROWS: [Row; 22] = [
    fresh("handshake", operations::handshake, 16),
    Row { left_out: &[AEAD, CURVE], ..fresh("handshake_without_curve", operations::handshake, 16) },
    fresh("seal", operations::seal, 1000),
    fresh("open", operations::open, 1000),
    fresh("ack", operations::ack, 1000),
    Row { left_out: &[], ..fresh("timer", operations::timer, 500) },
    fresh("small_message", operations::small_message, 2000),
    fresh("batched_message", operations::batched_message, 8000),
    fresh("unreliable_message", operations::unreliable_message, 2000),
    fresh("batched_unreliable", operations::batched_unreliable, 8000),
    fresh("bulk_packet", operations::bulk_packet, 4000),
    fresh("heartbeat", operations::heartbeat, 60),
    Row { name: "forward", left_out: &[AEAD], run: Run::Relayed(operations::forward), times: 1000 },
    steady("steady_seal", operations::seal, 1000),
    steady("steady_open", operations::open, 1000),
    steady("steady_ack", operations::ack, 1000),
    Row { left_out: &[], ..steady("steady_timer", operations::timer, 500) },
    steady("steady_small_message", operations::small_message, 2000),
    steady("steady_batched_message", operations::batched_message, 8000),
    steady("steady_unreliable_message", operations::unreliable_message, 2000),
    steady("steady_batched_unreliable", operations::batched_unreliable, 8000),
    steady("steady_bulk_packet", operations::bulk_packet, 4000),
];

/// A row on a pair that has just met.
const fn fresh(name: &'static str, run: fn(&mut Pair, u32) -> u32, times: u32) -> Row {
    on_a_pair(name, 100, run, times)
}

/// A row on a pair that has exchanged so much that what grows with its age has grown.
const fn steady(name: &'static str, run: fn(&mut Pair, u32) -> u32, times: u32) -> Row {
    on_a_pair(name, 40_000, run, times)
}

const fn on_a_pair(
    name: &'static str,
    packets_before: u32,
    run: fn(&mut Pair, u32) -> u32,
    times: u32,
) -> Row {
    Row { name, left_out: &[AEAD], run: Run::Pair { packets_before, run }, times }
}

/// Making keys of the AEADs, sealing and opening: no function outside of them does any of that work.
const AEAD: &str = "rustcrypto::AeadKey::";

/// Arithmetic on curve points: nine tenths of a handshake, which would hide the rest of it.
const CURVE: &str = "curve25519_dalek";
