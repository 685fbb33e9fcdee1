//! What the wire alone costs: each dialect's golden frames decoded, validated, encoded, rendered
//! and translated, beside `serde_json` reading and writing the same bytes.
//!
//! `cargo bench -p tolmach-bench` measures, `cargo test -p tolmach-bench --bench wire` only runs
//! everything once. Every frame is one of `protocols/<dialect>/transcripts`: a dialect that says
//! another one is an error.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::hint::black_box;
use std::time::Duration;
use tolmach_dialect::{Dialect, Frame, Line, Session, translate};
use tolmach_dialect_action::Action;
use tolmach_dialect_bearer::Bearer;
use tolmach_dialect_kit::{Project, Scene, Told};
use tolmach_dialect_mode::Mode;
use tolmach_dialect_morelia::Morelia;
use tolmach_dialect_sndmsg::SndMsg;
use tolmach_domain::Timestamp;

criterion_group! {
    name = wire;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50);
    targets = dialects, translations
}
criterion_main!(wire);

/// Every dialect says it, and every gateway hears it most.
const SEND: &str = "ann: send (text)";
/// Every dialect answers it, with a list.
const LIST: &str = "ann: list_flows";

fn project() -> Project {
    Project::of_crate(env!("CARGO_MANIFEST_DIR"))
}

fn scene(dialect: &dyn Dialect, title: &str) -> Scene {
    Scene::of(&project(), dialect, "chat", title).unwrap_or_else(|problem| panic!("{problem}"))
}

fn told(scene: Scene) -> Told {
    scene.told.expect("every dialect tells of a message that was sent")
}

fn dialects(criterion: &mut Criterion) {
    dialect::<mode::Asked, mode::Told>(criterion, &Mode, "sendMessage.request.json");
    dialect::<sndmsg::Asked, sndmsg::Told>(criterion, &SndMsg, "SND_MSG.request.json");
    dialect::<morelia::Asked, morelia::Told>(criterion, &Morelia, "1.0/send_message.request.json");
    dialect::<bearer::Asked, bearer::Told>(criterion, &Bearer, "message.request.json");
    dialect::<action::Asked, action::Told>(
        criterion,
        &Action::default(),
        "create_message.request.json",
    );
}

/// Benches one dialect. `A` and `T` have the shape of a frame that asks and of one that tells.
fn dialect<A: Twin, T: Twin>(criterion: &mut Criterion, dialect: &dyn Dialect, schema: &str) {
    let id = dialect.manifest().id;
    let send = scene(dialect, SEND);
    decode::<A>(criterion, &format!("{id}/decode"), send.ends.server, send.now, &send.asked);
    validate(criterion, id, schema, send.asked.payload());
    encode(criterion, id, scene(dialect, LIST));
    exchange(criterion, id, scene(dialect, LIST));
    let Told { ends, notice, variant, frame } =
        send.told.expect("every dialect tells of a message that was sent");
    decode::<T>(criterion, &format!("{id}/decode a push"), ends.client, send.now, &frame);
    assert_eq!(dialect.render(&notice, variant), Ok(frame.clone()));
    let mut group = criterion.benchmark_group(format!("{id}/render"));
    group.bench_function("dialect", |bencher| {
        bencher.iter(|| dialect.render(black_box(&notice), variant))
    });
    let twin: T = read(frame.payload());
    group.bench_function("struct", |bencher| bencher.iter(|| write(black_box(&twin))));
    let value: Value = read(frame.payload());
    group.bench_function("value", |bencher| bencher.iter(|| write(black_box(&value))));
}

/// Bytes to lines: read, validated where the dialect does, and lifted.
fn decode<T: Twin>(
    criterion: &mut Criterion,
    name: &str,
    mut session: Box<dyn Session>,
    now: Timestamp,
    frame: &Frame,
) {
    let bytes = frame.payload();
    assert_eq!(
        write(&read::<T>(bytes)),
        **bytes,
        "{name}: the struct does not have the shape of the frame"
    );
    let mut group = criterion.benchmark_group(name);
    let mut lines = Vec::new();
    group.bench_function("dialect", |bencher| {
        bencher.iter(|| {
            lines.clear();
            session
                .decode(now, black_box(frame), &mut lines)
                .expect("a golden frame is understood");
        });
    });
    group.bench_function("struct", |bencher| bencher.iter(|| read::<T>(black_box(bytes))));
    group.bench_function("value", |bencher| bencher.iter(|| read::<Value>(black_box(bytes))));
}

/// A frame that has been read already, held against its schema: MoreliaTalk does it to each
/// request, and it is a part of its decoding; the other dialects are written so that what they
/// accept is valid.
fn validate(criterion: &mut Criterion, id: &str, schema: &str, bytes: &[u8]) {
    let is_valid = project().validator(id, schema).unwrap_or_else(|problem| panic!("{problem}"));
    let value: Value = read(bytes);
    assert!(is_valid(&value), "{id}: a golden frame is valid by {schema}");
    criterion.bench_function(&format!("{id}/validate"), |bencher| {
        bencher.iter(|| is_valid(black_box(&value)))
    });
}

/// A reply to bytes.
fn encode(criterion: &mut Criterion, id: &str, list: Scene) {
    let Scene { now, mut ends, reply, answered, .. } = list;
    let [frame] = &answered[..] else { panic!("{id}: one frame answers a list") };
    let (line, mut frames) = (Line::Reply(reply), Vec::new());
    let mut group = criterion.benchmark_group(format!("{id}/encode"));
    group.bench_function("dialect", |bencher| {
        bencher.iter(|| {
            frames.clear();
            ends.server.encode(now, black_box(&line), &mut frames).expect("a golden reply is said");
        });
    });
    let value: Value = read(frame.payload());
    group.bench_function("value", |bencher| bencher.iter(|| write(black_box(&value))));
}

/// The whole way: a client's ask, the server's reply, and the client has heard it.
fn exchange(criterion: &mut Criterion, id: &str, list: Scene) {
    let Scene { now, mut ends, ask, reply, .. } = list;
    let ask = Line::Ask(ask);
    criterion.bench_function(&format!("{id}/exchange"), |bencher| {
        bencher.iter_batched(
            || (Vec::new(), Vec::new()),
            |(mut frames, mut lines)| {
                ends.client
                    .encode(now, black_box(&ask), &mut frames)
                    .expect("a golden ask is said");
                for frame in frames.drain(..) {
                    ends.server
                        .decode(now, &frame, &mut lines)
                        .expect("a golden ask is understood");
                }
                let Some(Line::Ask(heard)) = lines.pop() else { panic!("{id}: an ask is heard") };
                let reply =
                    Line::Reply(tolmach_dialect::Reply { echo: heard.echo, ..reply.clone() });
                ends.server.encode(now, &reply, &mut frames).expect("a golden reply is said");
                for frame in frames.drain(..) {
                    ends.client
                        .decode(now, &frame, &mut lines)
                        .expect("a golden reply is understood");
                }
                lines
            },
            BatchSize::SmallInput,
        );
    });
}

/// From a frame that tells of a message to that of every other dialect. Asks are not here: a
/// client's end remembers each until it is answered, so that one cannot be said again and again
/// (`exchange` has both).
fn translations(criterion: &mut Criterion) {
    let all: [&dyn Dialect; 5] = [&Mode, &SndMsg, &Morelia, &Bearer, &Action::default()];
    for source in all {
        for target in all.into_iter().filter(|target| target.manifest().id != source.manifest().id)
        {
            let (from, to) = (source.manifest().id, target.manifest().id);
            let now = scene(source, SEND).now;
            let Told { ends: mut heard, frame, .. } = told(scene(source, SEND));
            let Told { ends: mut said, .. } = told(scene(target, SEND));
            criterion.bench_function(&format!("translate/{from} to {to}"), |bencher| {
                bencher.iter(|| {
                    let translated = translate(
                        now,
                        heard.client.as_mut(),
                        said.server.as_mut(),
                        black_box(&frame),
                    );
                    translated.unwrap_or_else(|problem| panic!("{from} to {to}: {problem:?}"))
                });
            });
        }
    }
}

/// A plain struct with the shape of a frame, as whoever needed no more of a frame would write it.
trait Twin: Serialize + DeserializeOwned {}

impl<T: Serialize + DeserializeOwned> Twin for T {}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> T {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("{error}: {}", bytes.escape_ascii()))
}

fn write(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("strings and numbers are said")
}

mod mode {
    use super::*;

    #[derive(Serialize, Deserialize)]
    pub(super) struct Asked {
        mode: String,
        timestamp: f64,
        token: String,
        chat_id: i64,
        content: String,
        content_type: String,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct Told {
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
    pub(super) struct Asked {
        r#type: String,
        username: String,
        room_id: i64,
        message: String,
        msg_type: String,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct Told {
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
    pub(super) struct Asked {
        r#type: String,
        data: AskedData,
        jsonapi: Version,
        meta: (),
    }

    #[derive(Serialize, Deserialize)]
    struct AskedData {
        flow: Flow,
        message: Draft,
        user: User,
        meta: (),
    }

    #[derive(Serialize, Deserialize)]
    struct Flow {
        id: i64,
    }

    #[derive(Serialize, Deserialize)]
    struct Draft {
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
    pub(super) struct Told {
        r#type: String,
        data: ToldData,
        errors: Errors,
        jsonapi: Version,
        meta: String,
    }

    #[derive(Serialize, Deserialize)]
    struct ToldData {
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
    pub(super) struct Asked {
        r#type: String,
        text: String,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct Told {
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
    pub(super) struct Asked {
        action: String,
        msg_text: String,
        request_id: u64,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct Told {
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
        email: String,
        phone: String,
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
