//! Examples of the specification.

use crate::kit::Kit;
use crate::play::{DialectPair, violates};
use crate::problems::{Outcome, Problems};
use crate::project::{Direction, Example, Schemas};
use crate::rehearsal::Rehearsal;
use std::collections::BTreeSet;
use tolmach_dialect::Frame;

/// The examples of `protocols/<dialect>/SPEC.md` are what goes over the wire, and every schema has
/// one.
///
/// - In code blocks that are indented by four spaces, a line `> ` is a client's frame, and the
///   lines `< ` after it are the server's answers: the frames of one answer, or alternatives.
///   Without a line `> ` before them they are pushed. The server session decodes each request, the
///   client session decodes each answer, and the server session encodes what the client decoded to
///   the same frame again. Values that depend on the connection may differ.
/// - Fenced blocks that are marked `json`, and inline code after `Answer: `, are frames or bodies
///   of either side. They match a schema. Other inline code counts as an example if it does.
///
/// A request that the server session answers as a violation matches no schema. Without a client,
/// frames are only held against the schemas.
pub fn specification_examples_match(kit: &Kit) -> Outcome {
    let schemas = kit.schemas()?;
    let specification = kit.project()?.specification(&kit.folder()).map_err(Problems::one)?;
    let pair = DialectPair::of(kit.dialect.as_ref());
    let mut rehearsal = pair.map(|pair| Rehearsal::new(pair, kit.record()));
    let mut problems = Vec::new();
    let mut check = Check { schemas: &schemas, unused: schemas.names().collect() };
    for exchange in &specification.exchanges {
        if let Some(request) = &exchange.request {
            let is_violation = match &rehearsal {
                Some(rehearsal) => rehearsal.is_violation(request),
                None => {
                    let frame = Frame::text(request.text.clone());
                    let dialect = kit.dialect.as_ref();
                    kit.scripts.iter().any(|script| violates(dialect, script, &frame))
                }
            };
            let problem = check.example(request, &[Direction::Request]);
            problems.extend(problem.filter(|_| !is_violation));
        }
        for answer in &exchange.answers {
            problems.extend(check.example(answer, &[Direction::Answer]));
        }
        if let Some(rehearsal) = &mut rehearsal {
            problems.extend(rehearsal.problems(exchange));
        }
    }
    for value in &specification.values {
        problems.extend(check.example(value, &BOTH));
    }
    for part in &specification.parts {
        // A part of a frame matches no schema.
        check.example(part, &BOTH);
    }
    let path = format!("protocols/{}/SPEC.md", kit.folder());
    let mut problems: Vec<String> =
        problems.into_iter().map(|(line, problem)| format!("{path}:{line}: {problem}")).collect();
    problems.extend(check.unused.iter().map(|name| {
        format!("{path}: no example matches schemas/{}/{name}; add one", kit.folder())
    }));
    Problems::none_or(problems)
}

/// Both directions.
const BOTH: [Direction; 2] = [Direction::Request, Direction::Answer];

/// Examples against schemas.
struct Check<'s> {
    schemas: &'s Schemas,
    /// The schemas without an example so far.
    unused: BTreeSet<&'s str>,
}

impl Check<'_> {
    /// The problem of an example that matches no schema of these directions, with its line.
    fn example(&mut self, example: &Example, directions: &[Direction]) -> Option<(usize, String)> {
        let frame = Frame::text(example.text.clone());
        let (mut matches, mut problem) = (false, None);
        for direction in directions {
            match self.schemas.check(&frame, *direction) {
                Some(Ok(names)) => {
                    matches = true;
                    self.unused.retain(|name| !names.contains(name));
                }
                Some(Err(error)) => problem = Some((example.line, format!("the example {error}"))),
                None => {}
            }
        }
        problem.filter(|_| !matches)
    }
}
