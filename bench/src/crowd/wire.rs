//! What the two processes tell each other through pipes, in a time that the clients' process sets.

use std::io::{self, Read, Write};

/// One thing that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// A datagram of a client, or to one.
    Datagram { client: u32, bytes: Vec<u8> },
    /// To the server: it is so many microseconds. Take what came, and answer.
    Now(u64),
    /// To the clients: these were all answers.
    Done(Report),
}

/// What the server did in a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// What it computed, in nanoseconds.
    pub(super) cpu: u64,
    /// Messages that its application received since its start.
    pub(super) messages: u64,
}

impl Told {
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Datagram { client, bytes } => {
                let len = u16::try_from(bytes.len()).map_err(io::Error::other)?;
                to.write_all(&[DATAGRAM])?;
                to.write_all(&client.to_le_bytes())?;
                to.write_all(&len.to_le_bytes())?;
                to.write_all(bytes)
            }
            Self::Now(micros) => {
                to.write_all(&[NOW])?;
                to.write_all(&micros.to_le_bytes())
            }
            Self::Done(Report { cpu, messages }) => {
                to.write_all(&[DONE])?;
                to.write_all(&cpu.to_le_bytes())?;
                to.write_all(&messages.to_le_bytes())
            }
        }
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        match take(from)? {
            [DATAGRAM] => {
                let client = u32::from_le_bytes(take(from)?);
                let mut bytes = vec![0; u16::from_le_bytes(take(from)?).into()];
                from.read_exact(&mut bytes)?;
                Ok(Self::Datagram { client, bytes })
            }
            [NOW] => Ok(Self::Now(u64::from_le_bytes(take(from)?))),
            [DONE] => {
                let [cpu, messages] = [take(from)?, take(from)?].map(u64::from_le_bytes);
                Ok(Self::Done(Report { cpu, messages }))
            }
            [_] => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn take<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map(|()| bytes)
}

const DATAGRAM: u8 = b'd';
const NOW: u8 = b'n';
const DONE: u8 = b'e';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_and_nothing_else() {
        let all = [
            Told::Datagram { client: 70_000, bytes: vec![7; 1452] },
            Told::Now(u64::MAX),
            Told::Done(Report { cpu: 3, messages: 1 << 40 }),
        ];
        let mut pipe = Vec::new();
        for told in &all {
            told.write(&mut pipe).expect("a vector takes all");
        }
        let mut rest = pipe.as_slice();
        let read = all.each_ref().map(|_| Told::read(&mut rest).expect("what was written"));
        assert_eq!((read, rest.len()), (all, 0));
        assert!(Told::read(&mut rest).is_err() && Told::read(&mut &[0_u8; 20][..]).is_err());
    }
}
