//! Peers that connected to us and wait to be accepted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::mailbox::Mailbox;

/// A queue of incoming peers. It holds as many as the endpoint has peers: an application that
/// never accepts (it may only dial, or live by events) loses nothing and pays for nothing more.
pub(crate) struct Backlog {
    limit: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Arc<Mailbox>>,
    closed: bool,
}

impl Backlog {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), changed: Notify::new() }
    }

    /// The next peer; `None` when there will be none.
    pub(crate) async fn accept(&self) -> Option<Arc<Mailbox>> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                if let Some(mailbox) = state.queue.pop_front() {
                    return Some(mailbox);
                }
                if state.closed {
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
            if let Some(at) = state.queue.iter().position(|mailbox| mailbox.ended().is_some()) {
                state.queue.remove(at);
            }
        }
        state.queue.push_back(mailbox);
        drop(state);
        self.changed.notify_waiters();
    }

    /// Forgets a peer that ended with nothing to receive.
    pub(crate) fn remove(&self, mailbox: &Arc<Mailbox>) {
        self.lock().queue.retain(|other| !Arc::ptr_eq(other, mailbox));
    }

    /// No peer will follow.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handfast_core::EndReason;

    #[tokio::test]
    async fn peers_come_out_in_order_and_none_after_the_end() {
        let backlog = Backlog::new(8);
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
        let backlog = Backlog::new(2);
        let peers = [(); 3].map(|()| Arc::new(Mailbox::default()));
        peers[1].end(EndReason::IdleTimeout);
        for peer in &peers {
            backlog.push(Arc::clone(peer));
        }
        for peer in [&peers[0], &peers[2]] {
            assert!(Arc::ptr_eq(&backlog.accept().await.expect("a peer"), peer));
        }
    }
}
