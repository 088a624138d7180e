//! A port of a router, by a real server of PCP and UPnP.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use handfast_udp::{PortMapping, PortNews};

use super::network::Network;
use super::world::plug;

/// How a router can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Pcp,
    Upnp,
}

impl Asked {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Pcp, Self::Upnp];

    /// As the programs call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pcp => "PCP",
            Self::Upnp => "UPnP",
        }
    }
}

/// A host behind a router that forwards nothing but what it is asked to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapping(pub(super) Asked);

impl Mapping {
    /// Whether there is a server to ask.
    pub(super) fn is_possible() -> bool {
        Command::new(SERVER).arg("--version").output().is_ok()
    }

    /// Plays it. `home` is for files.
    ///
    /// # Errors
    /// When the system refuses, or the port does not lead to the host, or still does in the end.
    pub(super) fn play(self, home: &Path) -> io::Result<()> {
        let (world, router, host) = (Network::new()?, Network::new()?, Network::new()?);
        plug(&world, "isp", &router, "wan", [44, 128, 0])?;
        plug(&router, "lan", &host, "eth0", [192, 168, 1])?;
        router.set("ipv4/ip_forward", "1")?;
        let _server = serve(&router, self.0, home)?;

        let socket = host.socket(([0; 4], 0), PATIENCE)?;
        let (port, gateway) =
            (socket.local_addr()?.port(), SocketAddr::from(([192, 168, 1, 1], 5351)));
        let (reported, reports) = channel();
        // Nobody listens any more once this has failed.
        let report = move |news: &PortNews| _ = reported.send(news.clone());
        let mapping = host.run(|| PortMapping::start(port, Some(gateway), report))?;
        let news = reports.recv_timeout(PATIENCE).map_err(io::Error::other)?;
        let external = news.external().ok_or_else(|| io::Error::other(news.to_string()))?;
        if !news.to_string().ends_with(&format!("({})", self.0.name())) {
            return Err(io::Error::other(format!("asked otherwise: {news}")));
        }
        if external.ip() != EDGE {
            return Err(io::Error::other(format!("{external} is not the router's")));
        }
        let from = call(&world, external)?;
        let (_, heard) = socket.recv_from(&mut [0; 16])?;
        if heard != from {
            return Err(io::Error::other(format!("{heard} in place of {from}")));
        }
        mapping.release();
        call(&world, external)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        match socket.recv_from(&mut [0; 16]) {
            Ok(_) => Err(io::Error::other("the port was not given back")),
            Err(_) => Ok(()),
        }
    }
}

/// Has a router forward what it is asked to, on top of the rules that it has. `home` is for files of its own.
///
/// # Errors
/// When the system refuses.
pub(super) fn serve(router: &Network, asked: Asked, home: &Path) -> io::Result<Running> {
    router.nft(RULES)?;
    fs::create_dir_all(home)?;
    let configuration = home.join("miniupnpd.conf");
    let [pcp, upnp] = [Asked::Pcp, Asked::Upnp].map(|one| if one == asked { "yes" } else { "no" });
    fs::write(&configuration, format!("{CONFIGURATION}enable_natpmp={pcp}\nenable_upnp={upnp}\n"))?;
    let server = router.run(|| {
        let mut command = Command::new(SERVER);
        command.arg("-d").arg("-f").arg(&configuration).arg("-P").arg(home.join("miniupnpd.pid"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    })?;
    let running = Running(server);
    let port = if asked == Asked::Pcp { 5351 } else { 1900 };
    for _ in 0..500 {
        // Whoever listens there has it.
        let free = router.run(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).map(drop));
        if free.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
            return Ok(running);
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(io::Error::other(format!("{SERVER} does not listen at port {port}")))
}

/// Somebody in the world says a word there, and is at the address that is returned.
fn call(world: &Network, there: SocketAddr) -> io::Result<SocketAddr> {
    world.run(|| {
        let caller = UdpSocket::bind((Ipv4Addr::new(44, 128, 0, 1), 0))?;
        caller.send_to(b"hello", there)?;
        caller.local_addr()
    })
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a router forwards a port and gives it up ({})", self.0.name())
    }
}

/// A program that ends with this.
#[derive(Debug)]
pub(super) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

const SERVER: &str = "miniupnpd";
/// The router's address in the world: the server takes none of those that are for examples.
const EDGE: Ipv4Addr = Ipv4Addr::new(44, 128, 0, 2);
const PATIENCE: Duration = Duration::from_secs(20);
const CONFIGURATION: &str = "\
ext_ifname=wan
listening_ip=lan
secure_mode=yes
uuid=fc4ec57e-b051-11db-88f8-0060085db3f6
allow 1024-65535 0.0.0.0/0 1024-65535
";
/// What the server fills in.
const RULES: &str = "\
table inet filter {
  chain forward { type filter hook forward priority 0; policy accept; iifname \"lan\" accept; jump miniupnpd; }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority 100; policy accept; jump postrouting_miniupnpd; }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
";
