//! The frame that ends a session.
//!
//! ```text
//! 0x06 | flags 1 | code 2 | length 1 | reason
//! ```

use super::Frame;
use crate::wire::error::FrameError;
use crate::wire::reader::Reader;
use crate::wire::writer::Writer;

/// The longest reason of a [`Frame::Disconnect`], in bytes.
pub const MAX_REASON_LEN: usize = 64;

pub(super) const DISCONNECT: u8 = 0x06;
/// The flag of a `Disconnect` that says that nothing was cut off.
const COMPLETE: u8 = 1;

pub(super) fn parse<'a>(reader: &mut Reader<'a>) -> Result<Frame<'a>, FrameError> {
    let flags = reader.u8()?;
    if flags & !COMPLETE != 0 {
        return Err(FrameError::Flags);
    }
    let code = reader.u16()?;
    let len = reader.u8()?;
    if usize::from(len) > MAX_REASON_LEN {
        return Err(FrameError::Reason);
    }
    let reason = reader.bytes(len.into())?;
    let reason = core::str::from_utf8(reason).map_err(|_| FrameError::Reason)?;
    Ok(Frame::Disconnect { complete: flags & COMPLETE != 0, code, reason })
}

pub(super) fn write(w: &mut Writer<'_>, complete: bool, code: u16, reason: &str) -> bool {
    let flags = if complete { COMPLETE } else { 0 };
    match u8::try_from(reason.len()) {
        Ok(len) if reason.len() <= MAX_REASON_LEN => {
            w.u8(DISCONNECT)
                && w.u8(flags)
                && w.u16(code)
                && w.u8(len)
                && w.bytes(reason.as_bytes())
        }
        _ => false,
    }
}
