//! Payloads that tell where they come from and whether they are whole.

use handfast_core::Bytes;

use crate::rng::mix;

/// Names a message of a scenario: it stands at the beginning of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) flow: Flow,
    /// Counts the messages of the flow, whatever their stream.
    pub(crate) number: u32,
}

/// All messages from one life of a node to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow {
    pub(crate) from: u8,
    /// Counts how often the sender forgot the receiver.
    pub(crate) life: u8,
    pub(crate) to: u8,
}

/// The payload of a message: its key, then bytes derived from the key. At least [`HEADER`] long.
pub(crate) fn make(key: Key, len: usize) -> Bytes {
    let mut bytes = header(key).to_vec();
    bytes.resize(len.max(HEADER), 0);
    derive(key, &mut bytes[HEADER..]);
    bytes.into()
}

/// The key of a payload, if it is whole.
pub(crate) fn check(payload: &[u8]) -> Option<Key> {
    let (head, body) = payload.split_first_chunk::<HEADER>()?;
    let [from, life, to, a, b, c, d] = *head;
    let key = Key { flow: Flow { from, life, to }, number: u32::from_le_bytes([a, b, c, d]) };
    let mut expected = vec![0; body.len()];
    derive(key, &mut expected);
    (expected == body).then_some(key)
}

fn header(key: Key) -> [u8; HEADER] {
    let [a, b, c, d] = key.number.to_le_bytes();
    [key.flow.from, key.flow.life, key.flow.to, a, b, c, d]
}

fn derive(key: Key, body: &mut [u8]) {
    let [from, life, to, a, b, c, d] = header(key);
    // The length goes in as well: a cut payload is not whole.
    let mut state = u64::from_le_bytes([from, life, to, a, b, c, d, 0]) ^ (body.len() as u64) << 56;
    for chunk in body.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        chunk.copy_from_slice(&mix(state).to_le_bytes()[..chunk.len()]);
    }
}

const HEADER: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_known_when_whole_and_refused_when_changed_or_cut() {
        let key = Key { flow: Flow { from: 1, life: 2, to: 3 }, number: 70_000 };
        for len in [HEADER, HEADER + 1, 100, 1_000] {
            let payload = make(key, len);
            assert_eq!((payload.len(), check(&payload)), (len, Some(key)));
            if len > 20 {
                assert_eq!(check(&payload[..len - 1]), None);
                let mut changed = payload.to_vec();
                changed[len - 1] ^= 1;
                assert_eq!(check(&changed), None);
            }
        }
    }
}
