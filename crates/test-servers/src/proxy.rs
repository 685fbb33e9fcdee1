//! A TCP proxy that simulates failures of the network between two sides.

use socket2::SockRef;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::watch;

/// The size of the buffer of each direction of a connection, in bytes.
const BUFFER_SIZE: usize = 16 << 10;

/// The receive buffer of a narrow proxy's connections to the server, in bytes.
const NARROW_BUFFER: u32 = 4 << 10;

/// The maximum segment size of a narrow proxy's connections to the server, in bytes.
const NARROW_SEGMENT: u32 = 536;

/// The state of the network between the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    /// Bytes pass with this delay.
    Up(Duration),
    /// No bytes pass; connections stay open.
    Cut,
    /// Connections are reset.
    Reset,
    /// The proxy is being dropped.
    Closed,
}

/// A proxy to a server. Dropping it ends all connections.
pub struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy to the server at `host:port`, on a free port.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn to(server: &str) -> Self {
        Self::listen(server.to_owned(), None)
            .unwrap_or_else(|error| panic!("a proxy to {server}: {error}"))
    }

    /// A proxy with small buffers towards the server, so that the server soon notices that a cut
    /// proxy does not read.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn narrow(server: &str) -> Self {
        Self::listen(server.to_owned(), Some(NARROW_BUFFER))
            .unwrap_or_else(|error| panic!("a proxy to {server}: {error}"))
    }

    fn listen(server: String, buffer: Option<u32>) -> io::Result<Self> {
        let listener = StdListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (network, seen) = watch::channel(Network::Up(Duration::ZERO));
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let thread =
            thread::Builder::new().name(format!("proxy to {server}")).spawn(move || {
                runtime.block_on(accept(listener, &server, buffer, seen));
            })?;
        Ok(Self { address, network, thread: Some(thread) })
    }

    /// Its address: `127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Cuts the network: no bytes pass in either direction, connections stay open, and new ones are
    /// accepted.
    pub fn cut(&self) {
        self.network.send_replace(Network::Cut);
    }

    /// Resets all connections and each new one.
    pub fn reset(&self) {
        self.network.send_replace(Network::Reset);
    }

    /// Restores the network; bytes that a cut held back pass too.
    pub fn heal(&self) {
        self.delay(Duration::ZERO);
    }

    /// Restores the network with a delay of each read.
    pub fn delay(&self, delay: Duration) {
        self.network.send_replace(Network::Up(delay));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.send_replace(Network::Closed);
        if let Some(thread) = self.thread.take() {
            // A panic has ended it too.
            let _ = thread.join();
        }
    }
}

async fn accept(
    listener: StdListener,
    server: &str,
    buffer: Option<u32>,
    mut network: watch::Receiver<Network>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = network.wait_for(|network| *network == Network::Closed) => return,
        };
        // Accepting fails if the peer has closed already.
        let Ok((peer, _)) = accepted else { continue };
        tokio::spawn(serve(peer, server.to_owned(), buffer, network.clone()));
    }
}

/// Serves one connection until one side ends it or the network is reset.
async fn serve(
    mut peer: TcpStream,
    server: String,
    buffer: Option<u32>,
    network: watch::Receiver<Network>,
) {
    let mut watched = network.clone();
    let reset = watched.wait_for(|network| matches!(network, Network::Reset | Network::Closed));
    let failed = tokio::select! {
        // After an error of one side the connection of the other is reset too.
        done = forward(&mut peer, &server, buffer, network) => done.is_err(),
        _ = reset => true,
    };
    if failed {
        // Fails if the peer has closed already.
        let _ = peer.set_zero_linger();
    }
}

/// Forwards both directions until both have ended.
async fn forward(
    peer: &mut TcpStream,
    server: &str,
    buffer: Option<u32>,
    network: watch::Receiver<Network>,
) -> io::Result<()> {
    passable(&mut network.clone()).await;
    let mut server = match buffer {
        None => TcpStream::connect(server).await?,
        Some(buffer) => {
            // Set before connecting, because a connection keeps its initial buffer.
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(buffer)?;
            // The server's system buffers a number of segments, which are large on the loopback
            // device.
            SockRef::from(&socket).set_tcp_mss(NARROW_SEGMENT)?;
            socket.connect(server.parse().map_err(io::Error::other)?).await?
        }
    };
    // Without it a small frame would wait for the next one.
    server.set_nodelay(true)?;
    peer.set_nodelay(true)?;
    let ((from_peer, to_peer), (from_server, to_server)) = (peer.split(), server.split());
    tokio::try_join!(
        pump(from_peer, to_server, network.clone()),
        pump(from_server, to_peer, network)
    )?;
    Ok(())
}

/// Forwards one direction.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut network: watch::Receiver<Network>,
) -> io::Result<()> {
    let mut bytes = vec![0; BUFFER_SIZE];
    loop {
        let count = from.read(&mut bytes).await?;
        let delay = passable(&mut network).await;
        if !delay.is_zero() {
            // The timers of the runtime count whole milliseconds.
            let sleeping = tokio::task::spawn_blocking(move || std::thread::sleep(delay));
            sleeping.await.map_err(io::Error::other)?;
            // The network may have been cut meanwhile.
            passable(&mut network).await;
        }
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..count]).await?;
    }
}

/// Waits until bytes may pass, and returns their delay.
async fn passable(network: &mut watch::Receiver<Network>) -> Duration {
    match network
        .wait_for(|network| matches!(network, Network::Up(_)))
        .await
        .map(|network| *network)
    {
        Ok(Network::Up(delay)) => delay,
        // The proxy is being dropped, and this task with it.
        _ => std::future::pending().await,
    }
}
