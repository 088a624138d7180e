//! What becomes of a message: the application's half of a receipt.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use handfast_core::Fate;
use tokio::sync::oneshot;

use crate::mailbox::Mailbox;
use crate::receipt_key::{MessageKey, ReceiptSender};

/// Completes with the [`Fate`] of a message. Dropping it changes nothing for the message.
#[derive(Debug)]
#[must_use = "await it to learn what became of the message"]
pub struct Receipt {
    fate: oneshot::Receiver<Fate>,
    pub(crate) key: MessageKey,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Receipt {
    /// Both halves, for a message to the peer of this mailbox.
    pub(crate) fn with_stub(mailbox: &Arc<Mailbox>) -> (ReceiptSender, Self) {
        let (sender, fate) = oneshot::channel();
        let sender = ReceiptSender::new(sender);
        let (key, mailbox) = (sender.key.clone(), Arc::clone(mailbox));
        (sender, Self { fate, key, mailbox })
    }
}

impl Future for Receipt {
    type Output = Fate;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fate> {
        // Without a driver nobody knows.
        let fate = ready!(Pin::new(&mut self.fate).poll(cx));
        Poll::Ready(fate.unwrap_or(Fate::Unknown))
    }
}
