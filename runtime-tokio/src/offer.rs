//! A connected peer on its way to whoever asked for it.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::mailbox::Mailbox;
use crate::ring::Ring;

/// A mailbox that somebody asked for. Whoever asked may be gone: the driver learns from it then
/// that perhaps nobody wants the peer.
pub(crate) struct Offer {
    mailbox: Option<Arc<Mailbox>>,
    bell: mpsc::UnboundedSender<Ring>,
}

impl Offer {
    pub(crate) fn new(mailbox: &Arc<Mailbox>, bell: &mpsc::UnboundedSender<Ring>) -> Self {
        mailbox.offer();
        Self { mailbox: Some(Arc::clone(mailbox)), bell: bell.clone() }
    }

    pub(crate) fn take(mut self) -> Option<Arc<Mailbox>> {
        self.mailbox.take().inspect(|mailbox| mailbox.settle_offer(true))
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        let Some(mailbox) = self.mailbox.take() else { return };
        mailbox.settle_offer(false);
        if let Some((peer, _)) = mailbox.owner()
            && self.bell.send(Ring::Declined(peer)).is_err()
        {
            tracing::trace!(target: "handfast::driver", ?peer, "the endpoint has stopped");
        }
    }
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Offer(..)")
    }
}
