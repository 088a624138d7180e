//! Bytes without end, as messages of one stream.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use handfast_core::{Bytes, Delivery};
use tokio::io::AsyncWrite;

use crate::Peer;
use crate::error::{PeerError, SendError};

/// Writes bytes to a peer, any number of them: [`Peer::send_stream`] makes one, and the peer reads them with a
/// [`RecvStream`](crate::RecvStream).
///
/// They travel as messages of up to 16 KiB, reliable and in order, on one channel; an empty message is the end. So
/// an end on another runtime, or with the core alone, reads and writes such a stream by messages.
///
/// A write completes when its bytes are queued, or will be next: as much waits as [`Peer::send`] lets wait.
/// [`finish`](Self::finish) says whether all has arrived. Whoever drops a stream without
/// [`finish`](Self::finish) or `shutdown` leaves it open: the reader waits for more until this end disconnects, and is told then
/// that the stream was cut.
pub struct SendStream {
    peer: Peer,
    delivery: Delivery,
    /// A message for which there was no room.
    waiting: Option<Waiting>,
    is_ended: bool,
}

type Waiting = Pin<Box<dyn Future<Output = Result<(), SendError>> + Send>>;

impl SendStream {
    pub(crate) fn new(peer: Peer, channel: u16) -> Self {
        Self { peer, delivery: Delivery::ordered(channel), waiting: None, is_ended: false }
    }

    /// Ends the stream, and completes once the peer's endpoint holds all of it. The channel has given its place back
    /// then ([`Peer::end_stream`]), and can be used again.
    ///
    /// # Errors
    /// When the peer ended before, or [`Peer::end_stream`] fails.
    pub async fn finish(mut self) -> io::Result<()> {
        poll_fn(|cx| Pin::new(&mut self).poll_shutdown(cx)).await?;
        self.peer.end_stream(self.delivery).await.map_err(|error| match error {
            PeerError::Ended(_) => io::Error::new(io::ErrorKind::BrokenPipe, error),
            error => io::Error::other(error),
        })
    }

    /// Queues a message, now or when there is room.
    fn queue(&mut self, message: Bytes) -> io::Result<()> {
        if let Some(waiting) = self.peer.send_or_wait(self.delivery, message).map_err(broken)? {
            self.waiting = Some(Box::pin(waiting));
        }
        Ok(())
    }

    /// Waits until everything is queued.
    fn poll_queued(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(waiting) = &mut self.waiting {
            let result = ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
            return Poll::Ready(result.map_err(broken));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SendStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_queued(cx))?;
        if self.is_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        // An empty message would be the end.
        let taken = bytes.len().min(CHUNK).min(self.peer.max_message().max(1));
        if taken > 0 {
            self.queue(Bytes::copy_from_slice(&bytes[..taken]))?;
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_queued(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_queued(cx))?;
        if !self.is_ended {
            self.is_ended = true;
            self.queue(Bytes::new())?;
        }
        self.poll_queued(cx)
    }
}

impl fmt::Debug for SendStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendStream")
            .field("peer", &self.peer)
            .field("channel", &self.delivery.channel)
            .finish_non_exhaustive()
    }
}

fn broken(error: SendError) -> io::Error {
    let kind = match error {
        SendError::Ended(_) => io::ErrorKind::BrokenPipe,
        SendError::Refused(_) => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// The longest message of a stream: a lost packet holds back no more than that.
const CHUNK: usize = 16 << 10;
