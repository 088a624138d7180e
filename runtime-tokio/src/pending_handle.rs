//! A connected peer on its way to whoever asked for it.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::mailbox::Mailbox;
use crate::wake::Wake;

/// A mailbox that somebody asked for. Whoever asked may be gone: the driver learns from it then
/// that perhaps nobody wants the peer.
pub(crate) struct PendingHandle {
    mailbox: Option<Arc<Mailbox>>,
    wake: mpsc::UnboundedSender<Wake>,
}

impl PendingHandle {
    pub(crate) fn new(mailbox: &Arc<Mailbox>, wake: &mpsc::UnboundedSender<Wake>) -> Self {
        mailbox.offer();
        Self { mailbox: Some(Arc::clone(mailbox)), wake: wake.clone() }
    }

    pub(crate) fn take(mut self) -> Option<Arc<Mailbox>> {
        self.mailbox.take().inspect(|mailbox| mailbox.settle_offer(true))
    }
}

impl Drop for PendingHandle {
    fn drop(&mut self) {
        let Some(mailbox) = self.mailbox.take() else { return };
        mailbox.settle_offer(false);
        if let Some((peer, _)) = mailbox.owner()
            && self.wake.send(Wake::Declined(peer)).is_err()
        {
            tracing::trace!(target: "handfast::driver", ?peer, "the endpoint has stopped");
        }
    }
}

impl fmt::Debug for PendingHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PendingHandle(..)")
    }
}
