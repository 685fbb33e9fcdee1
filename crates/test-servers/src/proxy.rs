//! A TCP proxy that can be told to lose the network between two sides.

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

/// Bytes that are on the way at once, in each direction of each connection.
const ON_THE_WAY: usize = 16 << 10;

/// The room for what a server has sent, of a narrow proxy, and the size of a segment of it.
const NARROW: u32 = 4 << 10;
const SEGMENT: u32 = 536;

/// The network between one side and the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Network {
    /// Bytes pass, this much later.
    Whole(Duration),
    /// Nothing passes, and nobody is told.
    Cut,
    /// Every connection is reset.
    Down,
    /// The proxy is let go.
    Gone,
}

/// Passes connections on to a server, until it is told not to. Dropping it ends them all.
pub struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy to the server at `host:port`, on a port of its own.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn to(server: &str) -> Self {
        Self::listen(server.to_owned(), None)
            .unwrap_or_else(|error| panic!("a proxy to {server}: {error}"))
    }

    /// The same, for which the system keeps few bytes that the server has sent: a server to which
    /// it is cut notices soon that nobody reads.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn narrow(server: &str) -> Self {
        Self::listen(server.to_owned(), Some(NARROW))
            .unwrap_or_else(|error| panic!("a proxy to {server}: {error}"))
    }

    fn listen(server: String, room: Option<u32>) -> io::Result<Self> {
        let listener = StdListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (network, seen) = watch::channel(Network::Whole(Duration::ZERO));
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let thread =
            thread::Builder::new().name(format!("proxy to {server}")).spawn(move || {
                runtime.block_on(accept(listener, &server, room, seen));
            })?;
        Ok(Self { address, network, thread: Some(thread) })
    }

    /// `127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Nothing passes any more, in either direction. Connections stay, new ones are accepted, and
    /// nobody is told.
    pub fn cut(&self) {
        self.network.send_replace(Network::Cut);
    }

    /// Every connection is reset, and so is each new one.
    pub fn reset(&self) {
        self.network.send_replace(Network::Down);
    }

    /// All passes again; so does what was stuck in a cut.
    pub fn heal(&self) {
        self.delay(Duration::ZERO);
    }

    /// All passes, each piece this much later.
    pub fn delay(&self, delay: Duration) {
        self.network.send_replace(Network::Whole(delay));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.network.send_replace(Network::Gone);
        if let Some(thread) = self.thread.take() {
            // If it panicked, it is as gone.
            let _ = thread.join();
        }
    }
}

async fn accept(
    listener: StdListener,
    server: &str,
    room: Option<u32>,
    mut network: watch::Receiver<Network>,
) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = network.wait_for(|network| *network == Network::Gone) => return,
        };
        // What fails here is that a peer has gone already.
        let Ok((peer, _)) = accepted else { continue };
        tokio::spawn(carry(peer, server.to_owned(), room, network.clone()));
    }
}

/// One connection, until one side ends it or the network goes down.
async fn carry(
    mut peer: TcpStream,
    server: String,
    room: Option<u32>,
    network: watch::Receiver<Network>,
) {
    let mut watched = network.clone();
    let down = watched.wait_for(|network| matches!(network, Network::Down | Network::Gone));
    let reset = tokio::select! {
        // An error is that of a side which is gone: the other loses the connection too.
        passed = pass(&mut peer, &server, room, network) => passed.is_err(),
        _ = down => true,
    };
    if reset {
        // Nothing more can be done for whoever has gone already.
        let _ = peer.set_zero_linger();
    }
}

/// Both directions, until both are ended in peace.
async fn pass(
    peer: &mut TcpStream,
    server: &str,
    room: Option<u32>,
    network: watch::Receiver<Network>,
) -> io::Result<()> {
    passable(&mut network.clone()).await;
    let mut server = match room {
        None => TcpStream::connect(server).await?,
        Some(room) => {
            // Before it connects: it is what the connection begins with that is kept.
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(room)?;
            // The server's system keeps room for so many segments, and on this host one could be
            // large.
            SockRef::from(&socket).set_tcp_mss(SEGMENT)?;
            socket.connect(server.parse().map_err(io::Error::other)?).await?
        }
    };
    // A small frame must not wait for the next one.
    server.set_nodelay(true)?;
    peer.set_nodelay(true)?;
    let ((from_peer, to_peer), (from_server, to_server)) = (peer.split(), server.split());
    tokio::try_join!(
        pump(from_peer, to_server, network.clone()),
        pump(from_server, to_peer, network)
    )?;
    Ok(())
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut network: watch::Receiver<Network>,
) -> io::Result<()> {
    let mut bytes = vec![0; ON_THE_WAY];
    loop {
        let count = from.read(&mut bytes).await?;
        let delay = passable(&mut network).await;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
            // It may have been cut meanwhile.
            passable(&mut network).await;
        }
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..count]).await?;
    }
}

/// Waits until bytes pass, and tells how much later they arrive.
async fn passable(network: &mut watch::Receiver<Network>) -> Duration {
    match network
        .wait_for(|network| matches!(network, Network::Whole(_)))
        .await
        .map(|network| *network)
    {
        Ok(Network::Whole(delay)) => delay,
        // The proxy is gone, and this connection is about to be.
        _ => std::future::pending().await,
    }
}
