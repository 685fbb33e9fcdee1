//! The command.

use super::importer::{Counts, Importer, Totals};
use super::refusals::Refusals;
use super::{input, scratch};
use crate::arguments::{ImportArguments, Location};
use crate::backend::Backend;
use crate::commands::operator::load_config;
use crate::error::{CliError, RuntimeError, UsageError};
use crate::progress::Progress;
use crate::table::table;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use tolmach_domain::IdNamespace;
use tolmach_world::{Record, Source};

/// The most flows whose checksums are listed.
const LISTED_FLOWS: usize = 50;

pub(crate) async fn run(
    location: &Location,
    arguments: &ImportArguments,
) -> Result<String, CliError> {
    let source = arguments.from.as_deref().map(str::parse::<Source>).transpose();
    let source = source.map_err(|error| UsageError::ImportSource(error.to_string()))?;
    let config = load_config(location)?;
    let world = Backend::open(&config, &location.data).await?;
    let done = if arguments.dry_run {
        let (_folder, copy) = scratch::open(&config).await?;
        let done = async {
            if let Some(name) = name(source, arguments)? {
                scratch::fill(&copy.engine, &world.engine, &name).await?;
            }
            import(&copy, source, arguments).await
        };
        let done = done.await;
        copy.close().await;
        done
    } else {
        import(&world, source, arguments).await
    };
    world.close().await;
    done
}

async fn import(
    backend: &Backend,
    source: Option<Source>,
    arguments: &ImportArguments,
) -> Result<String, CliError> {
    let refusals = Refusals::new(arguments.rejects.as_deref())?;
    let engine = backend.engine.clone();
    let mut importer = Importer::new(engine, refusals, arguments.restart, arguments.dry_run);
    let mut progress = Progress::new();
    match source {
        Some(source) => {
            let url = arguments.input.first().map(|url| url.to_string_lossy().into_owned());
            let url = url.unwrap_or_default();
            input::database(&mut importer, source, &url, &mut progress).await?;
        }
        None => input::files(&mut importer, &arguments.input, &mut progress).await?,
    }
    importer.finish().await?;
    drop(progress);
    let (checks, refused) = (&importer.checks, importer.refusals.count);
    if checks.wrong > 0 {
        return Err(RuntimeError::ImportWrong { messages: checks.wrong }.into());
    }
    let mut text = totals_table(&importer.totals);
    if checks.flows.len() <= LISTED_FLOWS {
        let rows = checks.flows.iter().map(|(flow, sums)| {
            [flow.to_string(), sums.messages.to_string(), format!("{:032x}", sums.found)]
        });
        text.push_str(&table(["FLOW", "MESSAGES", "CHECKSUM"], rows));
    }
    let messages: u64 = checks.flows.values().map(|sums| sums.messages).sum();
    text.push_str(&format!(
        "{messages} messages in {} conversations, read back, are as in the source\n",
        checks.flows.len()
    ));
    if checks.changed > 0 {
        text.push_str(&format!(
            "{} messages of earlier imports were changed here since\n",
            checks.changed
        ));
    }
    if importer.totals.skipped > 0 {
        text.push_str(&format!(
            "resumed after {} lines of an earlier import\n",
            importer.totals.skipped
        ));
    }
    if arguments.dry_run {
        text.push_str("dry run: nothing was imported\n");
    }
    if refused > 0 && arguments.rejects.is_none() {
        return Err(RuntimeError::Refused { records: refused, text }.into());
    }
    Ok(text)
}

/// The name of the source: of a database, or in the first line of a file.
fn name(
    source: Option<Source>,
    arguments: &ImportArguments,
) -> Result<Option<IdNamespace>, CliError> {
    let name = match source {
        Some(source) => source.name().to_owned(),
        None => {
            let Some(path) = arguments.input.first().filter(|path| *path != Path::new("-")) else {
                return Ok(None);
            };
            let unreadable = |source| RuntimeError::WorldFile { path: path.clone(), source };
            let mut line = Vec::new();
            let file = File::open(path).map_err(unreadable)?;
            BufReader::new(file).read_until(b'\n', &mut line).map_err(unreadable)?;
            match Record::parse(&line) {
                Ok(Record::World(header)) => header.source,
                _ => return Ok(None),
            }
        }
    };
    Ok(name.parse().ok())
}

fn totals_table(totals: &Totals) -> String {
    let row = |name: &str, counts: Counts| {
        let Counts { new, existing, refused } = counts;
        [name.to_owned(), new.to_string(), existing.to_string(), refused.to_string()]
    };
    let rows = [
        row("users", totals.users),
        row("conversations", totals.flows),
        row("messages", totals.messages),
        row("members", totals.members),
    ];
    table(["", "NEW", "EXISTING", "REFUSED"], rows)
}
