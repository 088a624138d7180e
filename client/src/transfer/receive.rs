//! `handfast receive`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use handfast_program::output::print;
use handfast_program::{Error, addresses};
use handfast_tokio::{Admission, Bytes, Delivery, DisconnectOptions, Peer, PeerId};
use tokio::sync::{Mutex, mpsc};
use tokio::task::block_in_place;
use tokio::time::timeout;

use super::consent::Consent;
use super::frame::{Frame, Hash};
use super::partial::Partial;
use super::progress::Progress;
use super::send::hex;
use super::{CHANNEL, Failure, hear, name, tell};
use crate::cli::Receive;
use crate::node::{self, Node};
use crate::path;
use crate::say;
use crate::stop::Stop;

/// Receives one file, of whoever may send one.
pub(crate) async fn run(choices: Receive, stop: Stop) -> Result<(), Error> {
    if !choices.directory.is_dir() {
        let directory = choices.directory.display();
        return Err(Error::Usage(format!("{directory} is no directory: make it first")));
    }
    let consent = Consent::new(&choices.allow, choices.yes)?;
    let mut config = node::config(choices.common.network_secret_file.as_deref())?;
    if let Consent::Only(peers) = &consent {
        // Those who are not meant learn it as early as can be.
        let servers = choices.common.server.iter().filter_map(handfast_tokio::TargetName::id);
        config.admission = Admission::Only(peers.iter().copied().chain(servers).collect());
    } else {
        // We let in whoever comes. So a direct way is looked for to those as well that only ping.
        config.admission = Admission::Ask(Arc::new(|_, _| true));
    }
    let opening = Node::open(&choices.common, config, SERVER_PATIENCE);
    let node = tokio::select! {
        node = opening => node?,
        () = stop.asked() => return Err(interrupted()),
    };
    let result = match print(&invitation(&choices, &node)) {
        Ok(()) => tokio::select! {
            received = wait(choices.directory, consent, &node) => received,
            () = stop.asked() => Err(interrupted()),
        },
        Err(error) => Err(error),
    };
    node.close().await;
    print(&result?)
}

fn interrupted() -> Error {
    Error::Run("interrupted: what has come of a file stays, and is gone on with".to_owned())
}

/// What the other side has to run.
fn invitation(choices: &Receive, node: &Node) -> String {
    // Those who built it run it so.
    let is_built = std::env::var_os("CARGO_MANIFEST_DIR").is_some();
    let program = if is_built { "cargo run -p handfast-client --" } else { "handfast" };
    let id = node.endpoint.id();
    let mut text = format!("{program} send FILE {id}");
    if choices.common.server.is_empty() {
        // The first is this machine's own name for itself: for others it is one of the rest.
        let reached = addresses::reachable(&node.endpoint.local_addresses());
        if let Some(address) = reached.get(1).or_else(|| reached.first()) {
            text += &format!("@{address}");
        }
    }
    for server in &choices.common.server {
        text += &format!(" --server {server}");
    }
    if let Some(file) = &choices.common.network_secret_file {
        text += &format!(" --network-secret-file {}", file.display());
    }
    text + "\n"
}

/// Listens to whoever comes until one file has arrived. Returns what there is to say about it.
async fn wait(directory: PathBuf, consent: Consent, node: &Node) -> Result<String, Error> {
    let desk = Arc::new(Desk { directory, consent, busy: Mutex::new(None) });
    let (done, mut arrived) = mpsc::channel(1);
    loop {
        tokio::select! {
            peer = node.endpoint.accept() => {
                let Some(peer) = peer else {
                    let closed = node.endpoint.closed().await;
                    let failed = |error| Error::network(&error);
                    return closed.map_err(failed).map(|()| String::new());
                };
                tokio::spawn(Arc::clone(&desk).attend(peer, done.clone()));
            }
            text = arrived.recv() => return Ok(text.unwrap_or_default()),
        }
    }
}

/// What all who come meet.
struct Desk {
    directory: PathBuf,
    consent: Consent,
    /// Held during a transfer. Inside of it: whose file was consented to, so that it can go on.
    busy: Mutex<Option<Agreed>>,
}

/// A file that was consented to.
#[derive(PartialEq, Eq)]
struct Agreed {
    peer: PeerId,
    name: String,
    size: u64,
}

impl Desk {
    /// Hears a peer out. It may never say anything: then it is somebody who pings.
    async fn attend(self: Arc<Self>, peer: Peer, done: mpsc::Sender<String>) {
        match self.take(&peer).await {
            Ok(text) => {
                // The sender hears that all is well, and leaves; if it does not, all is well all the same.
                timeout(LAST_WORD, peer.closed()).await.ok();
                done.send(text).await.ok();
            }
            Err(Failure::Lost(reason)) if self.is_known(peer.id()).await => {
                say(format_args!("lost       {reason}; waiting for it to go on"));
            }
            Err(Failure::Lost(_)) => {}
            Err(Failure::Refused(why)) => {
                self.part(&peer, &why).await;
                say(format_args!("refused    {}: {why}", peer.id()));
            }
            Err(Failure::Broken(why)) => {
                self.part(&peer, &why).await;
                say(format_args!("failed     {}: {why}", peer.id()));
            }
        }
    }

    async fn is_known(&self, peer: PeerId) -> bool {
        self.busy.lock().await.as_ref().is_some_and(|agreed| agreed.peer == peer)
    }

    /// Says why, and lets it go once it has heard that.
    async fn part(&self, peer: &Peer, why: &str) {
        let bytes = Frame::Refuse(why.to_owned()).encode();
        if let Ok(receipt) = peer.send_with_receipt(Delivery::ordered(CHANNEL), bytes).await {
            timeout(LAST_WORD, receipt).await.ok();
        }
        timeout(LAST_WORD, peer.closed()).await.ok();
        peer.disconnect(DisconnectOptions::default()).await;
    }

    /// Takes a file of this peer.
    async fn take(&self, peer: &Peer) -> Result<String, Failure> {
        let Frame::Offer { size, name } = hear(peer).await? else {
            return Err(Failure::Broken(DISORDER.to_owned()));
        };
        let offered = Agreed { peer: peer.id(), name, size };
        // A sender that lost us comes back before we know that it is gone.
        let Ok(mut agreed) = timeout(BUSY_PATIENCE, self.busy.lock()).await else {
            return Err(Failure::Refused("another file is being received".to_owned()));
        };
        name::check(&offered.name).map_err(Failure::Refused)?;
        let name = offered.name.clone();
        if agreed.as_ref() != Some(&offered) {
            let is_given = tokio::select! {
                is_given = self.consent.given(offered.peer, &name, size) => is_given,
                reason = peer.closed() => return Err(Failure::Lost(reason)),
            };
            if !is_given {
                return Err(Failure::Refused("it is not wanted".to_owned()));
            }
            *agreed = Some(offered);
        }
        // Only now: whoever is not wanted makes no file, and does not learn which are here.
        let partial = block_in_place(|| Partial::open(&self.directory, &name, size));
        let mut partial = partial.map_err(Failure::Refused)?;
        say(format_args!(
            "receiving  {name:?}, {size} bytes, of {} {}",
            peer.id(),
            path::words(peer.path())
        ));
        let hash = fill(peer, &mut partial, size).await?;
        let path = block_in_place(|| partial.finish(&hash));
        let path = path.map_err(Failure::Broken)?;
        *agreed = None;
        // If the sender does not hear it, it asks again, and is told that the file is there.
        if let Ok(receipt) = peer
            .send_with_receipt(Delivery::ordered(CHANNEL), Bytes::from(Frame::Done.encode()))
            .await
        {
            timeout(LAST_WORD, receipt).await.ok();
        }
        let path = path.display();
        Ok(format!("received   {path}, {size} bytes, sha256 {}\n", hex(&hash)))
    }
}

/// Has the sender go on where we are, and takes what it sends. Returns the hash that it names.
async fn fill(peer: &Peer, partial: &mut Partial, size: u64) -> Result<Hash, Failure> {
    let (offset, hash) = (partial.length(), partial.hash());
    tell(peer, &Frame::Want { offset, hash }).await?;
    let begin = match hear(peer).await? {
        Frame::Begin { offset } => offset,
        Frame::Refuse(why) => return Err(Failure::Broken(format!("the sender gave up: {why}"))),
        _ => return Err(Failure::Broken(DISORDER.to_owned())),
    };
    partial.begin(begin).map_err(Failure::Broken)?;
    if begin > 0 {
        say(format_args!("going on   after {begin} of {size} bytes"));
    } else if offset > 0 {
        say(format_args!("anew       what is here is not the beginning of this file"));
    }
    let mut progress = Progress::new(size);
    loop {
        match hear(peer).await? {
            Frame::Data(bytes) => {
                block_in_place(|| partial.write(&bytes)).map_err(Failure::Broken)?;
                progress.set(partial.length());
            }
            Frame::End { hash } => return Ok(hash),
            Frame::Refuse(why) => {
                return Err(Failure::Broken(format!("the sender gave up: {why}")));
            }
            _ => return Err(Failure::Broken(DISORDER.to_owned())),
        }
    }
}

const DISORDER: &str = "the sender does not keep to the order of a transfer";
const SERVER_PATIENCE: Duration = Duration::from_secs(30);
const LAST_WORD: Duration = Duration::from_secs(3);
/// How long whoever comes waits for the one before: longer than one that is gone is waited for.
const BUSY_PATIENCE: Duration = Duration::from_secs(20);
