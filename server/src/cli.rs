//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::config::{Layer, LogFormat, read_file};
use handfast_program::{Error, in_one_line};

/// What the command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// To print this text and end.
    Help(String),
    /// To serve.
    Serve {
        /// The choices, those of the configuration file included.
        layer: Layer,
        /// The configuration file that was read.
        config: Option<PathBuf>,
    },
    /// To print the `PeerId` of the server and end.
    Id(Layer),
    /// To make a new key and end: in this file, or where the server keeps its own.
    GenKey(Option<PathBuf>, Layer),
}

/// Reads the command line, the first argument being the program's name, and the configuration
/// file that it names. If it names none, `usual_file` is read where it exists. What stands on the
/// command line wins.
///
/// # Errors
/// When an argument is not understood, or the file is not; both in one line.
pub fn read(
    arguments: impl IntoIterator<Item = OsString>,
    usual_file: Option<PathBuf>,
) -> Result<Invocation, Error> {
    let parsed = Cli::command().try_get_matches_from(arguments);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                return Ok(Invocation::Help(error.to_string()));
            }
            _ => return Err(Error::Usage(in_one_line(&error.to_string()))),
        },
    };
    let config = cli.config.or_else(|| usual_file.filter(|file| file.exists()));
    let file = config.as_deref().map(read_file).transpose()?.unwrap_or_default();
    let layer = cli.layer.or(file);
    Ok(match cli.task {
        None => Invocation::Serve { layer, config },
        Some(Task::Id) => Invocation::Id(layer),
        Some(Task::Genkey { file }) => Invocation::GenKey(file, layer),
    })
}

/// How log lines are wanted by a command line that is perhaps not understood, and by the file it names.
#[must_use]
pub fn log_format(arguments: &[OsString], usual_file: Option<PathBuf>) -> LogFormat {
    let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    let value = |flag: &str| {
        let at = words.iter().position(|word| word.split('=').next() == Some(flag))?;
        let behind = words[at].split_once('=').map(|(_, value)| value.to_owned());
        behind.or_else(|| Some(words.get(at + 1)?.to_string()))
    };
    if let Some(format) = value("--log-format") {
        return LogFormat::from_str(&format, true).unwrap_or_default();
    }
    let file = value("--config").map(PathBuf::from).or(usual_file);
    file.and_then(|file| crate::config::log_format(&file)).unwrap_or_default()
}

#[derive(Debug, Parser)]
#[command(
    name = "p2p_server",
    version,
    about = "A handfast peer: shakes hands with whoever may come in, and logs what they say.",
    after_help = HELP,
    disable_help_subcommand = true,
)]
struct Cli {
    /// Take choices from this TOML file too: its keys are these flags without the dashes [default:
    /// handfast/server.toml where this system keeps configurations, if it is there; see below]
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    layer: Layer,
    #[command(subcommand)]
    task: Option<Task>,
}

/// What else the program does. Without one it serves.
#[derive(Debug, Subcommand)]
enum Task {
    /// Print the PeerId of the server
    Id,
    /// Make a new key, readable by its owner only, and print its PeerId. The file also does for
    /// --network-secret-file
    Genkey {
        /// The file to make [default: that of --identity]
        file: Option<PathBuf>,
    },
}

const HELP: &str = "\
Times are written 500ms, 60s or 2m. RUST_LOG chooses what is logged (default: info); \
RUST_LOG=debug shows every frame.

Configurations are kept in $XDG_CONFIG_HOME or ~/.config, on Windows in %APPDATA%, on macOS in \
~/Library/Application Support.

A network secret is 32 random bytes as one line of base32: `p2p_server genkey network.secret` makes \
one.

SIGHUP reads --allow and --network-secret-file again (not on Windows): who is no longer on the list is \
parted from; everybody else stays.

Exit code: 0 after SIGINT, SIGTERM, Ctrl-C, Ctrl-Break or the end of the console, 1 when something \
failed, 2 when the command line, the configuration or a file it names is at fault.";

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn read_words(line: &str) -> Result<Invocation, Error> {
        read(line.split(' ').map(OsString::from), None)
    }

    fn refusal(line: &str) -> String {
        let error = read_words(line).expect_err("refused");
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }

    #[test]
    fn every_flag_is_a_key_of_the_file_except_those_about_the_program() {
        let command = Cli::command();
        let flags = command.get_arguments().filter_map(clap::Arg::get_long);
        let keys: Vec<_> = flags.filter(|flag| *flag != "config").collect();
        assert!(keys.contains(&"idle-timeout"));
        assert_eq!(keys, crate::config::keys());
    }

    #[test]
    fn a_mistyped_flag_is_one_line_with_the_nearest_one() {
        let text = refusal("p2p_server --lsten 127.0.0.1:1");
        assert!(text.contains("--lsten") && text.contains("'--listen'"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn a_bad_value_is_one_line_that_shows_a_good_one() {
        let address = refusal("p2p_server --listen 4263");
        assert!(address.contains("--listen") && address.contains("0.0.0.0:4263"), "{address}");
        let span = refusal("p2p_server --idle-timeout soon");
        assert!(span.contains("--idle-timeout") && span.contains("60s"), "{span}");
        assert_eq!(address.lines().count() + span.lines().count(), 2);
    }

    #[test]
    fn the_usual_configuration_is_read_if_it_is_there_and_no_other_is_named() {
        let usual = std::env::temp_dir().join(format!("handfast-usual-{}", std::process::id()));
        let layer = |words: &[&str]| {
            let words = words.iter().map(OsString::from);
            match read(words, Some(usual.clone())).expect("understood") {
                Invocation::Serve { layer, config } => (layer.echo, config),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(layer(&["p2p_server"]), (None, None));
        std::fs::write(&usual, "echo = true").expect("written");
        assert_eq!(layer(&["p2p_server"]), (Some(true), Some(usual.clone())));
        assert_eq!(layer(&["p2p_server", "--echo=false"]).0, Some(false));
        let other = usual.with_extension("other");
        std::fs::write(&other, "").expect("written");
        let named = ["p2p_server", "--config", other.to_str().expect("text")];
        assert_eq!(layer(&named), (None, Some(other.clone())));
        for file in [usual, other] {
            std::fs::remove_file(file).expect("removed");
        }
    }

    #[test]
    fn the_tasks_take_the_flags_that_concern_them() {
        let task = |line: &str| read_words(line).expect("understood");
        for line in ["p2p_server id --identity k", "p2p_server --identity k id"] {
            let Invocation::Id(layer) = task(line) else { panic!("{line}") };
            assert_eq!(layer.identity, Some("k".into()));
        }
        let Invocation::GenKey(file, _) = task("p2p_server genkey s") else { panic!("no key") };
        assert_eq!(file, Some("s".into()));
        let Invocation::GenKey(None, _) = task("p2p_server genkey") else { panic!("no key") };
        assert!(refusal("p2p_server idd").contains("'id'"));
    }

    #[test]
    fn the_log_format_is_known_even_if_nothing_else_is_understood() {
        let format =
            |line: &str| log_format(&line.split(' ').map(OsString::from).collect::<Vec<_>>(), None);
        assert_eq!(format("p2p_server --bad --log-format json"), LogFormat::Json);
        assert_eq!(format("p2p_server --log-format=json --bad"), LogFormat::Json);
        assert_eq!(format("p2p_server --log-format"), LogFormat::Text);
        assert_eq!(format("p2p_server --log-format=loud"), LogFormat::Text);
        let file = std::env::temp_dir().join(format!("handfast-format-{}", std::process::id()));
        std::fs::write(&file, "log-format = \"json\"\nunknown = 1\n").expect("written");
        assert_eq!(log_format(&["p".into()], Some(file.clone())), LogFormat::Json);
        std::fs::remove_file(file).expect("removed");
    }

    #[test]
    fn flags_may_be_repeated_and_spans_have_units() {
        let line = "p2p_server --listen 127.0.0.1:1 --listen [::1]:2 --idle-timeout 1500ms --echo";
        let Ok(Invocation::Serve { layer, config: None }) = read_words(line) else {
            panic!("not understood")
        };
        assert_eq!(layer.listen.expect("given").len(), 2);
        assert_eq!(layer.idle_timeout.expect("given").0, Duration::from_millis(1500));
        assert_eq!(layer.echo, Some(true));
    }
}
