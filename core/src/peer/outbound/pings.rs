//! Pings the application asked for.

use core::time::Duration;

use smallvec::SmallVec;

use crate::event::PingId;
use crate::pack::{pack, pack_never};
use crate::time::Instant;

/// The most pings under way at once, and so the most answers that wait to be reported.
pub(crate) const MAX_PINGS: usize = 8;

#[derive(Debug)]
struct Ping {
    id: PingId,
    /// What travels: fresh for every transmission, so that the round-trip time is never ambiguous.
    token: u64,
    sent_at: Option<Instant>,
}

pack_never!(Ping);

/// The pings of one peer.
#[derive(Debug, Default)]
pub(crate) struct Pings {
    under_way: SmallVec<[Ping; 1]>,
    next_id: u64,
    next_token: u64,
}

pack!(Pings: under_way, next_id, next_token);

impl Pings {
    /// Starts a ping; `None` if too many are under way. `unreported` answers wait to be reported.
    pub(crate) fn start(&mut self, unreported: usize) -> Option<PingId> {
        if self.under_way.len() + unreported >= MAX_PINGS {
            return None;
        }
        let id = PingId(self.next_id);
        self.next_id += 1;
        self.under_way.push(Ping { id, token: 0, sent_at: None });
        Some(id)
    }

    /// Nothing that was sent will be answered: sends everything again.
    pub(crate) fn restart(&mut self) {
        for ping in &mut self.under_way {
            ping.sent_at = None;
        }
    }

    /// Whether a ping waits to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        self.under_way.iter().any(|ping| ping.sent_at.is_none())
    }

    /// The token to send now.
    pub(crate) fn take_unsent(&mut self, now: Instant) -> Option<u64> {
        let ping = self.under_way.iter_mut().find(|ping| ping.sent_at.is_none())?;
        self.next_token += 1;
        ping.token = self.next_token;
        ping.sent_at = Some(now);
        Some(ping.token)
    }

    /// A pong arrived: which ping it answers, and how long that took.
    pub(crate) fn on_pong(&mut self, token: u64, now: Instant) -> Option<(PingId, Duration)> {
        let answered = |ping: &Ping| ping.token == token && ping.sent_at.is_some();
        let index = self.under_way.iter().position(answered)?;
        let ping = self.under_way.remove(index);
        Some((ping.id, now.saturating_since(ping.sent_at?)))
    }

    /// The packet with this token was lost: send the ping again.
    pub(crate) fn on_lost(&mut self, token: u64) {
        let lost = |ping: &&mut Ping| ping.token == token && ping.sent_at.is_some();
        if let Some(ping) = self.under_way.iter_mut().find(lost) {
            ping.sent_at = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_to_a_lost_ping_does_not_spoil_the_measurement() {
        let at = |ms: u64| Instant::from_micros(1_000_000 + ms * 1000);
        let mut pings = Pings::default();
        let id = pings.start(0).expect("room");
        let first = pings.take_unsent(at(0)).expect("unsent");
        pings.on_lost(first);
        let second = pings.take_unsent(at(500)).expect("again");
        assert_eq!(pings.on_pong(first, at(510)), None);
        assert_eq!(pings.on_pong(second, at(540)), Some((id, Duration::from_millis(40))));
    }

    #[test]
    fn pings_under_way_are_bounded() {
        let mut pings = Pings::default();
        assert_eq!((0..100).filter_map(|_| pings.start(0)).count(), MAX_PINGS);
    }
}
