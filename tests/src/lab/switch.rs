//! The internet between the networks of a lab: a program that takes each packet, and delays, loses or
//! delivers it. The kernels of small machines cannot.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The internet between networks. It ends when the devices that it was made of do.
#[derive(Debug)]
pub(super) struct Switch(Arc<Conditions>);

/// What becomes of packets.
#[derive(Debug)]
struct Conditions {
    delay_us: AtomicU64,
    lost_per_mille: AtomicU32,
    dice: Mutex<u64>,
}

/// A device, and the addresses behind it: those with the same first 24 bits.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) device: File,
    pub(super) address: Ipv4Addr,
}

/// A packet on its way: when it arrives, its number, where, and its bytes.
type Flying = Reverse<(Instant, u64, usize, Vec<u8>)>;

impl Switch {
    /// Connects `ports`; `seed` decides which packets are lost.
    pub(super) fn start(ports: Vec<Port>, seed: u64) -> std::io::Result<Self> {
        let conditions = Arc::new(Conditions {
            delay_us: AtomicU64::new(0),
            lost_per_mille: AtomicU32::new(0),
            dice: Mutex::new(seed | 1),
        });
        let prefixes: Vec<_> = ports.iter().map(|port| prefix(port.address)).collect();
        let (takeoffs, landings) = channel();
        let mut devices = Vec::new();
        for (here, port) in ports.into_iter().enumerate() {
            devices.push(port.device.try_clone()?);
            let reader = Reader {
                here,
                device: port.device,
                prefixes: prefixes.clone(),
                conditions: Arc::clone(&conditions),
                takeoffs: takeoffs.clone(),
            };
            thread::Builder::new().name("switch".to_owned()).spawn(move || reader.run())?;
        }
        thread::Builder::new()
            .name("switch".to_owned())
            .spawn(move || deliver(&landings, &devices))?;
        Ok(Self(conditions))
    }

    /// Every packet takes so long from network to network, and so many of a thousand are lost.
    pub(super) fn impair(&self, delay: Duration, lost_per_mille: u32) {
        self.0.delay_us.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.0.lost_per_mille.store(lost_per_mille, Relaxed);
    }
}

impl Conditions {
    fn loses(&self) -> bool {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        *dice % 1000 < u64::from(self.lost_per_mille.load(Relaxed))
    }
}

/// Takes what a network sends.
struct Reader {
    here: usize,
    device: File,
    prefixes: Vec<[u8; 3]>,
    conditions: Arc<Conditions>,
    takeoffs: Sender<(Instant, usize, Vec<u8>)>,
}

impl Reader {
    fn run(mut self) {
        let mut buffer = [0; 2048];
        // An error says that the device is gone, and so is the lab.
        while let Ok(len) = self.device.read(&mut buffer) {
            let delay = Duration::from_micros(self.conditions.delay_us.load(Relaxed));
            let Some((to, packet)) = self.carry(&buffer[..len]) else { continue };
            if self.takeoffs.send((Instant::now() + delay, to, packet)).is_err() {
                return;
            }
        }
    }

    /// To which port a packet goes, and as what; `None` if nowhere.
    fn carry(&self, packet: &[u8]) -> Option<(usize, Vec<u8>)> {
        if packet.len() < HEADER || packet[0] != 0x45 || self.conditions.loses() {
            return None;
        }
        if packet[8] <= HOPS {
            return Some((self.here, time_exceeded(packet)));
        }
        let to = self.prefixes.iter().position(|prefix| *prefix == packet[16..19])?;
        let mut packet = packet.to_vec();
        packet[8] -= HOPS;
        seal(&mut packet[..HEADER], 10);
        Some((to, packet))
    }
}

/// Hands packets to networks when their time has come.
fn deliver(landings: &Receiver<(Instant, usize, Vec<u8>)>, devices: &[File]) {
    let mut flying: BinaryHeap<Flying> = BinaryHeap::new();
    let mut number = 0;
    loop {
        let now = Instant::now();
        while let Some(Reverse((due, ..))) = flying.peek()
            && *due <= now
        {
            let Some(Reverse((_, _, to, packet))) = flying.pop() else { break };
            // A device that is gone or full loses packets, as any.
            _ = (&devices[to]).write(&packet);
        }
        let wait = flying.peek().map_or(Duration::from_secs(1), |Reverse((due, ..))| *due - now);
        match landings.recv_timeout(wait) {
            Ok((due, to, packet)) => {
                flying.push(Reverse((due, number, to, packet)));
                number += 1;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// What the router where a packet's hops end tells its sender (RFC 792).
fn time_exceeded(packet: &[u8]) -> Vec<u8> {
    let quoted = &packet[..packet.len().min(HEADER + 8)];
    let len = HEADER + 8 + quoted.len();
    let mut answer = vec![0; HEADER];
    answer[0] = 0x45;
    answer[2..4].copy_from_slice(&u16::try_from(len).unwrap_or(0).to_be_bytes());
    (answer[8], answer[9]) = (64, ICMP);
    answer[12..16].copy_from_slice(&ROUTER.octets());
    answer[16..20].copy_from_slice(&packet[12..16]);
    answer.extend([11, 0, 0, 0, 0, 0, 0, 0]);
    answer.extend(quoted);
    seal(&mut answer[HEADER..], 2);
    seal(&mut answer[..HEADER], 10);
    answer
}

/// Writes the internet checksum (RFC 1071) of `bytes` at `at`.
fn seal(bytes: &mut [u8], at: usize) {
    bytes[at..at + 2].fill(0);
    let words =
        bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = !u16::try_from(sum).unwrap_or(0);
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

fn prefix(address: Ipv4Addr) -> [u8; 3] {
    let [a, b, c, _] = address.octets();
    [a, b, c]
}

const HEADER: usize = 20;
const ICMP: u8 = 1;
/// So many routers stand in the internet. A hop limit that ends behind one's own NAT ends before the other's.
const HOPS: u8 = 6;
/// Who tells that a packet's hops have ended.
const ROUTER: Ipv4Addr = Ipv4Addr::new(203, 0, 115, 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_over_what_it_seals_is_zero() {
        let mut header = [0x45, 0, 0, 40, 1, 2, 0, 0, 64, 17, 9, 9, 10, 0, 0, 1, 10, 0, 0, 2];
        seal(&mut header, 10);
        let sealed = header;
        let words = header.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(word[1]));
        let sum: u32 = words.sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{sealed:x?}");
    }

    #[test]
    fn who_runs_out_of_hops_is_told_what_it_sent() {
        let packet = [[0x45; 20], [7; 20]].concat();
        let answer = time_exceeded(&packet);
        assert_eq!((answer.len(), answer[9], answer[20]), (56, ICMP, 11));
        assert_eq!((&answer[16..20], &answer[28..]), (&packet[12..16], &packet[..28]));
    }
}
