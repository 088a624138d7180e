//! What is known about a socket beside the socket itself.

use std::io::{self, IoSliceMut};
use std::time::{Duration, Instant};

use handfast_core::{Ecn, Transmit};
use quinn_udp::{EcnCodepoint, RecvMeta};
use socket2::SockRef;

use crate::failure::{Breakage, OncePerMinute, ReceiveFailure, SendFailure};
use crate::{SocketStats, explain};

#[cfg(any(test, feature = "faults"))]
mod faulty;
mod plain;
mod refused;
mod route;
mod system;

#[cfg(any(test, feature = "faults"))]
use faulty::System;
use refused::Refused;
use route::{Family, Route};
#[cfg(not(any(test, feature = "faults")))]
use system::System;

/// The largest batch handed to the system at once, in bytes: the longest UDP payload over IPv4.
pub const MAX_BATCH: usize = 65_507;

/// A UDP socket's state beside the handle, which belongs to the runtime and is lent for each call:
/// segmentation offload, ECN marks, local addresses, counters.
#[derive(Debug)]
pub struct Socket {
    system: System,
    family: Family,
    stats: SocketStats,
    log: OncePerMinute,
    /// Datagrams per call that the system offered when the socket was opened.
    offered: usize,
    /// Datagrams per call that we use: falls to one when batches are seen to fail.
    segments: usize,
    /// A batch failed in a way that offload may be to blame for: the next datagram tells.
    on_trial: bool,
    restored: Option<Instant>,
    /// Reads have failed and nothing else since.
    breakage: Option<Breakage>,
}

impl Socket {
    /// Prepares `io`: non-blocking, reporting local addresses and ECN marks, never fragmenting.
    /// What the system refuses of that is done without, and logged as one warning. If it refuses
    /// too much, datagrams are sent and received one by one.
    ///
    /// # Errors
    /// When the system refuses what the protocol cannot do without: that the socket is bound, and
    /// never blocks.
    pub fn new(io: SockRef<'_>) -> io::Result<Self> {
        let mut refused = Refused::default();
        let family = Family::of(&io, &mut refused)?;
        let system = System::new(&io, family, &mut refused)?;
        refused.warn(&io);
        let offered = system.segments();
        Ok(Self {
            family,
            system,
            stats: SocketStats::default(),
            log: OncePerMinute::default(),
            offered,
            segments: offered,
            on_trial: false,
            restored: None,
            breakage: None,
        })
    }

    /// How large a buffer to hand to `poll_transmit`, in bytes: as many datagrams as the system
    /// takes in one call.
    #[must_use]
    pub fn batch_len(&self) -> usize {
        (self.usable_segments() * usize::from(handfast_core::MAX_DATAGRAM)).min(MAX_BATCH)
    }

    /// Counters since the socket was opened.
    #[must_use]
    pub const fn stats(&self) -> &SocketStats {
        &self.stats
    }

    /// Sends from the start of `contents`, datagrams as `transmit` describes them: as many as one
    /// call takes. Returns how many bytes are dealt with, sent or refused; zero means to try again.
    ///
    /// # Errors
    /// `WouldBlock` alone.
    pub(crate) fn send(
        &mut self,
        io: &SockRef<'_>,
        transmit: &Transmit,
        contents: &[u8],
    ) -> io::Result<usize> {
        self.restore_when_due(io);
        let one = transmit.segment.map_or(contents.len(), |size| usize::from(size.get()));
        let one = one.clamp(1, contents.len().max(1));
        let most = self.usable_segments().min((MAX_BATCH / one).max(1));
        let len = (one * most).min(contents.len());
        let Some(route) = self.family.route(transmit) else {
            return self.refused(transmit, len, one, &io::ErrorKind::AddrNotAvailable.into());
        };
        match self.try_send(io, transmit, route, &contents[..len], one) {
            Ok(()) => {
                self.stats.sends += 1;
                self.stats.datagrams_sent += datagrams(len, one);
                self.conclude_trial(io, len <= one);
                Ok(len)
            }
            Err(error) if SendFailure::of(&error) == SendFailure::Blocked => {
                self.stats.sends_blocked += 1;
                Err(error)
            }
            // The system took offload back. Whether rightly, the first datagram alone will tell.
            Err(_) if len > one && self.system.segments() == 1 => {
                self.stats.offload_failures += 1;
                self.on_trial = true;
                Ok(0)
            }
            Err(error) => {
                self.on_trial = false;
                self.refused(transmit, len, one, &error)
            }
        }
    }

    /// When to read again, while the socket is given a pause after a failure of its own. A driver
    /// that reads on instead will spin. See [`Traffic::deadline`](crate::Traffic::deadline).
    #[must_use]
    pub fn pauses_until(&self) -> Option<Instant> {
        self.breakage.as_ref().map(Breakage::resumes)
    }

    /// Whether reading is to wait now.
    #[must_use]
    pub fn is_pausing(&self) -> bool {
        self.pauses_until().is_some_and(|until| Instant::now() < until)
    }

    /// Reads a batch. Errors that only tell of datagrams sent earlier read as an empty batch.
    pub(crate) fn receive(
        &mut self,
        io: &SockRef<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> io::Result<usize> {
        let result = self.system.receive(io, buffers, metas);
        self.note_received(result, metas, Instant::now)
    }

    /// Whether a read that fills fewer buffers than it was given found the socket empty, or an error that came while
    /// it read: either way the system tells of all that is left.
    pub(crate) const fn reads_to_the_end(&self) -> bool {
        self.system.reads_to_the_end()
    }

    fn note_received(
        &mut self,
        result: io::Result<usize>,
        metas: &[RecvMeta],
        now: impl FnOnce() -> Instant,
    ) -> io::Result<usize> {
        let error = match result {
            Ok(count) => {
                self.breakage = None;
                self.stats.receives += 1;
                let reads = metas.iter().take(count);
                // An empty datagram is one as well.
                let datagrams: u64 =
                    reads.map(|meta| datagrams(meta.len, meta.stride).max(1)).sum();
                self.stats.datagrams_received += datagrams;
                return Ok(count);
            }
            Err(error) => error,
        };
        let failure = ReceiveFailure::of(&error);
        if failure == ReceiveFailure::Drained {
            self.breakage = None;
            return Err(error);
        }
        let now = now();
        self.stats.receive_errors += 1;
        if failure == ReceiveFailure::Broken {
            match &mut self.breakage {
                Some(breakage) => breakage.repeat(now),
                none => *none = Some(Breakage::new(now)),
            }
            if self.breakage.as_ref().is_some_and(|breakage| breakage.is_fatal(now)) {
                return Err(error);
            }
        }
        if self.log.permits(now) {
            tracing::warn!(target: "handfast::driver", error = %explain(&error), "receive failed");
        }
        Ok(0)
    }

    /// One call to the system; once more without our source address if that may be the trouble.
    fn try_send(
        &mut self,
        io: &SockRef<'_>,
        transmit: &Transmit,
        route: Route,
        contents: &[u8],
        segment: usize,
    ) -> io::Result<()> {
        let mut out = quinn_udp::Transmit {
            destination: route.destination,
            ecn: transmit.ecn.map(codepoint),
            contents,
            segment_size: (contents.len() > segment).then_some(segment),
            src_ip: route.source,
        };
        let restore_hop_limit = match transmit.hop_limit {
            Some(limit) => Some(self.family.replace_hop_limit(io, route, limit)?),
            None => None,
        };
        let mut result = self.system.send(io, &out);
        if let Err(error) = &result {
            // The address may have left this machine: any other is better than silence, and the
            // peer will see us move.
            if out.src_ip.is_some() && SendFailure::of(error) == SendFailure::Lost {
                out.src_ip = None;
                result = self.system.send(io, &out);
                self.stats.source_fallbacks += u64::from(result.is_ok());
            }
        }
        if let Some(limit) = restore_hop_limit {
            self.family.replace_hop_limit(io, route, limit)?;
        }
        result
    }

    fn refused(
        &mut self,
        transmit: &Transmit,
        len: usize,
        segment: usize,
        error: &io::Error,
    ) -> io::Result<usize> {
        self.stats.datagrams_refused += datagrams(len, segment);
        if SendFailure::of(error) == SendFailure::Lost && self.log.permits(Instant::now()) {
            tracing::warn!(
                target: "handfast::driver",
                error = %explain(error), destination = %transmit.destination,
                source = ?transmit.source, len,
                "send failed, taken as loss; further failures within a minute are not logged",
            );
        }
        Ok(len)
    }

    fn usable_segments(&self) -> usize {
        self.segments.min(self.system.segments()).max(1)
    }

    /// A datagram went out. If its batch had failed, offload is what does not work here.
    fn conclude_trial(&mut self, io: &SockRef<'_>, alone: bool) {
        if self.on_trial && alone {
            self.on_trial = false;
            self.segments = 1;
            self.restore(io);
        }
    }

    /// `quinn-udp` gives up offload, and ECN over IPv4, for good at the first `EINVAL` or `EIO`.
    /// But an address can cause those as well. So the state is renewed once the cause is known
    /// (we remember by ourselves when offload was to blame), at most once a second.
    fn restore_when_due(&mut self, io: &SockRef<'_>) {
        let degraded = self.system.segments() < self.offered;
        let recent = |at: Instant| at.elapsed() < RESTORE_INTERVAL;
        if degraded && !self.on_trial && !self.restored.is_some_and(recent) {
            self.restore(io);
        }
    }

    fn restore(&mut self, io: &SockRef<'_>) {
        self.restored = Some(Instant::now());
        if let Err(error) = self.system.renew(io) {
            let error = explain(&error);
            tracing::debug!(target: "handfast::driver", %error, "socket state not renewed");
        }
    }
}

fn datagrams(len: usize, segment: usize) -> u64 {
    len.div_ceil(segment.max(1)) as u64
}

const fn codepoint(mark: Ecn) -> EcnCodepoint {
    match mark {
        Ecn::Ect0 => EcnCodepoint::Ect0,
        Ecn::Ect1 => EcnCodepoint::Ect1,
        Ecn::Ce => EcnCodepoint::Ce,
    }
}

const RESTORE_INTERVAL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
