//! Which router leads to the internet.

use std::io;
use std::net::SocketAddr;

/// The port of PCP and NAT-PMP at a router.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PORT: u16 = 5351;

/// The router of the default route over IPv4.
///
/// # Errors
/// When there is none, or this system does not tell.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn default() -> io::Result<SocketAddr> {
    let routes = std::fs::read_to_string("/proc/net/route")?;
    let none =
        || io::Error::new(io::ErrorKind::NotFound, "there is no way to the internet over IPv4");
    let router = of_routes(&routes).ok_or_else(none)?;
    Ok((router, PORT).into())
}

/// The router of the default route over IPv4.
///
/// # Errors
/// This system does not tell.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn default() -> io::Result<SocketAddr> {
    let unknown = "this system does not tell which router it uses: name it";
    Err(io::Error::new(io::ErrorKind::Unsupported, unknown))
}

/// The gateway of the default route with the least metric, in the kernel's table.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn of_routes(table: &str) -> Option<std::net::Ipv4Addr> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let &[_, destination, gateway, flags, _, _, metric, mask, ..] = columns.as_slice() else {
            return None;
        };
        let number = |text| u32::from_str_radix(text, 16).ok();
        let is_default = number(destination)? == 0 && number(mask)? == 0;
        let is_usable = number(flags)? & (UP | GATEWAY) == UP | GATEWAY;
        // As the four bytes lie in memory.
        let router = number(gateway)?.to_ne_bytes().into();
        (is_default && is_usable).then_some((metric.parse::<u32>().ok()?, router))
    });
    routes.min().map(|(_, router)| router)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
const UP: u32 = 1;
#[cfg(any(target_os = "linux", target_os = "android"))]
const GATEWAY: u32 = 2;

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_router_is_that_of_the_default_route_with_the_least_metric() {
        let head =
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        let line = |destination: u32, gateway: [u8; 4], flags: u32, metric: u32, mask: u32| {
            let gateway = u32::from_ne_bytes(gateway);
            format!(
                "eth0\t{destination:08X}\t{gateway:08X}\t{flags:04X}\t0\t0\t{metric}\t{mask:08X}\t0\t0\t0\n"
            )
        };
        let table = [
            head.to_owned(),
            line(0, [10, 0, 0, 1], 3, 600, 0),
            line(0, [192, 168, 1, 1], 3, 100, 0),
            line(0, [192, 168, 1, 9], 2, 1, 0),
            line(0, [0; 4], 1, 0, 0),
            line(0x00a8_c0c0, [192, 168, 1, 7], 3, 0, 0x00ff_ffff),
        ];
        assert_eq!(of_routes(&table.concat()), Some([192, 168, 1, 1].into()));
        assert_eq!(of_routes(head), None);
        assert_eq!(of_routes("nonsense\nnonsense"), None);
    }
}
