//! Messages become data frames, most urgent first.

use core::time::Duration;

use slab::Slab;

use super::SendQueue;
use crate::delivery::Priority;
use crate::message::credit::{Candidate, SendCredit};
use crate::message::fragment::encode;
use crate::message::outgoing::{Outgoing, Part};
use crate::message::schedule::{Line, Repeat};
use crate::time::Instant;
use crate::wire::Writer;

/// What a packet came to hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    /// How many parts of it were sent before.
    pub(crate) repeated: u64,
    /// How many parts of it were sent before and are not known to be lost.
    pub(crate) copied: u64,
    /// It may make a message whole for which the application wants a receipt: nothing of it is left unsent.
    pub(crate) ends_receipt: bool,
}

/// The time at which a packet is written, and times that count for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass {
    pub(crate) now: Instant,
    /// What waited for longer is dropped, where messages give way.
    pub(crate) age: Duration,
    /// What an answer of the peer takes.
    pub(crate) round_trip: Duration,
}

/// The packet that is written.
struct Packet<'p, 'w, S> {
    pass: Pass,
    writer: &'p mut Writer<'w>,
    /// Where the messages in it begin.
    begin: usize,
    /// The space for frames in an empty packet.
    room: usize,
    /// Is told of each part whose fate matters.
    sent: &'p mut S,
    result: Written,
}

impl SendQueue {
    /// Appends data frames while they fit, calling `sent` for each part whose fate matters. `room`
    /// is the space for frames in an empty packet.
    pub(crate) fn write(
        &mut self,
        pass: Pass,
        writer: &mut Writer<'_>,
        room: usize,
        sent: &mut impl FnMut(Part),
    ) -> Written {
        let begin = writer.position();
        let mut packet = Packet { pass, writer, begin, room, sent, result: Written::default() };
        // What comes to wait for that now is not due yet.
        let has_copies = self.has_copies() || self.redundancy.has_beside();
        let mut next = self.schedule.first(room);
        while let Some(class) = next {
            let is_urgent = self.schedule.priority(class) == Priority::REAL_TIME;
            if has_copies && !is_urgent && !self.write_copies(&mut packet) {
                return packet.result;
            }
            let before = packet.writer.position();
            let has_room =
                !self.schedule.has_repairs(class) || self.write_repairs(class, &mut packet);
            let is_done = has_room && self.write_class(class, &mut packet);
            let len = packet.writer.position() - before;
            self.schedule.note_written(class, len, room);
            if !is_urgent {
                self.redundancy.allow(len);
            } else if len > 0 {
                self.redundancy.earn(len);
            }
            if !is_done {
                return packet.result;
            }
            next = self.schedule.next();
        }
        if has_copies {
            self.write_urgent_copies(&mut packet);
        }
        if self.redundancy.has_repaired() {
            self.write_copies_of_repairs(&mut packet);
        }
        packet.result
    }

    /// Fills the room that nothing else wants with what was lost before and may be lost again.
    #[cold]
    fn write_copies_of_repairs(&mut self, packet: &mut Packet<'_, '_, impl FnMut(Part)>) {
        while packet.writer.position() > packet.begin {
            let Some(part) = self.redundancy.take_repaired(packet.pass.now) else { return };
            if !self.write_copy(part, packet) {
                return;
            }
        }
    }

    /// Writes what is sent once more though nothing says that it was lost; false once the packet is full.
    #[cold]
    fn write_copies(&mut self, packet: &mut Packet<'_, '_, impl FnMut(Part)>) -> bool {
        self.write_urgent_copies(packet) && self.write_copies_beside(packet)
    }

    /// Those at the cost of large messages.
    fn write_copies_beside(&mut self, packet: &mut Packet<'_, '_, impl FnMut(Part)>) -> bool {
        while let Some(part) = self.redundancy.take_beside(packet.pass.now) {
            if !self.write_copy(part, packet) {
                return false;
            }
        }
        true
    }

    /// Writes one, if it may still be of use; false if it finds no room.
    fn write_copy(&mut self, part: Part, packet: &mut Packet<'_, '_, impl FnMut(Part)>) -> bool {
        let message = self.find(part).filter(|message| !message.is_given_up());
        let Some(message) = message.filter(|it| !it.is_acknowledged(part)) else { return true };
        let Some(len) = encode(message, part, packet.room, packet.writer) else { return false };
        let written = Part { len, ..part };
        message.note_copy(written);
        packet.result.copied += 1;
        packet.result.ends_receipt |= message.is_receipt_due();
        (packet.sent)(written);
        true
    }

    /// Those of the most urgent class.
    #[cold]
    fn write_urgent_copies(&mut self, packet: &mut Packet<'_, '_, impl FnMut(Part)>) -> bool {
        while let Some(spare) = self.redundancy.take(packet.pass.now) {
            let alone = packet.writer.position() == packet.begin;
            let is_affordable = self.redundancy.affords(spare, alone);
            let message = self.find(spare.part).filter(|message| !message.is_given_up());
            let Some(message) = message.filter(|_| is_affordable) else { continue };
            // One that finds no room is left out: soon it would be late.
            let Some(len) = encode(message, spare.part, packet.room, packet.writer) else {
                return false;
            };
            let written = Part { len, ..spare.part };
            message.note_copy(written);
            packet.result.copied += 1;
            packet.result.ends_receipt |= message.is_receipt_due();
            (packet.sent)(written);
            self.redundancy.spend(spare, alone);
        }
        true
    }

    /// Writes what of a class is sent again; false once the packet is full.
    #[cold]
    fn write_repairs(
        &mut self,
        class: usize,
        packet: &mut Packet<'_, '_, impl FnMut(Part)>,
    ) -> bool {
        let Pass { now, round_trip, .. } = packet.pass;
        while let Some(repeat) = self.schedule.repair_at(class).pop() {
            let Repeat { part, is_copy } = repeat;
            let Some(message) = self.find(part) else { continue };
            if message.is_acknowledged(part) || message.is_given_up() {
                continue;
            }
            let Some(len) = encode(message, part, packet.room, packet.writer) else {
                self.schedule.repair_at(class).put_back(repeat);
                return false;
            };
            let written = Part { len, ..part };
            if is_copy {
                message.note_copy(written);
            }
            packet.result.repeated += 1;
            packet.result.ends_receipt |= message.is_receipt_due();
            (packet.sent)(written);
            if !is_copy && len == message.len() {
                let priority = message.delivery.priority;
                self.redundancy.note_repaired(priority, written, now, round_trip);
            }
            if len < part.len {
                let rest = Repeat { part: part.after(len), is_copy };
                self.schedule.repair_at(class).put_back(rest);
            }
        }
        true
    }

    /// Writes the fresh messages of a class, lane by lane; false once the packet is full.
    fn write_class(&mut self, class: usize, packet: &mut Packet<'_, '_, impl FnMut(Part)>) -> bool {
        while let Some(lane) = self.schedule.current(class) {
            if self.lanes[lane as usize].may_be_late(packet.pass.now, packet.pass.age) {
                self.expire(lane, packet.pass.now, packet.pass.age);
                if self.schedule.current(class) != Some(lane) {
                    continue; // That was the last of its stream, which ended.
                }
            }
            if !self.write_fresh(class, lane, packet) {
                self.schedule.rotate(class);
                return false;
            }
        }
        true
    }

    /// Writes unsent bytes of the lane whose turn it is, message by message while nothing but the lane is concerned; false
    /// once the packet is full.
    fn write_fresh(
        &mut self,
        class: usize,
        index: u32,
        packet: &mut Packet<'_, '_, impl FnMut(Part)>,
    ) -> bool {
        let lane = &mut self.lanes[index as usize];
        let stream = &mut self.streams[usize::from(lane.stream)];
        let (place, priority) = (stream.place, self.schedule.priority(class));
        let is_ending = stream.is_ending();
        loop {
            let takes_more = !is_ending && !stream.is_full(self.stream_window);
            let credit = (&mut self.credit, place);
            let Some(next) = next_of(&mut lane.line, takes_more, credit, &mut self.messages) else {
                self.schedule.leave(index, lane);
                return true;
            };
            let Next { slot, message, cost: spent } = next;
            if message.delivery.priority != priority {
                // What came before it in the stream was of another class.
                self.schedule.wake(index, lane, &self.messages);
                return true;
            }
            let fresh = message.sequence_number.is_none();
            if fresh {
                message.sequence_number = Some(stream.next());
            }
            let part = message.unsent(slot);
            let Some(len) = encode(message, part, packet.room, packet.writer) else {
                if fresh {
                    message.sequence_number = None;
                }
                lane.line.on_full();
                return false;
            };
            if fresh {
                stream.advance();
                self.buffer.begin(message);
            }
            message.sent += len;
            packet.result.ends_receipt |= message.is_receipt_due();
            let is_tracked = message.is_tracked();
            if is_tracked {
                let part = Part { len, ..part };
                (packet.sent)(part);
                let Pass { now, round_trip, .. } = packet.pass;
                self.redundancy.note_sent(message, part, now, round_trip);
            }
            let is_fully_sent = message.is_fully_sent();
            if fresh {
                lane.line.begin(slot, is_fully_sent);
            } else {
                lane.line.go_on(is_fully_sent);
            }
            let is_last = lane.line.is_empty();
            let is_mixed = is_fully_sent && lane.is_mixed();
            if is_last {
                self.schedule.leave(index, lane);
            } else if is_mixed {
                // What comes after it may be more urgent, or less.
                self.schedule.wake(index, lane, &self.messages);
            }
            let is_done = is_fully_sent && !is_tracked;
            let others_waited = spent.is_some_and(|spent| self.credit.spend(spent));
            if is_done || others_waited {
                if is_done {
                    self.finish_well(slot as usize);
                }
                if others_waited {
                    self.wake_all();
                }
                return true;
            }
            if is_last || is_mixed {
                return true;
            }
        }
    }
}

/// The message of a line that is written from next.
struct Next<'m> {
    slot: u32,
    message: &'m mut Outgoing,
    /// If it is to be begun and takes credit: how much.
    cost: Option<Candidate>,
}

/// The message of a line that is written from next. Without `takes_more` none may be begun, and else one that the
/// credit of its channel admits.
#[inline]
fn next_of<'m>(
    line: &mut Line,
    takes_more: bool,
    (credit, place): (&mut SendCredit, u16),
    messages: &'m mut Slab<Outgoing>,
) -> Option<Next<'m>> {
    let begun = line.begun();
    if takes_more
        && (begun.is_none() || !line.is_begun_next())
        && let Some(slot) = line.fresh(messages)
    {
        let message = &messages[slot as usize];
        let cost = message.delivery.reliable.then(|| message.candidate(place));
        if cost.is_none_or(|cost| credit.admits(cost)) {
            return Some(Next { slot, message: &mut messages[slot as usize], cost });
        }
        line.hold(slot);
    }
    begun.map(|slot| Next { slot, message: &mut messages[slot as usize], cost: None })
}
