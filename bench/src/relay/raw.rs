//! A loop that copies datagrams from one socket to another.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use super::counting::{LEN, Way, flood, round_trips};
use super::{Round, start};

pub(super) fn measure(time: Duration) -> io::Result<Round> {
    let (near, far) = (bound()?, bound()?);
    let ends = [near.local_addr()?.to_string(), far.local_addr()?.to_string()];
    let (relay, place) = start("raw", &ends)?;
    near.connect(place)?;
    let way = Way { socket: &near, header: &[] };
    let before = relay.cpu()?;
    let bytes = flood(&way, &far, time)? * LEN as u64;
    let cpu = relay.cpu()?.saturating_sub(before);
    let relayed = round_trips(&way, &far)?;
    Ok(Round {
        rate: bytes as f64 / time.as_secs_f64(),
        cpu: cpu.as_nanos() as f64 / bytes.max(1) as f64,
        round_trips: [direct()?, relayed],
    })
}

/// Round trips with nothing between.
pub(super) fn direct() -> io::Result<crate::trips::Trips> {
    let (near, far) = (bound()?, bound()?);
    near.connect(far.local_addr()?)?;
    round_trips(&Way { socket: &near, header: &[] }, &far)
}

pub(super) fn bound() -> io::Result<UdpSocket> {
    UdpSocket::bind("127.0.0.1:0")
}
