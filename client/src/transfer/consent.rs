//! Whom files are taken of.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::thread;

use handfast_program::Error;
use handfast_tokio::PeerId;
use indicatif::HumanBytes;
use tokio::sync::oneshot;

use crate::say;

/// Who may send.
#[derive(Debug)]
pub(super) enum Consent {
    /// These.
    Only(BTreeSet<PeerId>),
    /// Whoever comes.
    Anyone,
    /// Whoever the user says yes to.
    Ask,
}

impl Consent {
    /// As the command line says.
    pub(super) fn new(allow: &[PeerId], yes: bool) -> Result<Self, Error> {
        if !allow.is_empty() {
            return Ok(Self::Only(allow.iter().copied().collect()));
        }
        if yes {
            return Ok(Self::Anyone);
        }
        if io::stdin().is_terminal() && io::stderr().is_terminal() {
            return Ok(Self::Ask);
        }
        Err(Error::Usage(
            "there is no terminal to ask on: say --allow PEERID for whom to take a file of, or --yes for \
             whoever comes"
                .to_owned(),
        ))
    }

    /// Whether this file of this peer is taken.
    pub(super) async fn given(&self, peer: PeerId, name: &str, size: u64) -> bool {
        match self {
            Self::Only(peers) => peers.contains(&peer),
            Self::Anyone => true,
            Self::Ask => {
                let size = HumanBytes(size);
                say(format_args!("{peer} sends {name:?}, {size}: take it? [y/N]"));
                answer().await
            }
        }
    }
}

async fn answer() -> bool {
    let (sender, receiver) = oneshot::channel();
    let read = move || {
        let mut line = String::new();
        let is_yes = io::stdin().read_line(&mut line).is_ok()
            && ["y", "yes"].contains(&line.trim().to_lowercase().as_str());
        // The program may have ended meanwhile.
        sender.send(is_yes).ok();
    };
    // A thread of its own: nothing can end the wait for a line.
    let thread = thread::Builder::new().name("answer".to_owned()).spawn(read);
    thread.is_ok() && receiver.await.unwrap_or(false)
}
