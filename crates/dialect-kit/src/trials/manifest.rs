//! The manifest.

use crate::kit::Kit;
use crate::play::{DialectPair, play_script};
use crate::problems::{Outcome, Problems};
use std::collections::BTreeSet;
use tolmach_dialect::DOC;

/// The manifest has an id and a summary, the document's revision before all others and then
/// endpoints, and its
/// capabilities are the pushes of the stories (of the scripts, without a client).
pub fn manifest_matches_behaviour(kit: &Kit) -> Outcome {
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
    let is_document = kit.revision() == DOC;
    if manifest.endpoints.is_empty() && is_document {
        problems.push("there are no endpoints".to_owned());
    }
    problems.extend(
        manifest
            .endpoints
            .iter()
            .filter(|endpoint| !endpoint.path.starts_with('/'))
            .map(|endpoint| format!("the endpoint {:?} does not start with `/`", endpoint.path)),
    );
    if !is_document && manifest.revisions.contains(&DOC) {
        problems.push(format!(
            "the first revision is {:?}, the default is expected: {DOC:?}",
            kit.revision()
        ));
    }
    let pushed = pushed_events(kit)?;
    let claims = manifest.capabilities;
    for (event, claimed) in [
        ("posted", claims.pushes_posted),
        ("edited", claims.pushes_edited),
        ("deleted", claims.pushes_deleted),
        ("flow_created", claims.pushes_flows),
        ("typing", claims.pushes_typing),
    ] {
        let found = pushed.contains(event);
        if found != claimed {
            problems.push(format!(
                "the capabilities claim {claimed} of pushing `{event}`, played it is {found}"
            ));
        }
    }
    Problems::none_or(problems)
}

/// The names of the events that are pushed.
fn pushed_events(kit: &Kit) -> Result<BTreeSet<&'static str>, Problems> {
    let dialect = kit.dialect.as_ref();
    if DialectPair::of(dialect).is_some() {
        let recording = kit.record();
        let pushed = recording.steps.iter().filter(|step| step.is_event);
        return Ok(pushed
            .filter(|step| step.unsupported.is_none())
            .map(|step| step.operation)
            .collect());
    }
    let mut pushed = BTreeSet::new();
    for script in &kit.scripts {
        pushed.extend(play_script(dialect, script).map_err(Problems::one)?.pushed);
    }
    Ok(pushed)
}
