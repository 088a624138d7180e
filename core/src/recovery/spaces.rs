//! Which path ids two ends have used, and how far.

use core::time::Duration;

use smallvec::SmallVec;

use super::space::{Mark, PacketSpace};
use crate::pack::pack;
use crate::wire::PacketNumber;

/// Hands out the packet space of each path id; nothing else makes one.
///
/// A packet number is the nonce of its packet, and keys outlive paths. So a path id that was closed
/// and is opened again goes on where it stopped, as long as both ends keep their state: its counter
/// does not go back, and every number up to the highest one received counts as received.
#[derive(Debug, Default)]
pub(crate) struct PacketSpaces {
    used: SmallVec<[Used; 1]>,
}

pack!(PacketSpaces: used);

/// A path id that was used.
#[derive(Debug)]
struct Used {
    id: u8,
    /// How far it was used; `None` while it is open.
    closed_at: Option<Mark>,
}

pack!(Used: id, closed_at);

impl PacketSpaces {
    /// The space of a path id; `None` if it is open already.
    pub(crate) fn open<F: Copy>(
        &mut self,
        id: u8,
        max_ack_delay: Duration,
    ) -> Option<PacketSpace<F>> {
        let start = match self.used.iter_mut().find(|used| used.id == id) {
            Some(used) => used.closed_at.take()?,
            None => {
                self.used.push(Used { id, closed_at: None });
                Mark::default()
            }
        };
        Some(PacketSpace::new(id, start, max_ack_delay))
    }

    /// Takes back the space of a path that is no more.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn close<F: Copy>(&mut self, space: &PacketSpace<F>) {
        let used = self.used.iter_mut().find(|used| used.id == space.id());
        used.into_iter().for_each(|used| used.closed_at = Some(space.mark()));
    }

    /// Whether the path id was used and is closed now.
    pub(crate) fn is_closed(&self, id: u8) -> bool {
        self.used.iter().any(|used| used.id == id && used.closed_at.is_some())
    }

    /// Whether the number belongs to a closed path and may have been received on it.
    pub(crate) fn is_used_up(&self, number: PacketNumber) -> bool {
        let used = self.used.iter().find(|used| used.id == number.path());
        used.and_then(|used| used.closed_at).is_some_and(|mark| mark.covers(number.counter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::Sent;
    use crate::time::Instant;

    const DELAY: Duration = Duration::from_millis(25);

    fn open(spaces: &mut PacketSpaces, id: u8) -> Option<PacketSpace<u32>> {
        spaces.open(id, DELAY)
    }

    #[test]
    fn a_path_id_goes_on_where_it_stopped_and_no_two_spaces_have_the_same() {
        let (mut spaces, now) = (PacketSpaces::default(), Instant::from_micros(1));
        let mut first = open(&mut spaces, 7).expect("never used");
        assert!(open(&mut spaces, 7).is_none(), "it is open");
        (0..3).for_each(|_| _ = first.sent_mut().commit(now, Sent::default()));
        for counter in [0, 1, 200] {
            first.on_received(counter, DELAY, now);
        }
        spaces.close(&first);
        let number = |counter| PacketNumber::new(7, counter).expect("small");
        assert!(spaces.is_used_up(number(200)) && spaces.is_used_up(number(150)));
        assert!(!spaces.is_used_up(number(201)));
        let again = open(&mut spaces, 7).expect("closed");
        assert_eq!(again.next_number(), PacketNumber::new(7, 3));
        assert!(!again.is_new(150) && !again.is_new(200) && again.is_new(201));
        assert!(!spaces.is_used_up(number(200)), "the space itself knows");
        let other = open(&mut spaces, 8).expect("never used");
        assert_eq!(other.next_number(), PacketNumber::new(8, 0));
    }

    #[test]
    fn a_path_that_was_opened_and_closed_unused_starts_at_zero() {
        let mut spaces = PacketSpaces::default();
        for _ in 0..3 {
            let space = open(&mut spaces, 0).expect("closed");
            assert_eq!(space.next_number(), PacketNumber::new(0, 0));
            assert!(space.is_new(0));
            spaces.close(&space);
        }
    }
}
