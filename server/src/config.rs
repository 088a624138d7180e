//! What the operator chose: command line over file over defaults.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, Args, Command, ValueEnum};
use handfast_core::{Admission, Config, NetworkSecret, PeerId};
use handfast_udp::{Listen, explain};
use serde::{Deserialize, Deserializer};
use toml::de::DeTable;

use crate::error::Error;
use crate::refusal::refusal;
use crate::{allow, identity, places};

/// Choices as they stand on the command line or in the file: each may be missing.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Layer {
    /// What drives the sockets [default: tokio, or mio where tokio is not built in]
    #[arg(long, value_enum)]
    pub runtime: Option<RuntimeKind>,
    /// An address to listen on; may be repeated [default: every address, port 4263]
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    #[serde(deserialize_with = "addresses")]
    pub listen: Option<Vec<SocketAddr>>,
    /// The file with the server's secret key, made if missing [default: handfast/server.key where
    /// this system keeps configurations, see below]
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "path")]
    pub identity: Option<PathBuf>,
    /// A file with the secret of a private network, on one line of base32: peers without it cannot
    /// shake hands
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "path")]
    pub network_secret_file: Option<PathBuf>,
    /// A file with the peers that may come in, one PeerId a line, # for comments [default:
    /// everyone]
    #[arg(long, value_name = "FILE")]
    #[serde(deserialize_with = "path")]
    pub allow: Option<PathBuf>,
    /// Send every message back the way it came
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub echo: Option<bool>,
    /// A peer that was silent for this long is given up; the smaller of both ends' holds
    /// [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub idle_timeout: Option<Span>,
    /// A peer that said nothing for this long is pinged [default: 20s, or a third of
    /// --idle-timeout if that is less]
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub heartbeat: Option<Span>,
    /// How often statistics are logged, 0s for never [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    pub stats_interval: Option<Span>,
    /// How log lines are written [default: text]
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
}

impl Layer {
    /// This layer where it says something, `below` elsewhere.
    #[must_use]
    pub fn or(self, below: Self) -> Self {
        Self {
            runtime: self.runtime.or(below.runtime),
            listen: self.listen.or(below.listen),
            identity: self.identity.or(below.identity),
            network_secret_file: self.network_secret_file.or(below.network_secret_file),
            allow: self.allow.or(below.allow),
            echo: self.echo.or(below.echo),
            idle_timeout: self.idle_timeout.or(below.idle_timeout),
            heartbeat: self.heartbeat.or(below.heartbeat),
            stats_interval: self.stats_interval.or(below.stats_interval),
            log_format: self.log_format.or(below.log_format),
        }
    }
}

/// Which runtime drives the sockets. Each is built in by the feature of its name.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeKind {
    /// Asynchronous tasks.
    Tokio,
    /// One thread and one poll loop.
    Mio,
}

impl RuntimeKind {
    /// The name of the runtime: on the command line, in the file, and as a feature.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::Mio => "mio",
        }
    }

    /// Whether this build of the program has the runtime.
    #[must_use]
    pub const fn is_built_in(self) -> bool {
        match self {
            Self::Tokio => cfg!(feature = "tokio"),
            Self::Mio => cfg!(feature = "mio"),
        }
    }

    /// The error of choosing a runtime that this build does not have.
    pub(crate) fn not_built_in(self) -> Error {
        let (name, other) = (self.name(), Self::default().name());
        Error::Usage(format!(
            "the runtime {name} is not built into this program: choose --runtime {other}, or build \
             it with the feature `{name}` of handfast-server"
        ))
    }
}

impl Default for RuntimeKind {
    /// Tokio, or mio where tokio is not built in.
    fn default() -> Self {
        if Self::Tokio.is_built_in() { Self::Tokio } else { Self::Mio }
    }
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object a line, for programs.
    Json,
}

/// A span of time, written as `500ms`, `60s` or `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_span(&text).map_err(serde::de::Error::custom)
    }
}

fn addresses<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<SocketAddr>>, D::Error> {
    let texts = Vec::<String>::deserialize(d)?;
    let addresses = texts.iter().map(|text| parse_address(text));
    addresses.collect::<Result<_, _>>().map(Some).map_err(serde::de::Error::custom)
}

/// In double quotes TOML takes `\\` for an escape: a path of Windows is then another, or none.
fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.contains(char::is_control) {
        return Err(serde::de::Error::custom(format!("not a path: {BACKSLASH}")));
    }
    Ok(Some(text.into()))
}

/// Reads a configuration file. Relative paths in it start at the file's own directory, so that the
/// file means the same wherever the server is started.
///
/// # Errors
/// When it cannot be read, is not TOML, or has a key or value that is not understood: names the
/// file, the line and, for a key, the nearest one that exists.
pub fn read_file(path: &Path) -> Result<Layer, Error> {
    let text = fs::read_to_string(path).map_err(|error| {
        let error = explain(&error);
        Error::Usage(format!("cannot read the configuration {}: {error}", path.display()))
    })?;
    let mut layer = parse(&text).map_err(|Mistake { line, what }| {
        Error::Usage(format!("{}, line {line}: {what}", path.display()))
    })?;
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let files = [&mut layer.identity, &mut layer.network_secret_file, &mut layer.allow];
    for file in files.into_iter().flatten() {
        *file = directory.join(&file);
    }
    Ok(layer)
}

/// What is wrong in a configuration file.
#[derive(Debug, PartialEq, Eq)]
struct Mistake {
    /// Counted from 1.
    line: usize,
    what: String,
}

fn parse(text: &str) -> Result<Layer, Mistake> {
    let at = |offset: usize| {
        let before = text.as_bytes().iter().take(offset);
        before.filter(|&&byte| byte == b'\n').count() + 1
    };
    let mistake = |error: toml::de::Error| {
        let span = error.span().unwrap_or_default();
        let around = text.get(span.start.saturating_sub(1)..=span.start);
        let escape = around.is_some_and(|around| around.contains('\\'));
        let hint = if escape { format!("; {BACKSLASH}") } else { String::new() };
        Mistake { line: at(span.start), what: error.message().replace('\n', "; ") + &hint }
    };
    let known = keys();
    let table = DeTable::parse(text).map_err(mistake)?;
    let unknown = table.get_ref().keys().filter(|key| !known.iter().any(|k| k == key.get_ref()));
    if let Some(key) = unknown.min_by_key(|key| key.span().start) {
        let name = key.get_ref();
        let what = match nearest(name, &known) {
            Some(near) => format!("unknown key `{name}`: did you mean `{near}`?"),
            None => format!("unknown key `{name}`: the keys are {}", known.join(", ")),
        };
        return Err(Mistake { line: at(key.span().start), what });
    }
    toml::from_str(text).map_err(mistake)
}

/// Reads a span of time as operators write it.
fn parse_span(text: &str) -> Result<Span, String> {
    let parsed = humantime::parse_duration(text);
    parsed.map(Span).map_err(|_| "not a time: write 60s, 2m or 500ms".to_owned())
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "not an address: write IP:PORT, such as 0.0.0.0:4263 or [::]:4263".to_owned())
}

/// The keys of the file: the long names of a layer's flags.
pub(crate) fn keys() -> Vec<String> {
    let command = Layer::augment_args(Command::new("keys"));
    command.get_arguments().filter_map(Arg::get_long).map(str::to_owned).collect()
}

/// The key that `name` was probably meant to be.
fn nearest<'a>(name: &str, keys: &'a [String]) -> Option<&'a str> {
    let distance = |key: &str| strsim::damerau_levenshtein(&name.to_lowercase(), key);
    let scored = keys.iter().map(|key| (distance(key), key.as_str()));
    let (distance, key) = scored.min()?;
    (distance <= (key.len() / 3).max(2)).then_some(key)
}

/// What the server does, every choice made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What drives the sockets.
    pub runtime: RuntimeKind,
    /// Where to listen.
    pub listen: Listen,
    /// The file with the secret key.
    pub identity: PathBuf,
    /// The file with the network secret.
    pub network_secret_file: Option<PathBuf>,
    /// The file with those who may come in.
    pub allow: Option<PathBuf>,
    /// Send messages back.
    pub echo: bool,
    /// When a silent peer is given up.
    pub idle_timeout: Duration,
    /// When a silent peer is pinged.
    pub heartbeat: Duration,
    /// How often statistics are logged; `None` for never.
    pub stats_interval: Option<Duration>,
    /// How log lines are written.
    pub log_format: LogFormat,
}

impl Settings {
    /// Fills in the defaults.
    ///
    /// # Errors
    /// When there is no place for the key (neither chosen, nor a home directory), or when the chosen
    /// runtime is not built in.
    pub fn resolve(layer: Layer) -> Result<Self, Error> {
        let runtime = layer.runtime.unwrap_or_default();
        if !runtime.is_built_in() {
            return Err(runtime.not_built_in());
        }
        let defaults = Config::default();
        let idle_timeout = layer.idle_timeout.map_or(defaults.timers.idle_timeout, |span| span.0);
        let usual_heartbeat = defaults.timers.heartbeat.min(idle_timeout / 3);
        let heartbeat = layer.heartbeat.map_or(usual_heartbeat, |span| span.0);
        let stats_interval = layer.stats_interval.map_or(STATS_INTERVAL, |span| span.0);
        Ok(Self {
            runtime,
            listen: layer.listen.map_or_else(Listen::default, Listen::from),
            identity: layer.identity.map_or_else(places::key, Ok)?,
            network_secret_file: layer.network_secret_file,
            allow: layer.allow,
            echo: layer.echo.unwrap_or_default(),
            idle_timeout,
            heartbeat,
            stats_interval: (!stats_interval.is_zero()).then_some(stats_interval),
            log_format: layer.log_format.unwrap_or_default(),
        })
    }

    /// The protocol's configuration; reads the files it comes from.
    ///
    /// # Errors
    /// When a file cannot be read or a line of it not understood, or choices do not fit together.
    pub fn endpoint_config(&self) -> Result<Config, Error> {
        let secret = self.network_secret_file.as_deref().map(identity::network_secret);
        let peers = self.allow.as_deref().map(allow::read);
        let config = self.chosen(secret.transpose()?, peers.transpose()?);
        let valid = config.validate().map_err(|error| Error::Usage(refusal(error)))?;
        Ok(valid.into_inner())
    }

    /// The choices with what the files say. Each field that is set here has its flag in `refusal`.
    pub(crate) fn chosen(
        &self,
        network_secret: Option<NetworkSecret>,
        peers: Option<BTreeSet<PeerId>>,
    ) -> Config {
        let mut config = Config::default();
        config.timers.idle_timeout = self.idle_timeout;
        config.timers.heartbeat = self.heartbeat;
        config.network_secret = network_secret;
        config.admission = peers.map_or(Admission::Anyone, Admission::Only);
        config
    }
}

const BACKSLASH: &str = "write paths with backslashes in 'single quotes'";
const STATS_INTERVAL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
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
            identity = "a"
            network-secret-file = "b"
            allow = "c"
            echo = true
            idle-timeout = "2m"
            heartbeat = "500ms"
            stats-interval = "0s"
            log-format = "json"
        "#;
        let mut layer = parse(text).expect("understood");
        assert_eq!(layer.runtime, Some(RuntimeKind::Mio));
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
        assert_eq!(settings.log_format, LogFormat::Json);
        assert!(settings.echo);
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
        let upper =
            Layer { echo: Some(false), runtime: Some(RuntimeKind::Mio), ..Layer::default() };
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
        settings.endpoint_config().expect("valid");
        let layer = Layer { heartbeat: span(10), ..layer };
        let error = Settings::resolve(layer).and_then(|s| s.endpoint_config()).expect_err("odd");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("idle-timeout"), "{error}");
    }
}
