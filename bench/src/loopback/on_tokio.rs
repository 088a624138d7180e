//! handfast on tokio.

use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Instant;

use handfast_tokio::handfast_core::SendError::{Blocked, NoRoom};
use handfast_tokio::{
    Budget, Bytes, Config, Delivery, DisconnectOptions, Endpoint, Peer, SendError,
};
use tokio::time::timeout;

use super::run::{Job, LARGE, LOST, Run, SMALL, message, sequence};
use super::system::{System, cannot, endpoint, text};

pub(super) async fn send(system: System, to: SocketAddr, run: &Run) -> Result<(), String> {
    if run.job == Job::Handshakes {
        run.begin();
        let one = || knock(system, to, run);
        return tokio::try_join!(one(), one(), one(), one()).map(drop);
    }
    let endpoint = endpoint(system, system.config()).await?;
    let peer = endpoint.connect(to).await.map_err(text)?;
    run.begin();
    match run.job {
        Job::Bulk => pour(&peer, run, LARGE).await,
        Job::Messages { reliable: true } => pour(&peer, run, SMALL).await,
        Job::Messages { reliable: false } => scatter(&peer, run).await,
        Job::Echo => call(&peer, run).await,
        Job::Handshakes => cannot(run.job),
    }
}

/// Connects and parts, again and again. A peer has one session, so each that knocks is a peer of its own.
async fn knock(system: System, to: SocketAddr, run: &Run) -> Result<(), String> {
    let mut visitor = endpoint(system, system.config()).await?;
    while !run.is_over() {
        let peer = visitor.connect(to).await.map_err(text)?;
        run.shook_hands();
        peer.disconnect(DisconnectOptions::now()).await;
        if system == System::TokioStrangers {
            visitor = endpoint(system, system.config()).await?;
        }
    }
    Ok(())
}

/// Messages of this length, all of which arrive in order.
async fn pour(peer: &Peer, run: &Run, len: usize) -> Result<(), String> {
    let mut sent = 0;
    while !run.is_over() {
        let piece = Bytes::from_static(sequence().piece(sent, len));
        peer.send(ORDERED, piece).await.map_err(text)?;
        sent += len as u64;
    }
    Ok(())
}

async fn scatter(peer: &Peer, run: &Run) -> Result<(), String> {
    let mut number = 0;
    while !run.is_over() {
        match peer.try_send(UNRELIABLE, Bytes::from_static(message(number))) {
            Ok(()) => number += 1,
            Err(SendError::Refused(Blocked | NoRoom)) => tokio::task::yield_now().await,
            Err(error) => return Err(text(error)),
        }
    }
    Ok(())
}

async fn call(peer: &Peer, run: &Run) -> Result<(), String> {
    for number in 0.. {
        let (began, sent) = (Instant::now(), message(number));
        peer.try_send(UNRELIABLE, Bytes::from_static(sent)).map_err(text)?;
        // A lost one is no round trip.
        if let Ok(answer) = timeout(LOST, peer.recv()).await {
            let answer = answer.ok_or("the peer ended")?;
            if answer.payload == sent {
                run.came_back(began.elapsed());
            }
        }
    }
    Ok(())
}

pub(super) async fn receive(
    system: System,
    tell: &Sender<SocketAddr>,
    run: &Run,
) -> Result<(), String> {
    let config = system.config();
    let config = if run.job == Job::Handshakes { open(config) } else { config };
    let endpoint = endpoint(system, config).await?;
    tell.send(endpoint.local_addresses()[0]).ok();
    if run.job == Job::Handshakes {
        return welcome(&endpoint, run).await;
    }
    let peer = endpoint.accept().await.ok_or("the endpoint is closed")?;
    let mut taker = run.taker();
    while let Some(message) = peer.recv().await {
        match run.job {
            Job::Bulk | Job::Messages { reliable: true } => taker.take(&message.payload),
            Job::Messages { reliable: false } => taker.take_any(&message.payload),
            Job::Echo => peer.try_send(UNRELIABLE, message.payload).map_err(text)?,
            Job::Handshakes => {}
        }
    }
    Err(text(peer.closed().await))
}

/// Accepts whoever comes.
async fn welcome(endpoint: &Endpoint, run: &Run) -> Result<(), String> {
    while endpoint.accept().await.is_some() {
        run.tell_cpu();
    }
    Err("the endpoint is closed".into())
}

/// Shakes hands with one address as often as it asks.
fn open(mut config: Config) -> Config {
    let many = Budget::new(100_000, 1_000_000);
    let budgets = &mut config.budgets;
    for budget in [
        &mut budgets.unvalidated,
        &mut budgets.unvalidated_per_source,
        &mut budgets.validated,
        &mut budgets.validated_per_source,
        &mut budgets.at_peers,
    ] {
        *budget = many;
    }
    config
}

pub(super) const ORDERED: Delivery = Delivery::ordered(0);
pub(super) const UNRELIABLE: Delivery = Delivery::unreliable(0);
