//! Translation of the golden stories: each exchange of one dialect, carried through a proxy into
//! another dialect, is what a native peer of that dialect sends, minus declared losses.

use crate::dialects::{by_id, revisions};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tolmach_cli::dialects::ids;
use tolmach_dialect::{
    Dialect, DialectClient, Frame, Handshake, HandshakeRejection, Manifest, Recognition,
    RenderContext, ServerSession, Unsupported, Variant,
};
use tolmach_dialect_kit::{
    Kit, Losses, Native, Problems, Project, Report, losses, translation, trials,
};
use tolmach_domain::Event;

/// Parts of problems of revisions that their wires explain.
const EXPLAINED: [&str; 3] = [
    // A client numbers its requests, and makes more of them where it reads pages.
    "client /request_id: ",
    // Messages are edited and deleted in the room that was joined: other wires join none.
    "action has no frame for edit",
    "action has no frame for delete",
];

/// The project of this package.
pub(crate) fn project() -> Project {
    Project::of_crate(env!("CARGO_MANIFEST_DIR"))
}

/// The fidelity of the translation from `source` to `target`. Fails with undeclared losses.
pub(crate) fn report(source: &str, target: &str) -> Result<Report, String> {
    translation(&*by_id(source), &*by_id(target)).map_err(|problems| problems.to_string())
}

/// The stories of a revision come through to every other wire, and those of the documents to it.
pub(crate) fn of_revision(revision: &'static str) -> Result<(), String> {
    let titles: Vec<&str> = ids().into_iter().chain(revisions()).collect();
    let dialects: Vec<_> = titles.iter().map(|title| by_id(title)).collect();
    let natives = dialects.iter().map(|dialect| Native::of(&project(), &**dialect));
    let natives =
        natives.collect::<Result<Vec<_>, _>>().map_err(|problems| problems.to_string())?;
    let place = titles.iter().position(|title| *title == revision).unwrap_or_default();
    let mut problems = Vec::new();
    for (other, title) in titles.iter().enumerate() {
        // A pair of revisions is tried by its source.
        let both = [(place, other), (other, place)];
        let directions = if title.contains('/') { &both[..1] } else { &both[..] };
        for (source, target) in directions {
            let Err(Problems(found)) = natives[*source].translation_to(&natives[*target]) else {
                continue;
            };
            let is_explained =
                |problem: &&String| EXPLAINED.iter().any(|part| problem.contains(part));
            for problem in found.iter().filter(|problem| !is_explained(problem)) {
                problems.push(format!("{} to {}: {problem}", titles[*source], titles[*target]));
            }
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// The operations of the stories that a dialect has no frames for, computed by playing them once.
pub(crate) fn losses_of(id: &str) -> Result<Losses, String> {
    static COMPUTED: Mutex<BTreeMap<String, Losses>> = Mutex::new(BTreeMap::new());
    let mut computed = COMPUTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(losses) = computed.get(id) {
        return Ok(losses.clone());
    }
    let losses = losses(&*by_id(id)).ok_or_else(|| format!("the dialect {id} has no client"))?;
    computed.insert(id.to_owned(), losses.clone());
    Ok(losses)
}

/// The stories of a pair come through. For a pair of a dialect with itself, its declared losses are
/// also compared with the losses that the stories show.
pub(crate) fn stories_come_through(source: &str, target: &str) -> Result<(), String> {
    report(source, target)?;
    if source == target {
        let kit = Kit::new(project(), || SharedDialect(by_id(source)), Vec::new());
        trials::deviations_match_losses(&kit).map_err(|problems| problems.to_string())?;
    }
    Ok(())
}

/// A dialect behind an `Arc`.
struct SharedDialect(Arc<dyn Dialect>);

impl Dialect for SharedDialect {
    fn manifest(&self) -> &Manifest {
        self.0.manifest()
    }

    fn recognise(&self, handshake: &Handshake<'_>) -> Recognition {
        self.0.recognise(handshake)
    }

    fn accept(
        &self,
        handshake: &Handshake<'_>,
    ) -> Result<Box<dyn ServerSession>, HandshakeRejection> {
        self.0.accept(handshake)
    }

    fn render(
        &self,
        event: &Event,
        context: &RenderContext<'_>,
        variant: Variant,
    ) -> Result<Frame, Unsupported> {
        self.0.render(event, context, variant)
    }

    fn client(&self) -> Option<&dyn DialectClient> {
        self.0.client()
    }
}
