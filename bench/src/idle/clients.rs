//! The clients: each connects, sends its messages, waits until they arrived, and stays.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use quinn::{Connection, SendStream, TransportConfig};
use tokio::runtime::Builder;

use super::{CHANNELS, MESSAGES, System, many};
use crate::process::Process;
use crate::systems::{Configs, SERVER_NAME};

/// Clients that are connected until they are dropped.
pub(super) enum Clients {
    Processes(Vec<Process>),
    Thread(Thread),
}

impl Clients {
    /// Whether all are there still, as far as they tell: one that ended would take no memory.
    ///
    /// # Errors
    /// When one is not.
    pub(super) fn check(&mut self) -> Result<(), String> {
        let are_there = match self {
            Self::Processes(all) => all.iter_mut().all(Process::is_running),
            Self::Thread(Thread { thread, .. }) => {
                thread.as_ref().is_some_and(|it| !it.is_finished())
            }
        };
        are_there.then_some(()).ok_or_else(|| "clients have ended".into())
    }
}

/// Clients of this process.
pub(super) struct Thread {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Nobody asks any more what failed there.
            thread.join().ok();
        }
    }
}

/// Connects so many clients, each of which sends its messages.
///
/// # Errors
/// What the first fails at.
pub(super) fn connect(system: System, place: SocketAddr, many: usize) -> Result<Clients, String> {
    if system != System::Quinn {
        return many::start(system, place, many).map(Clients::Processes);
    }
    let over = Arc::new(AtomicBool::new(false));
    let (ready, is_ready) = channel();
    let staying = Stay { over: Arc::clone(&over), ready };
    let thread = thread::spawn(move || block_on(quinn(place, many, staying)));
    let mut clients = Thread { over, thread: Some(thread) };
    if is_ready.recv_timeout(PATIENCE).is_ok() {
        return Ok(Clients::Thread(clients));
    }
    clients.over.store(true, Ordering::Relaxed);
    match clients.thread.take().map(JoinHandle::join) {
        Some(Ok(Err(error))) => Err(error),
        _ => Err("they do not connect".into()),
    }
}

/// How a thread of clients says that all are there, and learns when to go.
struct Stay {
    over: Arc<AtomicBool>,
    ready: Sender<()>,
}

impl Stay {
    fn tell(&self) {
        // Who waits for it has lost its patience, or not.
        self.ready.send(()).ok();
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    async fn until_over(&self) {
        self.tell();
        while !self.is_over() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn block_on(clients: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    Builder::new_current_thread().enable_all().build().map_err(text)?.block_on(clients)
}

async fn quinn(place: SocketAddr, many: usize, stay: Stay) -> Result<(), String> {
    let endpoint = quinn::Endpoint::client(LOOPBACK).map_err(text)?;
    let mut config = Configs::new().client;
    let mut transport = TransportConfig::default();
    // Else they end after 30 s.
    transport.keep_alive_interval(Some(Duration::from_secs(15)));
    config.transport_config(Arc::new(transport));
    let mut all: Vec<(Connection, Vec<SendStream>)> = Vec::new();
    for _ in 0..many {
        let connecting = endpoint.connect_with(config.clone(), place, SERVER_NAME);
        let connection = connecting.map_err(text)?.await.map_err(text)?;
        let mut streams = Vec::new();
        for _ in 0..CHANNELS {
            let mut stream = connection.open_uni().await.map_err(text)?;
            for _ in 0..MESSAGES {
                stream.write_all(&MESSAGE).await.map_err(text)?;
            }
            streams.push(stream);
        }
        all.push((connection, streams));
    }
    stay.until_over().await;
    let ended = all.iter().find_map(|(connection, _)| connection.close_reason());
    ended.map_or(Ok(()), |reason| Err(text(reason)))
}

/// An error in words.
pub(super) fn text(error: impl Display) -> String {
    error.to_string()
}

/// What each of them says again and again.
pub(super) static MESSAGE: [u8; 64] = [7; 64];
const PAUSE: Duration = Duration::from_millis(50);
/// Longer than all of them need.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
pub(super) const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
