//! Whether a path still leads both ways when no data shows it: challenges to where it leads.

mod lull;

use core::time::Duration;

use lull::Lull;

use crate::crypto::rng::Rng;
use crate::pack::pack;
use crate::time::Instant;

/// The challenges of a path that is not the only one.
#[derive(Debug)]
pub(in crate::path) struct Check {
    token: [u8; 8],
    /// Challenges without an answer, in a row.
    tries: u8,
    /// Rounds in which a path that was given up did not answer.
    rounds: u8,
    /// A challenge is to be sent now.
    is_due: bool,
    /// When the last challenge was sent.
    asked_at: Option<Instant>,
    /// When to look at it again; `None`: not by itself.
    at: Option<Instant>,
    /// Whether what came by it has stopped.
    pub(in crate::path) lull: Lull,
}

pack!(Check: token, tries, rounds, is_due, asked_at, at, lull);

impl Check {
    /// To be looked at first at `at`.
    pub(in crate::path) const fn new(at: Instant) -> Self {
        Self {
            token: [0; 8],
            tries: 0,
            rounds: 0,
            is_due: false,
            asked_at: None,
            at: Some(at),
            lull: Lull::new(),
        }
    }

    pub(in crate::path) const fn is_due(&self) -> bool {
        self.is_due
    }

    /// When to look at it again.
    pub(in crate::path) fn deadline(&self) -> Option<Instant> {
        self.at.filter(|_| !self.is_due)
    }

    /// Whether the challenges of a round went unanswered.
    pub(in crate::path) const fn has_failed(&self) -> bool {
        self.tries >= MAX_TRIES
    }

    /// Whether an answer is awaited.
    pub(in crate::path) const fn is_asking(&self) -> bool {
        self.tries > 0
    }

    /// A challenge is to be sent now.
    pub(in crate::path) const fn ask(&mut self) {
        self.is_due = true;
    }

    /// A round begins with the next challenge, at `at`.
    pub(in crate::path) const fn wait_until(&mut self, at: Instant) {
        self.tries = 0;
        self.is_due = false;
        self.at = Some(at);
    }

    /// The path was given up: it is asked ever more rarely, and at last no more.
    pub(in crate::path) fn rest(&mut self, now: Instant) {
        self.tries = 0;
        self.is_due = false;
        self.at = Some(now + DIRECT_INTERVAL);
        self.rounds = 0;
    }

    /// A look at a path that was given up.
    pub(in crate::path) const fn ask_again(&mut self) {
        self.is_due = self.rounds < MAX_ROUNDS;
        self.tries = 0;
        self.at = None;
    }

    /// The path was given up, and is asked after `pause` at the latest, as if for the first time.
    pub(in crate::path) fn hasten(&mut self, now: Instant, pause: Duration) {
        if !self.is_due && self.at.is_none_or(|at| at > now + pause) {
            self.tries = 0;
            self.at = Some(now + pause);
        }
        self.rounds = 0;
    }

    /// Takes the challenge that is due. The answer is awaited for `patience`; of a path that was given up
    /// (`rests`), until the next is due.
    pub(in crate::path) fn take(
        &mut self,
        rests: bool,
        now: Instant,
        patience: Duration,
        rng: &mut Rng,
    ) -> Option<[u8; 8]> {
        if !core::mem::take(&mut self.is_due) {
            return None;
        }
        if self.tries == 0 {
            self.token = rng.bytes();
        }
        self.tries += 1;
        self.asked_at = Some(now);
        let wait = if rests {
            self.rounds += 1;
            (DIRECT_INTERVAL * (1 << self.rounds.min(8))).min(LONGEST_REST)
        } else {
            patience
        };
        self.at = Some(now + wait);
        Some(self.token)
    }

    /// An answer came. If it is to the last challenge, returns the round trip, or nothing if there were
    /// several.
    pub(in crate::path) fn on_response(
        &mut self,
        token: [u8; 8],
        now: Instant,
    ) -> Option<Option<Duration>> {
        let asked_at = self.asked_at.filter(|_| self.tries > 0 && self.token == token)?;
        let rtt = (self.tries == 1).then(|| now.saturating_since(asked_at));
        self.tries = 0;
        self.rounds = 0;
        Some(rtt)
    }
}

/// How often a path beside that of data is challenged: NATs forget a direct one sooner.
pub(in crate::path) const DIRECT_INTERVAL: Duration = Duration::from_secs(25);
pub(in crate::path) const ROUTED_INTERVAL: Duration = Duration::from_secs(55);
/// How often a challenge is sent before the path counts as broken.
const MAX_TRIES: u8 = 3;
/// A direct path that was given up is asked so often, at pauses that double up to the longest: half an hour.
const MAX_ROUNDS: u8 = 8;
const LONGEST_REST: Duration = Duration::from_secs(300);
