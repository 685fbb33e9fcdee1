//! Recognition of first frames.

use crate::frame_text::inline;
use crate::kit::Kit;
use crate::play::{Recording, WireEntry, record};
use crate::problems::{Outcome, Problems};
use http::request::Parts;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use tolmach_dialect::{Dialect, Frame, Handshake, Recognition};
use tolmach_domain::ConnectionId;

/// A path of an endpoint that dialects share.
const SHARED_PATH: &str = "/ws";

/// A first frame of the stories is recognised for certain on a shared path, or never if the
/// manifest names no opening.
///
/// Without a client, the first frames are those of the scripts: one in the default revision at
/// least must be recognised.
pub fn first_frames_are_recognised(kit: &Kit) -> Outcome {
    let dialect = kit.dialect.as_ref();
    let (is_shared, own) = (dialect.manifest().opening.is_some(), kit.revision());
    if dialect.client().is_none() {
        return scripts_are_recognised(kit, is_shared);
    }
    let mut problems = Vec::new();
    for FirstFrame { title, opening, frame } in first_frames(dialect, kit.record()) {
        match (is_shared, recognise(dialect, &opening, &frame)) {
            (true, Recognition::Certain(revision)) if revision == own => {}
            (false, Recognition::No) => {}
            (true, found) => problems.push(format!(
                "{title}: {} is {found:?} on a shared path, not certain of {own:?}",
                inline(&frame)
            )),
            (false, found) => problems.push(format!(
                "{title}: {} is {found:?} on a shared path, but the manifest names no opening",
                inline(&frame)
            )),
        }
    }
    Problems::none_or(problems)
}

/// Every first frame of the stories is claimed by its own dialect and by no sibling, and a dialect
/// claims only by its own keys: one foreign key more changes no claim of a dialect that has not the
/// key, and a frame with all keys of two first frames is claimed by both.
///
/// Dialects without an opening claim nothing. Dialects without a client have no first frames here,
/// but their claims to the others' count.
pub fn recognition(dialects: &[&dyn Dialect]) -> Outcome {
    let siblings: Vec<Sibling<'_>> = dialects.iter().map(|dialect| Sibling::of(*dialect)).collect();
    let mut problems = Vec::new();
    for sibling in siblings.iter().filter(|sibling| sibling.is_shared()) {
        for first in &sibling.first_frames {
            let claims = claims(&siblings, &first.opening, &first.frame);
            if claims != BTreeSet::from([sibling.id()]) {
                problems.push(format!(
                    "{}, {}: {} is claimed by {claims:?}",
                    sibling.id(),
                    first.title,
                    inline(&first.frame)
                ));
            }
        }
    }
    for (one, other) in pairs(&siblings) {
        problems.extend(foreign_keys(&siblings, one, other));
        problems.extend(all_keys(&siblings, one, other));
    }
    Problems::none_or(problems)
}

/// The first frames of the stories that several of these dialects claim on shared paths, each with
/// the ids of those; the first frame of each such set of dialects.
pub fn contested_first_frames(
    dialects: &[&dyn Dialect],
) -> BTreeMap<BTreeSet<&'static str>, String> {
    let siblings: Vec<Sibling<'_>> = dialects.iter().map(|dialect| Sibling::of(*dialect)).collect();
    let shared: Vec<&Sibling<'_>> = siblings.iter().filter(|sibling| sibling.is_shared()).collect();
    let mut contested = BTreeMap::new();
    for first in shared.iter().flat_map(|sibling| &sibling.first_frames) {
        let claiming = shared.iter().filter(|one| one.claims(&first.opening, &first.frame));
        let claiming: BTreeSet<&'static str> = claiming.map(|sibling| sibling.id()).collect();
        if claiming.len() > 1 {
            contested.entry(claiming).or_insert_with(|| inline(&first.frame));
        }
    }
    contested
}

/// A dialect among others.
struct Sibling<'d> {
    dialect: &'d dyn Dialect,
    first_frames: Vec<FirstFrame>,
    /// Every key of the dialect's own first frames.
    keys: BTreeSet<String>,
}

impl<'d> Sibling<'d> {
    fn of(dialect: &'d dyn Dialect) -> Self {
        let first_frames = first_frames(dialect, &record(dialect));
        let objects = first_frames.iter().filter_map(|first| object(&first.frame));
        let keys = objects.flat_map(|object| object.into_iter().map(|(key, _)| key)).collect();
        Self { dialect, first_frames, keys }
    }

    fn id(&self) -> &'static str {
        self.dialect.manifest().id
    }

    fn is_shared(&self) -> bool {
        self.dialect.manifest().opening.is_some()
    }

    fn claims(&self, opening: &Parts, frame: &Frame) -> bool {
        recognise(self.dialect, opening, frame) != Recognition::No
    }
}

/// A client's WebSocket message, as if it were the first of its connection.
struct FirstFrame {
    title: String,
    opening: Parts,
    frame: Frame,
}

fn first_frames(dialect: &dyn Dialect, recording: &Recording) -> Vec<FirstFrame> {
    let Some(client) = dialect.client() else { return Vec::new() };
    let mut all = Vec::new();
    for step in &recording.steps {
        let request = step.request.as_ref();
        let Some(opening) = request.and_then(|request| client.dial(request).ok()) else {
            continue;
        };
        for entry in &step.entries {
            if let WireEntry::Client(frame @ (Frame::Text(_) | Frame::Binary(_))) = entry {
                let (title, opening) = (step.title.clone(), opening.clone());
                all.push(FirstFrame { title, opening, frame: frame.clone() });
            }
        }
    }
    all
}

fn scripts_are_recognised(kit: &Kit, is_shared: bool) -> Outcome {
    let dialect = kit.dialect.as_ref();
    let mut any = false;
    let mut problems = Vec::new();
    for script in &kit.scripts {
        let opening = script.opening.clone().into_parts().0;
        for step in &script.steps {
            let crate::script::ScriptStep::Frame(title, frame) = step else { continue };
            let found = recognise(dialect, &opening, frame);
            any |= found == Recognition::Certain(kit.revision());
            if !is_shared && found != Recognition::No {
                problems.push(format!(
                    "script {}, {title}: {} is {found:?} on a shared path, but the manifest names \
                     no opening",
                    script.name,
                    inline(frame)
                ));
            }
        }
    }
    if is_shared && !any {
        problems.push(
            "the manifest names an opening, but no frame of a script is recognised".to_owned(),
        );
    }
    Problems::none_or(problems)
}

fn recognise(dialect: &dyn Dialect, opening: &Parts, frame: &Frame) -> Recognition {
    let mut opening = opening.clone();
    opening.uri = http::Uri::from_static(SHARED_PATH);
    let handshake = Handshake::new(ConnectionId(1))
        .request(&opening)
        .websocket(true)
        .local(true)
        .first_frame(frame);
    dialect.recognise(&handshake)
}

/// The ids of the dialects that claim a frame.
fn claims(siblings: &[Sibling<'_>], opening: &Parts, frame: &Frame) -> BTreeSet<&'static str> {
    let claiming = siblings.iter().filter(|sibling| sibling.claims(opening, frame));
    claiming.map(Sibling::id).collect()
}

/// Every two dialects on shared paths, in both orders.
fn pairs<'s, 'd>(
    siblings: &'s [Sibling<'d>],
) -> impl Iterator<Item = (&'s Sibling<'d>, &'s Sibling<'d>)> {
    let shared = || siblings.iter().filter(|sibling| sibling.is_shared());
    shared()
        .flat_map(move |one| shared().map(move |other| (one, other)))
        .filter(|(one, other)| one.id() != other.id())
}

/// The first frames of `one`, each with one key of a first frame of `other` added: the claims of
/// dialects that have not the key stay.
fn foreign_keys(siblings: &[Sibling<'_>], one: &Sibling<'_>, other: &Sibling<'_>) -> Vec<String> {
    let mut foreign: BTreeMap<String, Value> = BTreeMap::new();
    for object in other.first_frames.iter().filter_map(|first| object(&first.frame)) {
        foreign.extend(object.into_iter().filter(|(key, _)| !one.keys.contains(key)));
    }
    let mut problems = Vec::new();
    for first in &one.first_frames {
        let Some(own) = object(&first.frame) else { continue };
        for (key, value) in &foreign {
            let mut mixed = own.clone();
            mixed.insert(key.clone(), value.clone());
            let mixed = Frame::text(Value::Object(mixed).to_string());
            for sibling in siblings.iter().filter(|sibling| !sibling.keys.contains(key)) {
                let before = sibling.claims(&first.opening, &first.frame);
                let after = sibling.claims(&first.opening, &mixed);
                if before != after {
                    problems.push(format!(
                        "{} {} {} because of the key {key:?}, which is {}'s and not its own",
                        sibling.id(),
                        if after { "claims" } else { "no longer claims" },
                        inline(&mixed),
                        other.id()
                    ));
                }
            }
        }
    }
    problems
}

/// The first frames of `one` with all keys of those of `other`, where the two share no key: both
/// claim them.
fn all_keys(siblings: &[Sibling<'_>], one: &Sibling<'_>, other: &Sibling<'_>) -> Vec<String> {
    if !one.keys.is_disjoint(&other.keys) {
        return Vec::new();
    }
    let expected = BTreeSet::from([one.id(), other.id()]);
    let mut problems = Vec::new();
    for first in &one.first_frames {
        for second in &other.first_frames {
            let (Some(mut both), Some(theirs)) = (object(&first.frame), object(&second.frame))
            else {
                continue;
            };
            both.extend(theirs);
            let both = Frame::text(Value::Object(both).to_string());
            // A dialect may need its own headers for a claim, such as a token.
            let mut opening = first.opening.clone();
            opening.headers.extend(second.opening.headers.clone());
            let claims = claims(siblings, &opening, &both);
            if claims != expected {
                problems.push(format!(
                    "{} has the keys of {expected:?} and is claimed by {claims:?}",
                    inline(&both)
                ));
            }
        }
    }
    problems
}

fn object(frame: &Frame) -> Option<Map<String, Value>> {
    match serde_json::from_slice(frame.payload()) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}
