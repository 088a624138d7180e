//! Answers to those who wait for one.

use tokio::sync::oneshot;

/// Sends an answer. Whoever asked may have stopped waiting, as every future here may.
pub(crate) fn answer<T>(reply: oneshot::Sender<T>, answer: T) {
    if reply.send(answer).is_err() {
        tracing::trace!(target: "handfast::driver", "nobody waits for this answer any more");
    }
}
