//! Two endpoints and a network in which every datagram can be lost, held back or forged. What is
//! tested here went wrong once.

mod admit;
mod cost;
mod exchange;
mod flood;
mod hostile;
mod life;
mod reconnect;
mod rekey;
mod repair;
mod rest;
mod routes;
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

use crate::wire::kind::{
    HANDSHAKE_REQUEST as REQUEST, HANDSHAKE_RESPONSE as RESPONSE, HANDSHAKE_RETRY as RETRY, SEALED,
    UNKNOWN_SESSION,
};

fn lingering() -> DisconnectOptions {
    DisconnectOptions::after(Duration::from_secs(60))
}
