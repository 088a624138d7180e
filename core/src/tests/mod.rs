//! Tests from the inside that are about no single file of the core, and what tests share.
//!
//! They stand here and not in a folder of what ships because they need what only the crate may see:
//! keys, handshakes made of parts, random numbers as they were drawn.

mod attacks;
pub(crate) mod pair;
pub(crate) mod values;
mod vectors;
