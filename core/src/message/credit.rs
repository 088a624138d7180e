//! The sender's side of credit: what reliable messages may still be begun.

/// Credit that the receiver granted, and what was used of it, both counted from the session's start.
#[derive(Debug, Default)]
pub(super) struct SendCredit {
    used: u64,
    granted: u64,
    /// What the message costs that found too little.
    blocked_cost: Option<u64>,
}

impl SendCredit {
    /// Raises what the receiver granted in all. True if a message waited for that.
    pub(super) fn grant(&mut self, limit: u64) -> bool {
        let more = limit > self.granted;
        if more {
            self.granted = limit;
        }
        more && self.blocked_cost.take().is_some()
    }

    /// Whether a message that costs `cost` may be begun. If not, it is remembered that one waits.
    pub(super) const fn admits(&mut self, cost: u64) -> bool {
        let enough = self.used + cost <= self.granted;
        if !enough {
            self.blocked_cost = Some(cost);
        }
        enough
    }

    /// A message that costs `cost` was begun.
    pub(super) const fn spend(&mut self, cost: u64) {
        self.used += cost;
    }

    /// The limit at which a message waits, if one does, and what it costs.
    pub(super) fn blocked_at(&self) -> Option<(u64, u64)> {
        self.blocked_cost.map(|cost| (self.granted, cost))
    }

    /// The receiver starts over and grants this much.
    pub(super) const fn restart(&mut self, granted: u64) {
        *self = Self { used: 0, granted, blocked_cost: None };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_found_too_little_is_told_once_when_there_is_more() {
        let mut credit = SendCredit::default();
        credit.restart(100);
        assert!(credit.admits(100) && credit.blocked_at().is_none());
        credit.spend(100);
        assert!(!credit.grant(150), "nobody waited");
        assert!(!credit.admits(51));
        assert_eq!(credit.blocked_at(), Some((150, 51)));
        assert!(!credit.grant(150), "no more than before");
        assert!(credit.grant(151) && !credit.grant(152));
        assert!(credit.admits(51));
    }
}
