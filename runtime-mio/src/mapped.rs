//! The address of a mapped port, on its way from the thread that keeps the port to the endpoint's.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// What was reported last, until the endpoint takes it. It has room for the newest alone, so it is never full.
#[derive(Debug, Default)]
pub(crate) struct Mapped {
    is_new: AtomicBool,
    address: Mutex<Option<SocketAddr>>,
}

impl Mapped {
    /// Others reach us there from now on, or nowhere.
    pub(crate) fn put(&self, address: Option<SocketAddr>) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
        self.is_new.store(true, Ordering::Release);
    }

    /// What was reported since it was taken last, if anything.
    pub(crate) fn take(&self) -> Option<Option<SocketAddr>> {
        // Asked in each turn: the lock is for the rare one with news.
        if !self.is_new.load(Ordering::Acquire) {
            return None;
        }
        // In this order: whatever is put meanwhile is new again.
        self.is_new.store(false, Ordering::Release);
        Some(*self.address.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
