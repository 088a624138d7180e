//! `handfast send`.

use std::time::{Duration, Instant};

use handfast_program::Error;
use handfast_program::output::print;
use handfast_tokio::{DisconnectOptions, EndReason, Peer, explain};
use tokio::task::block_in_place;
use tokio::time::{interval, sleep, timeout};

use super::frame::{Frame, Hash};
use super::progress::Progress;
use super::source::Source;
use super::{Failure, hear, tell, tell_bytes};
use crate::cli::Send;
use crate::node::{self, Node};
use crate::path;
use crate::say;
use crate::stop::Stop;

/// Sends the file, over as many connections as it takes.
pub(crate) async fn run(choices: Send, stop: Stop) -> Result<(), Error> {
    choices.whom.check_way(&choices.common.server)?;
    let mut source = Source::open(&choices.file)?;
    let config = node::config(choices.common.network_secret_file.as_deref())?;
    let opening = Node::open(&choices.common, config, SERVER_PATIENCE);
    let node = tokio::select! {
        node = opening => node?,
        () = stop.asked() => return Err(interrupted()),
    };
    let result = tokio::select! {
        result = deliver(&choices, &node, &mut source) => result,
        () = stop.asked() => Err(interrupted()),
    };
    node.close().await;
    let hash = result?;
    let (name, size) = (&source.name, source.size);
    print(&format!("sent       {name:?}, {size} bytes, sha256 {}\n", hex(&hash)))
}

fn interrupted() -> Error {
    Error::Run("interrupted: the same command goes on where it stopped".to_owned())
}

/// Dials, and again whenever the peer is lost, until it has all of the file.
async fn deliver(choices: &Send, node: &Node, source: &mut Source) -> Result<Hash, Error> {
    let mut lost: Option<Instant> = None;
    loop {
        let reason = match dial(choices, node).await {
            Ok(peer) => match offer(&peer, source).await {
                Ok(hash) => {
                    peer.disconnect(DisconnectOptions::default()).await;
                    return Ok(hash);
                }
                Err(Failure::Lost(reason)) => {
                    // It was there until now.
                    lost = None;
                    reason
                }
                Err(failure) => return Err(give_up(&peer, failure).await),
            },
            Err(error) if lost.is_none() => return Err(error),
            Err(_) => EndReason::DialTimeout,
        };
        if matches!(reason, EndReason::PeerDisconnected { .. } | EndReason::Violation(_)) {
            return Err(Error::Run(format!("the transfer did not come to its end: {reason}")));
        }
        let since = *lost.get_or_insert_with(|| {
            say(format_args!("lost       {reason}; looking for it again"));
            Instant::now()
        });
        if since.elapsed() >= choices.timeout {
            return Err(Error::Run(format!(
                "the transfer did not come to its end: {reason}; the same command goes on where it stopped"
            )));
        }
        sleep(BETWEEN_DIALS).await;
    }
}

async fn dial(choices: &Send, node: &Node) -> Result<Peer, Error> {
    choices.whom.check(node.endpoint.id())?;
    let target = choices.whom.target().await?;
    let peer = match node.endpoint.connect(target).await {
        Ok(peer) => peer,
        Err(error) => return Err(choices.whom.failure(&error)),
    };
    say(format_args!("connected  {} {}", peer.id(), path::words(peer.path())));
    Ok(peer)
}

/// Tells the other end, and makes an error of it.
async fn give_up(peer: &Peer, failure: Failure) -> Error {
    let error = match failure {
        Failure::Refused(why) => return Error::Refused(format!("the other end refuses: {why}")),
        Failure::Broken(why) => why,
        Failure::Lost(reason) => reason.to_string(),
    };
    // If it does not hear this it hears the end of the connection.
    timeout(LAST_WORD, tell(peer, &Frame::Refuse(error.clone()))).await.ok();
    Error::Run(error)
}

/// Offers the file, and sends what the other end has not got.
async fn offer(peer: &Peer, source: &mut Source) -> Result<Hash, Failure> {
    tell(peer, &Frame::Offer { size: source.size, name: source.name.clone() }).await?;
    let (offset, hash) = match hear(peer).await? {
        Frame::Want { offset, hash } => (offset, hash),
        frame => return Err(unexpected(frame)),
    };
    let begin = block_in_place(|| source.seek(offset, &hash));
    let begin = begin.map_err(|error| unreadable(&error))?;
    if begin > 0 {
        say(format_args!("going on   after {begin} of {} bytes", source.size));
    } else if offset > 0 {
        say(format_args!("anew       what the other end has is not the beginning of this file"));
    }
    tell(peer, &Frame::Begin { offset: begin }).await?;
    let mut progress = Progress::new(source.size);
    tokio::select! {
        biased;
        sent = send_all(peer, source, &mut progress) => sent?,
        frame = hear(peer) => return Err(unexpected(frame?)),
    }
    let hash = source.hash();
    let mut ticks = interval(SHOWN_EVERY);
    loop {
        tokio::select! {
            frame = hear(peer) => return match frame? {
                Frame::Done => Ok(hash),
                frame => Err(unexpected(frame)),
            },
            _ = ticks.tick() => progress.set(arrived(peer, source)),
        }
    }
}

async fn send_all(
    peer: &Peer,
    source: &mut Source,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let largest = peer.info().map_or(CHUNK, |info| info.max_message as usize);
    let mut buffer = vec![0; CHUNK.min(largest.saturating_sub(1)).max(1)];
    while source.position() < source.size {
        let read = block_in_place(|| source.read(&mut buffer));
        match read.map_err(|error| unreadable(&error))? {
            0 => return Err(Failure::Broken("the file has become shorter meanwhile".to_owned())),
            read => tell_bytes(peer, Frame::data(&buffer[..read])).await?,
        }
        progress.set(arrived(peer, source));
    }
    tell(peer, &Frame::End { hash: source.hash() }).await
}

/// How much the other end has, about: what was handed over without what still waits here.
fn arrived(peer: &Peer, source: &Source) -> u64 {
    let queued = peer.info().map_or(0, |info| info.queued);
    source.position().saturating_sub(queued)
}

fn unexpected(frame: Frame) -> Failure {
    match frame {
        Frame::Refuse(why) => Failure::Refused(why),
        _ => Failure::Broken("the receiver does not keep to the order of a transfer".to_owned()),
    }
}

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::Broken(format!("cannot read the file: {}", explain(error)))
}

/// As `sha256sum` writes it.
pub(super) fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How much of the file is in a message.
const CHUNK: usize = 64 << 10;
const SERVER_PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN_DIALS: Duration = Duration::from_millis(500);
const LAST_WORD: Duration = Duration::from_secs(2);
const SHOWN_EVERY: Duration = Duration::from_millis(100);
