use super::file::{Mistake, parse};
use super::*;

fn mistake(text: &str) -> (usize, String) {
    let Mistake { line, what } = parse(text).expect_err("a mistake");
    (line, what)
}

#[test]
fn all_keys_are_read() {
    let text = r#"
        runtime = "mio"
        listen = ["127.0.0.1:1", "[::1]:2"]
        shards = 1
        identity = "a"
        network-secret-file = "b"
        allow = "c"
        status-socket = "none"
        echo = true
        idle-timeout = "2m"
        heartbeat = "500ms"
        stats-interval = "0s"
        busy-poll = "50us"
        log-format = "json"
        max-peers = 10
        max-peers-per-source = 5
        max-half-open = 20
        max-half-open-per-source = 3
        max-memory = "64MiB"
        max-message = "1MiB"
        send-buffer = "2 MiB"
        receive-window = 3145728
        unreliable-buffer = "4MiB"
        budget-unvalidated = "1/2"
        budget-unvalidated-per-source = "3/4"
        budget-validated = "5/6"
        budget-validated-per-source = "7/8"
        budget-at-peers = 9
        budget-retries = "10/11"
        max-streams = 12
        active-keys = 13
        budget-retries-per-share = "14/15"
        budget-unknown-session = "16/17"
        budget-sources = 18
        server = ["127.0.0.1:9"]
        relay = true
        relay-rate = "80kbit"
        relay-peer-rate = "1Mbit"
        relay-total = "2Gbit"
        transit = "t"
        probe-ports = [7, 9]
        stun = true
        discover = true
        disclose = true
        map-port = "192.168.1.1"
        advertise = ["192.0.2.1:7", "[2001:db8::1]:9"]
    "#;
    let mut layer = parse(text).expect("understood");
    assert_eq!((layer.runtime, layer.shards), (Some(RuntimeKind::Mio), Some(1)));
    // The one of the file may not be built in.
    let runtime = RuntimeKind::default();
    layer.runtime = Some(runtime);
    let lines = text.lines().filter(|line| line.contains('=')).count();
    assert_eq!(lines, keys().len(), "a key is missing in this test");
    let settings = Settings::resolve(layer).expect("resolved");
    assert_eq!(settings.runtime, runtime);
    assert_eq!(settings.idle_timeout, Duration::from_secs(120));
    assert_eq!(settings.heartbeat, Duration::from_millis(500));
    assert_eq!(settings.stats_interval, None);
    assert_eq!(settings.busy_poll, Duration::from_micros(50));
    let listen = "192.0.2.1:5".parse().expect("an address");
    let ports = |settings: &Settings| {
        settings.probe_addresses(&[listen]).iter().map(SocketAddr::port).collect::<Vec<_>>()
    };
    assert_eq!(ports(&settings), [7, 9]);
    let usual = Settings { probe_ports: None, ..settings.clone() };
    assert_eq!(ports(&usual), [6, 7]);
    assert_eq!(ports(&Settings { shards: 2, ..usual.clone() }), [0; 0]);
    // What the system chose has neighbours that belong to others.
    let anywhere = Settings { listen: Listen::all(0), ..usual };
    assert_eq!(ports(&anywhere), [0_u16; 0]);
    let asked = Settings { probe_ports: Some(vec![7, 9]), ..anywhere };
    assert_eq!(ports(&asked), [7, 9]);
    assert_eq!(settings.map_port, MapPort::Of("192.168.1.1:5351".parse().expect("an address")));
    let told = ["192.0.2.1:7", "[2001:db8::1]:9"].map(|at| at.parse().expect("an address"));
    assert_eq!(settings.advertise, told);
    let unquoted = Settings::resolve(parse("map-port = true").expect("understood"));
    assert_eq!(unquoted.expect("resolved").map_port, MapPort::Yes);
    assert_eq!(settings.log_format, LogFormat::Json);
    assert!(settings.echo);
    assert_eq!(settings.status_socket, Some("none".into()));
    let Limits { max_peers, max_half_open_per_source, max_memory, .. } = settings.limits;
    assert_eq!((max_peers, max_half_open_per_source, max_memory), (10, 3, 64 << 20));
    let Flow { max_message, send_buffer, receive_window, max_streams, .. } = settings.flow;
    assert_eq!((max_message, send_buffer, receive_window), (1 << 20, 2 << 20, 3 << 20));
    assert_eq!((max_streams, settings.keys.active_keys), (12, 13));
    let Budgets { unvalidated, at_peers, retries_per_share, unknown_session, sources, .. } =
        settings.budgets;
    assert_eq!((unvalidated, at_peers), (Budget::new(1, 2), Budget::new(9, 9)));
    assert_eq!((retries_per_share, unknown_session), (Budget::new(14, 15), Budget::new(16, 17)));
    assert_eq!(sources, 18);
    let Forwarding { policy, pair_rate, peer_rate, total_rate, .. } = settings.forwarding.clone();
    assert_eq!(policy, ForwardingPolicy::Anyone);
    assert_eq!((pair_rate, peer_rate, total_rate), (10_000, 125_000, 250_000_000));
    settings.endpoint_config(&Access::default()).expect("they fit together");
}

#[test]
fn a_server_looks_for_direct_ways_if_a_router_forwards_a_port_to_it() {
    for (text, looks) in [
        ("", false),
        ("map-port = true", true),
        ("map-port = false", false),
        ("advertise = [\"192.0.2.1:7\"]", true),
        ("map-port = false\nadvertise = [\"192.0.2.1:7\"]", true),
    ] {
        let layer = parse(&format!("identity = \"k\"\n{text}")).expect("understood");
        let settings = Settings::resolve(layer).expect("resolved");
        let punching = settings.endpoint_config(&Access::default()).expect("valid").punching;
        assert_eq!(punching.enabled, looks, "{text}");
        assert_eq!(punching.advertise, settings.advertise, "{text}");
        assert_eq!(punching.advertise.is_empty(), !text.contains("advertise"), "{text}");
    }
    let (line, what) = mistake("identity = \"k\"\nadvertise = [\"nat.example:7\"]");
    assert_eq!(line, 2, "{what}");
}

#[test]
fn stun_is_answered_unless_the_network_is_private_or_the_operator_says_otherwise() {
    for (text, answers) in [
        ("", true),
        ("stun = false", false),
        ("allow = \"a\"", true),
        ("network-secret-file = \"s\"", false),
        ("network-secret-file = \"s\"\nstun = true", true),
    ] {
        let layer = parse(&format!("identity = \"k\"\n{text}")).expect("understood");
        assert_eq!(Settings::resolve(layer).expect("resolved").stun, answers, "{text}");
    }
}

#[test]
fn whoever_may_come_in_is_passed_on_unless_that_is_everybody() {
    let policy = |text: &str| {
        let layer = parse(&format!("identity = \"k\"\n{text}")).expect("understood");
        Settings::resolve(layer).expect("resolved").forwarding
    };
    for (text, relays) in [
        ("", false),
        ("relay = true", true),
        ("allow = \"a\"", true),
        ("network-secret-file = \"s\"", true),
        ("allow = \"a\"\nrelay = false", false),
    ] {
        assert_eq!(policy(text).policy == ForwardingPolicy::Anyone, relays, "{text}");
    }
    let rates = policy("relay-rate = \"1Gbit\"");
    assert_eq!((rates.peer_rate, rates.total_rate), (125_000_000, 125_000_000), "it is reached");
}

#[test]
fn a_size_that_the_protocol_cannot_express_is_refused_and_never_cut_off() {
    let layer = |text: &str| {
        let layer = parse(&format!("identity = \"k\"\n{text}")).expect("understood");
        let settings = Settings::resolve(layer)?;
        settings.endpoint_config(&Access::default())
    };
    for (text, words) in [
        ("max-message = \"4GiB\"", ["--max-message", "4 GiB"]),
        ("max-message = \"2GiB\"", ["--max-message", "1 GiB"]),
        ("receive-window = \"1TiB\"", ["receive-window", "GiB"]),
        ("receive-window = \"5GiB\"", ["--receive-window", "4 GiB"]),
        ("receive-window = 1000", ["--receive-window", "at least 1,024"]),
        ("max-message = \"100MiB\"", ["--send-buffer", "--max-message"]),
        ("send-buffer = \"2048GiB\"", ["--send-buffer", "1 TiB"]),
        ("max-peers = 0", ["--max-peers", "at least 1"]),
        ("discover = true", ["--discover shows", "or --disclose"]),
        ("max-memory = 1000", ["--max-memory", "at least 1 MiB"]),
        ("budget-retries = \"0/1\"", ["--budget-retries", "per second"]),
        ("budget-unknown-session = 0", ["--budget-unknown-session", "per second"]),
        ("budget-sources = 7", ["--budget-sources", "8 to 1,048,576"]),
        ("max-streams = 0", ["--max-streams", "at least 1"]),
        ("active-keys = 0", ["--active-keys", "at least 1"]),
    ] {
        if text.contains("TiB") {
            assert!(mistake(text).1.contains("GiB"), "{text}");
            continue;
        }
        let error = layer(text).expect_err(text);
        assert_eq!(error.exit_code(), 2);
        let error = error.to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_key() {
    let (line, what) = mistake("echo = true\n\n# comment\nidle_timeout = \"60s\"\n");
    assert_eq!(
        (line, what.as_str()),
        (4, "unknown key `idle_timeout`: did you mean `idle-timeout`?")
    );
    let (line, what) = mistake("ehco = true");
    assert_eq!((line, what.as_str()), (1, "unknown key `ehco`: did you mean `echo`?"));
    let (_, what) = mistake("Listen = []");
    assert!(what.contains("`listen`?"), "{what}");
}

#[test]
fn of_several_unknown_keys_the_first_is_named() {
    assert_eq!(mistake("zebra = 1\naardvark = 2\n").0, 1);
}

#[test]
fn a_key_that_resembles_none_gets_the_whole_list() {
    let (_, what) = mistake("colour = \"blue\"");
    assert!(what.contains("stats-interval"), "{what}");
    let (line, what) = mistake("echo = true\n[server]\nruntime = \"mio\"\n");
    assert_eq!(line, 2, "{what}");
}

#[test]
fn a_bad_value_is_named_with_its_line() {
    let (line, what) = mistake("echo = true\nidle-timeout = \"soon\"\n");
    assert!(line == 2 && what.contains("60s"), "{line}: {what}");
    let (line, what) = mistake("echo = true\nlisten = [\"4263\"]\n");
    assert!(line == 2 && what.contains("IP:PORT"), "{line}: {what}");
    let (line, what) = mistake("runtime = \"smol\"\n");
    assert!(line == 1 && what.contains("tokio"), "{line}: {what}");
    let (line, _) = mistake("echo = true\necho = \n");
    assert_eq!(line, 2);
}

#[test]
fn a_busy_poll_without_end_is_refused() {
    let resolve = |text: &str| Settings::resolve(parse(text).expect("understood"));
    let longest = resolve("identity = \"k\"\nbusy-poll = \"1s\"").expect("resolved");
    assert_eq!(longest.busy_poll, Duration::from_secs(1));
    let none = resolve("identity = \"k\"").expect("resolved");
    assert_eq!(none.busy_poll, Duration::ZERO);
    let error = resolve("identity = \"k\"\nbusy-poll = \"1001ms\"").expect_err("refused");
    assert_eq!(
        (error.exit_code(), error.to_string().as_str()),
        (2, "--busy-poll must be at most 1s")
    );
    let (line, what) = mistake("busy-poll = 50");
    assert!(line == 1 && what.contains("500ms"), "{line}: {what}");
}

#[test]
fn a_path_of_windows_is_taken_as_written_or_refused_with_advice() {
    let layer = parse(r"identity = 'C:\temp\new.key'").expect("understood");
    assert_eq!(layer.identity, Some(r"C:\temp\new.key".into()));
    for text in [r#"identity = "C:\temp\new.key""#, r#"allow = "C:\keys\peers""#] {
        let (line, what) = mistake(&format!("echo = true\n{text}"));
        assert!(line == 2 && what.contains("'single quotes'"), "{line}: {what}");
    }
}

#[test]
fn the_upper_layer_wins_key_by_key() {
    let upper = Layer { echo: Some(false), runtime: Some(RuntimeKind::Mio), ..Layer::default() };
    let lower = Layer { echo: Some(true), allow: Some("a".into()), ..Layer::default() };
    let merged = upper.or(lower);
    assert_eq!(merged.echo, Some(false));
    assert_eq!(merged.runtime, Some(RuntimeKind::Mio));
    assert_eq!(merged.allow, Some("a".into()));
}

#[test]
fn a_runtime_that_is_not_built_in_is_refused_with_one_that_is() {
    for runtime in [RuntimeKind::Tokio, RuntimeKind::Mio] {
        let identity = Some(PathBuf::from("k"));
        let layer = Layer { runtime: Some(runtime), identity, ..Layer::default() };
        let resolved = Settings::resolve(layer);
        if runtime.is_built_in() {
            assert_eq!(resolved.expect("resolved").runtime, runtime);
            continue;
        }
        let error = resolved.expect_err("refused");
        assert_eq!(error.exit_code(), 2);
        let advice = format!("--runtime {}", RuntimeKind::default().name());
        let text = error.to_string();
        assert!(text.contains(&advice) && text.contains("the feature `"), "{text}");
    }
}

#[test]
fn a_short_idle_timeout_brings_the_heartbeat_down_with_it() {
    let span = |seconds| Some(Span(Duration::from_secs(seconds)));
    let identity = Some(PathBuf::from("k"));
    let layer = Layer { idle_timeout: span(9), identity, ..Layer::default() };
    let settings = Settings::resolve(layer.clone()).expect("resolved");
    assert_eq!(settings.heartbeat, Duration::from_secs(3));
    settings.endpoint_config(&Access::default()).expect("valid");
    let layer = Layer { heartbeat: span(10), ..layer };
    let settings = Settings::resolve(layer).expect("resolved");
    let error = settings.endpoint_config(&Access::default()).expect_err("odd");
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("idle-timeout"), "{error}");
}

#[test]
fn what_does_not_go_with_several_shards_is_refused_by_the_name_of_its_flag() {
    let layer = |change: &dyn Fn(&mut Layer)| {
        let mut layer = Layer { shards: Some(2), identity: Some("k".into()), ..Layer::default() };
        change(&mut layer);
        Settings::resolve(layer).map(|settings| settings.shards).map_err(|error| error.to_string())
    };
    assert_eq!(layer(&|_| {}), Ok(2));
    assert_eq!(layer(&|layer| layer.shards = None), Ok(1));
    assert_eq!(layer(&|layer| layer.shards = Some(256)), Ok(256));
    #[cfg(feature = "mio")]
    assert_eq!(layer(&|layer| layer.runtime = Some(RuntimeKind::Mio)), Ok(2));
    for (change, flag) in [
        (&(|layer: &mut Layer| layer.shards = Some(0)) as &dyn Fn(&mut Layer), "1 to 256"),
        (&|layer| layer.shards = Some(257), "1 to 256"),
        (&|layer| layer.transit = Some("t".into()), "--transit"),
        (&|layer| layer.probe_ports = Some(vec![1, 2]), "--probe-ports"),
    ] {
        let refused = layer(change).expect_err(flag);
        assert!(refused.contains("--shards") && refused.contains(flag), "{refused}");
    }
    assert_eq!(layer(&|layer| layer.allow = Some("a".into())), Ok(2));
    assert_eq!(layer(&|layer| layer.relay = Some(true)), Ok(2));
}

/// What the help calls a default leads to the same settings when it is said.
#[test]
fn the_defaults_of_the_help_are_those_that_are_taken() {
    let settings = |text: &str| {
        let identity = Some(PathBuf::from("k"));
        let layer = Layer { identity, ..parse(text).expect("understood") };
        format!("{:?}", Settings::resolve(layer).expect("resolved"))
    };
    let command = <Layer as clap::Args>::augment_args(clap::Command::new("layer"));
    let mut compared = 0;
    for argument in command.get_arguments() {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let default = help.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']'));
        // Others are described, not named.
        let Some((value, _)) = default.filter(|(value, _)| !value.contains([' ', ','])) else {
            continue;
        };
        if matches!(argument.get_id().as_str(), "allow" | "listen") {
            continue;
        }
        let key = argument.get_long().expect("a long name");
        let value = value.parse::<u64>().map_or_else(|_| format!("{value:?}"), |n| n.to_string());
        assert_eq!(settings(&format!("{key} = {value}")), settings(""), "{key}");
        compared += 1;
    }
    assert!(compared > 20, "{compared}");
}
