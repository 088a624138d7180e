//! A socket of tokio.

use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Instant;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::{Job, LOOPBACK, LOST, Run, message, text};
use crate::loopback::system::cannot;

pub(crate) async fn send(to: SocketAddr, run: &Run) -> Result<(), String> {
    if run.job != Job::Echo {
        return cannot(run.job);
    }
    let socket = UdpSocket::bind(LOOPBACK).await.map_err(text)?;
    socket.connect(to).await.map_err(text)?;
    run.begin();
    let mut buffer = [0; 2048];
    for number in 0.. {
        let (began, sent) = (Instant::now(), message(number));
        socket.send(sent).await.map_err(text)?;
        if let Ok(answer) = timeout(LOST, socket.recv(&mut buffer)).await
            && buffer[..answer.map_err(text)?] == *sent
        {
            run.came_back(began.elapsed());
        }
    }
    Ok(())
}

pub(crate) async fn receive(tell: &Sender<SocketAddr>, run: &Run) -> Result<(), String> {
    if run.job != Job::Echo {
        return cannot(run.job);
    }
    let socket = UdpSocket::bind(LOOPBACK).await.map_err(text)?;
    tell.send(socket.local_addr().map_err(text)?).ok();
    let mut buffer = [0; 2048];
    loop {
        let (len, from) = socket.recv_from(&mut buffer).await.map_err(text)?;
        socket.send_to(&buffer[..len], from).await.map_err(text)?;
    }
}
