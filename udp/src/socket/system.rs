//! The calls to the system, and nothing else.

use std::io::{self, IoSliceMut};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;

use super::plain::Plain;
use super::refused::Refused;
use super::route::Family;
#[cfg(any(test, feature = "faults"))]
use crate::faults::{Call, Faults};

/// The system's side of a socket. Tests may have it fail.
#[derive(Debug)]
pub(super) struct System {
    calls: Calls,
    #[cfg(any(test, feature = "faults"))]
    pub(super) faults: std::sync::Arc<Faults>,
}

/// How the system is called.
#[derive(Debug)]
enum Calls {
    /// In batches, with ECN marks and local addresses.
    Batched(UdpSocketState),
    /// Where the system refuses what that takes.
    Plain(Plain),
}

impl System {
    pub(super) fn new(io: &SockRef<'_>, family: Family, refused: &mut Refused) -> io::Result<Self> {
        let calls = match UdpSocketState::new((&**io).into()) {
            Ok(state) => {
                missing(&state, io, family).for_each(|option| refused.add(option));
                Calls::Batched(state)
            }
            Err(error) => {
                let options = [SEGMENTATION, COALESCING, MARKS, LOCAL_ADDRESSES];
                options.into_iter().for_each(|option| refused.add(option));
                refused.add_error(error);
                Calls::Plain(Plain::new(io)?)
            }
        };
        Ok(Self {
            calls,
            #[cfg(any(test, feature = "faults"))]
            faults: Faults::register(io),
        })
    }

    #[cfg(test)]
    pub(super) const fn is_plain(&self) -> bool {
        matches!(self.calls, Calls::Plain(_))
    }

    /// Forgets what was concluded from failures.
    pub(super) fn renew(&mut self, io: &SockRef<'_>) -> io::Result<()> {
        if let Calls::Batched(state) = &mut self.calls {
            *state = UdpSocketState::new((&**io).into())?;
        }
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
        match &self.calls {
            Calls::Batched(state) => state.max_gso_segments(),
            Calls::Plain(_) => 1,
        }
    }

    pub(super) fn send(&self, io: &SockRef<'_>, transmit: &Transmit<'_>) -> io::Result<()> {
        #[cfg(any(test, feature = "faults"))]
        self.faults.strike(Call::sending(transmit))?;
        match &self.calls {
            Calls::Batched(state) => state.try_send((&**io).into(), transmit),
            Calls::Plain(plain) => plain.send(transmit),
        }
    }

    pub(super) fn receive(
        &self,
        io: &SockRef<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> io::Result<usize> {
        #[cfg(any(test, feature = "faults"))]
        self.faults.strike(Call::Receive)?;
        match &self.calls {
            Calls::Batched(state) => state.recv((&**io).into(), buffers, metas),
            Calls::Plain(plain) => plain.receive(buffers, metas),
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
