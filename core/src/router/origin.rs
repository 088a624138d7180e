//! What an owner says about itself: it is there, under a pair of numbers that only grows.

use core::time::Duration;

use crate::PeerId;
use crate::bucket::{Limit, TokenBucket};
use crate::time::Instant;

/// The order in which an owner speaks: compared as integers, and never starting over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) epoch: u64,
    pub(crate) seqno: u32,
}

impl Pair {
    /// The next one; `None` after the last of all.
    pub(crate) fn next(self) -> Option<Self> {
        let in_epoch = self.seqno.checked_add(1).map(|seqno| Self { seqno, ..self });
        in_epoch.or_else(|| self.next_epoch())
    }

    /// The first of the next epoch; `None` after the last of all.
    pub(crate) fn next_epoch(self) -> Option<Self> {
        Some(Self { epoch: self.epoch.checked_add(1)?, seqno: 0 })
    }
}

/// What an owner signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) destination: PeerId,
    pub(crate) pair: Pair,
    /// For how many seconds it may be believed, from when it is first received.
    pub(crate) life: u16,
}

/// A signature by the key of a destination.
pub(crate) type Signature = [u8; 64];

/// Makes and checks signatures.
pub(crate) trait Signer {
    /// Signs a claim about ourselves.
    fn sign(&self, claim: &Claim) -> Signature;
    /// Whether the claim is its destination's.
    fn verify(&self, claim: &Claim, signature: &Signature) -> bool;
}

/// Our own claim.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) claim: Claim,
    pub(super) signature: Signature,
    /// Numbers that others may have us use up.
    asked: TokenBucket,
    /// When the next number is due.
    pub(super) renew_at: Instant,
}

impl Origin {
    pub(super) fn new(now: Instant, id: PeerId, epoch: u64, signer: &impl Signer) -> Self {
        let claim = Claim { destination: id, pair: Pair { epoch, seqno: 0 }, life: LIFE };
        let signature = signer.sign(&claim);
        Self { claim, signature, asked: TokenBucket::FULL, renew_at: now + INTERVAL }
    }

    /// Speaks under a greater pair from now on. `jitter` is any number: it moves the time of
    /// the next one by up to a fifth.
    pub(super) fn renew(
        &mut self,
        now: Instant,
        pair: Option<Pair>,
        jitter: u32,
        by: &impl Signer,
    ) {
        self.renew_at = now + INTERVAL * (819 + jitter % 411) / 1024;
        // After the last number of all there is nothing left to say.
        let Some(pair) = pair else { return };
        self.claim.pair = pair;
        self.signature = by.sign(&self.claim);
    }

    /// Another asks for a greater pair. If that was so often lately, the answer has to wait.
    pub(super) fn may_be_asked(&mut self, now: Instant) -> bool {
        let may = self.asked.take(now, &Limit::every(ASKED, ASKED_AT_ONCE), 0);
        if !may {
            self.renew_at = self.renew_at.min(now + Duration::from_micros(ASKED));
        }
        may
    }
}

/// How long a claim may be believed, in seconds: a node may miss three of them.
const LIFE: u16 = 1050;
/// From one claim of ours to the next, about.
const INTERVAL: Duration = Duration::from_secs(300);
/// Each that others ask for costs a signature at every node, so they are as rare as this, in microseconds.
const ASKED: u64 = 4_000_000;
const ASKED_AT_ONCE: u64 = 4;
