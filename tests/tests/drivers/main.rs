//! Both drivers from outside, over loopback. One program: each would link everything anew. Tests that
//! measure their whole process, or change it, have programs of their own.

mod application_pitfalls;
mod bulk;
mod cancel_safety;
mod ecn;
mod fresh_sockets;
mod given_up;
mod handles;
mod network_pitfalls;
mod pairings;
mod restart;
#[cfg(target_os = "linux")]
mod shards;
mod shutdown;
mod small_messages;
mod streams;
