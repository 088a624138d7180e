//! Whether the rate still grows when more is sent.

/// Compares the rate with what it was when it last grew by much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plateau {
    /// Bytes per second.
    rate: u64,
    /// So many rounds ago.
    rounds: u8,
}

impl Plateau {
    /// Nothing was measured.
    pub(super) const fn new() -> Self {
        Self { rate: 0, rounds: 0 }
    }

    /// From `rate` on.
    pub(super) const fn since(rate: u64) -> Self {
        Self { rate, rounds: 0 }
    }

    /// A round ended with `rate`, which is growth if it is more by `percent`.
    pub(super) const fn on_round(&mut self, rate: u64, percent: u64) {
        if !self.note(rate, percent) {
            self.rounds = self.rounds.saturating_add(1);
        }
    }

    /// The same of a round that shows only growth. Returns whether it does.
    pub(super) const fn note(&mut self, rate: u64, percent: u64) -> bool {
        let has_grown = rate >= self.rate.saturating_add(self.rate / 100 * percent);
        if has_grown {
            *self = Self::since(rate);
        }
        has_grown
    }

    /// For how many rounds it did not grow.
    pub(super) const fn rounds(&self) -> u8 {
        self.rounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_by_little_is_none_until_it_adds_up() {
        let mut plateau = Plateau::new();
        let rounds = [1000, 1300, 1400, 1500, 1630, 1600].map(|rate| {
            plateau.on_round(rate, 25);
            plateau.rounds()
        });
        assert_eq!(rounds, [0, 0, 1, 2, 0, 1]);
        assert!(!plateau.note(1900, 25) && plateau.note(2100, 25));
        assert_eq!(plateau.rounds(), 0);
    }
}
