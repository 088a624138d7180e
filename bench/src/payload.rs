//! What is sent, and the check that exactly that arrives.
//!
//! All payloads of a run are pieces of one endless sequence of bytes, one after the other. So it does
//! not matter how a system cuts them: what arrives must be the same sequence, without a gap.

/// The endless sequence. It repeats itself after a prime number of bytes, so that no two messages of
/// a round size are alike.
pub(crate) struct Sequence {
    /// One period, and as much of the next as one piece may need.
    bytes: &'static [u8],
}

impl Sequence {
    /// Makes the sequence. It is never freed: payloads are pieces of it, so that no system is
    /// charged for making them.
    pub(crate) fn new() -> Self {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[7]
        };
        let mut bytes: Vec<u8> = (0..PERIOD).map(|_| next()).collect();
        bytes.extend_from_within(..);
        Self { bytes: bytes.leak() }
    }

    /// The piece of `len` bytes, at most a period, that begins at `position`.
    pub(crate) fn piece(&self, position: u64, len: usize) -> &'static [u8] {
        let start = usize::try_from(position % PERIOD as u64).unwrap_or_default();
        &self.bytes[start..start + len]
    }
}

/// What arrived so far.
pub(crate) struct Inbox<'a> {
    /// What should arrive.
    pub(crate) sequence: &'a Sequence,
    /// Bytes that arrived.
    pub(crate) bytes: u64,
    /// Where the first wrong byte was.
    wrong_at: Option<u64>,
}

impl<'a> Inbox<'a> {
    /// Nothing arrived.
    pub(crate) const fn new(sequence: &'a Sequence) -> Self {
        Self { sequence, bytes: 0, wrong_at: None }
    }

    /// Takes what arrived next: a message, or some bytes of a stream.
    pub(crate) fn take(&mut self, arrived: &[u8]) {
        for piece in arrived.chunks(PERIOD) {
            if piece != self.sequence.piece(self.bytes, piece.len()) {
                self.wrong_at.get_or_insert(self.bytes);
            }
            self.bytes += piece.len() as u64;
        }
    }

    /// Whether exactly `sent` bytes arrived, all of them right.
    ///
    /// # Errors
    /// Says what is wrong.
    pub(crate) fn check(&self, sent: u64) -> Result<(), String> {
        match self.wrong_at {
            Some(at) => Err(format!("what arrived is wrong from byte {at} on")),
            None if self.bytes != sent => {
                Err(format!("{sent} bytes were sent, {} came", self.bytes))
            }
            None => Ok(()),
        }
    }
}

/// A prime just above 64 KiB, the largest piece.
const PERIOD: usize = 65_537;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_of_the_sequence_is_right() {
        let sequence = Sequence::new();
        let mut inbox = Inbox::new(&sequence);
        for len in [1, 64, 65_536, 7, 65_537, 1_150] {
            inbox.take(sequence.piece(inbox.bytes, len));
        }
        assert_eq!(inbox.check(132_295), Ok(()));
        assert!(inbox.check(132_296).is_err_and(|error| error.contains("132295 came")));
    }

    #[test]
    fn a_gap_a_repetition_and_a_wrong_byte_are_seen() {
        let sequence = Sequence::new();
        let first = sequence.piece(0, 64);
        let mut wrong = sequence.piece(64, 64).to_vec();
        wrong[63] ^= 1;
        for second in [sequence.piece(128, 64), first, &wrong] {
            let mut inbox = Inbox::new(&sequence);
            inbox.take(first);
            inbox.take(second);
            assert_eq!(inbox.check(128), Err("what arrived is wrong from byte 64 on".into()));
        }
    }
}
