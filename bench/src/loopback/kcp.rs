//! kcp on tokio with its "turbo" settings and a large window: bytes without boundaries, not encrypted.

use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Instant;

use tokio_kcp::{KcpConfig, KcpListener, KcpNoDelayConfig, KcpStream};

use super::run::{Job, LARGE, Run, SMALL, message, sequence};
use super::system::{LOOPBACK, cannot, text};

fn config() -> KcpConfig {
    KcpConfig {
        nodelay: KcpNoDelayConfig::fastest(),
        wnd_size: (WINDOW, WINDOW),
        flush_write: true,
        flush_acks_input: true,
        stream: true,
        ..KcpConfig::default()
    }
}

pub(super) async fn send(to: SocketAddr, run: &Run) -> Result<(), String> {
    let mut stream = KcpStream::connect(&config(), to).await.map_err(text)?;
    // It has no handshake.
    run.begin();
    match run.job {
        Job::Bulk => pour(&mut stream, run, LARGE).await,
        Job::Messages { reliable: true } => pour(&mut stream, run, SMALL).await,
        Job::Messages { reliable: false } | Job::Handshakes => cannot(run.job),
        Job::Echo => call(&mut stream, run).await,
    }
}

async fn pour(stream: &mut KcpStream, run: &Run, len: usize) -> Result<(), String> {
    let mut sent = 0;
    while !run.is_over() {
        sent += stream.send(sequence().piece(sent, len)).await.map_err(text)? as u64;
    }
    Ok(())
}

async fn call(stream: &mut KcpStream, run: &Run) -> Result<(), String> {
    let mut answer = [0; SMALL];
    for number in 0.. {
        let (began, sent) = (Instant::now(), message(number));
        stream.send(sent).await.map_err(text)?;
        let mut len = 0;
        while len < SMALL {
            len += stream.recv(&mut answer[len..]).await.map_err(text)?;
        }
        if answer == sent {
            run.came_back(began.elapsed());
        }
    }
    Ok(())
}

pub(super) async fn receive(tell: &Sender<SocketAddr>, run: &Run) -> Result<(), String> {
    let mut listener = KcpListener::bind(config(), LOOPBACK).await.map_err(text)?;
    tell.send(listener.local_addr().map_err(text)?).ok();
    let (mut stream, _) = listener.accept().await.map_err(text)?;
    let (mut taker, mut buffer) = (run.taker(), vec![0; LARGE]);
    loop {
        let len = stream.recv(&mut buffer).await.map_err(text)?;
        match run.job {
            Job::Echo => drop(stream.send(&buffer[..len]).await.map_err(text)?),
            _ => taker.take(&buffer[..len]),
        }
    }
}

/// In packets.
const WINDOW: u16 = 1024;
