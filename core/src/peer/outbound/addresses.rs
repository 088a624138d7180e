//! What the peer is told of our addresses, and of our NAT.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::SentFrame;
use crate::pack::pack;
use crate::wire::{CandidateEntry, CandidatesFrame, Frame, Writer};

/// The newest list of our addresses that the peer is told, and for which round our NAT is open.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    /// Nothing for nearly all peers.
    told: Option<Box<Told>>,
}

pack!(Addresses: told);

#[derive(Debug, Default)]
struct Told {
    seq: u64,
    round: u64,
    flags: u8,
    list: Vec<CandidateEntry>,
    is_due: bool,
    /// The round, and the list of the peer.
    opened: (u64, u64),
    is_opened_due: bool,
}

pack!(Told: seq, round, flags, list, is_due, opened, is_opened_due);

impl Addresses {
    /// Tells the peer of a round, and of these addresses. Returns the number of the list.
    pub(crate) fn tell(&mut self, round: u64, (flags, list): (u8, Vec<CandidateEntry>)) -> u64 {
        let told = self.told.get_or_insert_default();
        let changed = told.list != list || told.flags != flags || told.seq == 0;
        told.seq += u64::from(changed);
        (told.round, told.flags, told.list) = (round, flags, list);
        told.is_due = true;
        told.seq
    }

    /// Tells the peer that our NAT is open in a round, for the addresses of one of its lists.
    pub(crate) fn tell_opened(&mut self, (round, list): (u64, u64)) {
        let told = self.told.get_or_insert_default();
        (told.opened, told.is_opened_due) = ((round, list), true);
    }

    pub(super) fn repeat(&mut self) {
        self.told.iter_mut().for_each(|told| told.is_due = true);
    }

    pub(super) fn repeat_opened(&mut self, round: u64) {
        let present = self.told.iter_mut().filter(|told| told.opened.0 == round);
        present.for_each(|told| told.is_opened_due = true);
    }

    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.is_due || told.is_opened_due)
    }

    pub(super) fn write(&mut self, writer: &mut Writer<'_>, sent: &mut impl FnMut(SentFrame)) {
        let Some(told) = &mut self.told else { return };
        let Told { seq, round, flags, .. } = **told;
        let frame = CandidatesFrame { seq, round, flags, list: &told.list };
        if told.is_due && Frame::Candidates(frame).encode(writer) {
            told.is_due = false;
            sent(SentFrame::Addresses);
        }
        let (round, list) = told.opened;
        if told.is_opened_due && (Frame::Opened { round, list }).encode(writer) {
            told.is_opened_due = false;
            sent(SentFrame::Opened { round });
        }
    }
}
