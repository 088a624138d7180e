//! Three endpoints, the network between them and time, driven by a list of operations, against a
//! plain account of what was sent and what may arrive. At the end the network heals, and everyone
//! must reach everyone.

use core::time::Duration;

use handfast_core::{
    Config, CongestionControl, Delivery, NetworkSecret, Order, PeerState, Retry, SendError,
};

use super::operation::{Call, Direction, ENDS, Operation};
use super::world::World;

/// Runs the operations that the bytes after a head of [`Setup::LEN`] mean. With
/// `HANDFAST_FUZZ_SHOW` in the environment they are printed first.
///
/// # Panics
/// A property does not hold.
pub fn interaction(data: &[u8]) {
    let (head, rest) = data.split_at(data.len().min(Setup::LEN));
    let mut setup = [0; Setup::LEN];
    setup[..head.len()].copy_from_slice(head);
    let (steps, _) = rest.as_chunks();
    let operations: Vec<_> =
        steps.iter().take(MAX_OPERATIONS).map(|bytes| Operation::from_bytes(*bytes)).collect();
    if std::env::var_os("HANDFAST_FUZZ_SHOW").is_some() {
        println!("{setup:?}\n{operations:#?}");
    }
    interact(Setup(setup), &operations);
}

/// The choices of all ends, in a few bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup(pub [u8; Self::LEN]);

/// What happened, to know that something did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Handshakes that succeeded, at either end.
    pub handshakes: u64,
    /// Bytes that all endpoints sent.
    pub bytes_sent: u64,
    /// Messages received.
    pub received: u32,
    /// Times that an end found another to have forgotten it.
    pub restarts: u32,
    /// Fates told, by name.
    pub fates: std::collections::BTreeMap<&'static str, u32>,
}

impl Outcome {
    /// What happened in both.
    pub fn add(&mut self, other: &Self) {
        self.handshakes += other.handshakes;
        self.bytes_sent += other.bytes_sent;
        self.received += other.received;
        self.restarts += other.restarts;
        for (fate, count) in &other.fates {
            *self.fates.entry(fate).or_default() += count;
        }
    }
}

/// Runs a list of operations, then lets the network heal and demands that all ends well.
///
/// # Panics
/// A property does not hold.
pub fn interact(setup: Setup, operations: &[Operation]) -> Outcome {
    let mut world = World::new(core::array::from_fn(|end| setup.config(end)));
    if setup.bit(6) {
        world.connect(Direction::ALL[0], Call::Known);
        world.connect(Direction::ALL[2], Call::Known);
        world.run(Duration::from_millis(50));
    }
    for operation in operations {
        world.operate(*operation);
    }
    world.heal(IDLE_TIMEOUT * 2 + CONNECT_TIMEOUT);
    check_nobody_is_stuck(&world);
    if setup.has_room_for_all() {
        check_all_can_talk(&mut world);
    }
    world.account.check_settled(setup.bit(2));
    let stats = (0..ENDS).map(|end| *world.endpoint(end).stats());
    Outcome {
        handshakes: stats.clone().map(|stats| stats.handshakes).sum(),
        bytes_sent: stats.map(|stats| stats.bytes_sent).sum(),
        received: world.account.received,
        restarts: world.account.restarts,
        fates: world.account.fates,
    }
}

/// Whoever believes to be connected is, and nothing is between the states.
fn check_nobody_is_stuck(world: &World) {
    for end in 0..ENDS {
        for peer in world.endpoint(end).peers() {
            assert_eq!(peer.state, PeerState::Connected, "{end}: {peer:?}");
            let id = peer.id.expect("connected");
            let other = (0..ENDS).find(|other| world.endpoint(*other).id() == id);
            let other = world.endpoint(other.expect("nobody else is there"));
            let back = other.peer_by_id(&world.endpoint(end).id());
            assert!(back.is_some(), "{end} talks to one who does not: {peer:?}");
        }
    }
}

/// Everyone calls everyone, and each says something that arrives.
fn check_all_can_talk(world: &mut World) {
    for pair in Direction::ALL {
        world.connect(pair, Call::Known);
    }
    world.run(CONNECT_TIMEOUT);
    for Direction { from, to } in Direction::ALL {
        let id = world.endpoint(to).id();
        let peer = world.endpoint(from).peer_by_id(&id);
        let peer = peer.and_then(|handle| world.endpoint(from).peer(handle));
        let peer = peer.unwrap_or_else(|| panic!("{from} lost {to}"));
        assert_eq!(peer.state, PeerState::Connected, "{from} to {to}");
        // Streams may be used up, though hardly all and never those in use.
        let sent =
            reliable().find_map(|delivery| match world.send_to(from, peer.handle, delivery, 99) {
                Err(SendError::TooManyStreams) => None,
                sent => Some(sent),
            });
        assert!(sent.is_none_or(|sent| sent.is_ok()), "{from} cannot talk to {to}: {sent:?}");
    }
    world.run(Duration::from_secs(3));
}

/// All ways to send a message that arrives for certain.
fn reliable() -> impl Iterator<Item = Delivery> {
    let channels = [0, 1].into_iter().map(|channel| Delivery::reliable(channel).with_receipt());
    channels.flat_map(|delivery| {
        [Order::Ordered, Order::Unordered, Order::Sequenced].map(|order| delivery.with_order(order))
    })
}

impl Setup {
    /// How many bytes make one: one for all, one for each.
    pub const LEN: usize = 1 + ENDS;

    /// Small limits, so that a short list of operations can reach them.
    fn config(self, end: usize) -> Config {
        let own = self.0[1 + end];
        let has = |bit: u8| own & 1 << bit != 0;
        let mut config = Config::default();
        config.timers.heartbeat = Duration::from_secs(1);
        config.timers.idle_timeout = IDLE_TIMEOUT;
        config.timers.connect_timeout = CONNECT_TIMEOUT;
        config.limits.max_peers = self.max_peers(end);
        config.limits.max_half_open = if has(2) { 4 } else { 64 };
        config.flow.max_streams = if has(3) { 3 } else { 24 };
        config.flow.max_message = if has(4) { 2_000 } else { 11_000 };
        config.aes_hardware = has(5);
        config.disclose_identity = !has(6);
        config.max_datagram = if has(7) { 1_350 } else { 1_200 };
        config.flow.send_buffer = 1 << 15;
        config.retry = if self.bit(0) { Retry::Always } else { Retry::WhenNeeded };
        config.network_secret = self.bit(1).then(|| NetworkSecret::new([7; 32]));
        config.flow.unreliable_buffer = if self.bit(2) { 11_000 } else { 1 << 24 };
        config.flow.receive_window = if self.bit(7) { 11_064 } else { 1 << 17 };
        if self.bit(3) {
            config.congestion = CongestionControl::Fixed(1 << 16);
        }
        config.wall_clock = self.bit(4).then(|| Duration::from_secs(1_700_000_000));
        config.keys.rekey_after_packets = if self.bit(5) { 16 } else { 1 << 20 };
        config.keys.rekey_after = Duration::from_secs(2);
        config.keys.rekey_after_idle = Duration::from_secs(30);
        config
    }

    const fn max_peers(self, end: usize) -> usize {
        match self.0[1 + end] & 3 {
            0 | 1 => 8,
            2 => 2,
            _ => 1,
        }
    }

    fn has_room_for_all(self) -> bool {
        (0..ENDS).all(|end| self.max_peers(end) >= ENDS - 1)
    }

    const fn bit(self, bit: u8) -> bool {
        self.0[0] & 1 << bit != 0
    }
}

const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);
const MAX_OPERATIONS: usize = 96;
