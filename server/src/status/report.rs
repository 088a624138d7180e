//! What is said over the socket: one line to ask, one line of JSON to answer, and that in words.

use std::fmt::Write;
use std::time::Duration;

use handfast_core::{Direction, PeerInfo, RouteInfo, Via};
use serde_json::{Value, json};

use super::{Answer, Ask, Snapshot};

/// Answers a line.
pub(super) fn answer(line: &str, handler: &dyn Fn(Ask) -> Option<Answer>) -> String {
    let value = match understood(line) {
        Ok(ask) => match handler(ask) {
            Some(Answer::Peers(snapshot)) => value(&snapshot),
            Some(Answer::Kicked(true)) => json!({ "kicked": true }),
            Some(Answer::Kicked(false)) => json!({ "error": "there is no such peer" }),
            None => json!({ "error": "the server is stopping, or has no time" }),
        },
        Err(error) => json!({ "error": error }),
    };
    format!("{value}\n")
}

fn understood(line: &str) -> Result<Ask, String> {
    let words: Vec<_> = line.split_ascii_whitespace().collect();
    match words[..] {
        ["peers"] => Ok(Ask::Peers),
        ["kick", id] => id.parse().map(Ask::Kick).map_err(|error| format!("{error}")),
        _ => Err("say `peers` or `kick PEERID`".to_owned()),
    }
}

fn value(snapshot: &Snapshot) -> Value {
    let Snapshot { now, peers, stats, routes } = snapshot;
    let mut peers: Vec<_> = peers.iter().collect();
    peers.sort_by_key(|peer| (peer.connected_since, peer.id));
    let queued: u64 = peers.iter().map(|peer| peer.queued).sum();
    let connected = peers.iter().filter(|peer| peer.connected_since.is_some()).count();
    json!({
        "peers": peers.iter().map(|peer| peer_value(peer, *now)).collect::<Vec<_>>(),
        "routes": routes.iter().map(route_value).collect::<Vec<_>>(),
        "totals": {
            "peers": connected,
            "queued_bytes": queued,
            "handshakes": stats.handshakes,
            "datagrams_received": stats.datagrams_received,
            "datagrams_sent": stats.datagrams_sent,
            "bytes_received": stats.bytes_received,
            "bytes_sent": stats.bytes_sent,
            "relayed_packets": stats.forwards_passed,
            "relayed_bytes": stats.forward_bytes_passed,
            "relays_refused": stats.forwards_refused,
            "relays_dropped": stats.forwards_dropped,
        },
    })
}

fn route_value(route: &RouteInfo) -> Value {
    json!({
        "id": route.destination.to_string(),
        "via": route.next_hop.to_string(),
        "metric": route.metric,
    })
}

fn peer_value(peer: &PeerInfo, now: handfast_core::Instant) -> Value {
    let route = peer.path.as_ref().and_then(Via::route);
    let since = peer.connected_since.map(|since| now.saturating_since(since));
    let retry = peer.verdict.next_retry.map(|at| at.saturating_since(now));
    json!({
        "id": peer.id.map(|id| id.to_string()),
        "state": format!("{:?}", peer.state).to_lowercase(),
        "address": peer.path.as_ref().and_then(Via::remote).map(|remote| remote.to_string()),
        "via": route.map(|route| route.neighbour.to_string()),
        "inbound": peer.direction.map(|direction| direction == Direction::Inbound),
        "rtt_us": peer.path_stats.rtt.map(micros),
        "loss": peer.stats.loss(),
        "connected_s": since.map(|since| since.as_secs()),
        "queued_bytes": peer.queued,
        "relayed_bytes": peer.stats.relayed_bytes,
        "verdict": peer.verdict.to_string(),
        "search_rounds": peer.verdict.rounds,
        "search_fresh_port": format!("{:?}", peer.verdict.fresh_port),
        "next_search_s": retry.map(|retry| retry.as_secs()),
    })
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// An answer to `peers` for people: a line for each, and one for all.
pub(super) fn text(answer: &Value) -> String {
    let mut text = String::new();
    let mut line =
        |line: String| writeln!(text, "{}", line.trim_end()).expect("a string takes any text");
    let header = ["PEER", "PATH", "RTT", "LOSS", "SINCE", "QUEUED", "RELAYED", "WHY"];
    line(columns(header.map(str::to_owned)));
    let peers = answer["peers"].as_array();
    peers.into_iter().flatten().for_each(|peer| line(columns(words(peer))));
    let routes = answer["routes"].as_array().filter(|routes| !routes.is_empty());
    if let Some(routes) = routes {
        line(format!("{:<52}  {:<28}  {:>9}", "ROUTE", "PATH", "METRIC"));
        routes.iter().for_each(|route| line(route_words(route)));
    }
    let totals = &answer["totals"];
    let number = |name: &str| totals[name].as_u64().unwrap_or_default();
    line(format!(
        "{} peers, {} queued, {} received, {} sent, {} relayed",
        number("peers"),
        size(number("queued_bytes")),
        size(number("bytes_received")),
        size(number("bytes_sent")),
        size(number("relayed_bytes")),
    ));
    text
}

/// A route in words: a neighbour leads to itself.
fn route_words(route: &Value) -> String {
    let (id, via) = (route["id"].as_str().unwrap_or("-"), route["via"].as_str().unwrap_or("-"));
    let path = if via == id { "neighbour".to_owned() } else { short(via) };
    format!("{id:<52}  {path:<28}  {:>9}", route["metric"].as_u64().unwrap_or_default())
}

/// By way of a neighbour, of which the first characters are enough.
fn short(id: &str) -> String {
    format!("via {}...", id.chars().take(16).collect::<String>())
}

fn columns([peer, path, rtt, loss, since, queued, relayed, why]: [String; 8]) -> String {
    format!(
        "{peer:<52}  {path:<28}  {rtt:>9}  {loss:>6}  {since:>9}  {queued:>9}  {relayed:>9}  {why}"
    )
}

/// Why the peer is reached as it is: what the verdict says beside the path.
fn why(peer: &Value) -> Option<String> {
    let verdict = peer["verdict"].as_str()?;
    let (_, why) = verdict.split_once(", ").or_else(|| verdict.split_once(": "))?;
    let again = peer["next_search_s"].as_u64().map(|s| format!(", again in {s} s"));
    Some(format!("{why}{}", again.unwrap_or_default()))
}

fn words(peer: &Value) -> [String; 8] {
    let text = |name: &str| peer[name].as_str().map(str::to_owned);
    let unknown = || "-".to_owned();
    let path = text("address").or_else(|| text("via").map(|id| short(&id)));
    let path = path.unwrap_or_else(|| text("state").unwrap_or_default());
    let rtt = peer["rtt_us"].as_u64().map(|us| format!("{:.1?}", Duration::from_micros(us)));
    let since =
        peer["connected_s"].as_u64().map(Duration::from_secs).map(|span| format!("{span:?}"));
    let loss = peer["loss"].as_f64().map(|loss| format!("{:.1} %", loss * 100.0));
    let [queued, relayed] = ["queued_bytes", "relayed_bytes"].map(|of| peer[of].as_u64().map(size));
    let [rtt, loss, since, queued, relayed, why] =
        [rtt, loss, since, queued, relayed, why(peer)].map(|text| text.unwrap_or_else(unknown));
    [text("id").unwrap_or_else(unknown), path, rtt, loss, since, queued, relayed, why]
}

fn size(bytes: u64) -> String {
    let (mut value, mut units) = (bytes as f64, ["B", "KiB", "MiB", "GiB"].into_iter());
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_asked_the_answer_is_one_line_of_json() {
        let id = handfast_core::Identity::from_seed([1; 32]).id();
        let handler = |ask| match ask {
            Ask::Peers => None,
            Ask::Kick(other) => Some(Answer::Kicked(other == id)),
        };
        for (line, word) in [
            ("", "say `peers`"),
            ("peers now", "say `peers`"),
            ("kick", "say `peers`"),
            ("kick nobody", "error"),
            ("\u{fffd}\0\"", "say `peers`"),
            ("peers", "stopping"),
            (&format!("kick {id}"), "\"kicked\":true"),
        ] {
            let text = answer(line, &handler);
            let value: Value = serde_json::from_str(&text).expect("JSON");
            assert!(value.is_object() && text.lines().count() == 1, "{text}");
            assert!(text.contains(word), "{line}: {text}");
        }
    }

    #[test]
    fn a_peer_has_its_relayed_bytes_and_why_it_is_reached_so_and_when_a_way_is_looked_for_again() {
        let peer = |verdict: &str, again: Option<u64>| json!({ "relayed_bytes": 3072, "verdict": verdict, "next_search_s": again });
        for (verdict, again, expected) in [
            ("direct 203.0.113.9:40112, punched in 118 ms", None, "punched in 118 ms"),
            (
                "routed via nlu3: no probe was answered",
                Some(45),
                "no probe was answered, again in 45 s",
            ),
            ("direct [2001:db8::1]:5", None, "-"),
        ] {
            let [.., relayed, why] = words(&peer(verdict, again));
            assert_eq!((&*relayed, &*why), ("3.0 KiB", expected));
        }
    }

    #[test]
    fn what_is_not_known_of_a_peer_is_a_dash() {
        let value = json!({
            "peers": [{ "id": null, "state": "connecting", "queued_bytes": 2048 }],
            "routes": [
                { "id": "far", "via": "a-neighbour-of-this-server", "metric": 72 },
                { "id": "near", "via": "near", "metric": 16 },
            ],
            "totals": { "peers": 0, "relayed_bytes": 5 << 20 },
        });
        let text = text(&value);
        let words: Vec<_> = text.lines().nth(1).expect("a peer").split_whitespace().collect();
        assert_eq!(words, ["-", "connecting", "-", "-", "-", "2.0", "KiB", "-", "-"]);
        let routes = text.lines().skip(3).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let expected =
            [vec!["far", "via", "a-neighbour-of-t...", "72"], vec!["near", "neighbour", "16"]];
        assert_eq!(routes.take(2).collect::<Vec<_>>(), expected);
        assert!(
            text.ends_with("0 peers, 0 B queued, 0 B received, 0 B sent, 5.0 MiB relayed\n"),
            "{text}"
        );
    }
}
