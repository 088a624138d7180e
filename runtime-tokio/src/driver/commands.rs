//! What handles ask for.

use std::sync::Arc;

use handfast_core::{CommandError, DisconnectOptions, Fate, PeerHandle, Target};
use tokio::sync::mpsc::error::TryRecvError;

use crate::answer::answer;
use crate::command::{Command, PeerSelector};
use crate::error::{ConnectError, PeerError};
use crate::mailbox::Mailbox;
use crate::pending_handle::PendingHandle;
use crate::receipt_key::MessageKey;
use crate::wake::Wake;

use super::entry::{Dialler, Entry};
use super::{COMMANDS_PER_TURN, Closing, Driver, RINGS_PER_TURN};

impl Driver {
    pub(super) fn run_commands(&mut self) {
        for _ in 0..COMMANDS_PER_TURN {
            match self.inputs.commands.try_recv() {
                Ok(command) => self.execute(command),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.on_abandoned(),
            }
        }
    }

    pub(super) fn answer_rings(&mut self) {
        for _ in 0..RINGS_PER_TURN {
            let Ok(ring) = self.inputs.wakes.try_recv() else { return };
            self.on_ring(ring);
        }
    }

    pub(super) fn on_ring(&mut self, ring: Wake) {
        match ring {
            // Looked after when a turn begins, which may have been before this one came.
            Wake::Datagrams => self.was_called = true,
            Wake::Declined(peer) => self.on_declined(peer),
            Wake::Mailbox(peer) => {
                if let Some(entry) = self.peers.get(&peer) {
                    entry.mailbox.answer();
                    self.make_ready(peer);
                }
            }
        }
    }

    /// The last handle is gone. That may have been anywhere in what the application had to say.
    pub(super) fn on_abandoned(&mut self) {
        if matches!(self.closing, Closing::No) {
            self.close(DisconnectOptions::now().incomplete());
        }
    }

    pub(super) fn execute(&mut self, command: Command) {
        match command {
            Command::AddSocket { address, reply } => self.add_socket(address, reply),
            Command::AddressesChanged => self.core.addresses_changed(self.clock.now()),
            Command::BusyPoll(longest) => self.busy_poll = longest,
            Command::Cancel { peer, key, reply } => {
                if let Some(result) = self.cancel(peer, &key) {
                    answer(reply, result);
                }
            }
            Command::Change { change, reply } => answer(reply, change(&mut self.core)),
            Command::Close { options } => self.close(options),
            Command::Connect { target, reply } => self.connect(target, reply),
            Command::Disconnect { peer, options } => self.disconnect(peer, options),
            Command::EndStream { peer, delivery, reply } => {
                if let Some(entry) = self.peers.get_mut(&peer) {
                    entry.work_to_do().stream_ends.asked.push((delivery, reply));
                    self.make_ready(peer);
                }
            }
            Command::Find { whom, reply } => answer(reply, self.find(&whom)),
            Command::MappedAddresses(addresses) => {
                self.core.set_mapped_addresses(self.clock.now(), addresses);
            }
            Command::NatTest { server, ports, reply } => {
                match self.core.test_nat(self.clock.now(), server, ports) {
                    Err(error) => answer(reply, Err(PeerError::Refused(error))),
                    Ok(()) => {
                        if let Some(entry) = self.peers.get_mut(&server) {
                            entry.work_to_do().nat_test = Some(reply);
                            entry.note_use(server, self.now, &mut self.in_use);
                        }
                    }
                }
            }
            Command::Ping { peer, reply } => match self.core.ping(self.clock.now(), peer) {
                Err(error) => answer(reply, Err(PeerError::Refused(error))),
                Ok(ping) => {
                    if let Some(entry) = self.peers.get_mut(&peer) {
                        entry.work_to_do().pings.insert(ping, reply);
                        entry.note_use(peer, self.now, &mut self.in_use);
                    }
                }
            },
            Command::Query(query) => query(&self.core, self.traffic.stats()),
            Command::RemoveSocket { socket, reply } => answer(reply, self.remove_socket(socket)),
            Command::Subscribe(subscriber) => self.subscribe(subscriber),
        }
    }

    fn connect(&mut self, target: Target, reply: Dialler) {
        match self.core.connect(self.clock.now(), target) {
            Err(handfast_core::ConnectError::AlreadyConnected(peer)) => {
                self.await_peer(peer, vec![reply]);
            }
            Err(error) => answer(reply, Err(ConnectError::Refused(error))),
            Ok(peer) => self.await_peer(peer, vec![reply]),
        }
    }

    /// Answers `diallers` when `peer` is connected.
    pub(super) fn await_peer(&mut self, peer: PeerHandle, diallers: Vec<Dialler>) {
        let entry =
            self.peers.entry(peer).or_insert_with(|| Entry::new(Arc::new(Mailbox::default())));
        if entry.is_connected {
            for dialler in diallers {
                answer(dialler, Ok(PendingHandle::new(&entry.mailbox, &self.inputs.wake)));
            }
        } else {
            entry.work_to_do().diallers.extend(diallers);
        }
    }

    /// Takes back a message, wherever it is by now. `None` when the peer has ended: its mailbox tells.
    fn cancel(&mut self, peer: PeerHandle, key: &MessageKey) -> Option<Result<(), PeerError>> {
        let entry = self.peers.get_mut(&peer)?;
        if let Some(message) = key.message() {
            let result = self.core.cancel(self.clock.now(), peer, message);
            return Some(result.map_err(PeerError::Refused));
        }
        let under_way = entry.work().and_then(|work| work.under_way.withdraw(key));
        let Some(message) = under_way.or_else(|| entry.mailbox.withdraw(key)) else {
            // The core did not take it: its fate is known.
            return Some(Err(PeerError::Refused(CommandError::TooLate)));
        };
        message.finish(Fate::Cancelled { may_have_arrived: false });
        Some(Ok(()))
    }

    fn find(&self, whom: &PeerSelector) -> Option<PendingHandle> {
        let peer = match whom {
            PeerSelector::Address(address) => self.core.peer_by_addr(*address)?,
            PeerSelector::Handle(peer) => *peer,
            PeerSelector::Id(id) => self.core.peer_by_id(id)?,
        };
        let entry = self.peers.get(&peer).filter(|entry| entry.is_connected)?;
        Some(PendingHandle::new(&entry.mailbox, &self.inputs.wake))
    }

    /// Messages that were accepted before go first, as far as the disconnect's linger allows.
    pub(super) fn disconnect(&mut self, peer: PeerHandle, options: DisconnectOptions) {
        let Some(entry) = self.peers.get_mut(&peer) else { return };
        let work = entry.work_to_do();
        if work.disconnect.is_some() {
            return;
        }
        let by = self.clock.now() + options.linger;
        work.disconnect = Some((options, by));
        self.leaving.push(peer);
        self.make_ready(peer);
    }

    fn close(&mut self, options: DisconnectOptions) {
        if !matches!(self.closing, Closing::No) {
            return;
        }
        let peers: Vec<_> = self.peers.keys().copied().collect();
        for peer in peers {
            self.disconnect(peer, options.clone());
        }
        self.closing = Closing::Leaving(options);
    }

    /// Disconnects those who have nothing left to hand over, or no time.
    pub(super) fn drain(&mut self) {
        let now = self.now;
        let Self { leaving, peers, core, .. } = self;
        leaving.retain(|peer| {
            let Some(entry) = peers.get_mut(peer) else { return false };
            let Some(by) = entry.leave_by() else { return false };
            let is_late = now >= by;
            let has_more = entry.is_ready || entry.has_more();
            if !is_late && has_more || !entry.mailbox.close(is_late) {
                return true;
            }
            let Some((mut options, _)) = entry.work().and_then(|work| work.disconnect.clone())
            else {
                return false;
            };
            options.linger = by.saturating_since(now);
            if entry.is_cut() {
                options = options.incomplete();
            }
            if let Err(error) = core.disconnect(now, *peer, options) {
                tracing::debug!(target: "handfast::driver", ?peer, %error, "ending already");
            }
            false
        });
        if let Closing::Leaving(options) = &self.closing
            && leaving.is_empty()
        {
            core.close(now, options.clone());
            self.closing = Closing::Closed;
        }
    }
}
