//! Bytes that a peer writes without end, from messages of one stream.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use handfast_core::{Bytes, Delivery, Message};
use tokio::io::{AsyncRead, ReadBuf};

use crate::Peer;

/// Reads the bytes that a peer writes with a [`SendStream`](crate::SendStream) on the same channel:
/// [`Peer::recv_stream`] makes one.
///
/// A read returns 0 bytes at the end that the writer set, and fails with `UnexpectedEof` if the peer ended before: so
/// whole and cut differ. What follows the end on the channel belongs to the next stream. Nothing that arrived is
/// lost if the stream is dropped, but for the rest of a message that was read in part.
pub struct RecvStream {
    peer: Peer,
    channel: u16,
    /// What was not read of the last message.
    rest: Bytes,
    waiting: Option<Waiting>,
    is_ended: bool,
}

type Waiting = Pin<Box<dyn Future<Output = Option<Message>> + Send>>;

impl RecvStream {
    pub(crate) fn new(peer: Peer, channel: u16) -> Self {
        Self { peer, channel, rest: Bytes::new(), waiting: None, is_ended: false }
    }

    /// The next bytes, as they arrived, without a copy; `None` at the end of the stream. May be dropped at any time.
    ///
    /// # Errors
    /// `UnexpectedEof` if the peer ended before the end of the stream; `InvalidData` if a message on the channel is
    /// no part of such a stream.
    pub async fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_rest(cx)).await?;
        Ok(Some(std::mem::take(&mut self.rest)).filter(|rest| !rest.is_empty()))
    }

    /// Waits until there is something in `rest`, or nothing will be.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.rest.is_empty() || self.is_ended {
            return Poll::Ready(Ok(()));
        }
        let waiting = self.waiting.get_or_insert_with(|| {
            let (peer, channel) = (self.peer.clone(), self.channel);
            Box::pin(async move { peer.recv_from(channel).await })
        });
        let message = ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        let Some(message) = message else {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the peer ended before the end of the stream",
            )));
        };
        if message.delivery != Delivery::ordered(self.channel) {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a message on the channel of a stream is not reliable and in order",
            )));
        }
        self.is_ended = message.payload.is_empty();
        self.rest = message.payload;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for RecvStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() > 0 {
            ready!(self.poll_rest(cx))?;
        }
        let taken = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(taken));
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for RecvStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvStream")
            .field("peer", &self.peer)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}
