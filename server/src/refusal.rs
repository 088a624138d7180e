//! A rule of the core's configuration that the operator's choices break, in the operator's words.

use handfast_core::ConfigError;

/// What of the core's configuration the operator can choose: the core's name of the field, and that
/// of the flag, which is also the key of the file.
const FLAGS: [(&str, &str); 37] = [
    ("admission", "allow"),
    ("answer_stun", "stun"),
    ("budgets.at_peers", "budget-at-peers"),
    ("budgets.retries", "budget-retries"),
    ("budgets.retries_per_share", "budget-retries-per-share"),
    ("budgets.sources", "budget-sources"),
    ("budgets.unknown_session", "budget-unknown-session"),
    ("budgets.unvalidated", "budget-unvalidated"),
    ("budgets.unvalidated_per_source", "budget-unvalidated-per-source"),
    ("budgets.validated", "budget-validated"),
    ("budgets.validated_per_source", "budget-validated-per-source"),
    ("discovery.announce", "discover"),
    ("discovery.disclose", "disclose"),
    ("discovery.listen", "discover"),
    ("flow.max_message", "max-message"),
    ("flow.max_streams", "max-streams"),
    ("flow.receive_window", "receive-window"),
    ("flow.send_buffer", "send-buffer"),
    ("flow.unreliable_buffer", "unreliable-buffer"),
    ("forwarding.pair_rate", "relay-rate"),
    ("forwarding.peer_rate", "relay-peer-rate"),
    ("forwarding.policy", "relay"),
    ("forwarding.total_rate", "relay-total"),
    ("keys.active_keys", "active-keys"),
    ("limits.max_half_open", "max-half-open"),
    ("limits.max_half_open_per_source", "max-half-open-per-source"),
    ("limits.max_memory", "max-memory"),
    ("limits.max_peers", "max-peers"),
    ("limits.max_peers_per_source", "max-peers-per-source"),
    ("network_secret", "network-secret-file"),
    ("previous_network_secret", "network-secret-file"),
    ("punching.advertise", "advertise"),
    ("punching.enabled", "map-port"),
    ("routing.announce", "transit"),
    ("routing.transit", "transit"),
    ("timers.heartbeat", "heartbeat"),
    ("timers.idle_timeout", "idle-timeout"),
];

/// What to change, by the names of flags.
pub(crate) fn refusal(error: ConfigError) -> String {
    let words = [name(error.field()), error.rule().to_owned()];
    words.into_iter().chain(error.other().map(name)).collect::<Vec<_>>().join(" ")
}

/// The flag behind a field. Other fields have their defaults, which keep the rules.
fn name(field: &str) -> String {
    let flag = FLAGS.iter().find(|(of_core, _)| *of_core == field);
    flag.map_or_else(|| field.to_owned(), |(_, flag)| format!("--{flag}"))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use clap::{Args, FromArgMatches};
    use handfast_core::{Config, NetworkSecret};

    use super::*;
    use crate::access::Access;
    use crate::config::{Layer, Settings, keys};

    /// Settings that set all that can be set.
    fn settings(idle: Duration, heartbeat: Duration) -> Settings {
        let mut words = vec!["layer".to_owned(), "--identity=k".to_owned()];
        words.push(format!("--idle-timeout={}ns", idle.as_nanos()));
        words.push(format!("--heartbeat={}ns", heartbeat.as_nanos()));
        for (field, flag) in FLAGS {
            let value = match field.split('.').next() {
                _ if ["budgets.sources", "flow.max_streams"].contains(&field) => "7",
                Some("budgets") => "7/7",
                Some("limits" | "keys") => "7",
                Some("flow") => "10MiB",
                Some("forwarding") if flag == "relay" => "true",
                Some("punching") if flag == "advertise" => "192.0.2.1:7",
                Some("punching") => "true",
                // One flag for two fields.
                Some("discovery") if field != "discovery.listen" => "true",
                Some("forwarding") => "7Mbit",
                _ => continue,
            };
            words.push(format!("--{flag}={value}"));
        }
        // The send buffer holds a message with its overhead.
        words.push("--max-message=9MiB".to_owned());
        words.retain(|word| word != "--max-message=10MiB");
        let command = Layer::augment_args(clap::Command::new("layer"));
        let matches = command.try_get_matches_from(words).expect("understood");
        let layer = Layer::from_arg_matches(&matches).expect("understood");
        Settings::resolve(layer).expect("resolved")
    }

    /// The fields with their values, by the names that errors have for them: the fields of a group
    /// are those with a deeper indent.
    fn fields(config: &Config) -> BTreeMap<String, String> {
        let (mut group, mut field, mut fields) = (String::new(), String::new(), BTreeMap::new());
        for line in format!("{config:#?}").lines() {
            let name = line.trim_start().split_once(": ").map(|(name, _)| name);
            match (line.len() - line.trim_start().len(), name) {
                (4, Some(name)) => {
                    name.clone_into(&mut group);
                    name.clone_into(&mut field);
                }
                (8, Some(name)) => field = format!("{group}.{name}"),
                _ => {}
            }
            *fields.entry(field.clone()).or_insert_with(String::new) += line;
        }
        fields
    }

    #[test]
    fn each_field_that_the_server_sets_has_its_flag_and_no_other_has() {
        let settings = settings(Duration::from_secs(50), Duration::from_secs(10));
        let secret = || Some(NetworkSecret::new([1; 32]));
        let access = Access::of(Some(BTreeSet::new()), (secret(), secret()));
        let (ours, usual) = (settings.chosen(&access), Config::default());
        let (ours, usual) = (fields(&ours), fields(&usual));
        assert!(usual.contains_key("timers.max_ack_delay"), "{usual:?}");
        let set = ours.iter().filter(|(field, value)| usual.get(*field) != Some(value));
        let mapped = FLAGS.iter().map(|(field, _)| (*field).to_owned());
        assert_eq!(set.map(|(field, _)| field.clone()).collect::<BTreeSet<_>>(), mapped.collect());
    }

    /// Whatever a peer or a stranger can make the server spend has a flag. Those of the groups that have none
    /// say when and how, or how far a stream runs ahead (the memory has its bounds anyway), or are about dials, of which the server makes none, or about what is told to those to which it looks for
    /// direct ways.
    #[test]
    fn each_bound_has_its_flag() {
        let fields = fields(&Config::default());
        let grouped = fields.keys().filter(|field| field.contains('.'));
        let without: Vec<_> =
            grouped.filter(|field| FLAGS.iter().all(|(of_core, _)| of_core != field)).collect();
        let expected = [
            "flow.stream_window",
            "flow.unreliable_age",
            "keys.rekey_after",
            "keys.rekey_after_idle",
            "keys.rekey_after_packets",
            "punching.fresh_ports",
            "punching.probe_ports",
            "punching.tell_host",
            "punching.tell_observed",
            "timers.connect_timeout",
            "timers.max_ack_delay",
        ];
        assert_eq!(without, expected);
    }

    #[test]
    fn each_flag_exists() {
        let keys = keys();
        for (_, flag) in FLAGS {
            assert!(keys.iter().any(|key| key == flag), "{flag}");
        }
    }

    #[test]
    fn what_breaks_a_rule_is_named_as_the_operator_knows_it() {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        let refused = |idle, heartbeat, secret| {
            let access = Access::of(None, (secret, None));
            let config = settings(idle, heartbeat).chosen(&access);
            refusal(config.validate().expect_err("breaks a rule"))
        };
        let secret = NetworkSecret::new([0; 32]);
        for (text, expected) in [
            (refused(s(60), ms(99), None), "--heartbeat must be at least 100 ms"),
            (refused(ms(999), ms(100), None), "--idle-timeout must be at least 1 s"),
            (refused(s(86_401), s(1), None), "--idle-timeout must be at most a day"),
            (refused(s(10), s(9), None), "--idle-timeout must be at least 1.25 times --heartbeat"),
            (
                refused(s(60), s(20), Some(secret)),
                "--network-secret-file must not be all zeros: that is the same as none",
            ),
        ] {
            assert_eq!(text, expected);
        }
    }
}
