//! How much memory an endpoint takes, and how often it asks for some.

mod allocations;
mod counting;
mod idle;
mod strangers;
