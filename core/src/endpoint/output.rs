//! The way out: datagrams and events.

use super::Endpoint;
use crate::event::Event;
use crate::net::{Departure, FourTuple, Transmit, Via};
use crate::peer::Peer;
use crate::stun::is_stun;
use crate::time::Instant;
use crate::trace;

impl Endpoint {
    /// Writes the next datagrams into `buf`, all for one destination, and says how to send them.
    /// `None` when there is nothing to send now.
    ///
    /// Into a buffer as large as one datagram ([`Config::max_datagram`](crate::Config)) it writes one
    /// datagram; into a larger one, as many of equal size as are to be sent and fit (the last may be
    /// shorter). If the buffer is smaller than one datagram, it writes nothing and returns `None`.
    pub fn poll_transmit(&mut self, now: Instant, buf: &mut [u8]) -> Option<Transmit> {
        self.move_to(now);
        if buf.len() < usize::from(self.shared.config.max_datagram) {
            return None;
        }
        self.list_unsettled();
        if self.is_silent() {
            self.answered = false;
            return None;
        }
        loop {
            let next = self.poll_next(buf);
            // Peers that were polled may have become neighbours, or ceased to be: what that is to others leaves now, too.
            if next.is_some() || !self.has_news() {
                return next;
            }
        }
    }

    /// Whether it is certain that nobody is to be sent anything, as after the last packet of a turn.
    #[inline]
    fn is_silent(&self) -> bool {
        let has_own = !self.ready.is_empty() || self.forwarder.turn().is_some();
        !has_own && !self.admission.has_reply() && !self.has_news()
    }

    fn poll_next(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        self.hand_on_local_news();
        if self.has_route_output() {
            self.distribute_routes();
        }
        // Strangers and peers take turns: when the socket takes less than there is to say to strangers,
        // peers must not go short.
        let peers_turn = core::mem::take(&mut self.answered);
        if !peers_turn {
            let reply = self.poll_reply(buf);
            if reply.is_some() {
                return reply;
            }
        }
        let established = self.poll_established(buf);
        if established.is_some() { established } else { self.poll_reply(buf) }
    }

    /// Whether something that one peer led to is to be handed on to others.
    #[inline]
    fn has_news(&self) -> bool {
        self.shared.local.has_news() || self.has_route_output()
    }

    /// What became known about ourselves goes to those that it concerns. Here and not where it became known: what they
    /// make of it may be news again.
    #[inline]
    fn hand_on_local_news(&mut self) {
        if self.shared.local.has_news() {
            self.hand_on_all_local_news();
        }
    }

    #[cold]
    fn hand_on_all_local_news(&mut self) {
        self.settle();
        while self.shared.local.has_news() {
            self.on_local_news();
        }
    }

    #[inline]
    fn has_route_output(&self) -> bool {
        self.shared.router.as_ref().is_some_and(|router| router.has_output())
    }

    #[inline]
    fn poll_reply(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        // Asked for twice with every packet of ours.
        if self.admission.has_reply() { self.next_reply(buf) } else { None }
    }

    #[cold]
    fn next_reply(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        while let Some(reply) = self.admission.poll_reply(buf) {
            self.answered = true;
            let packet = reply.via.headroom()..reply.len - reply.via.tailroom();
            // What STUN may cost is reckoned apart.
            if !is_stun(&buf[packet.clone()]) {
                self.shared.stats.unverified_bytes_sent += packet.len() as u64;
            }
            let transmit = self.dispatch(reply, buf);
            if transmit.is_some() {
                return transmit;
            }
        }
        None
    }

    /// What is ours and what we pass on take turns as well.
    fn poll_established(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        if self.forwarder.turn().is_none() {
            return self.poll_peers(buf);
        }
        let ours = core::mem::take(&mut self.passed);
        let first = if ours { None } else { self.poll_passages(buf) };
        self.passed = first.is_some();
        first.or_else(|| self.poll_peers(buf)).or_else(|| self.poll_passages(buf))
    }

    fn poll_passages(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        let departure = self.next_passages(buf)?;
        self.dispatch(departure, buf)
    }

    fn poll_peers(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        while let Some(slot) = self.ready.pop() {
            let Some(mut peer) = self.peers.at_mut(slot) else { continue };
            if let Some(route) = peer.data_route().copied() {
                self.fit_into(slot, route);
                let Some(again) = self.peers.at_mut(slot) else { continue };
                peer = again;
            }
            let departure = peer.poll_transmit(&mut self.shared, buf);
            peer.review_memory(&mut self.shared);
            let has_more = departure.is_some() && (self.closing || peer.has_more(&mut self.shared));
            let rests = !has_more && peer.rests(&self.shared);
            self.deadlines.set(slot, peer.deadline());
            if peer.has_events() {
                self.eventful.push(slot);
            }
            if self.unsettled == Some(slot) {
                self.unsettled = None;
            }
            if let Some(departure) = departure {
                if has_more {
                    // Its next turn comes after everyone else's.
                    self.ready.push(slot);
                } else if rests {
                    self.peers.put_to_sleep(slot);
                }
                let transmit = self.dispatch(departure, buf);
                if transmit.is_some() {
                    return transmit;
                }
                continue;
            }
            // Its last acknowledgement has left. Whoever repeats a goodbye hears nothing more.
            if self.closing && self.peers.awake(slot).is_some_and(Peer::is_dispensable) {
                self.remove(slot);
            } else if rests {
                self.peers.put_to_sleep(slot);
            }
        }
        None
    }

    /// The next event; `None` when there are no more. Requests for sockets come first; routes that changed, those
    /// who were found and those who were refused last.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.list_unsettled_events();
        if self.eventful.is_empty() && !self.has_other_events() {
            return None;
        }
        self.hand_on_local_news();
        let request = self.sockets.poll_event();
        let event = request.or_else(|| self.poll_peer_event());
        event.or_else(|| self.poll_event_of_strangers())
    }

    /// Whether there may be events that are about no peer.
    #[inline]
    fn has_other_events(&self) -> bool {
        self.shared.local.has_news()
            || self.sockets.has_events()
            || !self.changed_routes.is_empty()
            || self.shared.beacons.has_events()
            || self.admission.has_refusals()
    }

    fn poll_event_of_strangers(&mut self) -> Option<Event> {
        let found = self.poll_route_event().or_else(|| self.shared.beacons.poll_event());
        found.or_else(|| self.admission.poll_refusal())
    }

    fn poll_peer_event(&mut self) -> Option<Event> {
        while let Some(slot) = self.eventful.pop() {
            let Some(peer) = self.peers.at_mut(slot) else { continue };
            let event = peer.poll_event();
            // These leave what is held, and what waits for room, as it was.
            if !matches!(event, None | Some(Event::Readable { .. })) {
                peer.review_memory(&mut self.shared);
            }
            if let Some(event) = event {
                // Who ends with this event is removed after it.
                if peer.has_events() || peer.is_over() || self.closing {
                    self.eventful.push_front(slot);
                }
                return Some(event);
            }
            if peer.is_removable() {
                self.remove(slot);
            } else if self.closing {
                self.ready.push(slot);
            }
        }
        None
    }

    /// Counts what departs and says how to send it. `None` if the neighbour that was to carry it cannot.
    fn dispatch(&mut self, departure: Departure, buf: &mut [u8]) -> Option<Transmit> {
        let via = departure.via;
        trace::unsealed("sent", &via, &buf[via.headroom()..departure.len - via.tailroom()]);
        if let Via::Direct(tuple) = via {
            return Some(self.launch(tuple, &departure));
        }
        let departure = self.carry(via.route()?, &departure, buf)?;
        let Via::Direct(tuple) = departure.via else { return None };
        Some(self.launch(tuple, &departure))
    }

    /// It goes to a socket.
    #[inline]
    fn launch(&mut self, tuple: FourTuple, departure: &Departure) -> Transmit {
        self.shared.stats.datagrams_sent += departure.count() as u64;
        self.shared.stats.bytes_sent += departure.len as u64;
        let transmit = transmit(tuple, departure);
        if self.sockets.is_closed(tuple.socket) {
            self.sockets.redirect(transmit)
        } else {
            transmit
        }
    }
}

/// How a driver sends what departs.
pub(super) const fn transmit(tuple: FourTuple, departure: &Departure) -> Transmit {
    let FourTuple { socket, local, remote } = tuple;
    let Departure { ecn, hop_limit, len, segment, .. } = *departure;
    Transmit {
        socket,
        destination: remote,
        source: local,
        interface: None,
        hop_limit,
        ecn,
        len,
        segment,
    }
}
