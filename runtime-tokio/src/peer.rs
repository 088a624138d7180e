//! The handle to a peer.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use handfast_core::{
    Bytes, CommandError, Delivery, DisconnectOptions, EndReason, Message, PeerHandle, PeerId,
    PeerInfo,
};
use tokio::sync::oneshot;

use crate::command::Command;
use crate::error::{PeerError, SendError, Stopped};
use crate::link::Link;
use crate::mailbox::{Mailbox, Outgoing, Pop, Push};
use crate::receipt::Receipt;

/// A connected peer: a cheap handle, usable from any task at the same time.
///
/// Dropping it does not end the peer ([`Self::disconnect`] does). The peer stays as long as any handle to
/// the endpoint or to another peer exists.
#[derive(Clone)]
pub struct Peer {
    handle: PeerHandle,
    id: PeerId,
    link: Arc<Link>,
    mailbox: Arc<Mailbox>,
}

impl Peer {
    /// `None` for the mailbox of a peer whose handshake is not complete: the driver hands out no such
    /// mailbox.
    pub(crate) fn new(link: &Arc<Link>, mailbox: Arc<Mailbox>) -> Option<Self> {
        let (handle, id) = mailbox.owner()?;
        Some(Self { handle, id, link: Arc::clone(link), mailbox })
    }

    /// Sends a message: waits until there is space in the send buffer, then queues it. It does not wait
    /// until the message is on the network.
    ///
    /// A reliable message arrives unless the peer ends. To learn whether it arrived, use
    /// [`Self::send_with_receipt`]. Dropping the future before it completes: see the crate's
    /// documentation on cancelling.
    ///
    /// # Errors
    /// When the message is too large, the peer allows no further stream, or the peer is closing or ended.
    pub async fn send(
        &self,
        delivery: Delivery,
        payload: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        self.submit(Outgoing::new(delivery, payload.into())).await
    }

    /// Sends a message as [`Self::send`] does. Await the receipt to learn the message's fate.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn send_with_receipt(
        &self,
        delivery: Delivery,
        payload: impl Into<Bytes>,
    ) -> Result<Receipt, SendError> {
        let (sender, receipt) = Receipt::with_stub(&self.mailbox);
        let mut message = Outgoing::new(delivery.with_receipt(), payload.into());
        message.receipt = Some(sender);
        self.submit(message).await?;
        Ok(receipt)
    }

    /// Withdraws a message to this peer of which nothing was sent. The fate in its receipt is then
    /// [`Fate::Cancelled`](crate::Fate::Cancelled).
    ///
    /// # Errors
    /// When some of it was sent already, the receipt is of another peer, or the peer has ended.
    pub async fn cancel(&self, receipt: &Receipt) -> Result<(), PeerError> {
        if !Arc::ptr_eq(&self.mailbox, &receipt.mailbox) {
            return Err(PeerError::Refused(CommandError::UnknownPeer));
        }
        let key = receipt.key.clone();
        self.ask(|reply| Command::Cancel { peer: self.handle, key, reply }).await
    }

    /// The next message of the peer; `None` once the peer has ended and everything that arrived before
    /// is taken. Whether that is all that its application sent, [`EndReason::is_complete`] of
    /// [`ended`](Self::ended) says. When several tasks wait here, each message goes to one of them.
    pub async fn recv(&self) -> Option<Message> {
        loop {
            let readable = self.mailbox.readable();
            match self.mailbox.pop() {
                Pop::Message { message, ring } => {
                    if ring {
                        self.link.notify(self.handle);
                    }
                    return Some(message);
                }
                Pop::Ended => return None,
                Pop::Empty => readable.await,
            }
        }
    }

    /// Measures the round-trip time now. Completes when the peer answers or ends: use a timeout of your
    /// own to wait for a shorter time.
    ///
    /// # Errors
    /// When too many pings are under way, or the peer is closing or ended.
    pub async fn ping(&self) -> Result<Duration, PeerError> {
        self.ask(|reply| Command::Ping { peer: self.handle, reply }).await
    }

    /// Disconnects the peer: what was sent before may still be delivered for
    /// [`DisconnectOptions::linger`], 5 s by default, then the `Disconnect` is sent. Completes when the peer has
    /// ended, with the reason for which it ended (possibly another one, if it ended earlier).
    pub async fn disconnect(&self, options: DisconnectOptions) -> EndReason {
        if let Some(reason) = self.ended() {
            return reason;
        }
        let disconnect = Command::Disconnect { peer: self.handle, options };
        match self.link.command(disconnect).await {
            // Without a driver the peer has ended as well.
            Ok(()) | Err(Stopped) => self.closed().await,
        }
    }

    /// Completes when the peer has ended, with the reason.
    pub async fn closed(&self) -> EndReason {
        loop {
            let readable = self.mailbox.readable();
            if let Some(reason) = self.mailbox.ended() {
                return reason;
            }
            readable.await;
        }
    }

    /// Why the peer ended; `None` if it has not.
    #[must_use]
    pub fn ended(&self) -> Option<EndReason> {
        self.mailbox.ended()
    }

    /// State, path and statistics as of now; `None` once the peer has ended.
    pub async fn info(&self) -> Option<PeerInfo> {
        let handle = self.handle;
        self.link.query(move |core, _| core.peer(handle)).await.ok().flatten()
    }

    /// The peer's identity, authenticated by the handshake.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    /// The handle that names this peer in [`crate::Event`].
    #[must_use]
    pub const fn handle(&self) -> PeerHandle {
        self.handle
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T, PeerError>>) -> Command,
    ) -> Result<T, PeerError> {
        let (reply, answer) = oneshot::channel();
        if self.link.command(question(reply)).await.is_ok()
            && let Ok(result) = answer.await
        {
            return result;
        }
        // The driver drops the question when the peer ends.
        Err(PeerError::Ended(self.closed().await))
    }

    async fn submit(&self, mut message: Outgoing) -> Result<(), SendError> {
        loop {
            let writable = self.mailbox.writable();
            match self.mailbox.push(message) {
                Push::Ended(reason) => return Err(SendError::Ended(reason)),
                Push::Closing => {
                    return Err(SendError::Refused(handfast_core::SendError::Closing));
                }
                Push::Full(back) => {
                    message = back;
                    writable.await;
                }
                Push::Queued { ring, verdict } => {
                    if ring {
                        self.link.notify(self.handle);
                    }
                    let Some(verdict) = verdict else { return Ok(()) };
                    return match verdict.await {
                        Ok(result) => result.map_err(SendError::Refused),
                        // Dropped unheard: the peer ended first.
                        Err(_) => Err(SendError::Ended(self.closed().await)),
                    };
                }
            }
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("id", &self.id)
            .field("handle", &self.handle)
            .finish_non_exhaustive()
    }
}
