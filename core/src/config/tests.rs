//! Every rule, just within and just beyond.

use alloc::collections::BTreeSet;
use alloc::format;
use core::time::Duration;

use super::*;
use crate::shards::tests::Map;

fn siblings() -> Option<Arc<dyn Siblings>> {
    Some(Arc::new(Map::default()))
}

/// A change of the defaults to the edge of a rule, or just beyond it.
type Change = fn(&mut Config);

/// A field, what its rule says, a choice at the edge, and one just beyond.
type Case = (&'static str, &'static str, Change, Change);

const MS: Duration = Duration::from_millis(1);
const NS: Duration = Duration::from_nanos(1);
const S: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const TIB: u64 = 1 << 40;

const OF_NO_GROUP: &[Case] = &[
    (
        "network_secret",
        "must not be all zeros: that is the same as none",
        |c| c.network_secret = Some(NetworkSecret::new(one_bit())),
        |c| c.network_secret = Some(NetworkSecret::new([0; 32])),
    ),
    (
        "previous_network_secret",
        "must not be all zeros: that is the same as none",
        |c| (c.network_secret, c.previous_network_secret) = (secret(), secret()),
        |c| {
            let zeros = NetworkSecret::new([0; 32]);
            (c.network_secret, c.previous_network_secret) = (secret(), Some(zeros));
        },
    ),
    (
        "previous_network_secret",
        "must not be set without network_secret",
        |c| (c.network_secret, c.previous_network_secret) = (secret(), secret()),
        |c| c.previous_network_secret = secret(),
    ),
    (
        "cookie_secret",
        "must not be all zeros: anyone could make cookies",
        |c| c.cookie_secret = Some(CookieSecret::new(one_bit())),
        |c| c.cookie_secret = Some(CookieSecret::new([0; 32])),
    ),
    (
        "max_datagram",
        "must be 1,200 to 2,048",
        |c| c.max_datagram = 1200,
        |c| c.max_datagram = 1199,
    ),
    (
        "max_datagram",
        "must be 1,200 to 2,048",
        |c| c.max_datagram = 2048,
        |c| c.max_datagram = 2049,
    ),
    (
        "siblings",
        "must not be set with routing",
        |c| c.siblings = siblings(),
        |c| (c.siblings, c.routing.announce) = (siblings(), true),
    ),
    (
        "congestion",
        "must be at least 1 byte per second",
        |c| c.congestion = CongestionControl::Fixed(1),
        |c| c.congestion = CongestionControl::Fixed(0),
    ),
];

const TIMERS: &[Case] = &[
    (
        "timers.heartbeat",
        "must be at least 100 ms",
        |c| c.timers.heartbeat = MS * 100,
        |c| c.timers.heartbeat = MS * 100 - NS,
    ),
    (
        "timers.idle_timeout",
        "must be at least 1 s",
        |c| (c.timers.heartbeat, c.timers.idle_timeout) = (MS * 100, S),
        |c| (c.timers.heartbeat, c.timers.idle_timeout) = (MS * 100, S - NS),
    ),
    (
        "timers.idle_timeout",
        "must be at most a day",
        |c| c.timers.idle_timeout = DAY,
        |c| c.timers.idle_timeout = DAY + NS,
    ),
    (
        "timers.idle_timeout",
        "must be at least 1.25 times timers.heartbeat",
        |c| (c.timers.heartbeat, c.timers.idle_timeout) = (S * 4, S * 5),
        |c| (c.timers.heartbeat, c.timers.idle_timeout) = (S * 4, S * 5 - NS),
    ),
    (
        "timers.idle_timeout",
        "must be at least 1.25 times timers.heartbeat",
        |c| (c.timers.heartbeat, c.timers.idle_timeout) = (DAY / 5 * 4, DAY),
        |c| (c.timers.heartbeat, c.timers.idle_timeout) = (Duration::MAX, DAY),
    ),
    (
        "timers.connect_timeout",
        "must be longer than zero",
        |c| c.timers.connect_timeout = NS,
        |c| c.timers.connect_timeout = Duration::ZERO,
    ),
    (
        "timers.max_ack_delay",
        "must be at most 500 ms",
        |c| c.timers.max_ack_delay = MS * 500,
        |c| c.timers.max_ack_delay = MS * 500 + NS,
    ),
];

const LIMITS: &[Case] = &[
    (
        "limits.max_peers",
        "must be at least 1",
        |c| c.limits.max_peers = 1,
        |c| c.limits.max_peers = 0,
    ),
    (
        "limits.max_peers",
        "must be at most 4,194,304",
        |c| c.limits.max_peers = 4_194_304,
        |c| c.limits.max_peers = 4_194_305,
    ),
    (
        "limits.max_peers_per_source",
        "must be at least 1",
        |c| c.limits.max_peers_per_source = 1,
        |c| c.limits.max_peers_per_source = 0,
    ),
    (
        "limits.max_memory",
        "must be at least 1 MiB",
        |c| c.limits.max_memory = 1 << 20,
        |c| c.limits.max_memory = (1 << 20) - 1,
    ),
    (
        "limits.max_half_open",
        "must be at least 1",
        |c| c.limits.max_half_open = 1,
        |c| c.limits.max_half_open = 0,
    ),
    (
        "limits.max_half_open_per_source",
        "must be at least 1",
        |c| c.limits.max_half_open_per_source = 1,
        |c| c.limits.max_half_open_per_source = 0,
    ),
];

const FLOW: &[Case] = &[
    (
        "flow.max_message",
        "must be at least 1",
        |c| c.flow.max_message = 1,
        |c| c.flow.max_message = 0,
    ),
    (
        "flow.max_message",
        "must be at most 1 GiB",
        |c| c.flow = of_message(1 << 30),
        |c| c.flow = of_message((1 << 30) + 1),
    ),
    (
        "flow.receive_window",
        "must be at least 1,024",
        |c| c.flow.receive_window = 1024,
        |c| c.flow.receive_window = 1023,
    ),
    (
        "flow.send_buffer",
        "must be at least flow.max_message",
        |c| (c.flow.max_message, c.flow.send_buffer) = (1000, 1000),
        |c| (c.flow.max_message, c.flow.send_buffer) = (1000, 999),
    ),
    (
        "flow.send_buffer",
        "must be at most 1 TiB",
        |c| c.flow.send_buffer = size(TIB),
        |c| c.flow.send_buffer = size(TIB + 1),
    ),
    (
        "flow.unreliable_buffer",
        "must be at least flow.max_message",
        |c| (c.flow.max_message, c.flow.unreliable_buffer) = (1000, 1000),
        |c| (c.flow.max_message, c.flow.unreliable_buffer) = (1000, 999),
    ),
    (
        "flow.unreliable_buffer",
        "must be at most 1 TiB",
        |c| c.flow.unreliable_buffer = size(TIB),
        |c| c.flow.unreliable_buffer = size(TIB + 1),
    ),
    (
        "flow.unreliable_age",
        "must be at least 1 ms",
        |c| c.flow.unreliable_age = MS,
        |c| c.flow.unreliable_age = MS - NS,
    ),
    (
        "flow.max_streams",
        "must be at least 1",
        |c| c.flow.max_streams = 1,
        |c| c.flow.max_streams = 0,
    ),
    (
        "flow.stream_window",
        "must be at least 64",
        |c| c.flow.stream_window = 64,
        |c| c.flow.stream_window = 32,
    ),
    (
        "flow.stream_window",
        "must be at most 1,048,576",
        |c| c.flow.stream_window = 1 << 20,
        |c| c.flow.stream_window = 1 << 21,
    ),
    (
        "flow.stream_window",
        "must be a power of two",
        |c| c.flow.stream_window = 1 << 15,
        |c| c.flow.stream_window = (1 << 15) + 1,
    ),
];

const FORWARDING: &[Case] = &[
    (
        "forwarding.pair_rate",
        "must be 10,000 to 10^12 bytes per second",
        |c| c.forwarding.pair_rate = 10_000,
        |c| c.forwarding.pair_rate = 9_999,
    ),
    (
        "forwarding.pair_rate",
        "must be 10,000 to 10^12 bytes per second",
        |c| c.forwarding.pair_rate = 1_000_000_000_000,
        |c| c.forwarding.pair_rate = 1_000_000_000_001,
    ),
    (
        "forwarding.peer_rate",
        "must be 10,000 to 10^12 bytes per second",
        |c| c.forwarding.peer_rate = 10_000,
        |c| c.forwarding.peer_rate = 9_999,
    ),
    (
        "forwarding.peer_rate",
        "must be 10,000 to 10^12 bytes per second",
        |c| c.forwarding.peer_rate = 1_000_000_000_000,
        |c| c.forwarding.peer_rate = 1_000_000_000_001,
    ),
    (
        "forwarding.total_rate",
        "must be 10,000 to 10^12 bytes per second",
        |c| c.forwarding.total_rate = 10_000,
        |c| c.forwarding.total_rate = 9_999,
    ),
    (
        "forwarding.total_rate",
        "must be 10,000 to 10^12 bytes per second",
        |c| c.forwarding.total_rate = 1_000_000_000_000,
        |c| c.forwarding.total_rate = 1_000_000_000_001,
    ),
];

const ROUTING: &[Case] = &[
    ("routing.transit", "must be at most 64 peers", |c| transit(c, 64), |c| transit(c, 65)),
    (
        "routing.transit",
        "must be empty without forwarding.policy",
        |c| transit(c, 1),
        |c| {
            transit(c, 1);
            c.forwarding.policy = ForwardingPolicy::Nobody;
        },
    ),
];

/// So many neighbours with which routes are exchanged.
fn transit(config: &mut Config, count: u8) {
    config.forwarding.policy = ForwardingPolicy::Anyone;
    config.routing.transit = (0..count).map(|n| crate::PeerId::claimed([n; 32])).collect();
}

const DISCOVERY: &[Case] = &[
    (
        "discovery.announce",
        "shows our identity to everyone in the local network: it needs a network secret, or discovery.disclose",
        |c| (c.discovery.announce, c.network_secret) = (true, secret()),
        |c| c.discovery.announce = true,
    ),
    (
        "discovery.announce",
        "shows our identity to everyone in the local network: it needs a network secret, or discovery.disclose",
        |c| (c.discovery.announce, c.discovery.disclose) = (true, true),
        |c| (c.discovery.announce, c.discovery.listen) = (true, true),
    ),
];

const KEYS: &[Case] = &[
    (
        "keys.rekey_after_packets",
        "must be at least 16",
        |c| c.keys.rekey_after_packets = 16,
        |c| c.keys.rekey_after_packets = 15,
    ),
    (
        "keys.rekey_after_packets",
        "must be at most 2^27",
        |c| c.keys.rekey_after_packets = 1 << 27,
        |c| c.keys.rekey_after_packets = (1 << 27) + 1,
    ),
    (
        "keys.rekey_after",
        "must be at least 1 s",
        |c| c.keys.rekey_after = S,
        |c| c.keys.rekey_after = S - NS,
    ),
    (
        "keys.rekey_after_idle",
        "must be at least keys.rekey_after",
        |c| c.keys.rekey_after_idle = S * 120,
        |c| c.keys.rekey_after_idle = S * 120 - NS,
    ),
    (
        "keys.active_keys",
        "must be at least 1",
        |c| c.keys.active_keys = 1,
        |c| c.keys.active_keys = 0,
    ),
];

const SOURCES: &[Case] = &[
    (
        "budgets.sources",
        "must be 8 to 1,048,576",
        |c| c.budgets.sources = 8,
        |c| c.budgets.sources = 7,
    ),
    (
        "budgets.sources",
        "must be 8 to 1,048,576",
        |c| c.budgets.sources = 1 << 20,
        |c| c.budgets.sources = (1 << 20) + 1,
    ),
];

/// The fields of [`Budgets`] that are a [`Budget`].
type Place = fn(&mut Budgets) -> &mut Budget;

const BUDGETS: [(&str, Place); 8] = [
    ("budgets.unvalidated", |b| &mut b.unvalidated),
    ("budgets.unvalidated_per_source", |b| &mut b.unvalidated_per_source),
    ("budgets.validated", |b| &mut b.validated),
    ("budgets.validated_per_source", |b| &mut b.validated_per_source),
    ("budgets.at_peers", |b| &mut b.at_peers),
    ("budgets.retries", |b| &mut b.retries),
    ("budgets.retries_per_share", |b| &mut b.retries_per_share),
    ("budgets.unknown_session", |b| &mut b.unknown_session),
];

fn cases() -> impl Iterator<Item = &'static Case> {
    [OF_NO_GROUP, TIMERS, LIMITS, FLOW, FORWARDING, ROUTING, DISCOVERY, KEYS, SOURCES]
        .into_iter()
        .flatten()
}

fn secret() -> Option<NetworkSecret> {
    Some(NetworkSecret::new(one_bit()))
}

fn one_bit() -> [u8; 32] {
    let mut secret = [0; 32];
    secret[31] = 1;
    secret
}

fn of_message(max_message: u32) -> Flow {
    Flow {
        max_message,
        send_buffer: max_message as usize,
        receive_window: max_message + 64,
        unreliable_buffer: max_message as usize,
        ..Flow::default()
    }
}

/// A size that only machines of 64 bits can tell.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes).expect("tests run on machines of 64 bits")
}

/// The defaults with a change.
fn changed(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config::default();
    change(&mut config);
    config
}

#[test]
fn the_defaults_are_valid() {
    Config::default().validate().expect("valid");
}

#[test]
fn each_rule_accepts_its_edge_and_refuses_what_is_just_beyond() {
    for (field, rule, at_edge, beyond) in cases() {
        let accepted = changed(at_edge).validate();
        assert!(accepted.is_ok(), "{field} {rule}: {accepted:?}");
        let error = changed(beyond).validate().expect_err(field);
        assert_eq!((error.field(), format!("{error}")), (*field, format!("{field} {rule}")));
    }
}

#[test]
fn each_budget_has_its_edges() {
    let accepted = [Budget::new(1, 1), Budget::new(100_000, 1_000_000)];
    let refused =
        [Budget::new(0, 1), Budget::new(1, 0), Budget::new(100_001, 1), Budget::new(1, 1_000_001)];
    for (field, place) in BUDGETS {
        let with = |budget| changed(|config| *place(&mut config.budgets) = budget).validate();
        assert!(accepted.into_iter().all(|budget| with(budget).is_ok()), "{field}");
        for budget in refused {
            let error = with(budget).expect_err(field);
            assert_eq!(error.field(), field);
            assert_eq!(error.rule(), "must be 1 to 100,000 per second and 1 to 1,000,000 at once");
        }
    }
}

#[test]
fn the_tables_above_have_every_rule() {
    let budget = BUDGETS.map(|(field, _)| {
        format!("{field} must be 1 to 100,000 per second and 1 to 1,000,000 at once")
    });
    let tested = cases().map(|(field, rule, ..)| format!("{field} {rule}")).chain(budget);
    let config = Config::default();
    let rules = config.rules().map(|rule| format!("{}", rule.error()));
    assert_eq!(rules.collect::<BTreeSet<_>>(), tested.collect());
}

#[test]
fn what_was_checked_can_be_read_changed_and_checked_again() {
    let valid = ValidConfig::try_from(changed(|c| c.limits.max_peers = 7)).expect("valid");
    assert_eq!(valid.limits.max_peers, 7);
    let mut config = valid.into_inner();
    config.limits.max_peers = 0;
    let error = ValidConfig::try_from(config).expect_err("no peers");
    assert_eq!((error.field(), error.other()), ("limits.max_peers", None));
}
