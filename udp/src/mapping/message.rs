//! The packets of PCP (RFC 6887) and of NAT-PMP (RFC 6886), as far as one UDP port needs them. Both are in network order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// What is wanted of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Our own address, as the router sees it.
    pub(super) client: IpAddr,
    /// Our port.
    pub(super) port: u16,
    /// The port that others are to use: the one that we had before, or 0 for any.
    pub(super) external: u16,
    /// For how long, in seconds; 0 to give it back.
    pub(super) seconds: u32,
    /// Names us, the same for as long as we want the mapping.
    pub(super) nonce: [u8; 12],
}

/// What the router grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) external: SocketAddr,
    pub(super) life: Duration,
}

/// What a router answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer<T> {
    Yes(T),
    /// With the code of the protocol.
    No(u16),
    /// It speaks NAT-PMP alone.
    OtherVersion,
    /// It is no answer to this.
    Stray,
}

/// A MAP request of PCP (section 11.1).
pub(super) fn pcp_request(wish: &Wish) -> [u8; 60] {
    let mut bytes = [0; 60];
    bytes[..2].copy_from_slice(&[PCP, MAP]);
    bytes[4..8].copy_from_slice(&wish.seconds.to_be_bytes());
    bytes[8..24].copy_from_slice(&wide(wish.client));
    bytes[24..36].copy_from_slice(&wish.nonce);
    bytes[36] = UDP;
    bytes[40..42].copy_from_slice(&wish.port.to_be_bytes());
    bytes[42..44].copy_from_slice(&wish.external.to_be_bytes());
    let any = if wish.client.is_ipv4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    bytes[44..60].copy_from_slice(&wide(any));
    bytes
}

/// What a PCP server answered to `wish`.
pub(super) fn pcp_answer(wish: &Wish, bytes: &[u8]) -> Answer<Granted> {
    // A server of NAT-PMP answers in its own version (RFC 6886 section 3.5, RFC 6887 appendix A).
    if let [0, ..] = bytes {
        return Answer::OtherVersion;
    }
    let Some(bytes) = bytes.first_chunk::<60>() else { return Answer::Stray };
    let is_ours = bytes[..2] == [PCP, MAP | RESPONSE]
        && bytes[24..36] == wish.nonce
        && bytes[36] == UDP
        && bytes[40..42] == wish.port.to_be_bytes();
    if !is_ours {
        return Answer::Stray;
    }
    if bytes[3] != 0 {
        return Answer::No(bytes[3].into());
    }
    let (port, mut ip) = ([bytes[42], bytes[43]], [0; 16]);
    ip.copy_from_slice(&bytes[44..]);
    let external = SocketAddr::new(Ipv6Addr::from(ip).to_canonical(), u16::from_be_bytes(port));
    let seconds = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    Answer::Yes(Granted { external, life: Duration::from_secs(seconds.into()) })
}

/// The question for the router's own address (RFC 6886 section 3.2).
pub(super) const PMP_ADDRESS_REQUEST: [u8; 2] = [PMP, 0];

/// What a NAT-PMP server answered to it.
pub(super) fn pmp_address(bytes: &[u8]) -> Answer<Ipv4Addr> {
    match bytes.first_chunk::<12>() {
        Some([PMP, RESPONSE, 0, 0, _, _, _, _, a, b, c, d]) => {
            Answer::Yes(Ipv4Addr::new(*a, *b, *c, *d))
        }
        Some([PMP, RESPONSE, high, low, ..]) => Answer::No(u16::from_be_bytes([*high, *low])),
        _ => Answer::Stray,
    }
}

/// A request for a UDP port (RFC 6886 section 3.3).
pub(super) fn pmp_request(wish: &Wish) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..2].copy_from_slice(&[PMP, PMP_MAP_UDP]);
    bytes[4..6].copy_from_slice(&wish.port.to_be_bytes());
    // Giving back names no external port (section 3.4).
    let external = if wish.seconds == 0 { 0 } else { wish.external };
    bytes[6..8].copy_from_slice(&external.to_be_bytes());
    bytes[8..12].copy_from_slice(&wish.seconds.to_be_bytes());
    bytes
}

/// The port and the time that a NAT-PMP server granted.
pub(super) fn pmp_answer(wish: &Wish, bytes: &[u8]) -> Answer<(u16, Duration)> {
    let Some(bytes) = bytes.first_chunk::<16>() else { return Answer::Stray };
    let is_ours =
        bytes[..2] == [PMP, PMP_MAP_UDP | RESPONSE] && bytes[8..10] == wish.port.to_be_bytes();
    let result = u16::from_be_bytes([bytes[2], bytes[3]]);
    if !is_ours {
        return Answer::Stray;
    }
    if result != 0 {
        return Answer::No(result);
    }
    let seconds = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
    let port = u16::from_be_bytes([bytes[10], bytes[11]]);
    Answer::Yes((port, Duration::from_secs(seconds.into())))
}

fn wide(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

const PCP: u8 = 2;
const PMP: u8 = 0;
const MAP: u8 = 1;
const PMP_MAP_UDP: u8 = 1;
const RESPONSE: u8 = 0x80;
const UDP: u8 = 17;

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        let client = [192, 168, 1, 2].into();
        Wish { client, port: 0x10a7, external: 0, seconds: 3600, nonce: [7; 12] }
    }

    /// The answer of a PCP server that grants this port of 203.0.113.7 for ten minutes.
    fn pcp_yes(port: u16) -> Vec<u8> {
        let mut bytes = vec![2, 0x81, 0, 0, 0, 0, 2, 88];
        bytes.resize(24, 0);
        bytes.extend([7; 12]);
        bytes.extend([17, 0, 0, 0, 0x10, 0xa7]);
        bytes.extend(port.to_be_bytes());
        bytes.extend(Ipv4Addr::new(203, 0, 113, 7).to_ipv6_mapped().octets());
        bytes
    }

    #[test]
    fn requests_are_laid_out_as_the_rfcs_say() {
        let mut expected = vec![2, 1, 0, 0, 0, 0, 0x0e, 0x10];
        expected.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 168, 1, 2]);
        expected.extend([7; 12]);
        expected.extend([17, 0, 0, 0, 0x10, 0xa7, 0, 0]);
        expected.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]);
        assert_eq!(pcp_request(&wish()).to_vec(), expected);
        let again = Wish { external: 5, ..wish() };
        assert_eq!(pmp_request(&again), [0, 1, 0, 0, 0x10, 0xa7, 0, 5, 0, 0, 0x0e, 0x10]);
        let back = Wish { seconds: 0, ..again };
        assert_eq!(pmp_request(&back), [0, 1, 0, 0, 0x10, 0xa7, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn only_the_answer_to_this_very_request_counts() {
        let good = pcp_yes(40_000);
        let external = "203.0.113.7:40000".parse().expect("an address");
        let granted = Granted { external, life: Duration::from_secs(600) };
        assert_eq!(pcp_answer(&wish(), &good), Answer::Yes(granted));
        for (at, to, expected) in [
            (0, 0, Answer::OtherVersion),
            (0, 1, Answer::Stray),
            (1, 1, Answer::Stray),
            (3, 8, Answer::No(8)),
            (30, 8, Answer::Stray),
            (36, 6, Answer::Stray),
            (40, 0, Answer::Stray),
        ] {
            let mut bytes = good.clone();
            bytes[at] = to;
            assert_eq!(pcp_answer(&wish(), &bytes), expected, "byte {at}");
        }
        assert_eq!(pcp_answer(&wish(), &good[..59]), Answer::Stray);

        let port = [0, 0x81, 0, 0, 0, 0, 0, 9, 0x10, 0xa7, 0x9c, 0x40, 0, 0, 2, 88];
        assert_eq!(pmp_answer(&wish(), &port), Answer::Yes((40_000, Duration::from_secs(600))));
        let refused = [0, 0x81, 0, 2, 0, 0, 0, 9, 0x10, 0xa7, 0, 0, 0, 0, 0, 0];
        assert_eq!(pmp_answer(&wish(), &refused), Answer::No(2));
        let other = [0, 0x81, 0, 0, 0, 0, 0, 9, 0x10, 0xa8, 0x9c, 0x40, 0, 0, 2, 88];
        assert_eq!(pmp_answer(&wish(), &other), Answer::Stray);
        let address = [0, 0x80, 0, 0, 0, 0, 0, 9, 203, 0, 113, 7];
        assert_eq!(pmp_address(&address), Answer::Yes([203, 0, 113, 7].into()));
        assert_eq!(pmp_address(&address[..11]), Answer::Stray);
        assert_eq!(pmp_address(&port), Answer::Stray);
    }
}
