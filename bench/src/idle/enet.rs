//! Clients of rusty_enet: a host and a socket for each, all on one thread.

use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use rusty_enet::{EventNoRef, Host, HostSettings, Packet, PeerID};

use super::clients::{LOOPBACK, MESSAGE, PATIENCE, text};
use super::{CHANNELS, MESSAGES};
use crate::process::tell;

/// Is so many clients of the server at this place, and tells once all are connected. Goes on until the process ends.
///
/// # Errors
/// What the first fails at.
pub(super) fn run(place: SocketAddr, many: usize) -> Result<(), String> {
    let mut hosts = Vec::new();
    let patience = Instant::now() + PATIENCE;
    let (mut connected, mut told) = (0, false);
    loop {
        // The server looks at all its peers for each event: what many say at once would time out.
        while hosts.len() < many && hosts.len() < connected + AT_ONCE {
            hosts.push(dial(place)?);
        }
        for host in &mut hosts {
            while let Some(event) = host.service().map_err(text)?.map(|event| event.no_ref()) {
                match event {
                    EventNoRef::Connect { peer, .. } => {
                        speak(host, peer)?;
                        connected += 1;
                    }
                    EventNoRef::Receive { .. } => {}
                    EventNoRef::Disconnect { .. } => return Err("a peer disconnected".into()),
                }
            }
        }
        if connected == many && !told {
            tell(place).map_err(text)?;
            told = true;
        } else if !told && Instant::now() > patience {
            return Err("they do not connect".into());
        }
        thread::sleep(TICK);
    }
}

fn dial(place: SocketAddr) -> Result<Host<UdpSocket>, String> {
    let socket = UdpSocket::bind(LOOPBACK).map_err(text)?;
    let settings =
        HostSettings { peer_limit: 1, channel_limit: CHANNELS.into(), ..HostSettings::default() };
    let mut host = Host::new(socket, settings).map_err(text)?;
    host.connect(place, CHANNELS.into(), 0).map_err(text)?;
    Ok(host)
}

fn speak(host: &mut Host<UdpSocket>, peer: PeerID) -> Result<(), String> {
    for channel in 0..CHANNELS {
        for _ in 0..MESSAGES {
            let sent =
                host.peer_mut(peer).send(channel as u8, &Packet::reliable(MESSAGE.as_slice()));
            sent.map_err(|error| format!("{error:?}"))?;
        }
    }
    Ok(())
}

/// How long nobody looks at the sockets.
const TICK: Duration = Duration::from_millis(1);
/// How many dial at the same time.
const AT_ONCE: usize = 32;
