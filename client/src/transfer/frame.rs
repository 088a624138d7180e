//! The messages of the protocol, each one message of the ordered channel.

use handfast_tokio::Bytes;

/// A hash of SHA-256.
pub(super) type Hash = [u8; 32];

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The sender has a file of this name and length.
    Offer { size: u64, name: String },
    /// The receiver has so many bytes of it, with this hash, and wants the rest.
    Want { offset: u64, hash: Hash },
    /// The sender goes on there: where the receiver is, or at 0 if what it has is not the beginning of the file.
    Begin { offset: u64 },
    /// The next bytes.
    Data(Bytes),
    /// That was all, and this is the hash of all.
    End { hash: Hash },
    /// The receiver holds all of it, under its name.
    Done,
    /// It is not to be: why.
    Refuse(String),
}

impl Frame {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Offer { size, name } => {
                [&[OFFER, VERSION][..], &size.to_le_bytes(), name.as_bytes()].concat()
            }
            Self::Want { offset, hash } => [&[WANT][..], &offset.to_le_bytes(), hash].concat(),
            Self::Begin { offset } => [&[BEGIN][..], &offset.to_le_bytes()].concat(),
            Self::Data(bytes) => Self::data(bytes),
            Self::End { hash } => [&[END][..], hash].concat(),
            Self::Done => vec![DONE],
            Self::Refuse(why) => [&[REFUSE][..], why.as_bytes()].concat(),
        }
    }

    /// These bytes as [`Data`](Self::Data), written.
    pub(super) fn data(bytes: &[u8]) -> Vec<u8> {
        [&[DATA][..], bytes].concat()
    }

    /// Says what is wrong with it as the other end's doing: "speaks version 2".
    pub(super) fn decode(bytes: &Bytes) -> Result<Self, String> {
        let strange = || "sent something that is no part of a transfer".to_owned();
        let text =
            |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| strange());
        let (kind, rest) = bytes.split_first().ok_or_else(strange)?;
        Ok(match *kind {
            OFFER => {
                let (version, rest) = rest.split_first().ok_or_else(strange)?;
                if *version != VERSION {
                    return Err(format!("speaks version {version} of the transfer, not {VERSION}"));
                }
                let (size, name) = rest.split_first_chunk().ok_or_else(strange)?;
                Self::Offer { size: u64::from_le_bytes(*size), name: text(name)? }
            }
            WANT => {
                let (offset, hash) = rest.split_first_chunk().ok_or_else(strange)?;
                let hash = hash.try_into().map_err(|_| strange())?;
                Self::Want { offset: u64::from_le_bytes(*offset), hash }
            }
            BEGIN => {
                let offset = rest.try_into().map_err(|_| strange())?;
                Self::Begin { offset: u64::from_le_bytes(offset) }
            }
            DATA => Self::Data(bytes.slice(1..)),
            END => Self::End { hash: rest.try_into().map_err(|_| strange())? },
            DONE if rest.is_empty() => Self::Done,
            // It is shown on a terminal.
            REFUSE => {
                let end = rest.len().min(LONGEST_REASON);
                let why = String::from_utf8_lossy(&rest[..end]);
                Self::Refuse(why.chars().filter(|c| !c.is_control()).collect())
            }
            _ => return Err(strange()),
        })
    }
}

const OFFER: u8 = 1;
const WANT: u8 = 2;
const BEGIN: u8 = 3;
const DATA: u8 = 4;
const END: u8 = 5;
const DONE: u8 = 6;
const REFUSE: u8 = 7;

const VERSION: u8 = 1;
/// What is shown of the other end's words, in bytes.
const LONGEST_REASON: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_the_same_and_nothing_shorter_or_longer_is() {
        let hash = [7; 32];
        for (frame, is_open) in [
            (Frame::Offer { size: 1 << 40, name: "ä b".to_owned() }, true),
            (Frame::Want { offset: 3, hash }, false),
            (Frame::Begin { offset: u64::MAX }, false),
            (Frame::Data(Bytes::from_static(b"xyz")), true),
            (Frame::End { hash }, false),
            (Frame::Done, false),
            (Frame::Refuse("no".to_owned()), true),
        ] {
            let mut bytes = frame.encode();
            assert_eq!(Frame::decode(&bytes.clone().into()).as_ref(), Ok(&frame));
            if !is_open {
                bytes.push(0);
                assert!(Frame::decode(&bytes.clone().into()).is_err(), "{frame:?}");
                bytes.pop();
            }
            bytes.pop();
            assert_ne!(Frame::decode(&bytes.into()).as_ref(), Ok(&frame));
        }
    }

    #[test]
    fn what_is_no_frame_is_said_to_be_none_and_words_for_a_terminal_have_no_control_characters() {
        for bytes in
            [&b""[..], &[0], &[1], &[1, 1, 0], &[1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xff], &[99]]
        {
            assert!(Frame::decode(&Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
        }
        let version = Frame::decode(&Bytes::from_static(&[1, 2])).expect_err("another version");
        assert!(version.contains("version 2"), "{version}");
        let long = [&[7][..], &b"a\x1b[2J\n"[..], &[b'x'; 1000]].concat();
        let Ok(Frame::Refuse(why)) = Frame::decode(&long.into()) else { panic!("no reason") };
        assert!(why.starts_with("a[2Jx") && why.len() < 300, "{why}");
    }
}
