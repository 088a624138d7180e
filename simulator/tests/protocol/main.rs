//! The protocol in whole networks of the simulator, in virtual time. One program: each would link
//! everything anew.

mod audit;
mod common;
mod delivery;
mod flow;
mod handshake;
mod liveness;
mod migration;
mod nats;
mod network;
mod relay;
mod restart;
mod roaming;
mod sessions;
mod streams;
mod suspension;
mod world;
