//! How to embed the core in a program: one page a topic, each with code that runs.
//!
//! | page | question |
//! |---|---|
//! | [`the_loop`] | How do I drive an endpoint from my own loop, with a socket and a clock? |
//! | [`identities`] | What is my identity, how do I keep it, and which peers do I let in? |
//! | [`delivery`] | Which [`Delivery`](crate::Delivery) suits this message? |
//! | [`backpressure`] | What happens when one side is faster than the other? |
//! | [`memory`] | How much memory can an endpoint take, and which fields bound it? |
//! | [`ending`] | How does a peer end, and what does each side observe? |
//! | [`testing`] | How do I test my program without a network? |
//!
//! The examples run without sockets: two endpoints stand in one program, and a function moves the
//! datagrams. Where an example says `Pair`, it means these two endpoints with the time: `run` lets
//! time pass, and delivers what either end sends meanwhile.
//!
//! Programs that use tokio or mio need none of this: the crates `handfast-tokio` and `handfast-mio`
//! run the loop. The pages on delivery, backpressure, memory and ending hold for them too.

#[doc = include_str!("the_loop.md")]
pub mod the_loop {}

#[doc = include_str!("identities.md")]
pub mod identities {}

#[doc = include_str!("delivery.md")]
pub mod delivery {}

#[doc = include_str!("backpressure.md")]
pub mod backpressure {}

#[doc = include_str!("memory.md")]
pub mod memory {}

#[doc = include_str!("ending.md")]
pub mod ending {}

#[doc = include_str!("testing.md")]
pub mod testing {}

/// The examples of the README run with those of the guide.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
