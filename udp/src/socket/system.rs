//! The calls to the system, and nothing else.

use std::io::{self, IoSliceMut};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;

#[cfg(any(test, feature = "faults"))]
use crate::faults::{Call, Faults};

/// The system's side of a socket. Tests may have it fail.
#[derive(Debug)]
pub(super) struct System {
    state: UdpSocketState,
    #[cfg(any(test, feature = "faults"))]
    pub(super) faults: std::sync::Arc<Faults>,
}

impl System {
    pub(super) fn new(io: &SockRef<'_>) -> io::Result<Self> {
        Ok(Self {
            state: UdpSocketState::new((&**io).into())?,
            #[cfg(any(test, feature = "faults"))]
            faults: Faults::register(io),
        })
    }

    /// Forgets what was concluded from failures.
    pub(super) fn renew(&mut self, io: &SockRef<'_>) -> io::Result<()> {
        self.state = UdpSocketState::new((&**io).into())?;
        #[cfg(any(test, feature = "faults"))]
        self.faults.restore_offload();
        Ok(())
    }

    /// Datagrams per call that the system offers now: falls to one after a failure that may be due
    /// to more.
    pub(super) fn segments(&self) -> usize {
        #[cfg(any(test, feature = "faults"))]
        if self.faults.has_withdrawn_offload() {
            return 1;
        }
        self.state.max_gso_segments()
    }

    pub(super) fn send(&self, io: &SockRef<'_>, transmit: &Transmit<'_>) -> io::Result<()> {
        #[cfg(any(test, feature = "faults"))]
        self.faults.strike(Call::sending(transmit))?;
        self.state.try_send((&**io).into(), transmit)
    }

    pub(super) fn receive(
        &self,
        io: &SockRef<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> io::Result<usize> {
        #[cfg(any(test, feature = "faults"))]
        self.faults.strike(Call::Receive)?;
        self.state.recv((&**io).into(), buffers, metas)
    }
}
