//! What links do to datagrams, as plain data.

use std::time::Duration;

use crate::rng::Probability;

/// How a link treats datagrams. The default is perfect: 10 ms, any size, any rate.
///
/// Sizes and rates count bytes of UDP payload, and [`Self::header`] for each datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The time from end to end, not counting `rate`.
    pub latency: Duration,
    /// Each datagram takes up to this much longer. This jitter alone never reorders: what would
    /// overtake an earlier datagram arrives together with it.
    pub jitter: Duration,
    /// Each datagram takes up to this much longer, whatever the others do: they overtake each other.
    pub free_jitter: Duration,
    /// Datagrams lost, each on its own.
    pub loss: Probability,
    /// Losses that come together: the link changes its mind at each datagram.
    pub bursts: Option<Bursts>,
    /// Losses that come together in time: the link changes its mind once in each millisecond,
    /// whatever is sent, and at the same times in every run of a seed.
    pub bursts_in_time: Option<Bursts>,
    /// Datagrams that are held back by `reordering_delay` while later ones pass.
    pub reordering: Probability,
    /// How long a reordered datagram is held back.
    pub reordering_delay: Duration,
    /// Datagrams that arrive twice, the copy up to 5 ms later.
    pub duplication: Probability,
    /// Datagrams of which one to three bits are flipped.
    pub corruption: Probability,
    /// Datagrams larger than this vanish. It counts payload alone.
    pub mtu: usize,
    /// Bytes that each datagram counts in `rate`, `queue`, `ce_threshold` and `policer` beside its
    /// payload. 28 are the headers of IPv4 and UDP.
    pub header: usize,
    /// Bytes per second; none for no limit. When it changes, what waits leaves at the new rate.
    pub rate: Option<u64>,
    /// Bytes that may wait for their turn when there is a `rate`; the newest are dropped.
    pub queue: usize,
    /// ECN-capable datagrams that find more than this many bytes waiting are marked.
    pub ce_threshold: Option<usize>,
    /// How the queue behaves when datagrams wait in it for long.
    pub codel: Option<CoDel>,
    /// What becomes of ECN marks on the way, whatever the queue says.
    pub ecn: EcnTreatment,
    /// Drops what exceeds a rate without letting anything wait, before the queue.
    pub policer: Option<Policer>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(10),
            jitter: Duration::ZERO,
            free_jitter: Duration::ZERO,
            loss: Probability::NEVER,
            bursts: None,
            bursts_in_time: None,
            reordering: Probability::NEVER,
            reordering_delay: Duration::from_millis(20),
            duplication: Probability::NEVER,
            corruption: Probability::NEVER,
            mtu: usize::MAX,
            header: 0,
            rate: None,
            queue: 64 << 10,
            ce_threshold: None,
            codel: None,
            ecn: EcnTreatment::Kept,
            policer: None,
        }
    }
}

/// The Gilbert-Elliott model: a link is good or bad, and changes its mind at each datagram
/// ([`Conditions::bursts`]) or once in each millisecond ([`Conditions::bursts_in_time`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bursts {
    /// From good to bad.
    pub enter: Probability,
    /// From bad to good.
    pub leave: Probability,
    /// Datagrams lost while bad.
    pub loss: Probability,
}

impl Bursts {
    /// For [`Conditions::bursts_in_time`]: bursts that last `mean` on average, in which everything
    /// is lost, and that take up `share` of the time.
    ///
    /// # Panics
    /// When `mean` is shorter than a millisecond, or `share` is all of the time.
    #[must_use]
    pub fn lasting(mean: Duration, share: Probability) -> Self {
        let (millis, bad) = (mean.as_millis(), u128::from(share.parts()));
        assert!(millis > 0 && bad < MILLION, "bursts begin and end");
        let chance = |times: u128, of: u128| {
            Probability::per_million(u32::try_from(times / of).unwrap_or(u32::MAX))
        };
        Self {
            enter: chance(MILLION * bad, millis * (MILLION - bad)),
            leave: chance(MILLION, millis),
            loss: Probability::ALWAYS,
        }
    }
}

/// A queue that answers when it keeps datagrams waiting for long, as RFC 8289 has it: it marks those
/// that are ECN-capable, and drops the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoDel {
    /// A datagram may wait for so long.
    pub target: Duration,
    /// When all have waited longer for this time, the first is marked; then ever more.
    pub interval: Duration,
}

impl Default for CoDel {
    fn default() -> Self {
        Self { target: Duration::from_millis(5), interval: Duration::from_millis(100) }
    }
}

/// What a link does to the ECN codepoint of datagrams (RFC 3168).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EcnTreatment {
    /// It stays as it is.
    #[default]
    Kept,
    /// It is taken away, as by a router that clears the old type-of-service byte.
    Bleached,
    /// ECT(0) becomes ECT(1).
    Changed,
    /// So many of those that are ECN-capable are marked "congestion experienced", whatever waits.
    Congested(Probability),
    /// Datagrams with a mark of any kind are dropped.
    Dropped,
}

/// A token bucket: what finds too few tokens is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policer {
    /// Bytes per second that it lets pass.
    pub rate: u64,
    /// Bytes that it lets pass at once after a pause.
    pub burst: u64,
}

const MILLION: u128 = 1_000_000;
