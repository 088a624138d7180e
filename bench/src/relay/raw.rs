//! A thread that copies datagrams from one socket to another.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Row;
use super::counting::{LEN, Way, flood, round_trip};
use crate::clock::cpu_time;

pub(super) fn measure(time: Duration) -> Result<Row, String> {
    forwarded(time).map_err(|error| format!("raw: {error}"))
}

fn forwarded(time: Duration) -> io::Result<Row> {
    let direct = {
        let (near, far) = (bound()?, bound()?);
        near.connect(far.local_addr()?)?;
        round_trip(&Way { socket: &near, header: &[] }, &far)?
    };
    let (near, relay, far) = (bound()?, bound()?, bound()?);
    near.connect(relay.local_addr()?)?;
    let ends = [near.local_addr()?, far.local_addr()?];
    let over = AtomicBool::new(false);
    let (told, spent) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| told.send(forward(&relay, ends, &over)));
        let way = Way { socket: &near, header: &[] };
        let arrived = flood(&way, &far, time);
        let relayed = round_trip(&way, &far);
        over.store(true, Ordering::Relaxed);
        let (cpu, packets) = spent.recv().unwrap_or_default();
        let rate = (arrived? * LEN as u64) as f64 / time.as_secs_f64();
        let cpu = cpu / u32::try_from(packets.max(1)).unwrap_or(u32::MAX);
        Ok(Row { system: "raw UDP", rate, cpu, round_trips: [direct, relayed?] })
    })
}

/// Returns what it cost, and how many packets passed.
fn forward(relay: &UdpSocket, ends: [SocketAddr; 2], over: &AtomicBool) -> (Duration, u64) {
    let (began, mut packets) = (cpu_time(), 0);
    relay.set_read_timeout(Some(Duration::from_millis(20))).ok();
    let mut buffer = [0; 2048];
    while !over.load(Ordering::Relaxed) {
        if let Ok((len, from)) = relay.recv_from(&mut buffer) {
            let to = if from == ends[0] { ends[1] } else { ends[0] };
            relay.send_to(&buffer[..len], to).ok();
            packets += 1;
        }
    }
    (cpu_time() - began, packets)
}

pub(super) fn bound() -> io::Result<UdpSocket> {
    UdpSocket::bind("127.0.0.1:0")
}
