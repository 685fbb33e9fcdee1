//! The cost of the wire alone: each dialect's golden frames decoded, validated, encoded, rendered
//! and translated, beside `serde_json` reading and writing the same bytes.
//!
//! `cargo bench -p tolmach-bench` measures, `cargo test -p tolmach-bench --bench wire` only runs
//! everything once. Every frame is one of `protocols/<dialect>/transcripts`: another frame of a
//! dialect is an error.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use tolmach_cli::dialects;
use tolmach_dialect::{
    Delivery, Dialect, Event, Frame, Incoming, RenderContext, Request, Response, ServerSession,
    Unsupported, Variant, Violation, translate_incoming,
};
use tolmach_dialect_declared::{BUILT_IN, Declared};
use tolmach_dialect_kit::{DeliveredEvent, GoldenExchange, Project};
use tolmach_domain::Timestamp;

criterion_group! {
    name = wire;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50);
    targets = single_dialects, documents_as_files, translations
}
criterion_main!(wire);

/// The exchange that every dialect has, and the most frequent one of a gateway.
const SEND: &str = "ann: send (text)";
/// An exchange that every dialect has, whose response is a list.
const LIST: &str = "ann: list_flows";

/// Options that are not the defaults: the dialect, a name and a value. Golden transcripts show a
/// dialect that pushes.
const OPTIONS: [(&str, &str, bool); 1] = [("morelia", "push", true)];

/// The benches of one dialect, with the shapes of its frames.
type Bench = fn(&mut Criterion, &dyn Dialect);

/// The benches of each dialect, by its id.
const BENCHES: [(&str, Bench); 5] = [
    ("mode", |criterion, dialect| {
        bench::<mode::RequestFrame, mode::EventFrame>(
            criterion,
            dialect,
            "sendMessage.request.json",
        );
    }),
    ("sndmsg", |criterion, dialect| {
        bench::<sndmsg::RequestFrame, sndmsg::EventFrame>(
            criterion,
            dialect,
            "SND_MSG.request.json",
        );
    }),
    ("morelia", |criterion, dialect| {
        bench::<morelia::RequestFrame, morelia::EventFrame>(
            criterion,
            dialect,
            "1.0/send_message.request.json",
        );
    }),
    ("bearer", |criterion, dialect| {
        bench::<bearer::RequestFrame, bearer::EventFrame>(
            criterion,
            dialect,
            "message.request.json",
        );
    }),
    ("action", |criterion, dialect| {
        bench::<action::RequestFrame, action::EventFrame>(
            criterion,
            dialect,
            "create_message.request.json",
        );
    }),
];

fn single_dialects(criterion: &mut Criterion) {
    for dialect in all_dialects() {
        let id = dialect.manifest().id;
        let Some((_, bench)) = BENCHES.iter().find(|(listed, _)| *listed == id) else {
            panic!("the dialect {id} has no benches in {}; add an entry to BENCHES", file!());
        };
        bench(criterion, &*dialect);
    }
}

/// Decoding and encoding by the documents that are files too, beside their crates.
fn documents_as_files(criterion: &mut Criterion) {
    file::<mode::RequestFrame>(criterion, "mode-doc");
    file::<sndmsg::RequestFrame>(criterion, "sndmsg-doc");
}

/// Benches one file. `R` has the shape of a request's frame.
fn file<R: FrameShape>(criterion: &mut Criterion, name: &str) {
    let file = BUILT_IN.iter().find(|file| file.name.strip_suffix(".toml") == Some(name));
    let file = file.unwrap_or_else(|| panic!("{name}.toml is not built in"));
    let dialect = Declared::compile(*file, BUILT_IN).unwrap_or_else(|error| panic!("{error}"));
    decode_request::<R>(criterion, name, exchange(&dialect, SEND));
    encode(criterion, name, exchange(&dialect, LIST));
}

/// Benches one dialect. `R` and `E` have the shape of a request's frame and of an event's.
fn bench<R: FrameShape, E: FrameShape>(
    criterion: &mut Criterion,
    dialect: &dyn Dialect,
    schema: &str,
) {
    let id = dialect.manifest().id;
    decode_request::<R>(criterion, id, exchange(dialect, SEND));
    validate(criterion, id, schema, exchange(dialect, SEND).request_frame.payload());
    encode(criterion, id, exchange(dialect, LIST));
    round_trip(criterion, id, exchange(dialect, LIST));
    decode_event::<E>(criterion, id, exchange(dialect, SEND));
    render::<E>(criterion, dialect, delivered(exchange(dialect, SEND)));
}

/// Decoding of a request: from bytes to the canonical form, with validation where the dialect
/// validates by schema.
fn decode_request<R: FrameShape>(criterion: &mut Criterion, id: &str, send: GoldenExchange) {
    let GoldenExchange { now, mut sessions, request_frame, .. } = send;
    let mut requests = Vec::new();
    decode::<R>(criterion, &format!("{id}/decode"), &request_frame, |frame| {
        requests.clear();
        let decoded = sessions.server.decode(now, frame, &mut requests);
        decoded.expect("a golden request is decoded");
    });
}

/// Decoding of an event's frame by a client.
fn decode_event<E: FrameShape>(criterion: &mut Criterion, id: &str, send: GoldenExchange) {
    let now = send.now;
    let DeliveredEvent { mut sessions, frame, .. } = delivered(send);
    let mut incoming = Vec::new();
    decode::<E>(criterion, &format!("{id}/decode a push"), &frame, |frame| {
        incoming.clear();
        let decoded = sessions.client.decode(now, frame, &mut incoming);
        decoded.expect("a golden event is decoded");
    });
}

/// Measures `decode` beside `serde_json` reading the same bytes.
fn decode<S: FrameShape>(
    criterion: &mut Criterion,
    name: &str,
    frame: &Frame,
    mut decode: impl FnMut(&Frame),
) {
    let bytes = frame.payload();
    assert_eq!(
        write(&read::<S>(bytes)),
        **bytes,
        "{name}: the struct does not have the shape of the frame"
    );
    let mut group = criterion.benchmark_group(name);
    group.bench_function("dialect", |bencher| bencher.iter(|| decode(black_box(frame))));
    group.bench_function("struct", |bencher| bencher.iter(|| read::<S>(black_box(bytes))));
    group.bench_function("value", |bencher| bencher.iter(|| read::<Value>(black_box(bytes))));
}

/// Validation of a parsed frame by its schema. It is a part of decoding in `morelia`, which
/// validates each request; the decoders of the other dialects accept only valid frames.
fn validate(criterion: &mut Criterion, id: &str, schema: &str, bytes: &[u8]) {
    let is_valid = project().validator(id, schema).unwrap_or_else(|problem| panic!("{problem}"));
    let value: Value = read(bytes);
    assert!(is_valid(&value), "{id}: a golden frame is valid by {schema}");
    criterion.bench_function(&format!("{id}/validate"), |bencher| {
        bencher.iter(|| is_valid(black_box(&value)))
    });
}

/// Encoding of a response.
fn encode(criterion: &mut Criterion, id: &str, list: GoldenExchange) {
    let GoldenExchange { now, mut sessions, response, flow, response_frames, .. } = list;
    let [frame] = &response_frames[..] else { panic!("{id}: a list is answered by one frame") };
    let context = RenderContext::with_flow(flow.as_ref());
    let mut frames = Vec::new();
    let mut group = criterion.benchmark_group(format!("{id}/encode"));
    group.bench_function("dialect", |bencher| {
        bencher.iter(|| {
            frames.clear();
            let encoded = sessions.server.respond(now, black_box(&response), &context, &mut frames);
            encoded.expect("a golden response is encoded");
        });
    });
    let value: Value = read(frame.payload());
    group.bench_function("value", |bencher| bencher.iter(|| write(black_box(&value))));
}

/// A whole exchange: the client encodes a request, the server decodes it and encodes the response,
/// the client decodes that.
fn round_trip(criterion: &mut Criterion, id: &str, list: GoldenExchange) {
    let GoldenExchange { now, mut sessions, request, response, flow, .. } = list;
    let context = RenderContext::with_flow(flow.as_ref());
    criterion.bench_function(&format!("{id}/exchange"), |bencher| {
        bencher.iter_batched(
            || (Vec::new(), Vec::new(), Vec::<Incoming>::new()),
            |(mut frames, mut requests, mut incoming)| {
                let encoded = sessions.client.request(now, black_box(&request), &mut frames);
                encoded.expect("a golden request is encoded");
                for frame in frames.drain(..) {
                    let decoded = sessions.server.decode(now, &frame, &mut requests);
                    decoded.expect("a golden request is decoded");
                }
                let correlation = requests.pop().expect("one frame is one request").correlation;
                let response = Response { correlation, ..response.clone() };
                let encoded = sessions.server.respond(now, &response, &context, &mut frames);
                encoded.expect("a golden response is encoded");
                for frame in frames.drain(..) {
                    let decoded = sessions.client.decode(now, &frame, &mut incoming);
                    decoded.expect("a golden response is decoded");
                }
                incoming
            },
            BatchSize::SmallInput,
        );
    });
}

/// Rendering of an event.
fn render<E: FrameShape>(
    criterion: &mut Criterion,
    dialect: &dyn Dialect,
    delivered: DeliveredEvent,
) {
    let DeliveredEvent { event, flow, variant, frame, .. } = delivered;
    let context = RenderContext::with_flow(flow.as_ref());
    assert_eq!(dialect.render(&event, &context, variant), Ok(frame.clone()));
    let mut group = criterion.benchmark_group(format!("{}/render", dialect.manifest().id));
    group.bench_function("dialect", |bencher| {
        bencher.iter(|| dialect.render(black_box(&event), &context, variant))
    });
    let shape: E = read(frame.payload());
    group.bench_function("struct", |bencher| bencher.iter(|| write(black_box(&shape))));
    let value: Value = read(frame.payload());
    group.bench_function("value", |bencher| bencher.iter(|| write(black_box(&value))));
}

/// Translation of an event's frame to that of every other dialect. Requests are not translated
/// here: a client session keeps each until its response, so that one cannot be repeated without the
/// other (`exchange` has both).
fn translations(criterion: &mut Criterion) {
    let all = all_dialects();
    for source in &all {
        let from = source.manifest().id;
        for target in all.iter().filter(|target| target.manifest().id != from) {
            let to = target.manifest().id;
            let now = exchange(&**source, SEND).now;
            let DeliveredEvent { sessions: mut source_sessions, frame, .. } =
                delivered(exchange(&**source, SEND));
            let DeliveredEvent { sessions: target_sessions, flow, variant, .. } =
                delivered(exchange(&**target, SEND));
            let mut server = DeliverAll { session: target_sessions.server, variant };
            let context = RenderContext::with_flow(flow.as_ref());
            let mut translate = || {
                let translated = translate_incoming(
                    now,
                    source_sessions.client.as_mut(),
                    &**target,
                    &mut server,
                    &context,
                    black_box(&frame),
                );
                translated.unwrap_or_else(|problem| panic!("{from} to {to}: {problem:?}")).0
            };
            assert_eq!(translate().len(), 1, "{from} to {to}: one event is one frame");
            criterion.bench_function(&format!("translate/{from} to {to}"), |bencher| {
                bencher.iter(&mut translate);
            });
        }
    }
}

/// A server session that delivers every event. A message without a version, as most wires give it,
/// is not newer than a history that the session has sent, and so would be skipped.
struct DeliverAll {
    session: Box<dyn ServerSession>,
    variant: Variant,
}

impl ServerSession for DeliverAll {
    fn decode(
        &mut self,
        now: Timestamp,
        frame: &Frame,
        out: &mut Vec<Request>,
    ) -> Result<(), Violation> {
        self.session.decode(now, frame, out)
    }

    fn respond(
        &mut self,
        now: Timestamp,
        response: &Response,
        context: &RenderContext<'_>,
        out: &mut Vec<Frame>,
    ) -> Result<(), Unsupported> {
        self.session.respond(now, response, context, out)
    }

    fn deliver(&mut self, _: &Event, _: &RenderContext<'_>) -> Delivery {
        Delivery::Shared(self.variant)
    }
}

fn all_dialects() -> Vec<Arc<dyn Dialect>> {
    let configured = |id: &str| {
        let options = OPTIONS
            .iter()
            .filter(|(dialect, ..)| *dialect == id)
            .map(|(_, name, value)| ((*name).to_owned(), (*value).into()));
        dialects::configure(id, options.collect()).unwrap_or_else(|error| panic!("{error}"))
    };
    dialects::ids().into_iter().map(configured).collect()
}

fn project() -> Project {
    Project::of_crate(env!("CARGO_MANIFEST_DIR"))
}

fn exchange(dialect: &dyn Dialect, title: &str) -> GoldenExchange {
    GoldenExchange::play(&project(), dialect, "chat", title)
        .unwrap_or_else(|problem| panic!("{problem}"))
}

fn delivered(send: GoldenExchange) -> DeliveredEvent {
    send.delivered.expect("every dialect pushes a message that was sent")
}

/// A plain struct with the shape of a frame, as an application without a dialect would declare it.
trait FrameShape: Serialize + DeserializeOwned {}

impl<T: Serialize + DeserializeOwned> FrameShape for T {}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> T {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("{error}: {}", bytes.escape_ascii()))
}

fn write(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers are always JSON")
}

mod mode {
    use super::*;

    #[derive(Serialize, Deserialize)]
    pub(super) struct RequestFrame {
        mode: String,
        timestamp: f64,
        token: String,
        chat_id: i64,
        content: String,
        content_type: String,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct EventFrame {
        mode: String,
        timestamp: f64,
        status: u16,
        chat_id: i64,
        messages: Vec<Message>,
    }

    #[derive(Serialize, Deserialize)]
    struct Message {
        message_id: i64,
        from_id: i64,
        from_name: String,
        content: String,
        content_type: String,
        content_time: f64,
    }
}

mod sndmsg {
    use super::*;

    #[derive(Serialize, Deserialize)]
    pub(super) struct RequestFrame {
        r#type: String,
        username: String,
        room_id: i64,
        message: String,
        msg_type: String,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct EventFrame {
        r#type: String,
        status: String,
        room_id: i64,
        message_id: i64,
        msg_type: String,
        message: String,
        date: String,
        sender: String,
    }
}

mod morelia {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Version {
        version: f64,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct RequestFrame {
        r#type: String,
        data: RequestData,
        jsonapi: Version,
        meta: (),
    }

    #[derive(Serialize, Deserialize)]
    struct RequestData {
        flow: Flow,
        message: NewMessage,
        user: User,
        meta: (),
    }

    #[derive(Serialize, Deserialize)]
    struct Flow {
        id: i64,
    }

    #[derive(Serialize, Deserialize)]
    struct NewMessage {
        id: i64,
        text: String,
        time: f64,
    }

    #[derive(Serialize, Deserialize)]
    struct User {
        id: i64,
        auth_id: String,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct EventFrame {
        r#type: String,
        data: EventData,
        errors: Errors,
        jsonapi: Version,
        meta: String,
    }

    #[derive(Serialize, Deserialize)]
    struct EventData {
        time: f64,
        message: Message,
        meta: (),
    }

    #[derive(Serialize, Deserialize)]
    struct Message {
        id: i64,
        text: String,
        from_user: FromUser,
        time: f64,
        from_flow: FromFlow,
        reply_to: Option<i64>,
    }

    #[derive(Serialize, Deserialize)]
    struct FromUser {
        id: i64,
        username: String,
    }

    #[derive(Serialize, Deserialize)]
    struct FromFlow {
        id: i64,
        r#type: String,
    }

    #[derive(Serialize, Deserialize)]
    struct Errors {
        id: i64,
        time: f64,
        status: String,
        code: u16,
        detail: String,
    }
}

mod bearer {
    use super::*;

    #[derive(Serialize, Deserialize)]
    pub(super) struct RequestFrame {
        r#type: String,
        text: String,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct EventFrame {
        id: i64,
        chat_id: i64,
        r#type: String,
        text: String,
        author: Author,
        time: String,
    }

    #[derive(Serialize, Deserialize)]
    struct Author {
        id: i64,
        name: String,
    }
}

mod action {
    use super::*;

    #[derive(Serialize, Deserialize)]
    pub(super) struct RequestFrame {
        action: String,
        msg_text: String,
        request_id: u64,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct EventFrame {
        errors: Vec<String>,
        data: Message,
        action: String,
        response_status: u16,
        request_id: u64,
    }

    #[derive(Serialize, Deserialize)]
    struct Message {
        id: i64,
        text: String,
        user: Account,
        created_at: String,
        room: Room,
    }

    #[derive(Serialize, Deserialize)]
    struct Account {
        id: i64,
        email: Option<String>,
        phone: Option<String>,
    }

    #[derive(Serialize, Deserialize)]
    struct Room {
        pk: i64,
        id: i64,
        participants: Vec<Participant>,
        has_business: bool,
    }

    #[derive(Serialize, Deserialize)]
    struct Participant {
        id: i64,
        fullname: String,
        user: Account,
    }
}
