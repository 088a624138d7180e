//! Sockets that fail as a test wants them to.
//!
//! Only there with the feature `faults`, which only tests ask for.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use socket2::SockRef;

thread_local! {
    static STEERED: Cell<bool> = const { Cell::new(true) };
}

/// Whether the kernel steers what comes to the sockets of shards that this thread opens from now on; else it spreads
/// datagrams by addresses and ports alone.
pub fn steer_in_kernel(steer: bool) {
    STEERED.set(steer);
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn steers_in_kernel() -> bool {
    STEERED.get()
}

/// The faults of one socket. A driver's socket is found by the address it is bound to.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    plan: Option<Fault>,
    /// Calls since the plan was made that it could have hit.
    calls: u64,
    hits: u64,
    offload_withdrawn: bool,
}

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which calls fail.
    pub call: Call,
    /// With which error of the system, by number.
    pub errno: i32,
    /// When they do.
    pub when: When,
}

/// A kind of call to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Any that sends.
    Send,
    /// One that sends several datagrams at once.
    SendBatch,
    /// One that receives.
    Receive,
}

/// Which of the calls from now on fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// So many, then none.
    Next(u64),
    /// Every so many-th, until the socket is [healed](Faults::heal).
    Every(u64),
    /// All of them, until the socket is [healed](Faults::heal).
    Always,
    /// Those with a datagram of more bytes, until the socket is [healed](Faults::heal).
    LongerThan(usize),
}

impl Faults {
    /// The faults of the newest socket that is bound to `address`, if there is one.
    #[must_use]
    pub fn of(address: SocketAddr) -> Option<Arc<Self>> {
        let sockets = lock(&SOCKETS);
        sockets.iter().rev().find(|(bound, _)| *bound == address)?.1.upgrade()
    }

    /// From now on fails like this, and no longer as it did before.
    pub fn inject(&self, fault: Fault) {
        let mut state = lock(&self.state);
        state.plan = Some(fault);
        state.calls = 0;
    }

    /// From now on works.
    pub fn heal(&self) {
        lock(&self.state).plan = None;
    }

    /// How many calls failed.
    #[must_use]
    pub fn hits(&self) -> u64 {
        lock(&self.state).hits
    }

    pub(crate) fn register(io: &SockRef<'_>) -> Arc<Self> {
        let faults = Arc::new(Self::default());
        let address = io.local_addr().ok().and_then(|address| address.as_socket());
        if let Some(address) = address {
            let mut sockets = lock(&SOCKETS);
            sockets.retain(|(_, faults)| faults.strong_count() > 0);
            sockets.push((address, Arc::downgrade(&faults)));
        }
        faults
    }

    /// Fails if the plan says so; `len` is the length of the longest datagram.
    pub(crate) fn strike(&self, call: Call, len: usize) -> io::Result<()> {
        let mut state = lock(&self.state);
        let Some(fault) = state.plan.filter(|fault| fault.call.includes(call)) else {
            return Ok(());
        };
        state.calls += 1;
        let hit = match fault.when {
            When::Next(count) => state.calls <= count,
            When::Every(count) => state.calls.is_multiple_of(count),
            When::Always => true,
            When::LongerThan(most) => len > most,
        };
        if !hit {
            return Ok(());
        }
        state.hits += 1;
        // As `quinn-udp` does.
        state.offload_withdrawn |= call != Call::Receive && [EIO, EINVAL].contains(&fault.errno);
        Err(io::Error::from_raw_os_error(fault.errno))
    }

    pub(crate) fn has_withdrawn_offload(&self) -> bool {
        lock(&self.state).offload_withdrawn
    }

    pub(crate) fn restore_offload(&self) {
        lock(&self.state).offload_withdrawn = false;
    }
}

impl Call {
    pub(crate) const fn sending(transmit: &quinn_udp::Transmit<'_>) -> Self {
        if transmit.segment_size.is_some() { Self::SendBatch } else { Self::Send }
    }

    fn includes(self, call: Self) -> bool {
        self == call || (self == Self::Send && call == Self::SendBatch)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

static SOCKETS: Mutex<Vec<(SocketAddr, Weak<Faults>)>> = Mutex::new(Vec::new());

/// The same numbers on all systems but Windows, where no test injects them.
const EIO: i32 = 5;
const EINVAL: i32 = 22;
