//! Raw bytes to every decoder that meets them before anything is authenticated.

use core::net::SocketAddr;

use handfast_core::PeerId;
use handfast_core::wire::{
    Beacon, BeaconContent, HandshakeRequest, HandshakeResponse, HandshakeRetry, KeyRequest, Packet,
    Parameters, RequestPayload, ResponsePayload, SEALED_HEADER_LEN, SealedHeader, UnknownSession,
    UnsupportedVersion, varint,
};
use zerocopy::{FromBytes, IntoBytes};

/// No decoder panics, and what one takes is encoded to the same bytes again.
///
/// # Panics
/// A property does not hold.
pub fn packet(data: &[u8]) {
    if let Ok(packet) = Packet::parse(data) {
        check_packet(&packet, data);
    }
    check_varints(data);
    check_payloads(data);
    check_peer_id(data);
}

fn check_packet(packet: &Packet<'_>, data: &[u8]) {
    match packet {
        Packet::KeyRequest(view) => {
            let mut again = KeyRequest::new(view.sender_index.get(), view.nonce);
            again.network_mac = view.network_mac;
            assert_eq!(again.as_bytes(), data);
        }
        Packet::HandshakeRequest(view) => {
            let mut again = HandshakeRequest::new(view.sender_index.get(), view.cookie);
            again.ephemeral = view.ephemeral;
            again.static_ciphertext = view.static_ciphertext;
            again.payload_ciphertext = view.payload_ciphertext;
            again.mac = view.mac;
            assert_eq!(again.as_bytes(), data);
        }
        Packet::HandshakeResponse(view) => {
            let indices = (view.receiver_index.get(), view.sender_index.get());
            let mut again = HandshakeResponse::new(indices.0, indices.1);
            again.ephemeral = view.ephemeral;
            again.payload_ciphertext = view.payload_ciphertext;
            again.mac = view.mac;
            assert_eq!(again.as_bytes(), data);
        }
        Packet::HandshakeRetry(view) => {
            let index = view.receiver_index.get();
            let mut again = HandshakeRetry::new(index, view.cookie, view.identity().copied());
            again.mac = view.mac;
            assert_eq!(again.as_bytes(), data);
        }
        Packet::Sealed(header) => {
            let again = SealedHeader::new(header.receiver_index.get(), header.packet_number());
            assert_eq!(again.as_bytes(), &data[..SEALED_HEADER_LEN]);
            assert_eq!(UnknownSession::new(header).packet_number(), header.packet_number());
        }
        Packet::Beacon(view) => {
            let mut again = Beacon::new(
                view.salt,
                &BeaconContent::read_from_bytes(&view.ciphertext).expect("long enough"),
            );
            again.tag = view.tag;
            assert_eq!(again.as_bytes(), data);
        }
        Packet::UnknownSession(hint) => {
            let header = SealedHeader::new(hint.receiver_index.get(), hint.packet_number());
            assert_eq!(UnknownSession::new(&header).as_bytes(), data);
        }
        Packet::UnsupportedVersion(answer) => {
            let again = UnsupportedVersion::new(answer.receiver_index.get());
            assert_eq!(again.as_bytes()[4..], data[4..]);
        }
    }
}

fn check_varints(mut data: &[u8]) {
    while let Ok((value, size)) = varint::decode(data) {
        let mut buffer = [0; 8];
        assert_eq!(varint::encode(value, &mut buffer), Some(size));
        assert_eq!((&buffer[..size], varint::size(value)), (&data[..size], size));
        assert_eq!(varint::encode(value, &mut buffer[..size - 1]), None);
        data = &data[size..];
    }
}

/// Reserved bytes are not looked at; everything else is what it was.
fn check_payloads(data: &[u8]) {
    if let Ok((payload, _)) = RequestPayload::read_from_prefix(data) {
        let RequestPayload { identity, incarnation, timestamp_ms, parameters, .. } = payload;
        let numbers = (incarnation.get(), timestamp_ms.get());
        let again = RequestPayload::new(identity, numbers.0, numbers.1, parameters);
        assert_eq!(again.as_bytes()[..76], data[..76]);
    }
    if let Ok((payload, _)) = ResponsePayload::read_from_prefix(data) {
        let address = SocketAddr::from(payload.observed_address);
        let index = payload.session_index.get();
        let incarnation = payload.incarnation.get();
        let again = ResponsePayload::new(incarnation, payload.parameters, address, index);
        assert_eq!(again.as_bytes()[..58], data[..58]);
    }
    if let Ok((parameters, _)) = Parameters::read_from_prefix(data) {
        let aes = data[0] & 1 == 1;
        assert_eq!(parameters.offers(Parameters::AES_HARDWARE), aes);
    }
}

fn check_peer_id(data: &[u8]) {
    if let Some(Ok(id)) = data.first_chunk().map(|bytes| PeerId::from_bytes(*bytes)) {
        assert_eq!(id.as_bytes()[..], data[..32]);
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    if let Some(Ok(id)) = core::str::from_utf8(data).ok().map(str::parse::<PeerId>) {
        assert_eq!(id.to_string().as_bytes(), data.to_ascii_lowercase());
    }
}
