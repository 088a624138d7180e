//! What applications, hosts and the network between them can do, one step at a time.

use core::time::Duration;

use handfast_core::Delivery;

use super::input::{Input, delivery};

/// How many ends there are.
pub const ENDS: usize = 3;

/// A step of an interaction. Six bytes make one, any six: a fuzzer and a strategy can change,
/// remove and join steps without disturbing their neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An application calls another end.
    Connect(Direction, Call),
    /// An application sends some messages.
    Send(Direction, Delivery, usize, u8),
    /// An application takes messages, not all perhaps.
    Receive(Direction, u8),
    /// An application withdraws one of its last messages.
    Cancel(Direction, u8),
    /// An application pings.
    Ping(Direction),
    /// An application parts, after lingering.
    Disconnect(Direction, Duration),
    /// An application ends its endpoint.
    Close(usize, Duration),
    /// A host loses all its state.
    Restart(usize),
    /// A host has another address from now on, and may be told.
    Rebind(usize, bool),
    /// The network between two ends changes, in one direction.
    Disturb(Direction, Fault),
    /// The network is as it should be again, everywhere.
    Heal,
    /// Someone on the way sends an old datagram again, perhaps changed, perhaps from elsewhere.
    Replay(u8, Tamper),
    /// Time goes on.
    Run(Duration),
}

/// Who, and to whom: never the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Who acts.
    pub from: usize,
    /// Who is meant.
    pub to: usize,
}

/// How an end is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// By identity, at its address.
    Known,
    /// Only by address.
    Address,
    /// By identity, at an address where nobody is and then at its own.
    Detour,
    /// By identity, at the address of somebody else.
    Wrong,
}

/// What the network does with datagrams in one direction. Counted, not drawn: every third is every
/// third.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Each takes this long.
    Delay(Duration),
    /// Every so manieth is lost; 1 loses all.
    Drop(u8),
    /// Every so manieth arrives twice.
    Duplicate(u8),
    /// Every so manieth is held back for a while.
    Hold(u8),
    /// Every so manieth has a byte changed.
    Corrupt(u8),
}

/// What is done to an old datagram before it is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tamper {
    /// Which byte changes, counted from the front; beyond the end none does.
    pub at: u8,
    /// What is added to it.
    pub change: u8,
    /// It seems to come from elsewhere.
    pub is_spoofed: bool,
}

impl Operation {
    /// The bytes of one operation.
    pub const LEN: usize = 6;

    /// The operation that these bytes mean.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let mut input = Input::new(&bytes);
        let kind = input.u8();
        let pair = Direction::read(&mut input);
        let (a, b, c, d) = (input.u8(), input.u8(), input.u8(), input.u8());
        match kind % 32 {
            0..=2 => Self::Connect(pair, Call::from_byte(a)),
            3..=9 => Self::Send(pair, delivery(a, a >> 6 & 1), message_len(b, c), d % 8 + 1),
            10..=12 => Self::Receive(pair, a),
            13 | 14 => Self::Cancel(pair, a),
            15 => Self::Ping(pair),
            16 => Self::Disconnect(pair, Duration::from_millis(u64::from(a) * 16)),
            17 if a < 64 => Self::Close(pair.from, Duration::from_millis(u64::from(b) * 16)),
            17 => Self::Heal,
            18 => Self::Restart(pair.from),
            19 => Self::Rebind(pair.from, a & 1 == 1),
            20..=22 => Self::Disturb(pair, Fault::from_bytes(a, b)),
            23 | 24 => Self::Replay(a, Tamper { at: b, change: c, is_spoofed: d & 1 == 1 }),
            25..=29 => Self::Run(Duration::from_millis(u64::from(a) * 2)),
            30 => Self::Run(Duration::from_millis(u64::from(a) * 40)),
            _ => Self::Run(Duration::from_micros(u64::from(a) * 50)),
        }
    }

    /// The name of its kind, to count by.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Connect(..) => "connect",
            Self::Send(..) => "send",
            Self::Receive(..) => "receive",
            Self::Cancel(..) => "cancel",
            Self::Ping(_) => "ping",
            Self::Disconnect(..) => "disconnect",
            Self::Close(..) => "close",
            Self::Restart(_) => "restart",
            Self::Rebind(..) => "rebind",
            Self::Disturb(..) => "disturb",
            Self::Heal => "heal",
            Self::Replay(..) => "replay",
            Self::Run(_) => "run",
        }
    }
}

impl Direction {
    /// All pairs in both directions, the hub's first.
    pub const ALL: [Self; ENDS * (ENDS - 1)] = [
        Self { from: 0, to: 1 },
        Self { from: 1, to: 0 },
        Self { from: 0, to: 2 },
        Self { from: 2, to: 0 },
        Self { from: 1, to: 2 },
        Self { from: 2, to: 1 },
    ];

    fn read(input: &mut Input<'_>) -> Self {
        // Mostly with the hub.
        let at = usize::from(input.u8() % 16);
        Self::ALL[if at < Self::ALL.len() { at } else { at % 4 }]
    }
}

impl Call {
    const fn from_byte(byte: u8) -> Self {
        match byte % 8 {
            0..=3 => Self::Known,
            4 | 5 => Self::Address,
            6 => Self::Detour,
            _ => Self::Wrong,
        }
    }
}

impl Fault {
    fn from_bytes(kind: u8, amount: u8) -> Self {
        let every = amount % 16;
        match kind % 6 {
            0 => Self::Delay(Duration::from_millis(amount.into())),
            1 | 2 => Self::Drop(every),
            3 => Self::Duplicate(every),
            4 => Self::Hold(every),
            _ => Self::Corrupt(every),
        }
    }
}

/// Small ones mostly, sometimes of several packets.
fn message_len(low: u8, high: u8) -> usize {
    match high {
        0..=127 => low.into(),
        128..=207 => 1000 + usize::from(low) * 2,
        _ => usize::from(low) * 40,
    }
}
