//! A handshake succeeded: its keys become a session of the peer.

use core::time::Duration;

use crate::bucket::Limit;
use crate::config::BASE_DATAGRAM;
use crate::context::Context;
use crate::info::Direction;
use crate::net::{Arrival, Via};
use crate::path::NO_PACKET;
use crate::peer::Peer;
use crate::session::{Answer, Established, Opened, Pair, Session, Terms, Unopened};
use crate::stats::DropReason;
use crate::time::Instant;
use crate::wire::{HandshakeRequest, HandshakeResponse, Parameters};

/// Two handshakes, one begun by each end, crossed if this is the time between them or less.
const SIMULTANEOUS: Duration = Duration::from_secs(10);
/// A peer that restarts is answered at once four times, and then once in five seconds: each time costs
/// Diffie-Hellman.
const RESTARTS: Limit = Limit::every(5_000_000, 4);

impl Peer {
    /// A response arrived: if it is genuine, a session stands.
    pub(crate) fn on_response(
        &mut self,
        cx: &mut Context,
        arrival: &Arrival,
        response: &HandshakeResponse,
    ) {
        let Some(dial) = self.dialing.dial.as_mut().filter(|dial| dial.has_target(&arrival.via))
        else {
            cx.drop_packet(DropReason::Unsolicited, &arrival.via);
            return;
        };
        let answer = match dial.open(cx, response) {
            Ok(Opened::Accepted(answer)) => answer,
            Ok(Opened::Refused(refused)) => {
                self.on_refused(cx, arrival, &refused);
                return;
            }
            Err(unopened) => {
                let reason = match unopened {
                    Unopened::Forged => DropReason::Authentication,
                    Unopened::TooMany => DropReason::RateLimited,
                    Unopened::Unknown => DropReason::Unsolicited,
                };
                cx.drop_packet(reason, &arrival.via);
                return;
            }
        };
        let local_index = dial.local_index();
        let rtt = dial.round_trip(&arrival.via, cx.now);
        let dialled = dial.address();
        let Answer { split, payload, remote_index, incarnation, granted } = answer;
        let incarnations = Pair { ours: incarnation, theirs: payload.incarnation.get() };
        if self.is_estranged(&incarnations) {
            self.on_estranged(cx, arrival, payload.is_displaced());
            return;
        }
        if !self.may_grant(&incarnations, granted) {
            // Messages came meanwhile: a peer that starts over is granted what they leave.
            cx.drop_packet(DropReason::Full, &arrival.via);
            self.dialing.dial.iter_mut().for_each(|dial| dial.expire(cx.now));
            return;
        }
        let parameters = payload.parameters;
        let terms = Terms {
            local_index,
            remote_index,
            initiated_by_us: true,
            incarnations,
            parameters,
            granted,
            via: arrival.via,
            is_there: true,
        };
        let established = Established::new(cx, &split, terms);
        self.note_observed_in_handshake(cx, arrival, payload.observed_address.into());
        // The index lives on in the session.
        self.dialing.dial = None;
        self.establish(cx, established);
        self.seek_where_dialled(cx, dialled);
        self.on_handshake(cx.now, &arrival.via, rtt);
        // The other end may not send before it heard from us under the new keys.
        self.outbound.queue_ping();
    }

    /// The last packet of a handshake and its answer took `rtt`, if that is known.
    pub(crate) fn on_handshake(&mut self, now: Instant, via: &Via, rtt: Option<Duration>) {
        rtt.into_iter().for_each(|rtt| self.paths.on_handshake(now, via, rtt));
    }

    /// Takes in a session; both ends have its keys.
    pub(crate) fn establish(&mut self, cx: &mut Context, established: Established) {
        let dialled = self.dialing.dial.as_ref().and_then(|dial| dial.address());
        self.drop_dial(cx);
        let Established { terms, secrets, key_id } = established;
        let news = !self.acquaintance.is_known_as(&terms.incarnations);
        if news {
            self.on_new_incarnation(cx, &terms);
        } else if terms.is_there {
            self.follow(cx, terms.via);
        } else {
            let len = size_of::<HandshakeRequest>();
            let spaces = &mut self.acquaintance.spaces;
            self.paths.ensure_way(spaces, terms.via, &cx.config);
            self.paths.consider(NO_PACKET, terms.via, len, cx.now, &mut cx.rng);
        }
        if terms.is_there {
            self.dialing.handshake_via = Some(terms.via);
        }
        self.apply_parameters(cx, &terms.parameters);
        if news {
            self.outbound.queue.refuse_beyond(&self.outbound.limits);
        }
        let prefer = news || self.is_preferred(cx, &terms);
        let indices = (terms.local_index, terms.remote_index);
        let session = Session::new(indices, secrets, key_id, terms.initiated_by_us, cx.now);
        let freed = if prefer {
            self.withdraw_rekey(cx);
            self.sessions.install(session, cx.now)
        } else {
            self.sessions.install_retired(session, cx.now)
        };
        cx.release(freed);
        self.acquaintance.confirmed_at = cx.cookie_time();
        self.acquaintance.has_initiated |= !terms.initiated_by_us;
        let direction =
            if terms.initiated_by_us { Direction::Outbound } else { Direction::Inbound };
        self.acquaintance.met.get_or_insert((cx.now, direction));
        self.stats.handshakes += 1;
        cx.stats.handshakes += 1;
        self.seek_where_dialled(cx, dialled);
        self.on_authenticated_packet(cx);
        self.review(cx);
        tracing::debug!(
            target: "handfast::handshake",
            peer = self.acquaintance.id.map(tracing::field::debug),
            via = ?terms.via,
            initiated_by_us = terms.initiated_by_us,
            new_incarnation = news,
            "session established"
        );
    }

    /// A neighbour was sooner than the address that the application named: the peer may be there all the same.
    fn seek_where_dialled(&mut self, cx: &Context, dialled: Option<Via>) {
        if let Some(address) = dialled {
            self.paths.seek_at(&mut self.acquaintance.spaces, address, &cx.config, cx.now);
        }
    }

    /// A peer we knew nothing about, or one that lost what it knew about us.
    fn on_new_incarnation(&mut self, cx: &mut Context, terms: &Terms) {
        let granted = terms.parameters.receive_window.get();
        let met_before = self.acquaintance.remote_incarnation().is_some();
        self.acquaintance.start_over(&terms.incarnations);
        // Its lists of addresses are numbered anew.
        self.puncher = None;
        let undeliverable = self.inbox.restart(terms.granted);
        if met_before {
            let freed = self.sessions.clear();
            cx.release(freed);
            self.withdraw_rekey(cx);
            *self.events.restarted.get_or_insert(0) += undeliverable;
            // The `UnknownSession` was true. The next may be as well, unless they come too often.
            if self.dialing.restarts.take(cx.now, &RESTARTS, 0) {
                self.dialing.last_unknown_session = None;
            }
        } else {
            self.events.connected = Some(terms.via);
        }
        self.outbound.restart(granted, cx.now);
        self.paths.restart(&mut self.acquaintance.spaces, terms.via, &cx.config);
        if !terms.is_there {
            // Somebody else may have sent the request in the name of whoever is there.
            let (received, sent) = (size_of::<HandshakeRequest>(), size_of::<HandshakeResponse>());
            self.paths.doubt(received as u64, sent as u64, cx.now, &mut cx.rng);
        }
    }

    /// Takes in what the peer says about itself.
    fn apply_parameters(&mut self, cx: &Context, parameters: &Parameters) {
        let ms = |ms: u64| Duration::from_millis(ms);
        let theirs = ms(parameters.idle_timeout_ms.get().into());
        self.liveness.idle_timeout = cx.config.timers.idle_timeout.min(theirs).max(SHORTEST_IDLE);
        let ack_delay = ms(parameters.max_ack_delay_ms.get().into());
        self.paths.set_max_ack_delay(ack_delay.min(LONGEST_ACK_DELAY));
        self.outbound.limits.max_message =
            cx.config.flow.max_message.min(parameters.max_message.get());
        self.outbound.limits.max_streams = parameters.max_streams.get();
        self.outbound.queue.set_stream_window(parameters.stream_window());
        self.carrying.forwards = parameters.offers(Parameters::FORWARDS);
        self.carrying.routes = parameters.offers(Parameters::ROUTES);
        let datagram = parameters.max_datagram.get().min(cx.config.max_datagram).max(BASE_DATAGRAM);
        self.paths.set_max_datagram(datagram);
    }

    /// Whether a further session is the one to seal with. When both ends initiated at once, it is the
    /// one begun by the larger identity; else the newest.
    fn is_preferred(&self, cx: &Context, terms: &Terms) -> bool {
        let Some(current) = self.sessions.current() else { return true };
        let crossed = current.initiated_by_us() != terms.initiated_by_us
            && cx.now < current.since() + SIMULTANEOUS;
        let we_are_larger = Some(cx.identity.id()) > self.acquaintance.id;
        !crossed || terms.initiated_by_us == we_are_larger
    }
}

/// A peer cannot make us forget it sooner, nor wait longer.
const SHORTEST_IDLE: Duration = Duration::from_secs(1);
const LONGEST_ACK_DELAY: Duration = Duration::from_millis(500);
