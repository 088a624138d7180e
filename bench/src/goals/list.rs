//! The goals, in the order of the table.

use super::{Goal, Target};

/// All of them. Default configuration throughout.
pub(crate) const GOALS: &[Goal] = &[
    core("core: 64-KiB messages", "bulk", QUINN_PROTO, Target::Peers(1.0 / 0.55)),
    core(
        "core: 64-byte reliable messages, one a packet",
        "small_reliable",
        QUINN_PROTO,
        ONE_A_PACKET,
    ),
    core(
        "core: 64-byte reliable messages, 32 a turn",
        "small_reliable_32",
        QUINN_PROTO,
        MANY_A_TURN,
    ),
    core(
        "core: 64-byte unreliable messages, one a packet",
        "small_unreliable",
        DATAGRAM,
        ONE_A_PACKET,
    ),
    core(
        "core: 64-byte unreliable messages, 32 a turn",
        "small_unreliable_32",
        DATAGRAM,
        MANY_A_TURN,
    ),
    bulk("bulk beside quinn", &["quinn"], Target::Peers(2.0)),
    bulk("bulk beside s2n-quic", &["s2n-quic"], Target::Peers(1.8)),
    bulk_cpu("CPU time of bulk beside quinn", &["quinn"], Target::Peers(1.0 / 0.50)),
    bulk_cpu("CPU time of bulk beside s2n-quic", &["s2n-quic"], Target::Peers(1.0 / 0.55)),
    messages("64-byte reliable messages", "reliable", RELIABLE, Target::Peers(2.5)),
    messages("64-byte unreliable messages", "unreliable", UNRELIABLE, Target::Peers(1.3)),
    echo("echo of 64 bytes, median", "p50", "p50_ratio", Target::Limit(1.10)),
    echo("echo of 64 bytes, 99th percentile", "p99", "p99_ratio", Target::Peers(1.0)),
    fairness("another task's delay, 99th percentile, one thread", "CurrentThread"),
    fairness("another task's delay, 99th percentile, two threads", "MultiThread"),
    handshakes("handshakes", "rate", "rate_ratio", true, &["s2n-quic"], Target::Peers(1.5)),
    handshakes(
        "CPU time of the server for a handshake",
        "server_cpu",
        "server_cpu_ratio",
        false,
        &["quinn"],
        Target::Peers(1.0 / 1.05),
    ),
    Goal {
        what: "memory of a silent peer in a server",
        bench: "idle",
        // The largest crowd of which all are capable.
        case: "",
        metric: "memory",
        ratio: "",
        more: false,
        ours: BOTH,
        peers: &["quinn", "rusty_enet (no encryption)"],
        limits: &[],
        target: Target::Figure(1024.0),
    },
    Goal {
        what: "memory of each of 100,000 silent peers",
        bench: "idle",
        case: "100000 peers",
        metric: "memory",
        ratio: "",
        more: false,
        ours: BOTH,
        peers: &[],
        limits: &[],
        target: Target::Figure(1024.0),
    },
    Goal {
        what: "heartbeats of 100,000 silent peers on sockets",
        bench: "idle",
        case: "100000 peers",
        metric: "upkeep",
        ratio: "",
        more: false,
        ours: BOTH,
        peers: &[],
        limits: &[],
        target: Target::Figure(0.10),
    },
    scale("heartbeats and new keys of 100,000 silent peers in the core", "", "upkeep", 0.10),
    scale(
        "a packet of one of 10,000 that talk, by one of 1,000",
        "10000 peers",
        "all_talk_ratio",
        1.05,
    ),
    scale(
        "a packet beside 100,000 silent peers, by one alone",
        "100000 peers",
        "one_talks_ratio",
        1.05,
    ),
    loss("100 Mbit/s, 50 ms, 1 % lost each way", "100 Mbit/s, 1 % loss", Target::Figure(10.0)),
    loss("100 Mbit/s, 50 ms, 5 % lost each way", "100 Mbit/s, 5 % loss", Target::Figure(9.0)),
    loss("100 Mbit/s, 50 ms, 10 % lost each way", "100 Mbit/s, 10 % loss", Target::Figure(8.0)),
    loss(
        "200 Mbit/s, 2 % of packets 5 ms late",
        "200 Mbit/s, 2 % come 5 ms late",
        Target::Case("200 Mbit/s, no loss", 0.99),
    ),
];

const fn core(
    what: &'static str,
    case: &'static str,
    peers: &'static [&'static str],
    target: Target,
) -> Goal {
    Goal {
        what,
        bench: "core",
        case,
        metric: "time",
        ratio: "ratio",
        more: false,
        ours: &["handfast"],
        peers,
        limits: &[],
        target,
    }
}

const fn bulk(what: &'static str, peers: &'static [&'static str], target: Target) -> Goal {
    Goal {
        what,
        bench: "bulk",
        case: "bulk",
        metric: "throughput",
        ratio: "throughput_ratio",
        more: true,
        ours: BOTH,
        peers,
        limits: &["raw UDP, GSO and GRO"],
        target,
    }
}

const fn bulk_cpu(what: &'static str, peers: &'static [&'static str], target: Target) -> Goal {
    Goal { metric: "cpu", ratio: "cpu_ratio", more: false, ..bulk(what, peers, target) }
}

const fn messages(
    what: &'static str,
    case: &'static str,
    peers: &'static [&'static str],
    target: Target,
) -> Goal {
    Goal {
        what,
        bench: "messages",
        case,
        metric: "rate",
        ratio: "rate_ratio",
        more: true,
        ours: BOTH,
        peers,
        limits: &["raw UDP"],
        target,
    }
}

const fn echo(
    what: &'static str,
    metric: &'static str,
    ratio: &'static str,
    target: Target,
) -> Goal {
    Goal {
        what,
        bench: "echo",
        case: "echo",
        metric,
        ratio,
        more: false,
        ours: BOTH,
        peers: &["quinn", "rusty_enet (no encryption)"],
        limits: &["raw UDP, tokio", "raw UDP, mio"],
        target,
    }
}

const fn fairness(what: &'static str, case: &'static str) -> Goal {
    Goal {
        what,
        bench: "fairness",
        case,
        metric: "late_p99",
        ratio: "",
        more: false,
        ours: &["Handfast"],
        peers: &["Quinn"],
        limits: &[],
        target: Target::Figure(2.0),
    }
}

const fn handshakes(
    what: &'static str,
    metric: &'static str,
    ratio: &'static str,
    more: bool,
    peers: &'static [&'static str],
    target: Target,
) -> Goal {
    Goal {
        what,
        bench: "handshakes",
        case: "handshakes",
        metric,
        ratio,
        more,
        ours: TOKIO,
        peers,
        limits: &[],
        target,
    }
}

const fn scale(what: &'static str, case: &'static str, metric: &'static str, most: f64) -> Goal {
    Goal {
        what,
        bench: "scale",
        case,
        metric,
        ratio: "",
        more: false,
        ours: &["handfast"],
        peers: &[],
        limits: &[],
        target: Target::Figure(most),
    }
}

const fn loss(what: &'static str, case: &'static str, target: Target) -> Goal {
    Goal {
        what,
        bench: "loss",
        case,
        metric: "goodput",
        ratio: "",
        more: true,
        ours: BOTH,
        peers: &[
            "quinn",
            "quinn, BBR",
            "rusty_enet (no encryption)",
            "tokio_kcp turbo (no encryption)",
        ],
        limits: &[],
        target,
    }
}

const TOKIO: &[&str] = &["handfast, tokio"];
const BOTH: &[&str] = &["handfast, tokio", "handfast, mio"];
const QUINN_PROTO: &[&str] = &["quinn-proto"];
const DATAGRAM: &[&str] = &["quinn-proto, DATAGRAM"];
const RELIABLE: &[&str] =
    &["quinn", "quinn, a stream each", "rusty_enet (no encryption)", "renet, netcode"];
const UNRELIABLE: &[&str] = &["quinn", "rusty_enet (no encryption)", "renet, netcode"];
/// Of the time of the peer.
const ONE_A_PACKET: Target = Target::Peers(1.0 / 0.45);
const MANY_A_TURN: Target = Target::Peers(1.0 / 0.60);
