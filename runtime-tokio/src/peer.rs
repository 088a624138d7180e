//! The handle to a peer.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use handfast_core::{
    Bytes, CommandError, Delivery, DisconnectOptions, EndReason, Message, NatEvidence, PeerHandle,
    PeerId, PeerInfo, Via,
};
use tokio::sync::oneshot;

use crate::command::Command;
use crate::error::{PeerError, SendError, Stopped, TryRecvError};
use crate::link::{DriverLink, Link};
use crate::mailbox::{Aside, Mailbox, Outgoing, Push};
use crate::receipt::Receipt;
use crate::receipt_key::ReceiptSender;
use crate::recv_stream::RecvStream;
use crate::send_stream::SendStream;

/// Waits for room, and queues a message then.
type Waiting<'p> = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send + 'p>>;

/// A connected peer: a cheap handle, usable from any task at the same time.
///
/// Dropping it does not end the peer ([`Self::disconnect`] does). The peer stays as long as any handle to
/// the endpoint or to another peer exists.
#[derive(Clone)]
pub struct Peer {
    link: Arc<Link>,
    /// It has an owner.
    mailbox: Arc<Mailbox>,
}

impl Peer {
    /// `None` for the mailbox of a peer whose handshake is not complete: the driver hands out no such
    /// mailbox.
    pub(crate) fn new(link: &Arc<Link>, mailbox: Arc<Mailbox>) -> Option<Self> {
        mailbox.owner()?;
        Some(Self { link: Arc::clone(link), mailbox })
    }

    /// Sends a message: waits until there is room in the queue of its stream (channel, reliability and
    /// order), then queues it. It does not wait until the message is on the network.
    ///
    /// A message is final once this has completed, and not sent at all if the future is dropped before:
    /// whoever gives up waiting may try again. A reliable message arrives unless the peer ends. To learn
    /// whether it arrived, use [`Self::send_with_receipt`].
    ///
    /// Streams do not wait for each other, and only reliable messages that are not sequenced wait at
    /// all. A sequenced one takes the place of older ones of its stream that were not sent yet; an
    /// unreliable one for which there is no room is refused at once.
    ///
    /// # Errors
    /// When the message is too large, the peer allows no further stream, there is no room for an
    /// unreliable message (`NoRoom`), or the peer is closing or ended.
    pub async fn send(
        &self,
        delivery: Delivery,
        payload: impl Into<Bytes>,
    ) -> Result<(), SendError> {
        match self.push_or_wait(delivery, payload.into(), None)? {
            None => Ok(()),
            Some(waiting) => waiting.await,
        }
    }

    /// Sends a message if there is room for it now, whatever its delivery.
    ///
    /// # Errors
    /// As [`Self::send`]; `Refused` with `Blocked` if `send` would wait.
    #[inline]
    pub fn try_send(&self, delivery: Delivery, payload: impl Into<Bytes>) -> Result<(), SendError> {
        if self.push(&mut Outgoing::new(delivery, payload.into()))? {
            Ok(())
        } else {
            Err(SendError::Refused(handfast_core::SendError::Blocked))
        }
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
        if let Some(waiting) =
            self.push_or_wait(delivery.with_receipt(), payload.into(), Some(sender))?
        {
            waiting.await?;
        }
        Ok(receipt)
    }

    /// Withdraws a message to this peer. The fate in its receipt is then [`Fate::Cancelled`](crate::Fate::Cancelled), or
    /// `Acked` if an acknowledgement proves that it arrived before the peer heard of that. If some of a reliable message was
    /// sent, the fate is told when the peer knows. A future that is dropped may have withdrawn the message or not.
    ///
    /// # Errors
    /// When it is unreliable and all of it was sent, or has a fate already, the receipt is of another peer, or the peer has ended.
    pub async fn cancel(&self, receipt: &Receipt) -> Result<(), PeerError> {
        if !Arc::ptr_eq(&self.mailbox, &receipt.mailbox) {
            return Err(PeerError::Refused(CommandError::UnknownPeer));
        }
        let key = receipt.key.clone();
        self.ask(|reply| Command::Cancel { peer: self.handle(), key, reply }).await
    }

    /// Ends a stream: what is sent on a channel with this reliability and order. Completes once all its messages met their
    /// fate and the peer knows: then it takes none of the [`max_streams`](crate::Flow::max_streams) places any more. It can
    /// be used again then, or before: what is sent waits for that. The peer's application is not told.
    ///
    /// Unreliable messages of which nobody hears (not ordered, without a receipt) are done once they were sent: the end may
    /// overtake the last of them, and they are lost then.
    ///
    /// # Errors
    /// When 1,024 other streams to this peer were ended, or the peer has ended.
    pub async fn end_stream(&self, delivery: Delivery) -> Result<(), PeerError> {
        self.ask(|reply| Command::EndStream { peer: self.handle(), delivery, reply }).await
    }

    /// Writes bytes without end on a channel, reliable and in order. Two such streams at a time, and other
    /// reliable ordered messages, do not belong on one channel.
    #[must_use]
    pub fn send_stream(&self, channel: u16) -> SendStream {
        SendStream::new(self.clone(), channel)
    }

    /// Reads what the peer writes with [`Self::send_stream`] on a channel, which is received apart from the first read on,
    /// as by [`Self::recv_from`].
    #[must_use]
    pub fn recv_stream(&self, channel: u16) -> RecvStream {
        RecvStream::new(self.clone(), channel)
    }

    /// The next message of the peer on any channel that is not received apart ([`Self::recv_from`]);
    /// `None` once the peer has ended and everything that arrived before is taken. Whether that is all that
    /// its application sent, [`EndReason::is_complete`] of [`ended`](Self::ended) says. When several tasks
    /// wait here, each message goes to one of them.
    pub fn recv(&self) -> impl Future<Output = Option<Message>> + Send {
        self.next(None)
    }

    /// The next message of the peer on this channel; `None` once the peer has ended and the last message
    /// of the channel is taken. From the first call on the channel is received apart:
    /// [`Self::recv`] no longer returns its messages, and neither waits for the other's to be taken.
    pub fn recv_from(&self, channel: u16) -> impl Future<Output = Option<Message>> + Send {
        self.next(Some(channel))
    }

    /// What [`Self::recv`] would return at once.
    ///
    /// # Errors
    /// `Empty` if no message has arrived here yet; `Ended` once there will be none.
    pub fn try_recv(&self) -> Result<Message, TryRecvError> {
        self.try_next(None)
    }

    /// What [`Self::recv_from`] would return at once.
    ///
    /// # Errors
    /// As [`Self::try_recv`]. The first call for a channel may say `Empty` although messages wait.
    pub fn try_recv_from(&self, channel: u16) -> Result<Message, TryRecvError> {
        self.try_next(Some(channel))
    }

    async fn next(&self, channel: Option<u16>) -> Option<Message> {
        // Most find a message, and need not be told of one.
        {
            let mut is_over = false;
            let next = self.take(channel, &mut is_over);
            if next.is_some() || is_over {
                return next;
            }
        }
        loop {
            // Pinned here, and no message beside it, so that the future is small: most tasks of a server wait here.
            let mut readable = pin!(self.mailbox.readable());
            {
                let mut is_over = false;
                let next = self.take(channel, &mut is_over);
                if next.is_some() || is_over {
                    return next;
                }
            }
            readable.as_mut().await;
        }
    }

    fn try_next(&self, channel: Option<u16>) -> Result<Message, TryRecvError> {
        let mut is_over = false;
        let empty = |is_over| if is_over { TryRecvError::Ended } else { TryRecvError::Empty };
        self.take(channel, &mut is_over).ok_or_else(|| empty(is_over))
    }

    /// The next message; if there is none, whether none will come.
    #[inline]
    fn take(&self, channel: Option<u16>, is_over: &mut bool) -> Option<Message> {
        let mut aside = Aside::default();
        let message = self.mailbox.pop(channel, &mut aside);
        if aside.ring {
            self.link.notify(self.handle());
        }
        *is_over = aside.is_over;
        message
    }

    /// Measures the round-trip time now. Completes when the peer answers or ends: use a timeout of your
    /// own to wait for a shorter time.
    ///
    /// # Errors
    /// When too many pings are under way, or the peer is closing or ended.
    pub async fn ping(&self) -> Result<Duration, PeerError> {
        self.ask(|reply| Command::Ping { peer: self.handle(), reply }).await
    }

    /// Finds out how the NAT before us behaves, with the help of this peer, which must be a server that answers on two
    /// further ports (`p2p_server --probe-ports`: the two after its own). Takes about a second, three if ports are
    /// silent, or until the peer ends.
    ///
    /// # Errors
    /// When the path to the peer is not direct, another test goes on with it, or it is closing or ended.
    pub async fn test_nat(&self, ports: [u16; 2]) -> Result<NatEvidence, PeerError> {
        self.ask(|reply| Command::NatTest { server: self.handle(), ports, reply }).await
    }

    /// Disconnects the peer: what was sent before may still be delivered for
    /// [`DisconnectOptions::linger`], 5 s by default, then the `Disconnect` is sent. Completes when the peer has
    /// ended, with the reason for which it ended (possibly another one, if it ended earlier).
    pub async fn disconnect(&self, options: DisconnectOptions) -> EndReason {
        if let Some(reason) = self.ended() {
            return reason;
        }
        let disconnect = Command::Disconnect { peer: self.handle(), options };
        match self.driver().command(disconnect).await {
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

    /// State, path and statistics; `None` once the peer has ended. They are as of the last moment at
    /// which something of this peer concerned the application: a message came or went, it was silent, it
    /// moved, or somebody asked here. What changed since is in the next answer.
    #[must_use]
    pub fn info(&self) -> Option<PeerInfo> {
        let (info, ring) = self.mailbox.info()?;
        if ring {
            self.link.notify(self.handle());
        }
        Some(info)
    }

    /// What carries packets to the peer now; `None` once it has ended.
    #[must_use]
    pub fn path(&self) -> Option<Via> {
        self.info()?.path
    }

    /// The peer's identity, authenticated by the handshake.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.owner().1
    }

    /// The handle that names this peer in [`crate::Event`].
    #[must_use]
    pub fn handle(&self) -> PeerHandle {
        self.owner().0
    }

    /// Kept in the mailbox, where there is one of it for all handles: many tasks hold nothing but a handle.
    fn owner(&self) -> (PeerHandle, PeerId) {
        self.mailbox.owner().expect("no handle was made of a mailbox without an owner")
    }

    fn driver(&self) -> &DriverLink {
        self.link.driver(self.handle().shard())
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T, PeerError>>) -> Command,
    ) -> Result<T, PeerError> {
        let (reply, answer) = oneshot::channel();
        if self.driver().command(question(reply)).await.is_ok()
            && let Ok(result) = answer.await
        {
            return result;
        }
        // The driver drops the question when the peer ends.
        Err(PeerError::Ended(self.closed().await))
    }

    /// Queues a message, or returns what does so when there is room.
    pub(crate) fn send_or_wait(
        &self,
        delivery: Delivery,
        payload: Bytes,
    ) -> Result<Option<impl Future<Output = Result<(), SendError>> + Send + use<>>, SendError> {
        let mut message = Outgoing::new(delivery, payload);
        if self.push(&mut message)? {
            return Ok(None);
        }
        let peer = self.clone();
        Ok(Some(async move { peer.wait_and_push(message).await }))
    }

    /// The longest message that the peer takes; 0 once it has ended.
    pub(crate) fn max_message(&self) -> usize {
        self.mailbox.max_message()
    }

    /// Queues a message, or returns what does so when there is room. That is apart: few wait, and the future of those that
    /// do not is small.
    #[inline]
    fn push_or_wait(
        &self,
        delivery: Delivery,
        payload: Bytes,
        receipt: Option<ReceiptSender>,
    ) -> Result<Option<Waiting<'_>>, SendError> {
        let mut message = Outgoing::new(delivery, payload);
        message.receipt = receipt;
        Ok(if self.push(&mut message)? {
            None
        } else {
            Some(Box::pin(self.wait_and_push(message)))
        })
    }

    /// Hands over a message for which there was no room.
    async fn wait_and_push(&self, mut message: Outgoing) -> Result<(), SendError> {
        let room = self.mailbox.writable(&message.delivery);
        loop {
            let writable = room.notified();
            if self.push(&mut message)? {
                return Ok(());
            }
            writable.await;
        }
    }

    /// Hands a message over. Whether that is done; if not, the message is as it was, and may wait for room.
    #[inline]
    fn push(&self, message: &mut Outgoing) -> Result<bool, SendError> {
        match self.mailbox.push(message) {
            Push::Ended(reason) => Err(SendError::Ended(reason)),
            Push::Refused(error) => Err(SendError::Refused(error)),
            Push::Full => Ok(false),
            Push::Queued { ring } => {
                if ring {
                    self.link.notify(self.handle());
                }
                Ok(true)
            }
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("id", &self.id())
            .field("handle", &self.handle())
            .finish_non_exhaustive()
    }
}
