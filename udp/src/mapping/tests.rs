//! Against a router made of a socket on the loopback.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;

/// What the router understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Pcp,
    /// Answers PCP by saying that it speaks NAT-PMP.
    Pmp,
    /// Refuses.
    Nothing,
}

/// A router that gives port 40,000 of 203.0.113.7 for `life` seconds. It tells of each request for a port: for how
/// long.
fn router(speaks: Speaks, life: u32) -> (SocketAddr, Receiver<u32>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bound");
    let address = socket.local_addr().expect("an address");
    let (asked, requests) = channel();
    thread::spawn(move || {
        let mut buffer = [0; 1100];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let Some((answer, seconds)) = answer(speaks, life, &buffer[..len]) else { continue };
            socket.send_to(&answer, from).expect("sent");
            if seconds.is_some_and(|seconds| asked.send(seconds).is_err()) {
                return;
            }
        }
    });
    (address, requests)
}

/// What it answers, and for how long a port was asked for.
fn answer(speaks: Speaks, life: u32, request: &[u8]) -> Option<(Vec<u8>, Option<u32>)> {
    let granted = |wanted: u32| wanted.min(life).to_be_bytes();
    match (request, speaks) {
        ([2, 1, ..], Speaks::Pmp) => Some((vec![0, 0x80, 0, 1, 0, 0, 0, 1], None)),
        ([2, 1, ..], _) => {
            let mut answer = request.to_vec();
            let wanted = u32::from_be_bytes(request[4..8].try_into().expect("four"));
            answer[1] = 0x81;
            answer[3] = if speaks == Speaks::Nothing { 2 } else { 0 };
            answer[4..8].copy_from_slice(&granted(wanted));
            answer[8..24].fill(0);
            answer[42..44].copy_from_slice(&40_000_u16.to_be_bytes());
            answer[44..].copy_from_slice(&Ipv4Addr::new(203, 0, 113, 7).to_ipv6_mapped().octets());
            Some((answer, Some(wanted)))
        }
        ([0, 0], Speaks::Pmp) => Some((vec![0, 0x80, 0, 0, 0, 0, 0, 1, 203, 0, 113, 7], None)),
        ([0, 1, ..], Speaks::Pmp) => {
            let wanted = u32::from_be_bytes(request[8..12].try_into().expect("four"));
            let port = if wanted == 0 { 0 } else { 40_000_u16 };
            let mut answer = vec![0, 0x81, 0, 0, 0, 0, 0, 1];
            answer.extend_from_slice(&request[4..6]);
            answer.extend(port.to_be_bytes());
            answer.extend(granted(wanted));
            Some((answer, Some(wanted)))
        }
        _ => None,
    }
}

fn next<T>(of: &Receiver<T>) -> T {
    of.recv_timeout(Duration::from_secs(60)).expect("something happens")
}

#[test]
fn a_port_is_asked_for_renewed_and_given_back_by_either_protocol() {
    for speaks in [Speaks::Pcp, Speaks::Pmp] {
        let (gateway, requests) = router(speaks, 2);
        let (reported, reports) = channel();
        let report = move |news: &PortNews| reported.send(news.clone()).expect("the test listens");
        let mapping = PortMapping::start(4263, Some(gateway), report).expect("started");
        let protocol = if speaks == Speaks::Pcp { "PCP" } else { "NAT-PMP" };
        let expected = format!("the router forwards 203.0.113.7:40000 to us ({protocol})");
        assert_eq!(next(&reports).to_string(), expected);
        assert_eq!([next(&requests), next(&requests)], [3600, 3600], "again at half its time");
        mapping.release();
        // It may have been asked for once more.
        let last = std::iter::repeat_with(|| next(&requests)).find(|seconds| *seconds != 3600);
        assert_eq!(last, Some(0), "{speaks:?}: it is given back");
        assert_eq!(reports.try_iter().count(), 0, "nothing changed meanwhile");
    }
}

#[test]
fn a_router_that_refuses_is_told_of_once_and_nothing_is_given_back() {
    let (gateway, requests) = router(Speaks::Nothing, 2);
    let (reported, reports) = channel();
    let report = move |news: &PortNews| reported.send(news.to_string()).expect("the test listens");
    let mapping = PortMapping::start(4263, Some(gateway), report).expect("started");
    let expected = "no router forwards a port to us: PCP and NAT-PMP: the router refused (code 2); \
                    UPnP: no router answers";
    assert_eq!(next(&reports), expected);
    assert_eq!(next(&requests), 3600);
    mapping.release();
    assert_eq!(requests.try_iter().count(), 0);
    assert_eq!(reports.try_iter().count(), 0);
}
