//! STUN (RFC 8489), the little of it that a server of Binding requests needs: from a datagram to the answer, which
//! says where the datagram came from.
//!
//! Nothing here keeps state or knows what may be spent: that is decided in `admission`.

use core::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use crate::net::canonical;

/// The longest answer: an IPv6 address, and a fingerprint.
pub(crate) const MAX_REPLY: usize = 52;

/// An answer.
pub(crate) type Reply = SmallVec<[u8; MAX_REPLY]>;

/// A Binding request (RFC 8489 section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// Magic cookie and transaction id: what an address is hidden with.
    mask: [u8; 16],
    /// The attributes that must be understood and are not, each once; of more than four, the first four.
    unknown: SmallVec<[u16; MAX_UNKNOWN]>,
    /// It ends with a fingerprint, which is right.
    has_fingerprint: bool,
}

/// Why a datagram is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRequest {
    /// It is not of STUN.
    Other,
    /// Another message than a Binding request. Above all, it may be an answer.
    Unsolicited,
    /// A Binding request with a wrong length, attribute or fingerprint.
    Malformed,
}

/// Whether a datagram may be of STUN: no packet of ours begins with these bits (RFC 9443).
pub(crate) fn is_stun(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|first| first & 0xc0 == 0)
        && datagram.get(4..8) == Some(&MAGIC_COOKIE)
}

impl Request {
    /// Reads a Binding request.
    ///
    /// # Errors
    /// When the datagram is anything else.
    pub(crate) fn parse(datagram: &[u8]) -> Result<Self, NoRequest> {
        let Some((head, attributes)) = datagram.split_first_chunk::<HEADER>() else {
            return Err(NoRequest::Other);
        };
        if !is_stun(datagram) {
            return Err(NoRequest::Other);
        }
        if head[..2] != BINDING_REQUEST.to_be_bytes() {
            return Err(NoRequest::Unsolicited);
        }
        // A length other than that of the attributes, which are padded to words (section 5).
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if length != attributes.len() || length % 4 != 0 || datagram.len() > MAX_REQUEST {
            return Err(NoRequest::Malformed);
        }
        let [_, _, _, _, mask @ ..] = *head;
        let mut request = Self { mask, unknown: SmallVec::new(), has_fingerprint: false };
        request.read_attributes(datagram)?;
        Ok(request)
    }

    /// Looks at what stands behind the header (section 14).
    fn read_attributes(&mut self, datagram: &[u8]) -> Result<(), NoRequest> {
        let mut at = HEADER;
        while let Some(head) = datagram[at..].first_chunk::<4>() {
            // Nothing follows a fingerprint (section 14.7).
            if self.has_fingerprint {
                return Err(NoRequest::Malformed);
            }
            let kind = u16::from_be_bytes([head[0], head[1]]);
            let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
            let value = datagram.get(at + 4..at + 4 + length).ok_or(NoRequest::Malformed)?;
            if kind == FINGERPRINT {
                if value != fingerprint(&datagram[..at]) {
                    return Err(NoRequest::Malformed);
                }
                self.has_fingerprint = true;
            } else if kind < OPTIONAL
                && self.unknown.len() < MAX_UNKNOWN
                && !self.unknown.contains(&kind)
            {
                self.unknown.push(kind);
            }
            // The datagram ends with a whole word, so the padding is there.
            at += 4 + length.next_multiple_of(4);
        }
        Ok(())
    }

    /// The answer to a request that came from `remote`: that address, or which attributes were not understood
    /// (sections 6.3.1.1 and 6.3.2). It has a fingerprint if the request had one.
    pub(crate) fn reply(&self, remote: SocketAddr) -> Reply {
        let is_understood = self.unknown.is_empty();
        let kind = if is_understood { BINDING_SUCCESS } else { BINDING_ERROR };
        let mut reply = Reply::new();
        reply.extend_from_slice(&kind.to_be_bytes());
        reply.extend_from_slice(&[0; 2]);
        reply.extend_from_slice(&self.mask);
        if is_understood {
            self.push_address(&mut reply, canonical(remote));
        } else {
            // Class 4, number 20, and no words.
            push_attribute(&mut reply, ERROR_CODE, &[0, 0, 4, 20]);
            let kinds: SmallVec<[u8; 2 * MAX_UNKNOWN]> =
                self.unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
            push_attribute(&mut reply, UNKNOWN_ATTRIBUTES, &kinds);
        }
        let fingerprint_len = if self.has_fingerprint { 8 } else { 0 };
        // At most 32.
        let length = (reply.len() - HEADER + fingerprint_len) as u16;
        reply[2..4].copy_from_slice(&length.to_be_bytes());
        if self.has_fingerprint {
            let sum = fingerprint(&reply);
            push_attribute(&mut reply, FINGERPRINT, &sum);
        }
        reply
    }

    /// XOR-MAPPED-ADDRESS (section 14.2).
    fn push_address(&self, reply: &mut Reply, address: SocketAddr) {
        let mut value: SmallVec<[u8; 20]> = SmallVec::new();
        let family = if address.is_ipv4() { 1 } else { 2 };
        let [high, low] = address.port().to_be_bytes();
        value.extend_from_slice(&[0, family, high ^ self.mask[0], low ^ self.mask[1]]);
        let mut hide = |octets: &[u8]| {
            value.extend(octets.iter().zip(self.mask).map(|(octet, mask)| octet ^ mask));
        };
        match address.ip() {
            IpAddr::V4(ip) => hide(&ip.octets()),
            IpAddr::V6(ip) => hide(&ip.octets()),
        }
        push_attribute(reply, XOR_MAPPED_ADDRESS, &value);
    }
}

/// Appends an attribute, padded to a word.
fn push_attribute(reply: &mut Reply, kind: u16, value: &[u8]) {
    reply.extend_from_slice(&kind.to_be_bytes());
    // At most 20.
    reply.extend_from_slice(&(value.len() as u16).to_be_bytes());
    reply.extend_from_slice(value);
    reply.resize(reply.len().next_multiple_of(4), 0);
}

/// The value of a FINGERPRINT behind these bytes (section 14.7). Their length field counts it already.
fn fingerprint(bytes: &[u8]) -> [u8; 4] {
    (crc32(bytes) ^ FINGERPRINT_MASK).to_be_bytes()
}

/// The CRC-32 of ISO 3309, bits reflected.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        let [low, ..] = crc.to_le_bytes();
        CRC_TABLE[usize::from(low ^ byte)] ^ (crc >> 8)
    };
    !bytes.iter().fold(u32::MAX, step)
}

/// What each byte adds.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

const HEADER: usize = 20;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// What fits the smallest packet of IPv6 (section 6.1 has clients keep to it). More is not worth a checksum.
const MAX_REQUEST: usize = 1232;
/// The most attributes that an answer lists.
const MAX_UNKNOWN: usize = 4;
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const BINDING_ERROR: u16 = 0x0111;
const ERROR_CODE: u16 = 0x0009;
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// From here on, who does not understand an attribute ignores it.
const OPTIONAL: u16 = 0x8000;
const FINGERPRINT: u16 = 0x8028;
const FINGERPRINT_MASK: u32 = 0x5354_554e;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::values::unhex;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// RFC 5769 section 2.1: SOFTWARE, PRIORITY, ICE-CONTROLLED, USERNAME, MESSAGE-INTEGRITY, FINGERPRINT.
    const SAMPLE_REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae\
        802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36\
        000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2\
        80280004e57a3bcf";
    /// RFC 5769 section 2.2: SOFTWARE, XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY, FINGERPRINT.
    const IPV4_RESPONSE: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae\
        8022000b7465737420766563746f7220002000080001a147e112a643\
        000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
    /// RFC 5769 section 2.3.
    const IPV6_RESPONSE: &str = "010100482112a442b7e7a701bc34d686fa87dfae\
        8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9\
        00080014a382954e4be67bf1178 4c97c8292c275bfe3ed4180280004c8fb0b4c";

    fn vector(text: &str) -> Vec<u8> {
        unhex(&text.replace(' ', ""))
    }

    /// A request with the transaction of RFC 5769 and these attributes, each a kind and a value.
    fn request(attributes: &[(u16, &[u8])], with_fingerprint: bool) -> Vec<u8> {
        let mut bytes = vector("000100002112a442b7e7a701bc34d686fa87dfae");
        for (kind, value) in attributes {
            bytes.extend(kind.to_be_bytes());
            bytes.extend(u16::try_from(value.len()).expect("short").to_be_bytes());
            bytes.extend(*value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let more = if with_fingerprint { 8 } else { 0 };
        let length = u16::try_from(bytes.len() - HEADER + more).expect("short");
        bytes[2..4].copy_from_slice(&length.to_be_bytes());
        if with_fingerprint {
            let sum = fingerprint(&bytes);
            bytes.extend([0x80, 0x28, 0, 4]);
            bytes.extend(sum);
        }
        bytes
    }

    fn answer(bytes: &[u8], remote: &str) -> Vec<u8> {
        let remote = remote.parse().expect("an address");
        Request::parse(bytes).expect("a request").reply(remote).to_vec()
    }

    #[test]
    fn fingerprints_and_addresses_are_those_of_rfc_5769() {
        for text in [SAMPLE_REQUEST, IPV4_RESPONSE, IPV6_RESPONSE] {
            let bytes = vector(text);
            let (before, last) = bytes.split_at(bytes.len() - 8);
            assert_eq!(last[4..], fingerprint(before));
        }
        for (text, remote) in [
            (IPV4_RESPONSE, "192.0.2.1:32853"),
            (IPV6_RESPONSE, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
        ] {
            let reply = answer(&request(&[], false), remote);
            let expected = vector(text);
            // Behind the header and SOFTWARE.
            assert_eq!(reply[HEADER..], expected[36..][..reply.len() - HEADER], "{remote}");
            assert_eq!((&reply[..2], &reply[4..20]), (&expected[..2], &expected[4..20]));
        }
        assert_eq!(
            answer(&request(&[], false), "[::ffff:192.0.2.1]:32853"),
            answer(&request(&[], false), "192.0.2.1:32853"),
        );
    }

    #[test]
    fn what_must_be_understood_and_is_not_is_named_and_the_rest_is_ignored() {
        // The request of RFC 5769 is one of ICE, which is more than this server does.
        let reply = answer(&vector(SAMPLE_REQUEST), "192.0.2.1:32853");
        let expected = "0111001c2112a442b7e7a701bc34d686fa87dfae\
            0009000400000414000a0006002400060008000080280004";
        assert_eq!(reply[..reply.len() - 4], vector(expected));
        let software: (u16, &[u8]) = (0x8022, b"STUN test client");
        assert_eq!(
            answer(&request(&[software], false), "192.0.2.1:1"),
            answer(&request(&[], false), "192.0.2.1:1"),
        );
        // CHANGE-REQUEST asks for an answer from another port, or to another address: no.
        let many: Vec<(u16, &[u8])> =
            (3..40).chain(3..40).map(|kind| (kind, &b"abc"[..])).collect();
        let reply = answer(&request(&many, true), "[2001:db8::1]:1");
        assert_eq!(reply.len(), 48);
        assert_eq!(reply[28..40], vector("000a00080003000400050006"));
    }

    #[test]
    fn an_answer_has_a_fingerprint_if_the_request_had_one_and_no_answer_is_longer_than_52_bytes() {
        for (remote, plain) in [("192.0.2.1:1", 32), ("[2001:db8::1]:1", 44)] {
            assert_eq!(answer(&request(&[], false), remote).len(), plain);
            let reply = answer(&request(&[], true), remote);
            assert_eq!(reply.len(), plain + 8);
            let (before, last) = reply.split_at(plain);
            assert_eq!(last, [&[0x80, 0x28, 0, 4], &fingerprint(before)[..]].concat());
            assert!(reply.len() <= MAX_REPLY);
        }
    }

    #[test]
    fn nothing_but_a_whole_binding_request_is_answered() {
        use NoRequest::{Malformed, Other, Unsolicited};
        let good = request(&[(0x8022, b"abc")], true);
        assert!(Request::parse(&good).is_ok());
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            bytes
        };
        let behind_a_fingerprint = {
            let mut bytes = [&request(&[], true)[..], &[0x80, 0x22, 0, 0]].concat();
            bytes[3] += 4;
            bytes
        };
        for (bytes, why) in [
            (Vec::new(), Other),
            (good[..19].to_vec(), Other),
            (changed(4, 0x20), Other),
            (changed(0, 0xc0), Other),
            (changed(0, 0x40), Other),
            // An indication, an answer, a refusal, a request of TURN.
            (changed(1, 0x11), Unsolicited),
            (vector(IPV4_RESPONSE), Unsolicited),
            ([&[1, 0x11], &good[2..]].concat(), Unsolicited),
            (changed(1, 3), Unsolicited),
            (good[..good.len() - 4].to_vec(), Malformed),
            ([&good[..], &[0; 4]].concat(), Malformed),
            (changed(3, good[3] + 1), Malformed),
            ([&good[..], &[0]].concat(), Malformed),
            // SOFTWARE reaches beyond the end.
            (changed(22, 1), Malformed),
            (changed(good.len() - 1, good[good.len() - 1] ^ 1), Malformed),
            (changed(24, b'x'), Malformed),
            (changed(good.len() - 5, 3), Malformed),
            (behind_a_fingerprint, Malformed),
            (request(&[(0x8022, &[0; 1300])], false), Malformed),
        ] {
            assert_eq!(Request::parse(&bytes), Err(why), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_the_answer_is_short_and_no_request(
            head in prop::sample::select(&[0_u8, 1, 0x11][..]),
            tail in prop::collection::vec(any::<u8>(), 0..80),
            remote: SocketAddr,
        ) {
            let mut bytes = request(&[], false);
            bytes[1] = head;
            bytes.extend(&tail);
            bytes[3] = u8::try_from(tail.len()).expect("short");
            if let Ok(request) = Request::parse(&bytes) {
                let reply = request.reply(remote);
                prop_assert!(reply.len() <= MAX_REPLY && reply.len() <= 3 * bytes.len());
                prop_assert_eq!(Request::parse(&reply), Err(NoRequest::Unsolicited));
            }
        }
    }
}
