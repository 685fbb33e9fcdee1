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

/// The pause after a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

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

/// The server, and the way to connect to it.
#[derive(Clone)]
struct Upstream {
    /// `host:port`.
    address: String,
    /// True for small buffers.
    is_narrow: bool,
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
        let upstream = Upstream { address: server.to_owned(), is_narrow: false };
        Self::listen(upstream).unwrap_or_else(|error| panic!("a proxy to {server}: {error}"))
    }

    /// A proxy with small buffers towards the server, so that the server soon notices that a cut
    /// proxy does not read.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn narrow(server: SocketAddr) -> Self {
        let upstream = Upstream { address: server.to_string(), is_narrow: true };
        Self::listen(upstream).unwrap_or_else(|error| panic!("a proxy to {server}: {error}"))
    }

    fn listen(upstream: Upstream) -> io::Result<Self> {
        let listener = StdListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (network, receiver) = watch::channel(Network::Up(Duration::ZERO));
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = {
            let _context = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let thread = thread::Builder::new()
            .name(format!("proxy to {}", upstream.address))
            .spawn(move || runtime.block_on(accept(listener, upstream, receiver)))?;
        Ok(Self { address, network, thread: Some(thread) })
    }

    /// Its address: `127.0.0.1:<port>`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Cuts the network: nothing passes in either direction, neither the end of a connection nor an
    /// error, and new connections are accepted. At most one buffer that was being written passes
    /// still.
    pub fn cut(&self) {
        self.network.send_replace(Network::Cut);
    }

    /// Resets all connections, on both sides, and each new one until the network is restored. A
    /// connection may miss a reset that [`Self::heal`] follows at once.
    pub fn reset(&self) {
        self.network.send_replace(Network::Reset);
    }

    /// Restores the network; bytes that a cut held back pass too.
    pub fn heal(&self) {
        self.delay(Duration::ZERO);
    }

    /// Restores the network with a delay: each read of at most 16 KiB is held for it before the
    /// next one, so that a long delay limits the throughput too.
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

impl Upstream {
    async fn connect(&self) -> io::Result<TcpStream> {
        if !self.is_narrow {
            return TcpStream::connect(&self.address).await;
        }
        // Set before connecting, because a connection keeps its initial buffer.
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(NARROW_BUFFER)?;
        // The server's system buffers a number of segments, which are large on the loopback device.
        SockRef::from(&socket).set_tcp_mss(NARROW_SEGMENT)?;
        socket.connect(self.address.parse().map_err(io::Error::other)?).await
    }
}

async fn accept(listener: TcpListener, upstream: Upstream, mut network: watch::Receiver<Network>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = network.wait_for(|network| *network == Network::Closed) => return,
        };
        match accepted {
            Ok((peer, _)) => {
                tokio::spawn(serve(peer, upstream.clone(), network.clone()));
            }
            // The peer has closed already, or there are too many open files for now.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves one connection until both sides have ended it or the network is reset.
async fn serve(peer: TcpStream, upstream: Upstream, network: watch::Receiver<Network>) {
    let mut resets = network.clone();
    let is_reset = |network: &Network| matches!(network, Network::Reset | Network::Closed);
    let connected = tokio::select! {
        connected = async {
            until_up(&mut network.clone()).await;
            upstream.connect().await
        } => connected.ok(),
        _ = resets.wait_for(is_reset) => None,
    };
    let Some(mut server) = connected else { return reset(&peer) };
    let mut peer = peer;
    let has_failed = tokio::select! {
        forwarded = forward(&mut peer, &mut server, network) => forwarded.is_err(),
        _ = resets.wait_for(is_reset) => true,
    };
    if has_failed {
        reset(&peer);
        reset(&server);
    }
}

/// Has a connection reset when it is dropped, rather than ended.
fn reset(connection: &TcpStream) {
    // Fails if the other side has closed already.
    let _ = connection.set_zero_linger();
}

/// Forwards both directions until both have ended.
async fn forward(
    peer: &mut TcpStream,
    server: &mut TcpStream,
    network: watch::Receiver<Network>,
) -> io::Result<()> {
    // Otherwise Nagle's algorithm holds a small frame back until the last one is acknowledged.
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
        let read = from.read(&mut bytes).await;
        // Ends and errors wait too.
        let delay = until_up(&mut network).await;
        if !delay.is_zero() {
            // Not tokio's sleep: its timer counts whole milliseconds, and delays may be shorter.
            let sleeping = tokio::task::spawn_blocking(move || thread::sleep(delay));
            sleeping.await.map_err(io::Error::other)?;
            // The network may have been cut meanwhile.
            until_up(&mut network).await;
        }
        let count = read?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&bytes[..count]).await?;
    }
}

/// Waits until bytes may pass, and returns their delay.
async fn until_up(network: &mut watch::Receiver<Network>) -> Duration {
    let is_up = |network: &Network| matches!(network, Network::Up(_));
    match network.wait_for(is_up).await.map(|network| *network) {
        Ok(Network::Up(delay)) => delay,
        // The proxy is being dropped, and this task with it.
        _ => std::future::pending().await,
    }
}
