//! A fingerprint of everything that happened, and, on request, a record for humans.

use std::fmt::{self, Write};
use std::time::Duration;

use handfast_core::wire::kind;

use crate::link::Outcome;
use crate::rng::mix;

/// What happened in a world: always as a hash, optionally as lines of text.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn record(&mut self, on: bool) {
        self.lines = on.then(Vec::new);
    }

    pub(crate) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }

    /// Hashes numbers that mark a step, such as the time and the node.
    pub(crate) fn note(&mut self, numbers: &[u64]) {
        for &number in numbers {
            self.word(number);
        }
    }

    /// Hashes bytes and their number.
    pub(crate) fn note_bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        for &byte in rest {
            self.word(u64::from(byte));
        }
    }

    /// Hashes the text of an event without building it.
    pub(crate) fn note_debug(&mut self, event: &impl fmt::Debug) {
        // Writing into a hash cannot fail; a `Debug` that fails leaves a shorter text.
        let _ignored = write!(HashText(self), "{event:?}").is_ok();
    }

    /// Adds a line, if lines are recorded.
    pub(crate) fn line(&mut self, now: Duration, text: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let micros = now.as_micros();
            lines.push(format!("{:>4}.{:06}  {}", micros / 1_000_000, micros % 1_000_000, text()));
        }
    }

    const fn word(&mut self, word: u64) {
        self.hash = mix(self.hash.rotate_left(5) ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
    }
}

struct HashText<'a>(&'a mut Trace);

impl Write for HashText<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.note_bytes(text.as_bytes());
        Ok(())
    }
}

/// The name of a packet by its first byte.
pub(crate) fn packet_name(bytes: &[u8]) -> &'static str {
    bytes.first().and_then(|kind| kind::name(*kind)).unwrap_or("unknown packet")
}

/// What a link did, to be appended to a line; empty when nothing.
pub(crate) fn outcome_text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Dropped(reason) => format!("  ({reason})"),
        Outcome::Carried { duplicated, corrupted, marked } => {
            let done = [(duplicated, "duplicated"), (corrupted, "corrupted"), (marked, "marked")];
            let words: Vec<_> = done.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
            if words.is_empty() { String::new() } else { format!("  ({})", words.join(", ")) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(steps: &[&[u8]]) -> u64 {
        let mut trace = Trace::default();
        steps.iter().for_each(|step| trace.note_bytes(step));
        trace.hash()
    }

    #[test]
    fn the_hash_tells_contents_lengths_and_boundaries_apart() {
        let different = [
            hash(&[]),
            hash(&[b""]),
            hash(&[b"\0"]),
            hash(&[b"\0\0"]),
            hash(&[b"\0", b"\0"]),
            hash(&[b"12345678"]),
            hash(&[b"12345679"]),
            hash(&[b"1234567", b"8"]),
        ];
        for (n, one) in different.iter().enumerate() {
            assert!(different[n + 1..].iter().all(|other| one != other), "number {n}");
        }
        assert_eq!(hash(&[b"again", b"12345678"]), hash(&[b"again", b"12345678"]));
    }

    #[test]
    fn lines_carry_the_time_and_are_kept_only_on_request() {
        let mut trace = Trace::default();
        trace.line(Duration::from_millis(1), || unreachable!("not recorded"));
        trace.record(true);
        trace.line(Duration::from_micros(12_000_034), || "hello".into());
        assert_eq!(trace.lines(), ["  12.000034  hello"]);
    }
}
