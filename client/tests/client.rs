//! The built program, on this machine: pings, files that are sent whole, resumed and refused, and what it says
//! when something is wrong.

#[path = "client/common.rs"]
mod common;
#[path = "client/netcheck.rs"]
mod netcheck;
#[path = "client/ping.rs"]
mod ping;
#[path = "client/transfer.rs"]
mod transfer;
