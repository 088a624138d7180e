//! The contract of a sans-IO core, as checks. Each says what was broken, in words.

use handfast_core::{Instant, Transmit};

use crate::machine::Unverified;

/// What broke the contract.
pub(crate) type Breach = String;

/// More outputs than this for one input are taken for an endless loop.
pub(crate) const FUEL: u32 = 100_000;

/// Checks that a transmit is well formed and fits the buffer it was written to.
pub(crate) fn transmit(
    transmit: &Transmit,
    buffer: usize,
    max_datagram: usize,
) -> Result<(), Breach> {
    let largest = transmit.segment.map_or(transmit.len, |size| usize::from(size.get()));
    let broken = if transmit.len == 0 {
        "is empty"
    } else if transmit.len > buffer {
        "is longer than the buffer"
    } else if largest > max_datagram {
        "has a datagram larger than Config::max_datagram"
    } else if transmit.segment.is_some() && transmit.len <= largest {
        "names a segment size but holds a single datagram"
    } else {
        return Ok(());
    };
    Err(format!("a transmit {broken}: {transmit:?}, buffer {buffer}, limit {max_datagram}"))
}

/// Checks the deadline after `handle_timeout(now)` and a drain.
pub(crate) fn deadline_after_timeout(now: Instant, next: Option<Instant>) -> Result<(), Breach> {
    match next {
        Some(next) if next <= now => {
            Err(format!("after handle_timeout({now:?}) the deadline is {next:?}, not later"))
        }
        _ => Ok(()),
    }
}

/// Checks the deadline after any other input and a drain. An overdue one may stay, but not be set.
pub(crate) fn deadline_after_input(
    now: Instant,
    before: Option<Instant>,
    after: Option<Instant>,
) -> Result<(), Breach> {
    match after {
        Some(after) if after < now && before.is_none_or(|before| before > after) => {
            Err(format!("at {now:?} the deadline was moved from {before:?} to the past: {after:?}"))
        }
        _ => Ok(()),
    }
}

/// Checks that nobody can be flooded through us.
pub(crate) fn amplification(bytes: Unverified) -> Result<(), Breach> {
    if bytes.sent > bytes.received {
        return Err(format!("sent more to unverified addresses than came from them: {bytes:?}"));
    }
    Ok(())
}

/// Takes one unit of fuel.
pub(crate) fn burn(fuel: &mut u32) -> Result<(), Breach> {
    *fuel = fuel.checked_sub(1).ok_or_else(|| "draining does not end".to_owned())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU16;

    fn batch(len: usize, segment: u16) -> Transmit {
        let mut batch = Transmit::new(([192, 0, 2, 1], 1).into(), len);
        batch.segment = NonZeroU16::new(segment);
        batch
    }

    #[test]
    fn only_well_formed_transmits_pass() {
        for (len, segment, fine) in [
            (1, 0, true),
            (1_200, 0, true),
            (2_401, 1_200, true),
            (3_000, 1_200, true),
            (0, 0, false),
            (1_201, 0, false),
            (3_001, 1_200, false),
            (2_500, 1_201, false),
            (1_200, 1_200, false),
        ] {
            let verdict = transmit(&batch(len, segment), 3_000, 1_200);
            assert_eq!(verdict.is_ok(), fine, "{len} in segments of {segment}: {verdict:?}");
        }
    }

    #[test]
    fn a_deadline_may_stay_overdue_but_not_be_set_to_the_past() {
        let at = |micros| Some(Instant::from_micros(micros));
        let now = Instant::from_micros(100);
        assert!(deadline_after_timeout(now, at(100)).is_err());
        assert!(deadline_after_timeout(now, at(101)).is_ok());
        assert!(deadline_after_input(now, at(90), at(90)).is_ok());
        assert!(deadline_after_input(now, at(150), at(100)).is_ok());
        assert!(deadline_after_input(now, at(150), at(99)).is_err());
        assert!(deadline_after_input(now, None, at(99)).is_err());
    }

    #[test]
    fn a_byte_more_than_received_is_an_amplifier() {
        assert!(amplification(Unverified { received: 240, sent: 240 }).is_ok());
        assert!(amplification(Unverified { received: 240, sent: 241 }).is_err());
    }
}
