//! The sessions of a peer: generations of keys, one of which seals while the others still open.

use alloc::vec::Vec;
use core::time::Duration;

use super::index::{Forgotten, ForgottenList};
use crate::config::{Config, KeyUpdates};
use crate::crypto::backend::active::SecretKey;
use crate::crypto::keycache::KeyCache;
use crate::crypto::schedule::{Role, SessionSecrets};
use crate::pack::{Pack, Packer, Unpacker, pack, pack_plain};
use crate::time::Instant;
use crate::wire::{PacketNumber, SEALED_HEADER_LEN, SealedHeader, TAG_LEN};

/// One generation of keys.
#[derive(Debug)]
pub(crate) struct Session {
    /// What the peer puts into packets for us, and we into packets for it.
    local_index: u32,
    remote_index: u32,
    secrets: SessionSecrets,
    initiated_by_us: bool,
    since: Instant,
    /// Names the keys in the cache of expanded keys, and where they were last.
    key_id: u64,
    slot: u32,
    /// When the first packet with application data was sealed or opened.
    data_since: Option<Instant>,
    /// When the keys are old, once that was worked out.
    deadlines: Option<KeyDeadlines>,
    sealed: u64,
    failed_opens: u64,
    phase: Phase,
}

pack!(Session:
    local_index, remote_index, secrets, initiated_by_us, since, key_id, slot, data_since, deadlines,
    sealed, failed_opens, phase,
);

/// When keys have served for so long that something must be done.
#[derive(Clone, Copy, Debug)]
struct KeyDeadlines {
    /// New ones are wanted.
    rekey: Instant,
    /// They must not seal any more.
    expiry: Instant,
}

pack!(KeyDeadlines: rekey, expiry);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Waits for a packet that proves that the peer has the keys.
    Next,
    /// Seals what we send.
    Current,
    /// Opens packets that were under way when it was replaced.
    Retired { until: Instant },
}

impl Pack for Phase {
    fn pack(&self, into: &mut Packer) -> Option<()> {
        match self {
            Self::Current => (false, None),
            Self::Next => (true, None),
            Self::Retired { until } => (true, Some(*until)),
        }
        .pack(into)
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(match Pack::unpack(from)? {
            (false, _) => Self::Current,
            (true, None) => Self::Next,
            (true, Some(until)) => Self::Retired { until },
        })
    }

    pack_plain!();
}

/// How long replaced keys still open packets, and new ones wait for their first use.
const RETIREMENT: Duration = Duration::from_secs(30);
/// Forgeries tolerated under one key (RFC 9001 section 6.6, for ChaCha20-Poly1305).
const MAX_FAILED_OPENS: u64 = 1 << 36;
/// Generations kept at most.
const MAX_SESSIONS: usize = 3;

impl Session {
    pub(crate) fn new(
        indices: (u32, u32),
        secrets: SessionSecrets,
        key_id: u64,
        initiated_by_us: bool,
        now: Instant,
    ) -> Self {
        Self {
            local_index: indices.0,
            remote_index: indices.1,
            secrets,
            initiated_by_us,
            since: now,
            key_id,
            slot: u32::MAX,
            data_since: None,
            deadlines: None,
            sealed: 0,
            failed_opens: 0,
            phase: Phase::Current,
        }
    }

    /// What the peer puts into packets for us.
    pub(crate) const fn local_index(&self) -> u32 {
        self.local_index
    }

    /// What we put into packets for the peer.
    pub(crate) const fn remote_index(&self) -> u32 {
        self.remote_index
    }

    pub(crate) const fn initiated_by_us(&self) -> bool {
        self.initiated_by_us
    }

    /// When both ends had the keys.
    pub(crate) const fn since(&self) -> Instant {
        self.since
    }

    /// The secrets after a rekey, with our ephemeral key and the peer's; `None` if no secret can be
    /// agreed with that key.
    pub(crate) fn rekeyed(
        &self,
        role: Role,
        ephemeral: &SecretKey,
        remote: &[u8; 32],
    ) -> Option<SessionSecrets> {
        self.secrets.rekey(role, ephemeral, remote)
    }

    /// Writes the header and seals what follows it: `packet` is room for the header, the frames,
    /// room for the tag.
    pub(crate) fn seal(&mut self, keys: &mut KeyCache, number: PacketNumber, packet: &mut [u8]) {
        use zerocopy::IntoBytes;
        let (head, rest) = packet.split_at_mut(SEALED_HEADER_LEN);
        let (body, tag) = rest.split_at_mut(rest.len() - TAG_LEN);
        head.copy_from_slice(SealedHeader::new(self.remote_index, number).as_bytes());
        let key = keys.sealing(&mut self.slot, self.key_id, &self.secrets.keys);
        tag.copy_from_slice(&key.seal(number.to_u64(), head, body));
        self.sealed += 1;
    }

    /// Opens a packet in place; its frames are what lies between header and tag.
    pub(crate) fn open<'p>(
        &mut self,
        keys: &mut KeyCache,
        number: PacketNumber,
        packet: &'p mut [u8],
    ) -> Option<&'p [u8]> {
        let (head, rest) = packet.split_at_mut_checked(SEALED_HEADER_LEN)?;
        let (body, tag) = rest.split_last_chunk_mut::<TAG_LEN>()?;
        let key = keys.opening(&mut self.slot, self.key_id, &self.secrets.keys);
        if key.open(number.to_u64(), head, body, tag) {
            return Some(body);
        }
        self.failed_opens += 1;
        None
    }

    /// Application data went through.
    pub(crate) fn note_data(&mut self, now: Instant) {
        if self.data_since.is_none() {
            self.data_since = Some(now);
            self.deadlines = None;
        }
    }

    /// When to change keys. The end that answered the handshake gives the other a head start.
    pub(crate) fn rekey_at(&mut self, config: &Config) -> Instant {
        if self.wants_rekey(config) { self.since } else { self.deadlines(config).rekey }
    }

    /// When the keys are old, and when they are too old. Worked out once: nearly every packet asks.
    fn deadlines(&mut self, config: &Config) -> KeyDeadlines {
        if let Some(known) = self.deadlines {
            return known;
        }
        let KeyUpdates { rekey_after, rekey_after_idle, .. } = config.keys;
        let earliest = |age: fn(Duration) -> Duration| {
            let data = self.data_since.map(|since| since + age(rekey_after));
            data.unwrap_or(Instant::MAX).min(self.since + age(rekey_after_idle))
        };
        let patient = |limit: Duration| limit.saturating_mul(9) / 8;
        let rekey = earliest(if self.initiated_by_us { |limit| limit } else { patient });
        let expiry = earliest(|limit| limit.saturating_mul(3) / 2);
        *self.deadlines.insert(KeyDeadlines { rekey, expiry })
    }

    /// Whether so many packets were sealed that it is time for new keys.
    pub(crate) fn wants_rekey(&self, config: &Config) -> bool {
        self.sealed >= config.keys.rekey_after_packets
    }

    /// Whether so many forgeries were tried on the keys that they must go.
    pub(crate) const fn is_past_integrity_limit(&self) -> bool {
        self.failed_opens >= MAX_FAILED_OPENS
    }

    /// As if so many packets had been sealed, or nearly too many had failed to open.
    #[cfg(test)]
    pub(crate) const fn wear(&mut self, sealed: u64, forged: bool) {
        self.sealed = sealed;
        self.failed_opens = if forged { MAX_FAILED_OPENS - 1 } else { 0 };
    }

    fn forgotten(&self) -> Forgotten {
        Forgotten { index: self.local_index, key_slot: self.slot, key_id: self.key_id }
    }

    /// Whether the keys must not seal any more: one and a half times the limit was reached.
    pub(crate) fn is_expired(&mut self, now: Instant, config: &Config) -> bool {
        self.sealed >= config.keys.rekey_after_packets / 2 * 3
            || now >= self.deadlines(config).expiry
    }
}

/// The generations of one peer, at most three.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// The one that seals.
    current: Option<Session>,
    /// Those that wait for the peer, and those that only open any more. Nearly always there are none.
    others: Vec<Session>,
}

pack!(Sessions: current, others);

impl Sessions {
    /// The one that seals.
    pub(crate) const fn current(&self) -> Option<&Session> {
        self.current.as_ref()
    }

    pub(crate) const fn current_mut(&mut self) -> Option<&mut Session> {
        self.current.as_mut()
    }

    pub(crate) fn by_index(&mut self, local_index: u32) -> Option<&mut Session> {
        let mut all = self.current.iter_mut().chain(&mut self.others);
        all.find(|session| session.local_index == local_index)
    }

    /// Until when nothing is to be done about the keys as far as is known: there are no others than those that seal, and
    /// packets do not wear them out. None if there is, or it was not worked out yet.
    pub(crate) fn lasting(&self, config: &Config) -> Option<Instant> {
        let current = self.current().filter(|_| self.others.is_empty())?;
        let deadlines = current.deadlines.filter(|_| !current.wants_rekey(config))?;
        Some(deadlines.rekey)
    }

    /// Whether keys wait for the peer to prove that it has them.
    pub(crate) fn has_next(&self) -> bool {
        self.others.iter().any(|session| session.phase == Phase::Next)
    }

    /// The index of the keys that wait for the peer.
    #[cfg(test)]
    pub(crate) fn next_index(&self) -> Option<u32> {
        let next = self.others.iter().find(|session| session.phase == Phase::Next);
        next.map(|session| session.local_index)
    }

    /// Whether the peer's packets for this index use the keys that seal.
    pub(crate) fn is_current(&self, local_index: u32) -> bool {
        self.current().is_some_and(|session| session.local_index == local_index)
    }

    /// `session` seals from now on. Returns what was forgotten.
    pub(crate) fn install(&mut self, session: Session, now: Instant) -> ForgottenList {
        let mut freed = self.remove(|old| old.phase == Phase::Next);
        freed.extend(self.make_room());
        self.promote(session, now);
        freed
    }

    /// `session` seals once the peer used it. Returns what was forgotten.
    pub(crate) fn install_next(&mut self, mut session: Session) -> ForgottenList {
        let mut freed = self.remove(|old| old.phase == Phase::Next);
        freed.extend(self.make_room());
        session.phase = Phase::Next;
        self.others.push(session);
        freed
    }

    /// `session` only opens. Returns what was forgotten.
    pub(crate) fn install_retired(&mut self, mut session: Session, now: Instant) -> ForgottenList {
        let freed = self.make_room();
        session.phase = Phase::Retired { until: now + RETIREMENT };
        self.others.push(session);
        freed
    }

    /// The peer used the keys of `local_index`: if they waited for that, they seal now.
    pub(crate) fn prove(&mut self, local_index: u32, now: Instant) -> bool {
        let waiting =
            |session: &Session| session.local_index == local_index && session.phase == Phase::Next;
        let Some(at) = self.others.iter().position(waiting) else { return false };
        let proved = self.others.remove(at);
        self.promote(proved, now);
        true
    }

    /// Forgets keys whose time is over. Returns what was forgotten.
    pub(crate) fn expire(&mut self, now: Instant) -> ForgottenList {
        self.remove(|session| {
            let over = match session.phase {
                Phase::Retired { until } => now >= until,
                Phase::Next => now >= session.since + RETIREMENT,
                Phase::Current => false,
            };
            over || session.is_past_integrity_limit()
        })
    }

    /// When `expire` has something to do next.
    pub(crate) fn expiry(&self) -> Option<Instant> {
        let until = |session: &Session| match session.phase {
            Phase::Retired { until } => Some(until),
            Phase::Next => Some(session.since + RETIREMENT),
            Phase::Current => None,
        };
        self.others.iter().filter_map(until).min()
    }

    /// Forgets all keys. Returns what was forgotten.
    pub(crate) fn clear(&mut self) -> ForgottenList {
        self.remove(|_| true)
    }

    /// `session` seals from now on, and the one that did only opens.
    fn promote(&mut self, mut session: Session, now: Instant) {
        session.phase = Phase::Current;
        if let Some(mut old) = self.current.replace(session) {
            old.phase = Phase::Retired { until: now + RETIREMENT };
            self.others.push(old);
        }
    }

    fn make_room(&mut self) -> ForgottenList {
        if usize::from(self.current.is_some()) + self.others.len() < MAX_SESSIONS {
            return ForgottenList::new();
        }
        let oldest = self.others.iter().min_by_key(|old| old.since).map(|old| old.local_index);
        self.remove(|old| Some(old.local_index) == oldest)
    }

    fn remove(&mut self, goes: impl Fn(&Session) -> bool) -> ForgottenList {
        let gone = self.current.iter().chain(&self.others).filter(|session| goes(session));
        let forgotten = gone.map(Session::forgotten).collect();
        self.current.take_if(|session| goes(session));
        self.others.retain(|session| !goes(session));
        if self.others.is_empty() {
            self.others = Vec::new();
        }
        forgotten
    }
}
