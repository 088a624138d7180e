//! quinn on tokio: bulk on a stream, reliable messages on it too or on a stream each, others as datagrams.

use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use bytes::Bytes;
use quinn::congestion::BbrConfig;
use quinn::{ClientConfig, Connection, Endpoint, TransportConfig, VarInt};
use tokio::time::timeout;

use super::run::{Job, LARGE, LOST, Run, SMALL, message, sequence};
use super::system::{LOOPBACK, System, cannot, text};
use crate::systems::{Configs, SERVER_NAME};

/// A server's certificate, and a client that trusts it.
static CONFIGS: LazyLock<Configs> = LazyLock::new(Configs::new);

/// Defaults (datagrams of 1,200 bytes, then of up to 1,452), with windows that do not hold bulk back.
fn transport(system: System) -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport.stream_receive_window(VarInt::from_u32(8 << 20));
    transport.send_window(16 << 20);
    if system == System::QuinnBbr {
        transport.congestion_controller_factory(Arc::new(BbrConfig::default()));
    }
    Arc::new(transport)
}

pub(super) async fn send(system: System, to: SocketAddr, run: &Run) -> Result<(), String> {
    let endpoint = Endpoint::client(LOOPBACK).map_err(text)?;
    let mut config = CONFIGS.client.clone();
    config.transport_config(transport(system));
    if run.job == Job::Handshakes {
        run.begin();
        let one = || knock(&endpoint, &config, to, run);
        return tokio::try_join!(one(), one(), one(), one()).map(drop);
    }
    let connecting = endpoint.connect_with(config, to, SERVER_NAME).map_err(text)?;
    let connection = connecting.await.map_err(text)?;
    run.begin();
    match (run.job, system) {
        (Job::Messages { reliable: true }, System::QuinnStreamEach) => {
            a_stream_each(&connection, run).await
        }
        (Job::Bulk, _) => pour(&connection, run, LARGE).await,
        (Job::Messages { reliable: true }, _) => pour(&connection, run, SMALL).await,
        (Job::Messages { reliable: false }, _) => scatter(&connection, run).await,
        (Job::Echo, _) => call(&connection, run).await,
        (Job::Handshakes, _) => cannot(run.job),
    }
}

/// Connects and parts, again and again.
async fn knock(
    endpoint: &Endpoint,
    config: &ClientConfig,
    to: SocketAddr,
    run: &Run,
) -> Result<(), String> {
    while !run.is_over() {
        let connecting = endpoint.connect_with(config.clone(), to, SERVER_NAME).map_err(text)?;
        let connection = connecting.await.map_err(text)?;
        run.shook_hands();
        connection.close(VarInt::from_u32(0), &[]);
    }
    Ok(())
}

async fn pour(connection: &Connection, run: &Run, len: usize) -> Result<(), String> {
    let mut stream = connection.open_uni().await.map_err(text)?;
    let mut sent = 0;
    while !run.is_over() {
        stream.write_all(sequence().piece(sent, len)).await.map_err(text)?;
        sent += len as u64;
    }
    Ok(())
}

async fn a_stream_each(connection: &Connection, run: &Run) -> Result<(), String> {
    for number in 0.. {
        let mut stream = connection.open_uni().await.map_err(text)?;
        stream.write_all(message(number)).await.map_err(text)?;
        stream.finish().map_err(text)?;
        if run.is_over() {
            break;
        }
    }
    Ok(())
}

async fn scatter(connection: &Connection, run: &Run) -> Result<(), String> {
    for number in 0.. {
        let message = Bytes::from_static(message(number));
        connection.send_datagram_wait(message).await.map_err(text)?;
        if run.is_over() {
            break;
        }
    }
    Ok(())
}

async fn call(connection: &Connection, run: &Run) -> Result<(), String> {
    for number in 0.. {
        let (began, sent) = (Instant::now(), message(number));
        connection.send_datagram(Bytes::from_static(sent)).map_err(text)?;
        if let Ok(answer) = timeout(LOST, connection.read_datagram()).await
            && answer.map_err(text)? == sent
        {
            run.came_back(began.elapsed());
        }
    }
    Ok(())
}

pub(super) async fn receive(
    system: System,
    tell: &Sender<SocketAddr>,
    run: &Run,
) -> Result<(), String> {
    let mut config = CONFIGS.server.as_ref().clone();
    config.transport_config(transport(system));
    let endpoint = Endpoint::server(config, LOOPBACK).map_err(text)?;
    tell.send(endpoint.local_addr().map_err(text)?).ok();
    if run.job == Job::Handshakes {
        return welcome(&endpoint, run).await;
    }
    let connection =
        endpoint.accept().await.ok_or("the endpoint is closed")?.await.map_err(text)?;
    match (run.job, system) {
        (Job::Messages { reliable: true }, System::QuinnStreamEach) => {
            streams(&connection, run).await
        }
        (Job::Bulk | Job::Messages { reliable: true }, _) => stream(&connection, run).await,
        (Job::Messages { reliable: false } | Job::Echo | Job::Handshakes, _) => {
            datagrams(&connection, run).await
        }
    }
}

/// Accepts whoever comes.
async fn welcome(endpoint: &Endpoint, run: &Run) -> Result<(), String> {
    while let Some(incoming) = endpoint.accept().await {
        run.tell_cpu();
        // The other end counts those that succeed.
        tokio::spawn(async move {
            if let Ok(connection) = incoming.await {
                connection.closed().await;
            }
        });
    }
    Err("the endpoint is closed".into())
}

async fn stream(connection: &Connection, run: &Run) -> Result<(), String> {
    let mut stream = connection.accept_uni().await.map_err(text)?;
    let mut taker = run.taker();
    while let Some(chunk) = stream.read_chunk(LARGE, true).await.map_err(text)? {
        taker.take(&chunk.bytes);
    }
    Ok(())
}

async fn streams(connection: &Connection, run: &Run) -> Result<(), String> {
    let taker = run.taker();
    loop {
        let mut stream = connection.accept_uni().await.map_err(text)?;
        taker.take_any(&stream.read_to_end(SMALL).await.map_err(text)?);
    }
}

async fn datagrams(connection: &Connection, run: &Run) -> Result<(), String> {
    let taker = run.taker();
    loop {
        let datagram = connection.read_datagram().await.map_err(text)?;
        match run.job {
            Job::Messages { .. } => taker.take_any(&datagram),
            Job::Echo => connection.send_datagram(datagram).map_err(text)?,
            Job::Bulk | Job::Handshakes => return cannot(run.job),
        }
    }
}
