//! Members of a group, connected: some post, all receive.

use crate::concurrent::map_concurrently;
use crate::connection::{ClientCodec, Connection};
use crate::delivery_tracker::DeliveryTracker;
use crate::numbered_text::{text_of, with_number};
use crate::result::BenchResult;
use crate::sync::lock;
use crate::users::BenchUser;
use crate::websocket::{WebSocket, connect_to_path, next_text, source_address};
use crate::wire::Wire;
use futures_util::stream::{BoxStream, SplitSink};
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tolmach_domain::FlowId;

/// Connections of one group that are made at once.
const CONCURRENCY: usize = 32;

/// A connected member of a group.
pub(crate) enum Participant {
    /// A connection to the floor, which carries this frame with another number each time.
    Floor(WebSocket, Utf8Bytes),
    /// A connection of a user to the gateway.
    Gateway { connection: Connection, wire: Wire, user: BenchUser, flow: FlowId },
}

impl Participant {
    /// Connects a user to the gateway and subscribes to `flow`.
    pub(crate) async fn connect(
        server: SocketAddr,
        number: usize,
        wire: Wire,
        user: BenchUser,
        flow: FlowId,
    ) -> BenchResult<Self> {
        let source = source_address(number);
        let connection = Connection::subscribe(server, source, wire, &user, Some(flow)).await?;
        Ok(Self::Gateway { connection, wire, user, flow })
    }

    /// Receives in a task of `receivers`.
    pub(crate) fn receive(
        self,
        tracker: &Arc<DeliveryTracker>,
        receivers: &mut JoinSet<BenchResult<()>>,
    ) {
        let socket = match self {
            Self::Floor(socket, _) => socket,
            Self::Gateway { connection, .. } => connection.into_parts().0,
        };
        receivers.spawn(receive(socket.boxed(), None, tracker.clone()));
    }

    /// Receives in a task of `receivers`, and gives the sending half. The group has `members`.
    pub(crate) fn receive_and_post(
        self,
        members: u32,
        tracker: &Arc<DeliveryTracker>,
        receivers: &mut JoinSet<BenchResult<()>>,
    ) -> Poster {
        let (socket, source, author) = match self {
            Self::Floor(socket, template) => (socket, FrameSource::Template(template), None),
            Self::Gateway { connection, wire, user, flow } => {
                let (socket, codec) = connection.into_parts();
                let codec = Arc::new(Mutex::new(codec));
                let author =
                    Author { codec: codec.clone(), receives_own: wire.delivers_to_author() };
                let user = Box::new(user);
                (socket, FrameSource::Codec { codec, wire, user, flow }, Some(author))
            }
        };
        let receives_own = author.as_ref().is_none_or(|author| author.receives_own);
        let recipients = if receives_own { members } else { members - 1 };
        let (sink, stream) = socket.split();
        receivers.spawn(receive(stream.boxed(), author, tracker.clone()));
        Poster { sink, source, recipients }
    }
}

/// Connects these users to one group of the gateway, by these dialects in turn.
pub(crate) async fn connect_group(
    server: SocketAddr,
    wires: Vec<Wire>,
    users: Vec<BenchUser>,
    flow: FlowId,
) -> BenchResult<Vec<Participant>> {
    let users = Arc::new(users);
    map_concurrently(users.len(), CONCURRENCY, move |index| {
        let (user, wire) = (users[index].clone(), wires[index % wires.len()]);
        Participant::connect(server, index, wire, user, flow)
    })
    .await
}

/// Connects `members` to the one group of the floor, which carries this frame.
pub(crate) async fn connect_floor_group(
    server: SocketAddr,
    frame: Utf8Bytes,
    members: usize,
) -> BenchResult<Vec<Participant>> {
    map_concurrently(members, CONCURRENCY, move |index| {
        let frame = frame.clone();
        async move {
            let socket = connect_to_path(server, source_address(index), "/broadcast").await?;
            Ok(Participant::Floor(socket, frame))
        }
    })
    .await
}

/// The sending half of a participant.
pub(crate) struct Poster {
    sink: SplitSink<WebSocket, Message>,
    source: FrameSource,
    /// The number of members that receive each of its messages.
    pub(crate) recipients: u32,
}

impl Poster {
    /// Posts the message with this number.
    pub(crate) async fn post(&mut self, number: usize) -> BenchResult<()> {
        let messages = match &self.source {
            FrameSource::Template(template) => {
                vec![Message::Text(with_number(template, number)?)]
            }
            FrameSource::Codec { codec, wire, user, flow } => {
                lock(codec).encode(wire.send_request(user, *flow, text_of(number)))?
            }
        };
        for message in messages {
            self.sink.send(message).await?;
        }
        Ok(())
    }
}

/// The source of the frames that a poster sends.
enum FrameSource {
    Template(Utf8Bytes),
    Codec { codec: SharedCodec, wire: Wire, user: Box<BenchUser>, flow: FlowId },
}

/// The codec of a poster: its sending half encodes, its receiving task decodes.
type SharedCodec = Arc<Mutex<ClientCodec>>;

/// The receiving side of a poster.
struct Author {
    codec: SharedCodec,
    /// True if its own messages reach it as events, or in the response itself.
    receives_own: bool,
}

/// Records the frames of a connection. For an author every frame is decoded, as its session expects
/// the responses; a mere response is no delivery where the wire does not deliver to authors.
async fn receive(
    mut stream: BoxStream<'static, Result<Message, Error>>,
    author: Option<Author>,
    tracker: Arc<DeliveryTracker>,
) -> BenchResult<()> {
    while let Some(frame) = next_text(&mut stream).await? {
        let delivered = match &author {
            None => true,
            Some(Author { codec, receives_own }) => {
                lock(codec).decode(frame.clone())?.has_event || *receives_own
            }
        };
        if delivered {
            tracker.record_frame(frame)?;
        }
    }
    Err("the server closed a connection".into())
}
