//! Changing a datagram so that it is no longer what its sender made.

use crate::rng::Rng;

/// Cuts, lengthens or changes bytes; the result always differs.
pub(super) fn mangle(bytes: &mut Vec<u8>, rng: &mut Rng) {
    if bytes.is_empty() {
        bytes.push(0);
        return;
    }
    match rng.index(5) {
        0 => bytes.truncate(rng.index(bytes.len())),
        1 => {
            let more = rng.range(1..=64);
            bytes.extend((0..more).map(|_| rng.next_u64() as u8));
        }
        // The header: type, version, index, number.
        2 => flip(bytes, rng, 16),
        3 => flip(bytes, rng, usize::MAX),
        // The last bytes: tag or MAC.
        _ => {
            let last = bytes.len() - 1;
            bytes[last] ^= 1 << rng.index(8);
        }
    }
}

fn flip(bytes: &mut [u8], rng: &mut Rng, among: usize) {
    let at = rng.index(bytes.len().min(among));
    bytes[at] ^= 1 << rng.index(8);
}
