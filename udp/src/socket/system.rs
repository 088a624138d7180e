//! The calls to the system, and nothing else.

use std::io::{self, IoSliceMut};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;

use super::plain::Plain;
use super::refused::Refused;
use super::route::Family;

/// The system's side of a socket: how the system is called.
#[derive(Debug)]
pub(super) enum System {
    /// In batches, with ECN marks and local addresses.
    Batched(UdpSocketState),
    /// Where the system refuses what that takes.
    Plain(Plain),
}

impl System {
    pub(super) fn new(io: &SockRef<'_>, family: Family, refused: &mut Refused) -> io::Result<Self> {
        match UdpSocketState::new((&**io).into()) {
            Ok(state) => {
                missing(&state, io, family).for_each(|option| refused.add(option));
                Ok(Self::Batched(state))
            }
            Err(error) => {
                let options = [SEGMENTATION, COALESCING, MARKS, LOCAL_ADDRESSES];
                options.into_iter().for_each(|option| refused.add(option));
                refused.add_error(error);
                Plain::new(io).map(Self::Plain)
            }
        }
    }

    /// Forgets what was concluded from failures.
    pub(super) fn renew(&mut self, io: &SockRef<'_>) -> io::Result<()> {
        if let Self::Batched(state) = self {
            *state = UdpSocketState::new((&**io).into())?;
        }
        Ok(())
    }

    /// Datagrams per call that the system offers now: falls to one after a failure that may be due
    /// to more.
    pub(super) fn segments(&self) -> usize {
        match self {
            Self::Batched(state) => state.max_gso_segments(),
            Self::Plain(_) => 1,
        }
    }

    /// Whether a read goes on until its buffers are full or the system says that there is no more (`recvmmsg`).
    pub(super) const fn reads_to_the_end(&self) -> bool {
        matches!(self, Self::Batched(_)) && cfg!(any(target_os = "linux", target_os = "android"))
    }

    pub(super) fn send(&self, io: &SockRef<'_>, transmit: &Transmit<'_>) -> io::Result<()> {
        match self {
            Self::Batched(state) => state.try_send((&**io).into(), transmit),
            Self::Plain(plain) => plain.send(transmit),
        }
    }

    pub(super) fn receive(
        &self,
        io: &SockRef<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> io::Result<usize> {
        match self {
            Self::Batched(state) => state.recv((&**io).into(), buffers, metas),
            Self::Plain(plain) => plain.receive(buffers, metas),
        }
    }
}

/// What `state` does without, of what this system usually has.
fn missing(
    state: &UdpSocketState,
    io: &SockRef<'_>,
    family: Family,
) -> impl Iterator<Item = &'static str> {
    let offers_segmentation = cfg!(any(target_os = "linux", target_os = "android", windows));
    let offers_the_rest = cfg!(any(target_os = "linux", target_os = "android"));
    [
        (SEGMENTATION, offers_segmentation && state.max_gso_segments() == 1),
        (COALESCING, offers_the_rest && state.gro_segments() == 1),
        (MARKS, offers_the_rest && family != Family::V6 && !reports_marks(io)),
        (WHOLE_DATAGRAMS, offers_the_rest && state.may_fragment()),
    ]
    .into_iter()
    .filter_map(|(option, is_missing)| is_missing.then_some(option))
}

/// Whether the system was made to report the ECN marks of IPv4. (Those of IPv6 are no option.)
#[cfg(any(target_os = "linux", target_os = "android"))]
fn reports_marks(io: &SockRef<'_>) -> bool {
    io.recv_tos_v4().unwrap_or(false)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn reports_marks(_: &SockRef<'_>) -> bool {
    true
}

const SEGMENTATION: &str = "segmentation offload (GSO)";
const COALESCING: &str = "coalesced reads (GRO)";
const MARKS: &str = "ECN marks";
const LOCAL_ADDRESSES: &str = "local addresses";
const WHOLE_DATAGRAMS: &str = "a ban on fragments";
