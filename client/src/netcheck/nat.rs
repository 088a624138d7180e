//! What a NAT test tells of us, and what follows for those whom we want to reach.

use std::fmt::{self, Write};
use std::net::{IpAddr, SocketAddr};

use handfast_tokio::{NatEvidence, NatFiltering, NatMapping};

/// What a NAT test found out: the words of [`NatEvidence`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NatFound {
    pub(super) observed: Option<SocketAddr>,
    pub(super) mapping: Option<NatMapping>,
    pub(super) filtering: Option<NatFiltering>,
    pub(super) order_sensitive: Option<bool>,
    pub(super) silent_ports: Vec<u16>,
}

/// The lines about the NAT before us, who are at the address `own` of our network.
#[derive(Debug)]
pub(super) struct NatLines<'a> {
    pub(super) own: Option<IpAddr>,
    pub(super) found: &'a NatFound,
}

/// Whether packets can go directly between us and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direct {
    Yes,
    /// A server has to pass them on.
    No,
    /// The test did not tell.
    Unknown,
}

impl NatFound {
    /// Whether packets can go directly to peers of three kinds: that everybody can reach, behind a NAT that shows all
    /// the same port and lets in who was sent to (a cone), and behind one with another port for each (symmetric).
    pub(super) fn direct(&self) -> [Direct; 3] {
        let strict = self.filtering.map(|filtering| filtering == NatFiltering::SamePort);
        let [cone, symmetric] = match (self.mapping, strict) {
            // They know where, and are let in from wherever.
            (Some(NatMapping::Same), Some(false)) => [Direct::Yes, Direct::Yes],
            // We must know where from.
            (Some(NatMapping::Same), Some(true)) => [Direct::Yes, Direct::No],
            (Some(NatMapping::Same), None) => [Direct::Yes, Direct::Unknown],
            // Neither can know where the other will come from.
            (Some(NatMapping::Differs), _) => [Direct::No, Direct::No],
            (None, Some(true)) => [Direct::Unknown, Direct::No],
            _ => [Direct::Unknown; 2],
        };
        [Direct::Yes, cone, symmetric]
    }
}

impl From<NatEvidence> for NatFound {
    fn from(evidence: NatEvidence) -> Self {
        Self {
            observed: evidence.observed,
            mapping: evidence.mapping,
            filtering: evidence.filtering,
            order_sensitive: evidence.order_sensitive,
            silent_ports: evidence.silent_ports.to_vec(),
        }
    }
}

impl NatLines<'_> {
    /// Whether there is one.
    fn nat(&self) -> String {
        match (self.found.observed, self.own) {
            (Some(seen), Some(own)) if seen.ip().to_canonical() == own => {
                format!("none: seen at our own address, {seen}")
            }
            (Some(seen), Some(_)) => format!("yes: seen at {seen}"),
            (Some(seen), None) => format!("seen at {seen}"),
            (None, _) => "unknown: the server does not say where it sees us".to_owned(),
        }
    }

    fn mapping(&self) -> &'static str {
        match self.found.mapping {
            Some(NatMapping::Same) => "all ports of the server see the same one",
            Some(NatMapping::Differs) => "each destination sees another port (symmetric)",
            _ => UNKNOWN,
        }
    }

    fn filtering(&self) -> &'static str {
        match self.found.filtering {
            Some(NatFiltering::OtherPorts) => {
                "lets in other ports of whom we sent to, perhaps everybody"
            }
            Some(NatFiltering::SamePort) => "lets in only the ports that we sent to",
            _ => UNKNOWN,
        }
    }

    fn order(&self) -> &'static str {
        match (self.found.order_sensitive, self.found.mapping) {
            (Some(true), _) => {
                "matters: a packet that comes too early spoils the way to its sender"
            }
            (Some(false), _) => "does not matter",
            (None, Some(NatMapping::Differs)) => {
                "does not matter: each destination sees another port anyway"
            }
            (None, _) => UNKNOWN,
        }
    }

    /// What could not be asked, and what to do about it.
    fn silent(&self) -> Option<String> {
        let ports = &self.found.silent_ports;
        let (last, rest) = ports.split_last()?;
        let mut text = String::from(if rest.is_empty() { "port " } else { "ports " });
        for (number, port) in rest.iter().enumerate() {
            _ = write!(text, "{}{port}", if number > 0 { ", " } else { "" });
        }
        if !rest.is_empty() {
            text += " and ";
        }
        _ = write!(
            text,
            "{last} of the server: closed there (its --probe-ports), or barred on the way"
        );
        Some(text)
    }
}

impl fmt::Display for NatLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  NAT        {}", self.nat())?;
        writeln!(f, "  mapping    {}", self.mapping())?;
        writeln!(f, "  filtering  {}", self.filtering())?;
        writeln!(f, "  order      {}", self.order())?;
        if let Some(silent) = self.silent() {
            writeln!(f, "  silent     {silent}")?;
        }
        let [open, cone, symmetric] = self.found.direct();
        writeln!(
            f,
            "  direct     open peers: {open}; behind a cone: {cone}; behind a symmetric NAT: {symmetric}"
        )
    }
}

impl fmt::Display for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::No => "no, by way of a server",
            Self::Unknown => "unknown",
        })
    }
}

const UNKNOWN: &str = "unknown";

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: NatFound = NatFound {
        observed: None,
        mapping: Some(NatMapping::Same),
        filtering: Some(NatFiltering::SamePort),
        order_sensitive: Some(false),
        silent_ports: Vec::new(),
    };

    #[test]
    fn the_verdict_says_what_two_nats_allow_and_guesses_nothing() {
        use Direct::{No, Unknown, Yes};
        let (same, differs) = (Some(NatMapping::Same), Some(NatMapping::Differs));
        let (other, only) = (Some(NatFiltering::OtherPorts), Some(NatFiltering::SamePort));
        for (mapping, filtering, expected) in [
            (same, other, [Yes, Yes, Yes]),
            (same, only, [Yes, Yes, No]),
            (same, None, [Yes, Yes, Unknown]),
            (differs, only, [Yes, No, No]),
            (differs, other, [Yes, No, No]),
            (None, only, [Yes, Unknown, No]),
            (None, None, [Yes, Unknown, Unknown]),
        ] {
            let found = NatFound { mapping, filtering, ..SEEN };
            assert_eq!(found.direct(), expected, "{found:?}");
        }
    }

    #[test]
    fn closed_ports_are_named_and_what_they_would_have_told_is_unknown() {
        let text = |found: &NatFound| NatLines { own: None, found }.to_string();
        let found = NatFound {
            mapping: None,
            filtering: None,
            order_sensitive: None,
            silent_ports: vec![7, 8],
            ..SEEN
        };
        let all = text(&found);
        for words in [
            "ports 7 and 8 of the server: closed there (its --probe-ports)",
            "  mapping    unknown\n",
            "  filtering  unknown\n",
            "  order      unknown\n",
            "behind a cone: unknown; behind a symmetric NAT: unknown",
        ] {
            assert!(all.contains(words), "no {words:?} in {all}");
        }
        assert!(
            text(&NatFound { silent_ports: vec![8], ..SEEN }).contains("  silent     port 8 of")
        );
        assert!(!text(&SEEN).contains("silent"));
    }

    #[test]
    fn our_own_address_seen_by_others_is_no_nat() {
        let own = IpAddr::from([198, 51, 100, 7]);
        for (seen, expected) in [("198.51.100.7:5", "none: "), ("198.51.100.8:5", "yes: ")] {
            let observed = Some(seen.parse().expect("an address"));
            let found = NatFound { observed, ..SEEN };
            let text = NatLines { own: Some(own), found: &found }.to_string();
            assert!(text.contains(&format!("  NAT        {expected}seen at")), "{text}");
        }
    }
}
