//! s2n-quic on tokio: bulk on a stream, and handshakes.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::mpsc::Sender;

use bytes::Bytes;
use s2n_quic::client::Connect;
use s2n_quic::provider::io::tokio::Provider as Io;
use s2n_quic::provider::limits::Limits;
use s2n_quic::provider::tls::rustls;
use s2n_quic::{Client, Server};

use super::run::{Job, LARGE, Run, sequence};
use super::system::{LOOPBACK, cannot, text};
use crate::systems::{Rustls, SERVER_NAME};

/// The same certificate, suites and groups as quinn's.
static CONFIGS: LazyLock<Rustls> = LazyLock::new(Rustls::new);

/// Defaults, with the windows of quinn.
fn limits() -> Result<Limits, Box<dyn Error>> {
    let limits = Limits::new().with_data_window(WINDOW)?.with_unidirectional_data_window(WINDOW)?;
    Ok(limits.with_max_send_buffer_size(SEND_BUFFER)?)
}

/// A socket whose datagrams have as many bytes as those of the others.
fn io() -> Result<Io, Box<dyn Error>> {
    Ok(Io::builder().with_receive_address(LOOPBACK)?.with_max_mtu(MTU)?.build()?)
}

fn client() -> Result<Client, Box<dyn Error>> {
    let tls = rustls::Client::from(CONFIGS.client.clone());
    let builder = Client::builder().with_tls(tls)?.with_io(io()?)?.with_limits(limits()?)?;
    Ok(builder.start()?)
}

fn server() -> Result<Server, Box<dyn Error>> {
    let tls = rustls::Server::from(CONFIGS.server.clone());
    let builder = Server::builder().with_tls(tls)?.with_io(io()?)?.with_limits(limits()?)?;
    Ok(builder.start()?)
}

pub(super) async fn send(to: SocketAddr, run: &Run) -> Result<(), String> {
    let client = client().map_err(text)?;
    match run.job {
        Job::Handshakes => {
            run.begin();
            let one = || knock(&client, to, run);
            tokio::try_join!(one(), one(), one(), one()).map(drop)
        }
        Job::Bulk => pour(&client, to, run).await,
        Job::Messages { .. } | Job::Echo => cannot(run.job),
    }
}

fn target(to: SocketAddr) -> Connect {
    Connect::new(to).with_server_name(SERVER_NAME)
}

/// Connects and parts, again and again.
async fn knock(client: &Client, to: SocketAddr, run: &Run) -> Result<(), String> {
    while !run.is_over() {
        let connection = client.connect(target(to)).await.map_err(text)?;
        run.shook_hands();
        connection.close(0_u32.into());
    }
    Ok(())
}

async fn pour(client: &Client, to: SocketAddr, run: &Run) -> Result<(), String> {
    let mut connection = client.connect(target(to)).await.map_err(text)?;
    run.begin();
    let mut stream = connection.open_send_stream().await.map_err(text)?;
    let mut sent = 0;
    while !run.is_over() {
        let piece = Bytes::from_static(sequence().piece(sent, LARGE));
        stream.send(piece).await.map_err(text)?;
        sent += LARGE as u64;
    }
    Ok(())
}

pub(super) async fn receive(tell: &Sender<SocketAddr>, run: &Run) -> Result<(), String> {
    let mut server = server().map_err(text)?;
    tell.send(server.local_addr().map_err(text)?).ok();
    if run.job == Job::Handshakes {
        return welcome(&mut server, run).await;
    }
    let mut connection = server.accept().await.ok_or("the endpoint is closed")?;
    let stream = connection.accept_receive_stream().await.map_err(text)?;
    let mut stream = stream.ok_or("there is no stream")?;
    let mut taker = run.taker();
    while let Some(chunk) = stream.receive().await.map_err(text)? {
        taker.take(&chunk);
    }
    Ok(())
}

/// Accepts whoever comes.
async fn welcome(server: &mut Server, run: &Run) -> Result<(), String> {
    while let Some(mut connection) = server.accept().await {
        run.tell_cpu();
        // Until the client ends it; it sends nothing, and counts those that succeed.
        tokio::spawn(async move { connection.accept_receive_stream().await.map(drop) });
    }
    Err("the endpoint is closed".into())
}

/// A datagram of 1,452 bytes with the headers of UDP and IPv4.
const MTU: u16 = 1452 + 28;
const WINDOW: u64 = 8 << 20;
const SEND_BUFFER: u32 = 16 << 20;
