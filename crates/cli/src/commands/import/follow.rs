//! Following the databases of a server that still runs.

use super::ahead::Ahead;
use super::chunk::{Origin, Reading};
use super::importer::{Importer, Totals};
use super::input;
use super::place::Place;
use crate::arguments::ImportArguments;
use crate::error::{CliError, RuntimeError};
use crate::signals::shutdown_on_signal;
use std::io::{Write, stderr};
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use tolmach_engine::ErrorChain;
use tolmach_world::{Cursor, Record, Scope, Source, SourceError};

/// The end of a pass that did not read everything.
enum Stopped {
    Shutdown,
    Failed(CliError),
}

/// Imports what is new in the databases of another server, pass by pass, until a signal.
///
/// A record may refer to one that was written after its table was read: such a record waits for one
/// more pass over the same rows, and is refused in that if it still does. One whose time is yet to
/// come waits for it.
pub(super) async fn databases(
    importer: &mut Importer,
    source: Source,
    arguments: &ImportArguments,
) -> Result<(), CliError> {
    let shutdown = shutdown_on_signal().map_err(RuntimeError::Signals)?;
    let name = input::namespace(source, arguments);
    let place = Place { input: name.clone(), line: 0 };
    importer.begin(&place, &name, source.numbers_groups_apart()).await?;
    // The rows that were read before the last pass, and those before the present one.
    let mut counted = importer.cursor.clone();
    let mut from = counted.clone();
    let mut passes = 0_u64;
    while !shutdown.is_cancelled() {
        let (began, before) = (Instant::now(), importer.totals);
        let reached = importer.cursor.clone();
        let pass = Pass {
            source,
            name: &name,
            arguments,
            from: &from,
            counted: &counted,
            reached: &reached,
            passes,
        };
        let done = pass.run(importer, &shutdown).await;
        importer.flush().await?;
        match done {
            Ok(()) => {
                if passes == 0 {
                    importer.end().await?;
                }
                report(&name, &before, importer, began, passes == 0);
                passes += 1;
                let has_deferred = importer.totals.deferred > before.deferred;
                from = if has_deferred { reached.clone() } else { importer.cursor.clone() };
                counted = reached;
            }
            Err(Stopped::Shutdown) => break,
            Err(Stopped::Failed(CliError::Runtime(RuntimeError::WorldSource(error))))
                if passes > 0 =>
            {
                warn(&error);
            }
            Err(Stopped::Failed(error)) => return Err(error),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(arguments.every) => {}
        }
    }
    Ok(())
}

/// One pass over the databases.
struct Pass<'a> {
    source: Source,
    /// The name of the source.
    name: &'a Arc<str>,
    arguments: &'a ImportArguments,
    /// The rows that are not read.
    from: &'a Cursor,
    /// The rows that were read before the last pass.
    counted: &'a Cursor,
    /// The rows that were read.
    reached: &'a Cursor,
    /// The number of passes before.
    passes: u64,
}

impl Pass<'_> {
    async fn run(
        &self,
        importer: &mut Importer,
        shutdown: &CancellationToken,
    ) -> Result<(), Stopped> {
        let failed = |error| Stopped::Failed(RuntimeError::WorldSource(error).into());
        let mut database = input::open(self.source, self.arguments).await.map_err(failed)?;
        let mut number = 0_u64;
        let scope = if self.passes == 0 { Scope::Running } else { Scope::RunningNext };
        let mut ahead = Ahead::new(importer.now());
        let read = database.read(self.from, scope, async |record, row| {
            if shutdown.is_cancelled() {
                return Err(Stopped::Shutdown);
            }
            if matches!(record, Record::World(_)) {
                return Ok(());
            }
            number += 1;
            if ahead.has(&record) {
                importer.totals.deferred += 1;
                return Ok(());
            }
            let reading = match row {
                Some(row) if !self.reached.includes(row) => Reading::First,
                Some(row) if !self.counted.includes(row) => Reading::Retry,
                None if self.passes == 0 => Reading::First,
                None if self.passes == 1 => Reading::Retry,
                Some(_) | None => Reading::Again,
            };
            let place = Place { input: self.name.clone(), line: number };
            let line = record.to_line().map_err(|error| RuntimeError::World(error.to_string()));
            let line = line.map_err(|error| Stopped::Failed(error.into()))?;
            let origin = Origin { place, line, reading };
            importer.record(record, origin).await.map_err(Stopped::Failed)?;
            importer.reach(row);
            Ok(())
        });
        read.await.map_err(failed)??;
        database.close().await.map_err(failed)
    }
}

/// Tells what a pass has brought, and the time since it began: what the other server has stored
/// since is not here.
fn report(source: &str, before: &Totals, importer: &Importer, began: Instant, is_first: bool) {
    let now = &importer.totals;
    let new = [
        (now.users.new - before.users.new, "users"),
        (now.flows.new - before.flows.new, "conversations"),
        (now.messages.new - before.messages.new, "messages"),
        (now.members.new - before.members.new, "members"),
    ];
    if !is_first && new.iter().all(|(count, _)| *count == 0) {
        return;
    }
    let new: Vec<String> = new.iter().map(|(count, kind)| format!("{count} {kind}")).collect();
    let (new, lag) = (new.join(", "), began.elapsed().as_secs_f64());
    // An error means that standard error is closed: the command goes on without.
    let _ = writeln!(stderr(), "{source}: {new} new; lag {lag:.1} s");
}

/// Tells that a pass went wrong; the next one reads on.
fn warn(error: &SourceError) {
    let _ = writeln!(stderr(), "{}; trying again", ErrorChain(error));
}
