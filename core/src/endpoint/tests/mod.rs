//! Two endpoints and a network in which every datagram can be lost, held back or forged. What is
//! tested here went wrong once.

mod admit;
mod cost;
mod flood;
mod hostile;
mod life;
mod reconnect;
mod rekey;
mod repair;
mod siege;
mod sockets;

use core::net::SocketAddr;
use core::time::Duration;
use std::prelude::rust_2024::*;
use std::vec;

use crate::tests::pair::{Datagram, LATENCY, Node, Pair, at, message};
use crate::{
    Bytes, Config, Delivery, DisconnectOptions, Endpoint, Event, Flow, Identity, KeyUpdates,
    Limits, Origin, PeerHandle, Target, Timing,
};

/// Types of datagrams, as their first byte tells.
const REQUEST: u8 = 0xc1;
const RESPONSE: u8 = 0xc2;
const RETRY: u8 = 0xc3;
const SEALED: u8 = 0xc4;
const UNKNOWN_SESSION: u8 = 0xc6;

fn lingering() -> DisconnectOptions {
    DisconnectOptions { linger: Duration::from_secs(60), ..DisconnectOptions::default() }
}
