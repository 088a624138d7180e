//! What may be spent on strangers.
//!
//! Each check of a request costs more than the one before. What the costly ones may cost in all is
//! decided here, in tables that never grow, so that
//!
//! - *initiators that have not validated their address* (anyone can put any source address on a datagram)
//!   get at most 200 handshakes a second, then a Retry: never silence, as the flood may carry the address
//!   of an honest initiator;
//! - *initiators that validated their address* by a cookie have a budget and a table of their own, into
//!   which no others get: what is sent from a forged address takes nothing from it. Of the 2,000 a
//!   second anyone may take what is left over, but sources that asked for more than their part leave half the burst alone, and
//!   sources that were served in the last 5 s a quarter. A newcomer is thus served unless newcomers
//!   alone exceed the budget: that takes some thousand sources with real addresses, which then
//!   share it with newcomers by chance;
//! - *initiators whose validated address is that of a peer* use a third budget first. Only peers get there,
//!   and 4,096 of them that shake hands once in 5 s do not use it up;
//! - *Retries* cost little more than the MAC that every request must have; they have shares that
//!   nobody can use up for others, and a common rest (`Shares`). 20,000 plus 4,096 times 8 is about
//!   50,000 a second, 4 MB/s, always less than what asks for them;
//! - *refusals* cost what a response costs, for initiators that nothing comes of: 100 a second, 5 of
//!   them for one source, then silence;
//! - *answers to STUN requests* may be longer than the request, 52 bytes at most: 1,000 a second, 5 of them for one
//!   source;
//! - *`UnknownSession` packets* cost nothing but sending them.
//!
//! At worst this makes 3,200 handshakes a second with initiators, of four Diffie-Hellman computations and
//! a new key each. Those that we begin ourselves are limited peer by peer (`session::initiator`).

mod source;
mod table;

use core::time::Duration;

pub(crate) use source::Source;
use source::{Mark, Marker};
use table::{Shares, SourceTable};

use crate::bucket::{Limit, TokenBucket};
use crate::config::{Budget, Budgets};
use crate::crypto::hash::Secret;
use crate::net::Via;
use crate::time::{Instant, micros};

/// All budgets, and what is left of them.
pub(crate) struct RateLimiter {
    marker: Marker,
    unvalidated: SharedBucket,
    unvalidated_sources: SourceTable,
    unvalidated_per_source: Limit,
    validated: SharedBucket,
    at_peers: SharedBucket,
    validated_sources: SourceTable,
    validated_per_source: Limit,
    retries: Shares,
    unknown_session: SharedBucket,
    refusals: TokenBucket,
    refused_sources: SourceTable,
    stun: TokenBucket,
    stun_sources: SourceTable,
}

/// Who is charged, and where it stands in the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceKey {
    pub(crate) source: Source,
    mark: Mark,
}

/// A budget that all draw on.
struct SharedBucket {
    bucket: TokenBucket,
    limit: Limit,
}

impl SharedBucket {
    fn new(budget: Budget) -> Self {
        Self { bucket: TokenBucket::FULL, limit: Limit::new(budget) }
    }

    fn take(&mut self, now: Instant, kept: u64) -> bool {
        self.bucket.take(now, &self.limit, kept)
    }

    /// What is left alone by those who have this tier.
    const fn kept(&self, tier: Tier) -> u64 {
        match tier {
            Tier::Newcomer => 0,
            Tier::Within => self.limit.part(4),
            Tier::Beyond => self.limit.part(2),
        }
    }
}

/// How a source that validated its address stands with its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    /// Not served for a while.
    Newcomer,
    Within,
    Beyond,
}

impl RateLimiter {
    /// Full budgets. `secret` hides which sources share a place.
    pub(crate) fn new(budgets: &Budgets, secret: Secret) -> Self {
        let retries = Shares::new(
            budgets.sources,
            Limit::new(budgets.retries_per_share),
            Limit::new(budgets.retries),
        );
        Self {
            marker: Marker::new(secret),
            unvalidated: SharedBucket::new(budgets.unvalidated),
            unvalidated_sources: SourceTable::new(budgets.sources),
            unvalidated_per_source: Limit::new(budgets.unvalidated_per_source),
            validated: SharedBucket::new(budgets.validated),
            at_peers: SharedBucket::new(budgets.at_peers),
            validated_sources: SourceTable::new(budgets.sources),
            validated_per_source: Limit::new(budgets.validated_per_source),
            retries,
            unknown_session: SharedBucket::new(budgets.unknown_session),
            refusals: TokenBucket::FULL,
            refused_sources: SourceTable::new(budgets.sources),
            stun: TokenBucket::FULL,
            stun_sources: SourceTable::new(budgets.sources),
        }
    }

    /// Who pays for what comes in by `via`.
    pub(crate) fn key(&self, via: &Via) -> SourceKey {
        let source = Source::of(via);
        SourceKey { source, mark: self.marker.mark(&source) }
    }

    /// Pays for a handshake with an initiator that validated nothing. If not, it has to.
    pub(crate) fn try_acquire_unvalidated(&mut self, now: Instant, key: &SourceKey) -> bool {
        let mut found = self.unvalidated_sources.find(key.mark);
        let paid = found.bucket.take(now, &self.unvalidated_per_source, 0)
            && self.unvalidated.take(now, 0);
        if paid {
            self.unvalidated_sources.put(found);
        }
        paid
    }

    /// Pays for a handshake with an initiator that validated its address; `at_peer` if that is where a
    /// peer is.
    pub(crate) fn try_acquire_validated(
        &mut self,
        now: Instant,
        key: &SourceKey,
        at_peer: bool,
    ) -> bool {
        let mut found = self.validated_sources.find(key.mark);
        let newcomer = found.is_new(now, micros(REST));
        let within = found.bucket.take(now, &self.validated_per_source, 0);
        let tier = match (newcomer, within) {
            (true, _) => Tier::Newcomer,
            (false, true) => Tier::Within,
            (false, false) => Tier::Beyond,
        };
        let (at_peers, validated) = (&mut self.at_peers, &mut self.validated);
        let paid = (at_peer && at_peers.take(now, at_peers.kept(tier)))
            || validated.take(now, validated.kept(tier));
        if paid {
            self.validated_sources.put(found);
        }
        paid
    }

    /// Pays for a Retry.
    pub(crate) fn try_acquire_retry(&mut self, now: Instant, key: &SourceKey) -> bool {
        self.retries.take(now, key.mark)
    }

    /// Pays for a refusal, new or repeated.
    pub(crate) fn try_acquire_refusal(&mut self, now: Instant, key: &SourceKey) -> bool {
        let mut found = self.refused_sources.find(key.mark);
        let paid = found.bucket.take(now, &REFUSALS_PER_SOURCE, 0)
            && self.refusals.take(now, &REFUSALS, 0);
        if paid {
            self.refused_sources.put(found);
        }
        paid
    }

    /// Pays for an answer to a STUN request.
    pub(crate) fn try_acquire_stun(&mut self, now: Instant, key: &SourceKey) -> bool {
        let mut found = self.stun_sources.find(key.mark);
        let paid = found.bucket.take(now, &STUN_PER_SOURCE, 0) && self.stun.take(now, &STUN, 0);
        if paid {
            self.stun_sources.put(found);
        }
        paid
    }

    /// Pays for a UnknownSession.
    pub(crate) fn try_acquire_unknown_session(&mut self, now: Instant) -> bool {
        self.unknown_session.take(now, 0)
    }
}

/// A source that was not served for so long is a newcomer.
const REST: Duration = Duration::from_secs(5);
/// Refusals in all, 100 a second, and to one source, 5 a second.
const REFUSALS: Limit = Limit::every(10_000, 100);
const REFUSALS_PER_SOURCE: Limit = Limit::every(200_000, 5);
/// Answers to STUN requests in all, 1,000 a second, and to one source, 5 a second.
const STUN: Limit = Limit::every(1_000, 1_000);
const STUN_PER_SOURCE: Limit = Limit::every(200_000, 5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Arrival;

    const NOW: Instant = Instant::from_micros(1_000_000);

    fn limiter() -> RateLimiter {
        RateLimiter::new(&Budgets::default(), Secret::new([7; 32]))
    }

    fn key(limiter: &RateLimiter, number: u32) -> SourceKey {
        let address = core::net::SocketAddr::from((number.to_be_bytes(), 4263));
        limiter.key(&Arrival::from_remote(address).via)
    }

    /// How many of the payments of sources in `numbers` are taken, each paying `times`.
    fn paid(
        limiter: &mut RateLimiter,
        now: Instant,
        numbers: core::ops::Range<u32>,
        times: u32,
    ) -> u32 {
        let each = |number| {
            let key = key(limiter, number);
            (0..times)
                .map(|_| u32::from(limiter.try_acquire_validated(now, &key, false)))
                .sum::<u32>()
        };
        numbers.map(each).sum()
    }

    #[test]
    fn what_is_sent_in_the_name_of_a_source_takes_nothing_from_what_it_proved() {
        let mut limiter = limiter();
        let victim = key(&limiter, 1);
        assert_eq!((0..1000).filter(|_| limiter.try_acquire_unvalidated(NOW, &victim)).count(), 20);
        // So that there is nothing for those beyond their own budget.
        assert_eq!(paid(&mut limiter, NOW, 1000..1290, 1), 290);
        assert_eq!(paid(&mut limiter, NOW, 1..2, 100), 20);
    }

    #[test]
    fn one_source_is_refused_five_times_a_second_and_all_together_a_hundred_times() {
        let mut limiter = limiter();
        let refused = |limiter: &mut RateLimiter, now, number| {
            let key = key(limiter, number);
            (0..50).filter(|_| limiter.try_acquire_refusal(now, &key)).count()
        };
        assert_eq!(refused(&mut limiter, NOW, 1), 5);
        assert_eq!(refused(&mut limiter, NOW + Duration::from_secs(1), 1), 5);
        let later = NOW + Duration::from_secs(10);
        assert_eq!((1..1000).map(|n| refused(&mut limiter, later, n)).sum::<usize>(), 100);
    }

    #[test]
    fn what_is_left_is_for_those_who_had_least() {
        let mut limiter = limiter();
        // One alone gets half of all there is.
        assert_eq!(paid(&mut limiter, NOW, 0..1, 1000), 250);
        // Each of some gets its part of the next quarter; then they were served already.
        assert_eq!(paid(&mut limiter, NOW, 1..21, 100), 125 + 13);
        // The rest is for those who come for the first time.
        assert_eq!(paid(&mut limiter, NOW, 1..21, 100), 0);
        assert_eq!(paid(&mut limiter, NOW, 1000..2000, 1), 112);
        // Who was served is new again after a while.
        let soon = NOW + Duration::from_millis(50);
        assert_eq!(paid(&mut limiter, soon, 1..21, 1), 0);
        let later = NOW + REST + Duration::from_millis(100);
        assert_eq!(paid(&mut limiter, later, 1000..1600, 1), 500);
    }

    #[test]
    fn more_sources_than_there_are_places_do_not_pass_for_new_ones() {
        let mut limiter = limiter();
        let mut now = NOW;
        let mut served = 0;
        // 20,000 sources in turn; each comes once in 5 s, 4,096 places.
        for number in 0..40_000 {
            now += Duration::from_micros(250);
            served += paid(&mut limiter, now, number % 20_000..number % 20_000 + 1, 1);
        }
        // 2,000 a second and the burst, but for the quarter that is kept.
        let most = 2000 * 10 + 500;
        assert!((most - 250..=most).contains(&served), "{served}");
        assert!(!limiter.validated.bucket.has(now, &limiter.validated.limit, 126), "in use");
        assert!(
            limiter.validated.bucket.has(now, &limiter.validated.limit, 100),
            "a quarter is kept"
        );
    }
}
