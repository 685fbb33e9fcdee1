//! The properties, each one function: the problems of a dialect, each with what was expected and
//! what was found.

use crate::generators;
use crate::hostile::{
    Attack, attack_client, attack_recognition, attack_server, attacks, with_payload,
};
use crate::kit::{Kit, Problems, Property, Script, ScriptStep};
use crate::play::{
    Cast, Entry, Marker, Recording, Staged, Take, Trouble, asks_for_websocket, describe, encode,
    open, parts_of, record,
};
use crate::project::{Direction, UPDATE, json_of};
use crate::stories::Exchange;
use crate::transcript::{difference, inline, transcripts, write_entries};
use crate::translation::{Excuse, Finding, judge, step_moment, through, translate_stories};
use crate::world::{self, ANN, Speaker, moment};
use http::request::Parts;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tolmach_dialect::{
    DOC, Delivery, Dialect, Echo, Frame, Line, Notice, Opening, Recognition, Reply, Session,
    Settings, Side, Variant,
};
use tolmach_domain::{Authority, Command, ConnectionId};

/// The outcome of a property.
pub type Outcome = Result<(), Problems>;

pub use crate::asyncapi::the_asyncapi_document_is_golden;

/// The manifest says what is so: an id, doors, the default revision first, the pushes that are
/// really made.
pub fn the_manifest_is_sound(kit: &Kit) -> Outcome {
    let manifest = kit.dialect.manifest();
    let mut problems = Vec::new();
    if manifest.id.is_empty()
        || !manifest.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    {
        problems.push(format!(
            "the id {:?} names folders and metrics: small letters and digits are expected",
            manifest.id
        ));
    }
    if manifest.summary.is_empty() {
        problems.push("the summary is empty".to_owned());
    }
    if manifest.doors.is_empty() {
        problems.push("there are no doors".to_owned());
    }
    problems.extend(
        manifest
            .doors
            .iter()
            .filter(|door| !door.path.starts_with('/'))
            .map(|door| format!("the door {:?} is no path", door.path)),
    );
    if manifest.revisions.first() != Some(&DOC) {
        problems.push(format!(
            "the first revision is {:?}, the default is expected: {DOC:?}",
            manifest.revisions.first()
        ));
    }
    let recording = kit.record();
    let pushes = manifest.capabilities;
    for (event, claimed) in [
        ("posted", pushes.pushes_posted),
        ("edited", pushes.pushes_edited),
        ("deleted", pushes.pushes_deleted),
        ("flow_created", pushes.pushes_flows),
        ("typing", pushes.pushes_typing),
    ] {
        let heard = recording
            .takes
            .iter()
            .any(|take| take.notice && take.operation == event && take.lost.is_none());
        if heard != claimed {
            problems.push(format!(
                "the capabilities say {claimed} of pushing `{event}`, in the stories it is {heard}"
            ));
        }
    }
    Problems::none_or(problems)
}

/// What the dialect leaves out of the stories is what its `DEVIATIONS.toml` declares, by operation.
pub fn losses_are_declared(kit: &Kit) -> Outcome {
    let deviations = kit.deviations()?;
    let recording = kit.record();
    let mut problems = Vec::new();
    let mut operations: BTreeMap<&str, Vec<&Take>> = BTreeMap::new();
    for take in &recording.takes {
        operations.entry(take.operation).or_default().push(take);
        if let Some(fault) = take.fault.filter(|_| take.lost.is_none()) {
            operations.entry(fault).or_default().push(take);
        }
    }
    for (operation, takes) in operations {
        let lost: Vec<&str> = takes
            .iter()
            .filter(|take| take.lost.is_some())
            .map(|take| take.title.as_str())
            .collect();
        let (whole, part) = (deviations.loses(operation), deviations.weakens(operation));
        let event = takes.iter().all(|take| take.notice);
        if lost.len() == takes.len() {
            if !whole {
                problems.push(format!(
                    "`{operation}` is never said, and no [[loss]] declares it (without `partial`)"
                ));
            }
            continue;
        }
        if whole {
            let told = takes
                .iter()
                .find(|take| take.lost.is_none())
                .map_or("", |take| take.title.as_str());
            problems
                .push(format!("a [[loss]] declares `{operation}` lost, but it is said: {told}; a part is declared with `partial = true`"));
        }
        if !lost.is_empty() && !event && !part && !whole {
            problems.push(format!(
                "of `{operation}` these are not said, and no [[loss]] with `partial = true` declares it: {}",
                lost.join("; ")
            ));
        }
        if part && lost.is_empty() && takes.iter().all(|take| take.exact) {
            problems.push(format!(
                "a [[loss]] declares a part of `{operation}` lost, but all of it arrives exactly"
            ));
        }
    }
    Problems::none_or(problems)
}

/// What goes over the wire is what `protocols/<dialect>/transcripts` says, and there is no
/// transcript of nothing.
pub fn transcripts_are_golden(kit: &Kit) -> Outcome {
    if updates_goldens()? {
        return rewrite_transcripts(kit);
    }
    let folder = kit.project.transcripts(kit.id());
    let told = told(kit)?;
    let mut problems = Vec::new();
    for (name, text) in &told {
        let path = folder.join(format!("{name}.txt"));
        match std::fs::read_to_string(&path) {
            Ok(expected) if expected == *text => {}
            Ok(expected) => problems.push(format!(
                "{name}.txt: {}; {UPDATE}=1 rewrites it",
                difference(&expected, text)
            )),
            Err(error) => {
                problems.push(format!("{}: {error}; {UPDATE}=1 writes it", path.display()))
            }
        }
    }
    let stored: BTreeSet<String> = std::fs::read_dir(&folder)
        .map(|entries| {
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
        })
        .unwrap_or_default();
    for stray in stored
        .iter()
        .filter(|file| !file.strip_suffix(".txt").is_some_and(|name| told.contains_key(name)))
    {
        problems.push(format!(
            "{}: no story and no script has this name",
            folder.join(stray).display()
        ));
    }
    Problems::none_or(problems)
}

/// Writes the transcripts that [`transcripts_are_golden`] compares with.
pub fn rewrite_transcripts(kit: &Kit) -> Outcome {
    let folder = kit.project.transcripts(kit.id());
    let told = told(kit)?;
    let write =
        |(name, text): (&String, &String)| std::fs::write(folder.join(format!("{name}.txt")), text);
    let written = std::fs::create_dir_all(&folder).and_then(|()| told.iter().try_for_each(write));
    written.map_err(|error| Problems(vec![format!("{}: {error}", folder.display())]))
}

/// Whether the environment asks for goldens to be rewritten.
pub(crate) fn updates_goldens() -> Result<bool, Problems> {
    let set = |name: &str| {
        std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0" && value != "false")
    };
    updates(set(UPDATE), set("CI"))
}

/// Whether transcripts are rewritten; not where nobody reads the difference.
fn updates(update: bool, ci: bool) -> Result<bool, Problems> {
    if update && ci {
        return Err(Problems(vec![format!(
            "{UPDATE} is set and so is CI: transcripts are rewritten by people, who read the difference"
        )]));
    }
    Ok(update)
}

/// Every transcript by its name.
fn told(kit: &Kit) -> Result<BTreeMap<String, String>, Problems> {
    let mut told: BTreeMap<String, String> = transcripts(kit.id(), &kit.record())
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text))
        .collect();
    for script in &kit.scripts {
        let mut text = format!(
            "# The script \"{}\" in the dialect {}. \">\" a client says, \"<\" a server says.\n",
            script.name,
            kit.id()
        );
        write_entries(
            &mut text,
            &play_script(kit.dialect.as_ref(), script)
                .map_err(|problem| Problems(vec![problem]))?
                .entries,
        );
        if told.insert(script.name.to_owned(), text).is_some() {
            return Err(Problems(vec![format!(
                "a script has the name of another transcript: {}",
                script.name
            )]));
        }
    }
    Ok(told)
}

/// What one side says, the other understands: an ask, a reply or a notice that was read gives, when
/// it is said again, the very frames that it was read from. Echoes are handed back, refusals stay
/// refusals, authority is not dropped.
pub fn lines_survive_the_wire(kit: &Kit) -> Outcome {
    let deviations = kit.deviations()?;
    let recording = kit.record();
    let findings =
        translate_stories(kit.dialect.as_ref(), kit.dialect.as_ref(), &recording, &recording);
    let (_, again) = judge(&findings, &[deviations], Excuse::Fault, kit.id(), kit.id());
    let mut problems = defects(&recording, Property::RoundTrip);
    problems.extend(again);
    Problems::none_or(problems)
}

/// Rendering is pure, and for the connections that share it gives the frame that encoding for one
/// of them gives.
pub fn notices_render_as_they_are_encoded(kit: &Kit) -> Outcome {
    Problems::none_or(defects(&kit.record(), Property::Notices))
}

fn defects(recording: &Recording, property: Property) -> Vec<String> {
    recording
        .defects
        .iter()
        .filter(|defect| defect.property == property)
        .map(|defect| defect.message.clone())
        .collect()
}

/// Every frame of the stories matches a schema of its direction; of the scripts every frame of the
/// server.
pub fn frames_match_their_schemas(kit: &Kit) -> Outcome {
    let schemas = kit.schemas()?;
    let mut problems = Vec::new();
    each_frame(kit, |title, frame, direction, scripted| {
        if scripted && direction == Direction::Request {
            return;
        }
        if let Some(Err(error)) = schemas.check(frame, direction) {
            problems.push(format!("{title}: {} {error}", inline(frame)));
        }
    })?;
    Problems::none_or(problems)
}

/// Every schema describes a frame that is really said. `definitions.json` is none of its own.
pub fn every_schema_is_used(kit: &Kit) -> Outcome {
    let schemas = kit.schemas()?;
    let mut unused: BTreeSet<&str> = schemas.names().collect();
    each_frame(kit, |_, frame, direction, _| {
        if let Some(Ok(names)) = schemas.check(frame, direction) {
            for name in names {
                unused.remove(name);
            }
        }
    })?;
    Problems::none_or(
        unused
            .into_iter()
            .map(|name| {
                format!("schemas/{}/{name}: no frame of a story or script matches it", kit.id())
            })
            .collect(),
    )
}

fn each_frame(kit: &Kit, mut visit: impl FnMut(&str, &Frame, Direction, bool)) -> Outcome {
    each_entry(kit, |title, entry, scripted| match entry {
        Entry::Client(frame) => visit(title, frame, Direction::Request, scripted),
        Entry::Server(frame) => visit(title, frame, Direction::Answer, scripted),
        Entry::Opened(_) | Entry::Closed(_) | Entry::Remark(_) => {}
    })
}

/// Visits what goes over the wire in every story and in every script of the default revision; the
/// flag tells a script.
pub(crate) fn each_entry(kit: &Kit, mut visit: impl FnMut(&str, &Entry, bool)) -> Outcome {
    let recording = kit.record();
    let mut each = |title: &str, entries: &[Entry], scripted| {
        entries.iter().for_each(|entry| visit(title, entry, scripted))
    };
    for take in &recording.takes {
        each(&format!("story {}, {}", take.story, take.title), &take.entries, false);
    }
    for script in &kit.scripts {
        let played =
            play_script(kit.dialect.as_ref(), script).map_err(|problem| Problems(vec![problem]))?;
        // The schemas describe the default revision.
        if played.default_revision {
            each(&format!("script {}", script.name), &played.entries, true);
        }
    }
    Ok(())
}

/// A first frame of the stories is recognised for certain on a shared door, or never where the
/// dialect has no place there.
pub fn openings_are_recognised(kit: &Kit) -> Outcome {
    let shared = kit.dialect.manifest().opening.is_some();
    let mut problems = Vec::new();
    for (title, request, frame) in openings(kit.dialect.as_ref(), &kit.record()) {
        let found = recognise(kit.dialect.as_ref(), &request, &frame);
        match (shared, found) {
            (true, Recognition::Certain(revision)) if revision == DOC => {}
            (false, Recognition::No) => {}
            (true, found) => problems.push(format!(
                "{title}: {} is {found:?} on a shared door, not certain of {DOC:?}",
                inline(&frame)
            )),
            (false, found) => {
                problems.push(format!("{title}: {} is {found:?} on a shared door, where the manifest names no opening", inline(&frame)));
            }
        }
    }
    Problems::none_or(problems)
}

/// Every first frame of the stories of every dialect that has a place on a shared door is
/// recognised by its own dialect and by no other.
pub fn recognition(dialects: &[&dyn Dialect]) -> Outcome {
    let mut problems = Vec::new();
    for (place, dialect) in
        dialects.iter().enumerate().filter(|(_, dialect)| dialect.manifest().opening.is_some())
    {
        for (title, request, frame) in openings(*dialect, &record(*dialect)) {
            let claims: Vec<usize> = (0..dialects.len())
                .filter(|other| recognise(dialects[*other], &request, &frame) != Recognition::No)
                .collect();
            if claims != [place] {
                let claims: Vec<&str> =
                    claims.into_iter().map(|other| dialects[other].manifest().id).collect();
                problems.push(format!(
                    "{}, {title}: {} is claimed by {claims:?}",
                    dialect.manifest().id,
                    inline(&frame)
                ));
            }
        }
    }
    Problems::none_or(problems)
}

/// The client's WebSocket messages, each as if it were the first, with the request that its
/// connection was opened by.
fn openings(dialect: &dyn Dialect, recording: &Recording) -> Vec<(String, Parts, Frame)> {
    let mut all = Vec::new();
    for take in &recording.takes {
        let Some(request) = take.ask.as_ref().and_then(|ask| dialect.dial(ask).ok()) else {
            continue;
        };
        for entry in &take.entries {
            if let Entry::Client(frame @ (Frame::Text(_) | Frame::Binary(_))) = entry {
                all.push((take.title.clone(), request.clone(), frame.clone()));
            }
        }
    }
    all
}

fn recognise(dialect: &dyn Dialect, request: &Parts, frame: &Frame) -> Recognition {
    let mut request = request.clone();
    request.uri = http::Uri::from_static("/ws");
    dialect.recognise(&Opening {
        request: Some(&request),
        first: Some(frame),
        connection: ConnectionId(1),
        websocket: true,
        settings: Settings::default(),
    })
}

/// Asks and replies that the engine might hear and give, beyond the stories, survive the wire too.
pub fn generated_lines_survive_the_wire(kit: &Kit) -> Outcome {
    let deviations = [kit.deviations()?];
    let voice = kit.record().voice;
    let login = login_exchange();
    let strategy = generators::command().prop_flat_map(|command| {
        let reply = generators::reply(&command);
        (proptest::strategy::Just(command), reply)
    });
    run(512, &strategy, |(command, reply)| {
        let exchange = Exchange {
            speaker: &ANN,
            proven: needs_proof(&command),
            authority: Authority::Member,
            about: "generated".to_owned(),
            command,
            outcome: reply.outcome,
            event: None,
        };
        let Some(outcome) = through(kit.dialect.as_ref(), voice, &login, &exchange) else {
            return Ok(());
        };
        let fault = exchange.outcome.as_ref().err().map(tolmach_domain::Fault::name);
        let finding =
            Finding { title: exchange.title(), operation: exchange.operation(), fault, outcome };
        match judge(&[finding], &deviations, Excuse::Fault, kit.id(), kit.id()).1.pop() {
            None => Ok(()),
            Some(problem) => Err(problem),
        }
    })
}

fn login_command(speaker: &Speaker) -> Command {
    let password = tolmach_domain::Secret::new(speaker.password);
    Command::Login {
        identifier: speaker.login.to_owned(),
        password,
        grant: tolmach_domain::GrantKind::Token,
    }
}

fn login_exchange() -> Exchange {
    let command = login_command(&ANN);
    let outcome = Ok(world::answer(&ANN, &command));
    Exchange {
        speaker: &ANN,
        proven: false,
        authority: Authority::Member,
        about: String::new(),
        command,
        outcome,
        event: None,
    }
}

/// Whether the stories prove who asks this.
fn needs_proof(command: &Command) -> bool {
    !matches!(
        command,
        Command::Register(_)
            | Command::Login { .. }
            | Command::Refresh { .. }
            | Command::Recover { .. }
            | Command::ResetPassword { .. }
            | Command::DeleteAccount { .. }
    )
}

/// Whatever happens, rendering it in any variant twice gives the same frame twice, and one that a
/// schema describes.
pub fn generated_notices_render_purely(kit: &Kit) -> Outcome {
    const VARIANTS: u8 = 16;
    let schemas = kit.schemas()?;
    run(256, &generators::notice(), |notice| {
        for variant in (0..VARIANTS).map(Variant) {
            let name = notice.name();
            let (once, again) =
                (kit.dialect.render(&notice, variant), kit.dialect.render(&notice, variant));
            if once != again {
                return Err(format!(
                    "rendering {name} as {variant:?} twice gives two different frames"
                ));
            }
            if let Ok(frame) = once
                && let Some(Err(error)) = schemas.check(&frame, Direction::Answer)
            {
                return Err(format!("{name} as {variant:?}: {} {error}", inline(&frame)));
            }
        }
        Ok(())
    })
}

/// Wrong types, impossible numbers, missing and doubled keys, deep nesting, cut frames, at every
/// place of one frame of each operation: never a panic, on either side; a violation leaves nothing
/// behind and is answered in the dialect's form; and whatever is accepted can be answered in that
/// form too.
pub fn malformed_frames_earn_an_answer(kit: &Kit) -> Outcome {
    let schemas = kit.schemas()?;
    let dialect = kit.dialect.as_ref();
    let mut problems = Vec::new();
    for sample in samples(dialect, &kit.record()) {
        let mut staged = sample.stage(dialect);
        for Attack { name, frame } in attacks(&sample.client) {
            // A session that has heard an attack goes on, as a connection does; one that no longer
            // can is replaced.
            if let Err(problem) = attack_server(dialect, &mut staged, &schemas, &frame)
                .and_then(|()| attack_recognition(dialect, &sample.request, &frame))
            {
                problems.push(format!(
                    "{}, {name}: {problem} (heard: {})",
                    sample.title,
                    inline(&frame)
                ));
                staged = sample.stage(dialect);
            }
        }
        if staged.websocket
            && let Err(violation) = staged.server.decode(moment(1), &sample.client, &mut Vec::new())
        {
            problems.push(format!(
                "{}: after malformed frames a good one is not understood: {}",
                sample.title,
                describe(&violation)
            ));
        }
        for server in &sample.server {
            let mut client = sample.stage(dialect).client;
            for Attack { name, frame } in attacks(server) {
                if let Err(problem) = attack_client(client.as_mut(), &frame) {
                    problems.push(format!(
                        "{}, the client hears {name}: {problem} (heard: {})",
                        sample.title,
                        inline(&frame)
                    ));
                    client = sample.stage(dialect).client;
                }
            }
        }
    }
    Problems::none_or(problems)
}

/// Frames of the stories with bytes changed, left out and put in at random do no harm on either
/// side.
pub fn mutated_frames_earn_an_answer(kit: &Kit) -> Outcome {
    let schemas = kit.schemas()?;
    let dialect = kit.dialect.as_ref();
    let samples = samples(dialect, &kit.record());
    if samples.is_empty() {
        return Err(Problems(vec!["the dialect says none of the stories".to_owned()]));
    }
    let edits = proptest::collection::vec(
        (proptest::prelude::any::<u16>(), 0..3_u8, proptest::prelude::any::<u8>()),
        1..6,
    );
    run(512, &(proptest::prelude::any::<proptest::sample::Index>(), edits), |(index, edits)| {
        let sample = index.get(&samples);
        let mutate = |frame: &Frame| {
            let mut payload = frame.payload().to_vec();
            for (at, kind, byte) in &edits {
                let at = usize::from(*at) % (payload.len() + 1);
                match kind {
                    0 => payload.insert(at, *byte),
                    1 if at < payload.len() => {
                        payload.remove(at);
                    }
                    _ => {
                        if let Some(place) = payload.get_mut(at) {
                            *place = *byte;
                        }
                    }
                }
            }
            with_payload(frame, payload)
        };
        if let Some(frame) = mutate(&sample.client) {
            let heard =
                |problem| format!("{}: {problem} (heard: {})", sample.title, inline(&frame));
            attack_server(dialect, &mut sample.stage(dialect), &schemas, &frame).map_err(heard)?;
            attack_recognition(dialect, &sample.request, &frame).map_err(heard)?;
        }
        for frame in sample.server.iter().filter_map(mutate) {
            attack_client(sample.stage(dialect).client.as_mut(), &frame)
                .map_err(|problem| format!("{}: {problem}", sample.title))?;
        }
        Ok(())
    })
}

/// Arbitrary bytes, arbitrary text and arbitrary JSON made of the dialect's own words do no harm on
/// either side.
pub fn arbitrary_bytes_do_no_harm(kit: &Kit) -> Outcome {
    let schemas = kit.schemas()?;
    let dialect = kit.dialect.as_ref();
    let samples = samples(dialect, &kit.record());
    let words: Vec<String> = samples
        .iter()
        .filter_map(|sample| json_of(&sample.client))
        .flat_map(|json| words(&json))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let (Some(first), false) = (samples.first(), words.is_empty()) else {
        return Err(Problems(vec!["the dialect says none of the stories".to_owned()]));
    };
    let payload = proptest::prop_oneof![
        proptest::collection::vec(proptest::prelude::any::<u8>(), 0..256),
        "\\PC{0,64}".prop_map(String::into_bytes),
        json_of_words(words).prop_map(|value| value.to_string().into_bytes()),
    ];
    run(
        1024,
        &(payload, proptest::prelude::any::<proptest::sample::Index>()),
        |(payload, index)| {
            let sample = if samples.is_empty() { first } else { index.get(&samples) };
            let websocket = asks_for_websocket(&sample.request);
            let mut frames: Vec<Frame> =
                with_payload(&sample.client, payload.clone()).into_iter().collect();
            if websocket {
                frames.push(Frame::Binary(payload.clone().into()));
                frames.push(Frame::Value(payload.clone().into()));
            }
            for frame in &frames {
                let heard =
                    |problem| format!("{}: {problem} (heard: {})", sample.title, inline(frame));
                attack_server(dialect, &mut sample.stage(dialect), &schemas, frame)
                    .map_err(heard)?;
                attack_recognition(dialect, &sample.request, frame).map_err(heard)?;
                attack_client(sample.stage(dialect).client.as_mut(), frame).map_err(heard)?;
            }
            if let Some(frame) =
                sample.server.first().and_then(|frame| with_payload(frame, payload.clone()))
            {
                attack_client(sample.stage(dialect).client.as_mut(), &frame)
                    .map_err(|problem| format!("{}: {problem}", sample.title))?;
            }
            Ok(())
        },
    )
}

/// Every key and every text of a JSON document.
fn words(json: &[u8]) -> Vec<String> {
    fn collect(value: &Value, all: &mut Vec<String>) {
        match value {
            Value::String(text) => all.push(text.clone()),
            Value::Array(list) => list.iter().for_each(|value| collect(value, all)),
            Value::Object(object) => {
                for (key, value) in object {
                    all.push(key.clone());
                    collect(value, all);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut all = Vec::new();
    if let Ok(value) = serde_json::from_slice(json) {
        collect(&value, &mut all);
    }
    all
}

fn json_of_words(words: Vec<String>) -> impl Strategy<Value = Value> {
    use proptest::prelude::*;
    let word = proptest::sample::select(words);
    let leaf = prop_oneof![
        3 => word.clone().prop_map(Value::String),
        1 => any::<Option<bool>>().prop_map(Value::from),
        2 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        2 => (1..30_i64).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((word.clone(), inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// One operation's frames, for attacks.
struct Sample {
    title: String,
    speaker: &'static Speaker,
    ask: tolmach_dialect::Ask,
    login: Option<tolmach_dialect::Ask>,
    request: Parts,
    client: Frame,
    server: Vec<Frame>,
}

impl Sample {
    /// A connection on which everything before the frame has happened.
    fn stage(&self, dialect: &dyn Dialect) -> Staged {
        stage(dialect, self.speaker, self.login.as_ref(), &self.ask)
            .unwrap_or_else(|_| unreachable!("it was staged when the sample was taken"))
    }
}

fn stage(
    dialect: &dyn Dialect,
    speaker: &'static Speaker,
    login: Option<&tolmach_dialect::Ask>,
    ask: &tolmach_dialect::Ask,
) -> Result<Staged, Trouble> {
    let mut cast = Cast::new(dialect);
    if let Some(login) = login {
        cast.say(moment(1), speaker, login, &mut |heard, _| {
            let outcome = Ok(world::answer(speaker, &heard.command));
            Ok(Some(Reply {
                echo: heard.echo.clone(),
                identity: Some(speaker.identity()),
                outcome,
            }))
        })?;
    }
    cast.stage(moment(2), speaker, ask)
}

/// One exchange of each operation that has a frame of its own, and of WebSocket and HTTP
/// separately.
fn samples(dialect: &dyn Dialect, recording: &Recording) -> Vec<Sample> {
    let mut all: Vec<Sample> = Vec::new();
    let mut taken = BTreeSet::new();
    for take in &recording.takes {
        let (Some(ask), Some(speaker), None) = (&take.ask, take.speaker, &take.lost) else {
            continue;
        };
        if taken.contains(ask.command.name()) {
            continue;
        }
        let login = tolmach_dialect::Ask::new(
            Echo::NONE,
            tolmach_domain::Credentials::Nothing,
            login_command(speaker),
        );
        let ask = tolmach_dialect::Ask { echo: Echo::new(Marker(0)), ..ask.clone() };
        // A wire without a login proves itself in each ask.
        let (login, staged) = match stage(dialect, speaker, Some(&login), &ask) {
            Ok(staged) => (Some(login), staged),
            Err(_) => match stage(dialect, speaker, None, &ask) {
                Ok(staged) => (None, staged),
                Err(_) => continue,
            },
        };
        let Some(client) = staged.frame else { continue };
        taken.insert(ask.command.name());
        let server = take
            .entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Server(frame) => Some(frame.clone()),
                _ => None,
            })
            .collect();
        all.push(Sample {
            title: take.title.clone(),
            speaker,
            ask,
            login,
            request: staged.request,
            client,
            server,
        });
    }
    all
}

/// Runs a property over generated input, the same input each time.
fn run<S: Strategy>(
    cases: u32,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), String>,
) -> Outcome {
    let config =
        Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    match runner.run(strategy, |input| property(input).map_err(TestCaseError::fail)) {
        Ok(()) => Ok(()),
        Err(TestError::Fail(reason, input)) => {
            Err(Problems(vec![format!("{reason}\n  the smallest input found: {input:?}")]))
        }
        Err(TestError::Abort(reason)) => Err(Problems(vec![format!("gave up: {reason}")])),
    }
}

/// What a script made of the server.
struct Played {
    entries: Vec<Entry>,
    default_revision: bool,
}

/// Lets a server hear a script; the world answers what is asked.
fn play_script(dialect: &dyn Dialect, script: &Script) -> Result<Played, String> {
    let connection = ConnectionId(1);
    let problem = |what: String| format!("script {}: {what}", script.name);
    let mut played = Played { entries: Vec::new(), default_revision: true };
    let request = script.opening.clone().into_parts().0;
    let websocket = asks_for_websocket(&request);
    let mut session: Option<Box<dyn Session>> = None;
    if websocket {
        let first = script.steps.iter().find_map(|step| match step {
            ScriptStep::Frame(_, frame) => Some(frame),
            ScriptStep::Happening(_) => None,
        });
        played.entries.push(Entry::Opened(Box::new(request.clone())));
        match open(dialect, &request, first, Side::Server, connection) {
            Err(refusal) => {
                played.entries.push(Entry::Server(Frame::Response(refusal.response)));
                return Ok(played);
            }
            Ok(mut server) => {
                let mut greetings = Vec::new();
                server.greet(step_moment(0), &mut greetings);
                answer_all(server.as_mut(), greetings, step_moment(0), &mut played.entries)
                    .map_err(problem)?;
                session = Some(server);
            }
        }
    }
    for (index, step) in script.steps.iter().enumerate() {
        let now = step_moment(index);
        match step {
            ScriptStep::Frame(about, frame) => {
                played.entries.push(Entry::Remark(format!("\n# {about}")));
                if let (Frame::Request(frame), false) = (frame, websocket) {
                    match open(dialect, &parts_of(frame), None, Side::Server, connection) {
                        Ok(server) => session = Some(server),
                        Err(refusal) => {
                            played.entries.push(Entry::Client(Frame::Request(frame.clone())));
                            played.entries.push(Entry::Server(Frame::Response(refusal.response)));
                            continue;
                        }
                    }
                }
                let Some(server) = session.as_mut() else {
                    return Err(problem(format!("{about}: the connection is closed")));
                };
                played.entries.push(Entry::Client(frame.clone()));
                let mut asks = Vec::new();
                match server.decode(now, frame, &mut asks) {
                    Ok(()) => answer_all(server.as_mut(), asks, now, &mut played.entries)
                        .map_err(problem)?,
                    Err(violation) => {
                        played.entries.extend(violation.answer.map(Entry::Server));
                        if let Some(close) = violation.close {
                            played.entries.push(Entry::Closed(close));
                            session = None;
                        }
                    }
                }
            }
            ScriptStep::Happening(kind) => {
                let Some(server) = session.as_mut() else {
                    return Err(problem("nobody is connected to hear".to_owned()));
                };
                let notice = Arc::new(Event::new(now, kind.clone()));
                played.entries.push(Entry::Remark(format!("\n# {}", notice.name())));
                match server.delivery(&notice) {
                    Delivery::Skip => {}
                    Delivery::Shared(variant) => {
                        let frame = dialect
                            .render(&notice, variant)
                            .map_err(|loss| problem(loss.to_string()))?;
                        played.entries.push(Entry::Server(frame));
                    }
                    Delivery::Private => {
                        let frames = encode(server.as_mut(), now, &Line::Notice(notice))
                            .map_err(|trouble| problem(format!("{trouble:?}")))?;
                        played.entries.extend(frames.into_iter().map(Entry::Server));
                    }
                    Delivery::Close(close) => {
                        played.entries.push(Entry::Closed(close));
                        session = None;
                    }
                }
            }
        }
        if session.as_ref().is_some_and(|session| session.revision() != DOC) {
            played.default_revision = false;
        }
    }
    Ok(played)
}

fn answer_all(
    server: &mut dyn Session,
    lines: Vec<Line>,
    now: tolmach_domain::Timestamp,
    entries: &mut Vec<Entry>,
) -> Result<(), String> {
    for line in lines {
        let Line::Ask(ask) = line else {
            return Err("a server hears a reply or a notice".to_owned());
        };
        let outcome = Ok(world::answer(&ANN, &ask.command));
        let reply = Line::Reply(Reply { echo: ask.echo, identity: Some(ANN.identity()), outcome });
        let frames = encode(server, now, &reply)
            .map_err(|trouble| format!("{} cannot be answered: {trouble:?}", ask.command.name()))?;
        entries.extend(frames.into_iter().map(Entry::Server));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transcripts_are_not_rewritten_where_nobody_reads_the_difference() {
        for (update, ci, expected) in [
            (false, false, Some(false)),
            (true, false, Some(true)),
            (false, true, Some(false)),
            (true, true, None),
        ] {
            assert_eq!(updates(update, ci).ok(), expected, "update {update}, CI {ci}");
        }
    }
}
