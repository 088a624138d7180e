//! The systems that have ends on sockets.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc::Sender;
use std::time::Duration;

use handfast_tokio::{Config, CongestionControl, Endpoint, Identity, entropy};
use tokio::runtime::{Builder, Runtime};

use super::{Job, Run, enet, kcp, on_mio, on_tokio, quinn, raw, renet, s2n};

/// A system, with its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// handfast on tokio; ratios are of this one.
    Tokio,
    Mio,
    /// Each end keeps a processor busy rather than have it woken.
    TokioBusy,
    MioBusy,
    /// With [`CongestionControl::Tolerant`].
    TokioTolerant,
    /// Whoever shakes hands was never here before.
    TokioStrangers,
    Quinn,
    /// A stream for each message.
    QuinnStreamEach,
    QuinnBbr,
    S2n,
    Enet,
    Kcp,
    Renet,
    /// A socket, and a call for each datagram.
    Raw,
    /// A socket with segmentation and coalescing by the kernel.
    RawOffload,
    RawTokio,
    RawMio,
}

impl System {
    /// Its name, with what a reader must know to compare.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "handfast, tokio",
            Self::Mio => "handfast, mio",
            Self::TokioBusy => "handfast, tokio, busy-poll",
            Self::MioBusy => "handfast, mio, busy-poll",
            Self::TokioTolerant => "handfast, tokio, tolerant",
            Self::TokioStrangers => "handfast, tokio, strangers",
            Self::Quinn => "quinn",
            Self::QuinnStreamEach => "quinn, a stream each",
            Self::QuinnBbr => "quinn, BBR",
            Self::S2n => "s2n-quic",
            Self::Enet => "rusty_enet (no encryption)",
            Self::Kcp => "tokio_kcp turbo (no encryption)",
            Self::Renet => "renet, netcode",
            Self::Raw => "raw UDP",
            Self::RawOffload => "raw UDP, GSO and GRO",
            Self::RawTokio => "raw UDP, tokio",
            Self::RawMio => "raw UDP, mio",
        }
    }

    /// Whether it is handfast.
    pub(crate) const fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Tokio
                | Self::Mio
                | Self::TokioBusy
                | Self::MioBusy
                | Self::TokioTolerant
                | Self::TokioStrangers
        )
    }

    /// Listens, tells where, and receives until it is over.
    ///
    /// # Errors
    /// When it fails before.
    pub(super) fn receive(self, tell: &Sender<SocketAddr>, run: &Run) -> Result<(), String> {
        match self {
            Self::Tokio | Self::TokioBusy | Self::TokioTolerant | Self::TokioStrangers => {
                block_on(run, on_tokio::receive(self, tell, run))
            }
            Self::Mio | Self::MioBusy => on_mio::receive(self, tell, run),
            Self::Quinn | Self::QuinnStreamEach | Self::QuinnBbr => {
                block_on(run, quinn::receive(self, tell, run))
            }
            Self::S2n => block_on(run, s2n::receive(tell, run)),
            Self::Enet => enet::receive(tell, run),
            Self::Kcp => block_on(run, kcp::receive(tell, run)),
            Self::Renet => renet::receive(tell, run),
            Self::RawTokio => block_on(run, raw::on_tokio::receive(tell, run)),
            Self::RawMio => raw::on_mio::receive(tell, run),
            Self::RawOffload => raw::offload::receive(tell, run),
            Self::Raw => raw::receive(tell, run),
        }
    }

    /// Connects, and does the job until it is over.
    ///
    /// # Errors
    /// When it fails before.
    pub(super) fn send(self, to: SocketAddr, run: &Run) -> Result<(), String> {
        match self {
            Self::Tokio | Self::TokioBusy | Self::TokioTolerant | Self::TokioStrangers => {
                block_on(run, on_tokio::send(self, to, run))
            }
            Self::Mio | Self::MioBusy => on_mio::send(self, to, run),
            Self::Quinn | Self::QuinnStreamEach | Self::QuinnBbr => {
                block_on(run, quinn::send(self, to, run))
            }
            Self::S2n => block_on(run, s2n::send(to, run)),
            Self::Enet => enet::send(to, run),
            Self::Kcp => block_on(run, kcp::send(to, run)),
            Self::Renet => renet::send(to, run),
            Self::RawTokio => block_on(run, raw::on_tokio::send(to, run)),
            Self::RawMio => raw::on_mio::send(to, run),
            Self::RawOffload => raw::offload::send(to, run),
            Self::Raw => raw::send(to, run),
        }
    }

    /// How long an end of ours asks its sockets again and again before it waits.
    pub(super) const fn busy_poll(self) -> Duration {
        match self {
            Self::TokioBusy | Self::MioBusy => Duration::from_millis(1),
            _ => Duration::ZERO,
        }
    }

    pub(super) fn config(self) -> Config {
        let mut config = Config::default();
        if self == Self::TokioTolerant {
            config.congestion = CongestionControl::Tolerant;
        }
        config
    }
}

/// Runs one end until it has failed or all is over. A future that is dropped then takes its endpoint along.
fn block_on(run: &Run, end: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    runtime()?.block_on(async {
        tokio::select! {
            result = end => result,
            () = run.ended() => Ok(()),
        }
    })
}

/// For one end, on the thread that asks.
fn runtime() -> Result<Runtime, String> {
    Builder::new_current_thread().enable_all().build().map_err(text)
}

pub(super) async fn endpoint(system: System, config: Config) -> Result<Endpoint, String> {
    let identity = Identity::from_seed(entropy().map_err(text)?);
    let endpoint = Endpoint::bind(config, identity, LOOPBACK).map_err(text)?;
    endpoint.set_busy_poll(system.busy_poll()).await.map_err(text)?;
    Ok(endpoint)
}

pub(super) fn text(error: impl Display) -> String {
    error.to_string()
}

/// What a system says that has no such job.
pub(super) fn cannot(job: Job) -> Result<(), String> {
    Err(format!("it cannot do {job:?}"))
}

pub(super) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
