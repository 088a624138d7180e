//! The calls to the system, which fail as a test wants them to.

use std::io::{self, IoSliceMut};
use std::sync::Arc;

use quinn_udp::{RecvMeta, Transmit};
use socket2::SockRef;

use super::refused::Refused;
use super::route::Family;
use super::system;
use crate::faults::{Call, Faults};

/// The system's side of a socket, with its faults.
#[derive(Debug)]
pub(super) struct System {
    real: system::System,
    faults: Arc<Faults>,
}

impl System {
    pub(super) fn new(io: &SockRef<'_>, family: Family, refused: &mut Refused) -> io::Result<Self> {
        let real = system::System::new(io, family, refused)?;
        Ok(Self { real, faults: Faults::register(io) })
    }

    /// Forgets what was concluded from failures.
    pub(super) fn renew(&mut self, io: &SockRef<'_>) -> io::Result<()> {
        self.real.renew(io)?;
        self.faults.restore_offload();
        Ok(())
    }

    /// Datagrams per call that the system offers now.
    pub(super) fn segments(&self) -> usize {
        if self.faults.has_withdrawn_offload() { 1 } else { self.real.segments() }
    }

    /// Whether a read goes on until its buffers are full or the system says that there is no more.
    pub(super) const fn reads_to_the_end(&self) -> bool {
        self.real.reads_to_the_end()
    }

    pub(super) fn send(&self, io: &SockRef<'_>, transmit: &Transmit<'_>) -> io::Result<()> {
        let longest = transmit.segment_size.unwrap_or(transmit.contents.len());
        self.faults.strike(Call::sending(transmit), longest)?;
        self.real.send(io, transmit)
    }

    pub(super) fn receive(
        &self,
        io: &SockRef<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> io::Result<usize> {
        self.faults.strike(Call::Receive, 0)?;
        self.real.receive(io, buffers, metas)
    }
}

#[cfg(test)]
impl System {
    // What they inject are errors of Linux.
    #[cfg(target_os = "linux")]
    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(super) const fn is_plain(&self) -> bool {
        matches!(self.real, system::System::Plain(_))
    }
}
