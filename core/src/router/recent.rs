//! What was asked lately.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::time::Instant;

/// Questions of the last moments, so that each goes on once.
#[derive(Debug)]
pub(super) struct Recent<K> {
    asked: BTreeMap<K, Instant>,
    window: Duration,
}

impl<K: Ord> Recent<K> {
    pub(super) const fn new(window: Duration) -> Self {
        Self { asked: BTreeMap::new(), window }
    }

    /// Whether this was asked lately.
    pub(super) fn was_asked(&self, now: Instant, question: &K) -> bool {
        self.asked.get(question).is_some_and(|at| now < *at + self.window)
    }

    /// Whether this is asked for the first time lately. With too many of them nothing is asked.
    pub(super) fn is_first(&mut self, now: Instant, question: K) -> bool {
        if self.asked.len() >= MAX_RECENT {
            let window = self.window;
            self.asked.retain(|_, at| now < *at + window);
        }
        if self.was_asked(now, &question) || self.asked.len() >= MAX_RECENT {
            return false;
        }
        self.asked.insert(question, now);
        true
    }
}

const MAX_RECENT: usize = 4096;
