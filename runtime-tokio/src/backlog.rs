//! Peers that connected to us and wait to be accepted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::mailbox::Mailbox;

/// A queue of incoming peers. It holds as many as the endpoint has peers, and a few that ended and
/// left messages: an application that never accepts (it may only dial, or live by events) loses no
/// living peer and pays for little more.
pub(crate) struct Backlog {
    limit: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Arc<Mailbox>>,
    /// Those in the queue that ended, in the order in which they did so, with the bytes each left.
    ended: VecDeque<(Arc<Mailbox>, usize)>,
    ended_bytes: usize,
    /// Drivers that may bring peers.
    open: usize,
}

impl State {
    fn take_next(&mut self) -> Option<Arc<Mailbox>> {
        let mailbox = self.queue.pop_front()?;
        let at = self.ended.iter().position(|(ended, _)| Arc::ptr_eq(ended, &mailbox));
        if let Some((_, left)) = at.and_then(|at| self.ended.remove(at)) {
            self.ended_bytes -= left;
        }
        Some(mailbox)
    }

    fn forget(&mut self, mailbox: &Arc<Mailbox>) {
        self.queue.retain(|other| !Arc::ptr_eq(other, mailbox));
    }

    /// Forgets the one that ended longest ago.
    fn forget_oldest_end(&mut self) {
        if let Some((mailbox, left)) = self.ended.pop_front() {
            self.ended_bytes -= left;
            self.forget(&mailbox);
        }
    }
}

impl Backlog {
    /// A backlog of so many drivers.
    pub(crate) fn new(limit: usize, drivers: usize) -> Self {
        let state = State { open: drivers, ..State::default() };
        Self { limit, state: Mutex::new(state), changed: Notify::new() }
    }

    /// The next peer; `None` when there will be none.
    pub(crate) async fn accept(&self) -> Option<Arc<Mailbox>> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                if let Some(mailbox) = state.take_next() {
                    return Some(mailbox);
                }
                if state.open == 0 {
                    return None;
                }
            }
            changed.await;
        }
    }

    pub(crate) fn push(&self, mailbox: Arc<Mailbox>) {
        let mut state = self.lock();
        if state.queue.len() >= self.limit {
            // Fewer peers than the limit are alive beside this one: at least one here has ended.
            state.forget_oldest_end();
        }
        state.queue.push_back(mailbox);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Forgets a peer that ended with nothing to receive.
    pub(crate) fn remove(&self, mailbox: &Arc<Mailbox>) {
        self.lock().forget(mailbox);
    }

    /// A peer ended and left messages: if it waits here it goes on waiting, and those that ended longest
    /// ago are forgotten as far as the bounds demand. The newest is kept whatever its size.
    pub(crate) fn on_ended(&self, mailbox: &Arc<Mailbox>) {
        let left = mailbox.incoming_bytes();
        let mut state = self.lock();
        if !state.queue.iter().any(|other| Arc::ptr_eq(other, mailbox)) {
            return;
        }
        state.ended.push_back((Arc::clone(mailbox), left));
        state.ended_bytes += left;
        while state.ended.len() > 1
            && (state.ended.len() > MAX_ENDED || state.ended_bytes > MAX_ENDED_BYTES)
        {
            state.forget_oldest_end();
        }
    }

    /// No peer of this driver will follow.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.open = state.open.saturating_sub(1);
        drop(state);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bounds of what is kept of peers that ended before anyone accepted them.
const MAX_ENDED: usize = 256;
const MAX_ENDED_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::{Delivery, EndReason, Message};

    #[tokio::test]
    async fn peers_come_out_in_order_and_none_after_the_end() {
        let backlog = Backlog::new(8, 1);
        let peers = [(); 3].map(|()| Arc::new(Mailbox::default()));
        for peer in &peers {
            backlog.push(Arc::clone(peer));
        }
        backlog.remove(&peers[1]);
        backlog.close();
        for peer in [&peers[0], &peers[2]] {
            assert!(Arc::ptr_eq(&backlog.accept().await.expect("a peer"), peer));
        }
        assert!(backlog.accept().await.is_none());
    }

    #[tokio::test]
    async fn a_full_backlog_forgets_those_that_ended() {
        let backlog = Backlog::new(2, 1);
        let peers = [(); 3].map(|()| left(1, 10));
        backlog.push(Arc::clone(&peers[0]));
        backlog.push(Arc::clone(&peers[1]));
        backlog.on_ended(&peers[1]);
        backlog.push(Arc::clone(&peers[2]));
        for peer in [&peers[0], &peers[2]] {
            assert!(Arc::ptr_eq(&backlog.accept().await.expect("a peer"), peer));
        }
    }

    /// A peer that left messages of so many bytes in all.
    fn left(count: usize, bytes: usize) -> Arc<Mailbox> {
        let mailbox = Mailbox::default();
        let payload = vec![0; bytes / count];
        let messages =
            (0..).map(|at| Message::new(Delivery::ordered(0), at, payload.clone().into()));
        mailbox.deposit(None, &mut messages.take(count).collect(), false);
        mailbox.end(EndReason::IdleTimeout);
        Arc::new(mailbox)
    }

    fn push_all(backlog: &Backlog, peers: &[Arc<Mailbox>]) -> Vec<usize> {
        for peer in peers {
            backlog.push(Arc::clone(peer));
            backlog.on_ended(peer);
        }
        let state = backlog.lock();
        let kept = |peer: &Arc<Mailbox>| state.queue.iter().any(|kept| Arc::ptr_eq(kept, peer));
        (0..peers.len()).filter(|at| kept(&peers[*at])).collect()
    }

    #[test]
    fn of_peers_that_ended_unaccepted_the_newest_are_kept_and_of_living_ones_all() {
        let backlog = Backlog::new(4096, 1);
        let living = Arc::new(Mailbox::default());
        backlog.push(Arc::clone(&living));
        let peers: Vec<_> = (0..MAX_ENDED + 10).map(|_| left(1, 10)).collect();
        assert_eq!(push_all(&backlog, &peers), (10..MAX_ENDED + 10).collect::<Vec<_>>());
        assert!(Arc::ptr_eq(&backlog.lock().queue[0], &living));
    }

    #[test]
    fn what_peers_left_that_ended_unaccepted_is_bounded() {
        let backlog = Backlog::new(4096, 1);
        let peers: Vec<_> = (0..5).map(|_| left(4, MAX_ENDED_BYTES / 2)).collect();
        assert_eq!(push_all(&backlog, &peers), [3, 4]);
        let giant = left(1, MAX_ENDED_BYTES + 1);
        assert_eq!(push_all(&backlog, &[giant]), [0], "one is kept however large");
        assert_eq!(backlog.lock().queue.len(), 1);
    }

    #[test]
    fn those_that_ended_longest_ago_are_forgotten_whenever_they_connected() {
        let backlog = Backlog::new(4096, 1);
        let peers: Vec<_> = (0..4).map(|_| left(1, MAX_ENDED_BYTES / 2)).collect();
        peers.iter().for_each(|peer| backlog.push(Arc::clone(peer)));
        for at in [3, 0, 2, 1] {
            backlog.on_ended(&peers[at]);
        }
        let state = backlog.lock();
        let kept: Vec<_> = state.queue.iter().collect();
        assert!(kept.len() == 2 && Arc::ptr_eq(kept[0], &peers[1]));
        assert!(Arc::ptr_eq(kept[1], &peers[2]));
    }

    #[tokio::test]
    async fn what_was_accepted_no_longer_counts() {
        let backlog = Backlog::new(4096, 1);
        let giants = [(); 2].map(|()| left(1, MAX_ENDED_BYTES));
        backlog.push(Arc::clone(&giants[0]));
        assert!(Arc::ptr_eq(&backlog.accept().await.expect("a peer"), &giants[0]));
        // It ends in the application's hands.
        backlog.on_ended(&giants[0]);
        assert_eq!(push_all(&backlog, &giants[1..]), [0]);
        backlog.accept().await.expect("a peer");
        let state = backlog.lock();
        assert!(state.queue.is_empty() && state.ended.is_empty());
        assert_eq!(state.ended_bytes, 0);
    }
}
