//! Whether the router forwards a port when it is asked to.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use handfast_program::values::MapPort;
use handfast_tokio::{PortMapping, PortNews, PortProtocol, explain};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// What came of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortFound {
    /// Nobody was asked.
    NotTried,
    /// The router gave this address, asked in this way, and has it back.
    Works(SocketAddr, PortProtocol),
    /// Nobody gave one: why.
    None(String),
}

impl PortFound {
    /// Has the router forward a port for a moment.
    pub(super) async fn check(choice: MapPort) -> Self {
        let Some(router) = choice.router() else { return Self::NotTried };
        match ask(router).await {
            Ok(PortNews::Open { external, protocol, .. }) => Self::Works(external, protocol),
            Ok(PortNews::Closed { reason, .. }) => Self::None(reason),
            Ok(news) => Self::None(news.to_string()),
            Err(error) => Self::None(explain(&error).to_string()),
        }
    }

    /// In words. Over IPv4 a server sees us at `observed`.
    pub(super) fn words(&self, observed: Option<SocketAddr>) -> String {
        match self {
            Self::NotTried => "not tried".to_owned(),
            Self::None(reason) => format!("none: {reason}"),
            Self::Works(external, protocol) => {
                let elsewhere = observed.filter(|seen| seen.ip() != external.ip());
                let but = elsewhere.map(|seen| {
                    format!(
                        ", but the server sees us at {}: another NAT is before the router",
                        seen.ip()
                    )
                });
                let but = but.unwrap_or_default();
                format!("works: the router forwards {external} to us ({protocol}){but}")
            }
        }
    }
}

async fn ask(router: Option<SocketAddr>) -> io::Result<PortNews> {
    // Nobody else may have the port meanwhile.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let (tell, mut told) = mpsc::channel(1);
    let report = move |news: &PortNews| _ = tell.try_send(news.clone());
    let mapping = PortMapping::start(socket.local_addr()?.port(), router, report)?;
    let news = timeout(PATIENCE, told.recv()).await;
    // It ends within a few seconds; a panic has said so.
    tokio::task::spawn_blocking(|| mapping.release()).await.ok();
    let late = || io::Error::new(io::ErrorKind::TimedOut, "the router does not answer");
    news.ok().flatten().ok_or_else(late)
}

/// All ways of asking are tried by then.
const PATIENCE: Duration = Duration::from_secs(20);
