use super::*;

fn node(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 0, last], 4_000 + u16::from(last)))
}

/// Host and port are digits: `remote(1, 2)` is another port of `remote(1, 1)`.
fn remote(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, host], 7_000 + port))
}

fn nat(kind: NatKind) -> Nat {
    Nat::new(kind, IpAddr::from([198, 51, 100, 1]), 7)
}

const ALL: [Dependence; 3] = [
    Dependence::EndpointIndependent,
    Dependence::AddressDependent,
    Dependence::AddressAndPortDependent,
];
const SECOND: Duration = Duration::from_secs(1);
const MICRO: Duration = Duration::from_micros(1);

#[test]
fn a_mapping_is_kept_for_exactly_the_remotes_that_rfc_4787_says() {
    use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    for (mapping, same_towards_port, same_towards_host) in [
        (EndpointIndependent, true, true),
        (AddressDependent, true, false),
        (AddressAndPortDependent, false, false),
    ] {
        for ports in [Ports::Preserving, Ports::Sequential, Ports::Random] {
            let mut nat = nat(NatKind { mapping, ports, ..NatKind::friendly() });
            let mut seen = |to| nat.outbound(SECOND, node(1), to).expect("a port");
            let first = seen(remote(1, 1));
            assert_eq!(seen(remote(1, 1)), first, "{mapping:?}: it stays");
            assert_eq!(seen(remote(1, 2)) == first, same_towards_port, "{mapping:?} {ports:?}");
            assert_eq!(seen(remote(2, 1)) == first, same_towards_host, "{mapping:?} {ports:?}");
        }
    }
}

#[test]
fn the_filter_lets_in_exactly_those_that_rfc_4787_says() {
    use Dependence::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    for mapping in ALL {
        for (filtering, other_port, other_host) in [
            (EndpointIndependent, true, true),
            (AddressDependent, true, false),
            (AddressAndPortDependent, false, false),
        ] {
            let mut nat = nat(NatKind { mapping, filtering, ..NatKind::friendly() });
            let port = nat.outbound(SECOND, node(1), remote(1, 1)).expect("a port").port();
            let mut enters = |from| nat.inbound(SECOND, port, from) == Some(node(1));
            assert!(enters(remote(1, 1)), "who was called may answer");
            assert_eq!(enters(remote(1, 2)), other_port, "{mapping:?} {filtering:?}");
            assert_eq!(enters(remote(2, 1)), other_host, "{mapping:?} {filtering:?}");
            assert_eq!(nat.inbound(SECOND, port ^ 1, remote(1, 1)), None, "nobody is there");
        }
    }
}

#[test]
fn a_mapping_lives_for_its_timeout_and_not_a_microsecond_longer() {
    for inbound_refreshes in [false, true] {
        let timeout = SECOND * 30;
        let kind = NatKind { timeout, inbound_refreshes, ..NatKind::symmetric() };
        let open = |nat: &mut Nat| nat.outbound(SECOND, node(1), remote(1, 1)).expect("a port");
        let last = SECOND + timeout;

        let mut one = nat(kind);
        let seen = open(&mut one);
        assert_eq!(one.external(last, node(1), remote(1, 1)), Some(seen));
        assert_eq!(one.external(last + MICRO, node(1), remote(1, 1)), None);
        assert_eq!(one.inbound(last, seen.port(), remote(1, 1)), Some(node(1)));
        let after_answer = one.inbound(last + MICRO, seen.port(), remote(1, 1));
        assert_eq!(after_answer.is_some(), inbound_refreshes, "an answer refreshes or does not");

        let mut one = nat(kind);
        let seen = open(&mut one);
        assert_eq!(one.inbound(last + MICRO, seen.port(), remote(1, 1)), None);
        assert_eq!(one.counts().expired, 1);

        let mut one = nat(kind);
        let seen = open(&mut one);
        assert_eq!(one.outbound(last, node(1), remote(1, 1)), Some(seen), "refreshed");
        assert_eq!(one.inbound(last + timeout, seen.port(), remote(1, 1)), Some(node(1)));

        let mut one = nat(kind);
        let seen = open(&mut one);
        let again = one.outbound(last + MICRO, node(1), remote(1, 1)).expect("a port");
        assert_ne!(again, seen, "a new mapping, a new random port");
        assert_eq!(one.inbound(last + MICRO, seen.port(), remote(1, 1)), None);
    }
}

#[test]
fn ports_are_preserved_counted_up_or_drawn() {
    let ports_of = |ports| {
        let mut nat = nat(NatKind { ports, ..NatKind::symmetric() });
        let mut seen = |to| nat.outbound(SECOND, node(1), to).expect("a port").port();
        [seen(remote(1, 1)), seen(remote(2, 1)), seen(remote(3, 1))]
    };
    assert_eq!(ports_of(Ports::Preserving), [4_001, 4_002, 4_003], "its own, then the next free");
    assert_eq!(ports_of(Ports::Sequential), [1_024, 1_025, 1_026]);
    let [a, b, c] = ports_of(Ports::Random);
    assert!(a.abs_diff(b) > 1 && b.abs_diff(c) > 1, "{a} {b} {c}");
}

#[test]
fn a_reboot_forgets_everyone_and_forgetting_a_node_forgets_only_it() {
    let mut nat = nat(NatKind { ports: Ports::Sequential, ..NatKind::friendly() });
    let mut ports = [1, 2].map(|n| nat.outbound(SECOND, node(n), remote(1, 1)).expect("a port"));
    nat.forget(node(1));
    assert_eq!(nat.inbound(SECOND, ports[0].port(), remote(1, 1)), None);
    assert_eq!(nat.inbound(SECOND, ports[1].port(), remote(1, 1)), Some(node(2)));
    nat.reboot();
    assert_eq!(nat.inbound(SECOND, ports[1].port(), remote(1, 1)), None);
    // The other is first this time.
    for n in [2, 1] {
        let port = &mut ports[usize::from(n) - 1];
        let again = nat.outbound(SECOND, node(n), remote(1, 1)).expect("a port");
        assert_ne!(again, std::mem::replace(port, again), "seen at another port");
    }
}

#[test]
fn when_all_ports_are_taken_nothing_leaves_until_one_expires() {
    let mut nat = nat(NatKind { timeout: SECOND, ..NatKind::symmetric() });
    let hosts = |n: u32| SocketAddr::from(((0x0a00_0000 + n).to_be_bytes(), 9));
    let room = 65_536 - u32::from(ports::FIRST);
    for n in 0..room {
        assert!(nat.outbound(SECOND, node(1), hosts(n)).is_some(), "{n}");
    }
    assert_eq!(nat.outbound(SECOND * 2, node(1), hosts(room)), None);
    assert!(nat.outbound(SECOND * 2 + MICRO, node(1), hosts(room)).is_some());
}

/// Random traffic against a plain list of who sent what when.
#[test]
fn no_port_serves_two_nodes_at_once_and_nobody_enters_uninvited() {
    let mut seeds = Rng::from_seed(11);
    for round in 0..300 {
        let timeout = Duration::from_millis(seeds.range(1..=400));
        let kind = NatKind {
            mapping: seeds.pick(&ALL),
            filtering: seeds.pick(&ALL),
            ports: seeds.pick(&[Ports::Preserving, Ports::Sequential, Ports::Random]),
            timeout,
            inbound_refreshes: seeds.index(2) == 0,
            hairpinning: false,
            remembers_strangers: false,
        };
        let (mut one, mut model) = (nat(kind), Model::default());
        let mut now = Duration::ZERO;
        for _ in 0..400 {
            now += Duration::from_millis(seeds.range(0..=60));
            // Few nodes of which two want the same port, few remotes of which two are one host.
            let host = seeds.range(1..=3) as u8;
            let inside = SocketAddr::from(([192, 168, 0, host], 4_000 + u16::from(host / 2)));
            let outside = remote(seeds.range(1..=2) as u8, seeds.range(1..=2) as u16);
            if seeds.index(2) == 0 {
                let seen = one.outbound(now, inside, outside).expect("a port");
                model.sent(kind, now, inside, outside, seen.port(), round);
            } else if let Some(port) = model.some_port(&mut seeds) {
                let entered = one.inbound(now, port, outside);
                model.arrived(kind, now, port, outside, entered, round);
            }
        }
    }
}

/// For each port the node that has it, when it was last used, and towards whom.
#[derive(Default)]
struct Model(BTreeMap<u16, (SocketAddr, Duration, Vec<SocketAddr>)>);

impl Model {
    fn sent(
        &mut self,
        kind: NatKind,
        now: Duration,
        inside: SocketAddr,
        outside: SocketAddr,
        port: u16,
        round: u32,
    ) {
        let entry = self.0.entry(port).or_insert((inside, now, Vec::new()));
        let live = now <= entry.1 + kind.timeout;
        if !live {
            *entry = (inside, now, Vec::new());
        }
        assert_eq!(entry.0, inside, "round {round}: port {port} serves two nodes");
        let fits = |other: &SocketAddr| {
            Scope::of(kind.mapping, *other) == Scope::of(kind.mapping, outside)
        };
        assert!(entry.2.iter().all(fits), "round {round}: port {port} serves two mappings");
        entry.1 = now;
        entry.2.push(outside);
    }

    fn some_port(&self, rng: &mut Rng) -> Option<u16> {
        let ports: Vec<u16> = self.0.keys().copied().collect();
        (!ports.is_empty()).then(|| rng.pick(&ports))
    }

    fn arrived(
        &mut self,
        kind: NatKind,
        now: Duration,
        port: u16,
        from: SocketAddr,
        entered: Option<SocketAddr>,
        round: u32,
    ) {
        let Some(entry) = self.0.get_mut(&port) else { return };
        let invited = entry.2.iter().any(|to| match kind.filtering {
            Dependence::EndpointIndependent => true,
            Dependence::AddressDependent => to.ip() == from.ip(),
            Dependence::AddressAndPortDependent => *to == from,
        });
        let allowed = invited && now <= entry.1 + kind.timeout;
        assert_eq!(entered, allowed.then_some(entry.0), "round {round}: port {port} from {from}");
        if allowed && kind.inbound_refreshes {
            entry.1 = now;
        }
    }
}

/// Two NATs that let in only who was sent to, and take what strangers send for their own.
struct TwoPoisoned {
    nats: [Nat; 2],
    /// Where each is seen by everybody.
    seen: [SocketAddr; 2],
}

impl TwoPoisoned {
    fn new() -> Self {
        let kind = NatKind {
            filtering: Dependence::AddressAndPortDependent,
            remembers_strangers: true,
            ..NatKind::friendly()
        };
        let mut nats = [7, 8].map(|n| Nat::new(kind, [198, 51, 100, n].into(), 1));
        let seen = [0, 1]
            .map(|at: usize| nats[at].outbound(SECOND, node(1), remote(9, 9)).expect("a port"));
        Self { nats, seen }
    }

    /// One sends to where the other is seen. With `few_hops` it gets no further than the own NAT; otherwise, whether
    /// it comes in.
    fn send(&mut self, now: Duration, from: usize, few_hops: bool) -> bool {
        let to = self.seen[1 - from];
        let source = self.nats[from].outbound(now, node(1), to).expect("a port");
        !few_hops && self.nats[1 - from].inbound(now, to.port(), source).is_some()
    }
}

#[test]
fn two_nats_that_remember_strangers_open_only_if_nothing_arrives_before_both_have_sent() {
    // Whoever comes first is a stranger at the other, and the answer leaves from another port.
    let mut naive = TwoPoisoned::new();
    for n in 0..60 {
        let now = SECOND * (2 + n);
        assert!(!naive.send(now, 0, false) && !naive.send(now, 1, false), "{now:?}");
    }
    // What both have sent with few hops has opened both, and arrived nowhere.
    let mut gated = TwoPoisoned::new();
    gated.send(SECOND * 2, 0, true);
    gated.send(SECOND * 3, 1, true);
    assert!(gated.send(SECOND * 4, 0, false) && gated.send(SECOND * 4, 1, false));
}

#[test]
fn a_stranger_is_forgotten_after_its_silence_and_a_spoilt_mapping_after_its_own() {
    let mut pair = TwoPoisoned::new();
    assert!(!pair.send(SECOND * 2, 0, false));
    assert!(!pair.send(SECOND * 3, 1, false), "from another port");
    // Half a minute later both are strangers to nobody, but the second still uses the other port.
    let mut later = SECOND * 3 + STRANGER + MICRO;
    pair.send(later, 0, true);
    assert!(!pair.send(later, 1, false));
    later += pair.nats[1].kind().timeout + STRANGER + SECOND;
    pair.send(later, 0, true);
    assert!(pair.send(later, 1, false));
}

#[test]
fn after_a_reboot_who_went_on_sending_is_answered_from_another_port_and_everybody_else_is_not() {
    let kind = NatKind {
        filtering: Dependence::AddressAndPortDependent,
        remembers_strangers: true,
        ..NatKind::friendly()
    };
    for ports in [Ports::Preserving, Ports::Sequential, Ports::Random] {
        let mut nat = nat(NatKind { ports, ..kind });
        let (peer, relay) = (remote(1, 1), remote(2, 2));
        let before = nat.outbound(SECOND, node(1), peer).expect("a port");
        nat.reboot();
        // A stranger by now, at the port that it knows.
        assert_eq!(nat.inbound(SECOND, before.port(), peer), None);
        let answer = nat.outbound(SECOND, node(1), peer).expect("a port");
        assert_ne!(answer, before, "{ports:?}: it took what came for its own");
        assert_eq!(nat.inbound(SECOND, before.port(), peer), None, "{ports:?}");
        assert_eq!(nat.inbound(SECOND, answer.port(), peer), Some(node(1)), "{ports:?}");
        let usual = nat.outbound(SECOND, node(1), relay).expect("a port");
        if ports == Ports::Preserving {
            assert_eq!((usual, before.port()), (before, node(1).port()), "{ports:?}");
        }
    }
}

#[test]
fn after_a_reboot_ports_in_a_row_begin_where_they_began() {
    let mut nat = nat(NatKind { ports: Ports::Sequential, ..NatKind::symmetric() });
    let mut three = || {
        let ports = (1..4).map(|n| nat.outbound(SECOND, node(1), remote(n, 1)).expect("a port"));
        let ports: Vec<_> = ports.collect();
        nat.reboot();
        ports
    };
    let before = three();
    assert_eq!(three(), before);
}
