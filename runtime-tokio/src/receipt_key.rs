//! What becomes of a message: the driver's half of a receipt.

use std::sync::{Arc, OnceLock};

use handfast_core::{Fate, MessageId};
use tokio::sync::oneshot;

use crate::answer::answer;

/// Names a message before the core does, and then tells how the core calls it.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessageKey(Arc<OnceLock<MessageId>>);

impl MessageKey {
    /// The core's name for the message, once it has the message.
    pub(crate) fn message(&self) -> Option<MessageId> {
        self.0.get().copied()
    }

    pub(crate) fn names(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The driver's half of a receipt.
pub(crate) struct ReceiptSender {
    fate: oneshot::Sender<Fate>,
    pub(crate) key: MessageKey,
}

impl ReceiptSender {
    pub(crate) fn new(fate: oneshot::Sender<Fate>) -> Self {
        Self { fate, key: MessageKey::default() }
    }

    /// The core took the message and calls it `message`.
    pub(crate) fn name(&self, message: MessageId) {
        self.key.0.get_or_init(|| message);
    }

    pub(crate) fn tell(self, fate: Fate) {
        answer(self.fate, fate);
    }
}
