//! What a system is made to do, the same for all, and how long it takes.

use std::time::Duration;

use crate::clock::cpu_time;
use crate::payload::{Inbox, Sequence};
use crate::systems::Pair;

/// What to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// Send messages of 64 KiB as fast as they are taken.
    Bulk,
    /// Send messages of 64 bytes, so many in each turn.
    Messages { at_once: u32 },
    /// Connect, again and again, each time with new ends.
    Handshakes,
}

impl Load {
    /// Does it `n` times (bulk: `n` KiB) with a fresh pair, and returns the CPU time of both ends.
    ///
    /// # Errors
    /// If what arrives is not what was sent, or nothing arrives any more.
    pub(crate) fn run<P: Pair>(
        self,
        kind: P::Kind,
        n: u32,
        sequence: &Sequence,
    ) -> Result<Duration, String> {
        let mut inbox = Inbox::new(sequence);
        if let Self::Handshakes = self {
            return handshakes::<P>(kind, n, &mut inbox);
        }
        let mut pair = P::strangers(kind, 0);
        shake_hands(&mut pair, &mut inbox)?;
        match self {
            Self::Messages { at_once } => messages(&mut pair, n, at_once, inbox),
            _ => bulk(&mut pair, u64::from(n) * 1024, inbox),
        }
    }
}

fn shake_hands<P: Pair>(pair: &mut P, inbox: &mut Inbox<'_>) -> Result<(), String> {
    pair.dial();
    for _ in 0..TURNS_OF_A_HANDSHAKE {
        pair.turn(inbox);
        if pair.is_connected() {
            return Ok(());
        }
    }
    Err(format!("no connection after {TURNS_OF_A_HANDSHAKE} turns"))
}

fn bulk<P: Pair>(pair: &mut P, total: u64, mut inbox: Inbox<'_>) -> Result<Duration, String> {
    let (mut sent, mut patience) = (0, PATIENCE);
    let start = cpu_time();
    while inbox.bytes < total && patience > 0 {
        while sent < total && sent < inbox.bytes + QUEUED {
            let len = usize::try_from(total - sent).map_or(LARGE, |left| left.min(LARGE));
            let taken = pair.send(inbox.sequence.piece(sent, len));
            if taken == 0 {
                break;
            }
            sent += taken as u64;
        }
        patience = turn(pair, &mut inbox, patience);
    }
    let time = cpu_time() - start;
    inbox.check(total).map(|()| time)
}

fn messages<P: Pair>(
    pair: &mut P,
    n: u32,
    at_once: u32,
    mut inbox: Inbox<'_>,
) -> Result<Duration, String> {
    let total = u64::from(n) * SMALL as u64;
    let (mut sent, mut patience) = (0, PATIENCE);
    let start = cpu_time();
    while inbox.bytes < total && patience > 0 {
        for _ in 0..at_once {
            if sent < total && pair.send(inbox.sequence.piece(sent, SMALL)) == SMALL {
                sent += SMALL as u64;
            }
        }
        patience = turn(pair, &mut inbox, patience);
    }
    let time = cpu_time() - start;
    inbox.check(total).map(|()| time)
}

/// One turn, and how many more may pass in which nothing arrives.
fn turn<P: Pair>(pair: &mut P, inbox: &mut Inbox<'_>, patience: u32) -> u32 {
    let before = inbox.bytes;
    pair.turn(inbox);
    if inbox.bytes > before { PATIENCE } else { patience - 1 }
}

fn handshakes<P: Pair>(kind: P::Kind, n: u32, inbox: &mut Inbox<'_>) -> Result<Duration, String> {
    let mut time = Duration::ZERO;
    for number in 0..n {
        let mut pair = P::strangers(kind, number);
        let start = cpu_time();
        shake_hands(&mut pair, inbox)?;
        time += cpu_time() - start;
    }
    Ok(time)
}

/// Bytes of a small message.
const SMALL: usize = 64;

/// Bytes of a large message.
const LARGE: usize = 64 * 1024;

/// Bytes that are sent and have not arrived: enough that there is always something to send.
const QUEUED: u64 = 1 << 20;

/// Turns without anything arriving, after which a system is stuck: seconds of its time.
const PATIENCE: u32 = 50_000;

/// More than any of the handshakes here takes.
const TURNS_OF_A_HANDSHAKE: u32 = 100;
