//! A socket whose readiness the runtime tells.
//!
//! Readiness is told once, at the moment it begins, and remembered until a call says `WouldBlock`. Room to send is asked
//! for only while a send is blocked: asked for always, every datagram that leaves the system would wake the driver.

#[cfg(not(unix))]
mod other;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(crate) use other::Registration;
#[cfg(unix)]
pub(crate) use unix::Registration;
