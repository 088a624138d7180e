//! Attacks on what only this protocol has: path ids, incarnations, changes of keys inside a
//! session, hints, grants of credit, moving addresses.

mod beacons;
mod candidates;
mod dials;
mod forwards;
mod grants;
mod hints;
mod paths;
mod rekey;
mod roam;
mod routes;
mod stun;
