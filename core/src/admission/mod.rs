//! Strangers: what they may cost, and what is kept about them until they are peers.

mod half_open;
mod limits;
mod reply;

pub(crate) use half_open::{HalfOpen, HalfOpenTable, Place};
pub(crate) use limits::{Payer, Purse, Source};
pub(crate) use reply::Replies;
