//! The command.

use super::decisions::{self, Conflicts, Decided};
use super::importer::{Beginning, Counts, Importer, Means, Totals};
use super::merging::Merging;
use super::refusals::Refusals;
use super::rehearsal::{self, Extent, Rehearsal};
use super::{follow, input};
use crate::arguments::{ImportArguments, Location, MatchRule};
use crate::backend::Backend;
use crate::commands::operator::load_config;
use crate::config::Config;
use crate::error::{CliError, RuntimeError, UsageError};
use crate::progress::Progress;
use crate::table::table;
use std::path::Path;
use std::sync::Arc;
use tolmach_world::Source;

/// The most flows whose checksums are listed.
const LISTED_FLOWS: usize = 50;

pub(crate) async fn run(
    location: &Location,
    arguments: &ImportArguments,
) -> Result<String, CliError> {
    let source = arguments.from.as_deref().map(str::parse::<Source>).transpose();
    let source = source.map_err(|error| UsageError::ImportSource(error.to_string()))?;
    if !arguments.names.is_empty() && source != Some(Source::Django) {
        return Err(UsageError::DjangoNames.into());
    }
    let is_merging = arguments.matching.is_some() || arguments.decisions.is_some();
    let has_input = |path: &str| arguments.input.iter().any(|input| input == Path::new(path));
    if is_merging && !arguments.dry_run && source.is_none() && has_input("-") {
        return Err(UsageError::MergedInput.into());
    }
    let config = load_config(location)?;
    let backend = Backend::open_for_import(&config, &location.data).await?;
    let import = Import { config: &config, backend: &backend, source, arguments };
    let done = import.run(is_merging).await;
    backend.close().await;
    done
}

struct Import<'a> {
    config: &'a Config,
    backend: &'a Backend,
    source: Option<Source>,
    arguments: &'a ImportArguments,
}

impl Import<'_> {
    async fn run(&self, is_merging: bool) -> Result<String, CliError> {
        let (arguments, engine) = (self.arguments, self.backend.engine.clone());
        let decided = arguments.decisions.as_deref().map(decisions::read).transpose()?;
        let decided = decided.unwrap_or_default();
        let merging = if is_merging {
            let rule = arguments.matching.unwrap_or(MatchRule::None);
            Some(Arc::new(Merging::new(rule, &decided, &engine).await?))
        } else {
            None
        };
        if arguments.dry_run {
            let refusals = Refusals::new(arguments.rejects.as_deref())?;
            let (importer, open) =
                self.rehearse(Extent::Everything, merging, &decided, refusals).await?;
            return self.summary(&importer, open);
        }
        if merging.is_some() {
            let refusals = Refusals::silent();
            let rehearsed = self.rehearse(Extent::Users, merging.clone(), &decided, refusals);
            let (_, open) = rehearsed.await?;
            if open > 0 {
                return Err(RuntimeError::Undecided { users: open }.into());
            }
        }
        let means = Means { engine, rehearsal: None, merging };
        let refusals = Refusals::new(arguments.rejects.as_deref())?;
        let beginning = match (arguments.follow, arguments.restart) {
            (true, _) => Beginning::Cursor,
            (false, true) => Beginning::First,
            (false, false) => Beginning::Resumed,
        };
        let mut importer = Importer::new(means, beginning, refusals, Conflicts::new(None, &[])?);
        match self.source.filter(|_| arguments.follow) {
            Some(source) => {
                follow::databases(&mut importer, source, arguments).await?;
                importer.finish().await?;
            }
            None => self.read(&mut importer).await?,
        }
        self.summary(&importer, 0)
    }

    /// Imports into a copy of the world, and returns the number of conflicts that are open too.
    async fn rehearse(
        &self,
        extent: Extent,
        merging: Option<Arc<Merging>>,
        decided: &[Decided],
        refusals: Refusals,
    ) -> Result<(Importer, u64), CliError> {
        let (_folder, copy) = rehearsal::open(self.config).await?;
        let done = async {
            let (world, scratch) = (self.backend.engine.clone(), copy.engine.clone());
            let rehearsal = Rehearsal::new(world, scratch, extent).await?;
            let rehearsal = Some(Arc::new(rehearsal));
            let means = Means { engine: copy.engine.clone(), rehearsal, merging };
            let conflicts = Conflicts::new(self.arguments.decisions.as_deref(), decided)?;
            let mut importer = Importer::new(means, Beginning::First, refusals, conflicts);
            self.read(&mut importer).await?;
            let open = importer.conflicts.finish()?;
            Ok((importer, open))
        };
        let done = done.await;
        copy.close().await;
        done
    }

    async fn read(&self, importer: &mut Importer) -> Result<(), CliError> {
        let mut progress = Progress::new();
        match self.source {
            Some(source) => {
                input::databases(importer, source, self.arguments, &mut progress).await?;
            }
            None => input::files(importer, &self.arguments.input, &mut progress).await?,
        }
        importer.finish().await
    }

    /// The output of an import that came to its end.
    fn summary(&self, importer: &Importer, open: u64) -> Result<String, CliError> {
        let Self { arguments, .. } = self;
        let (checks, refused) = (&importer.checks, importer.refusals.count);
        if checks.wrong > 0 {
            return Err(RuntimeError::ImportWrong { messages: checks.wrong }.into());
        }
        let totals = &importer.totals;
        let mut text = totals_table(totals);
        if checks.flows.len() <= LISTED_FLOWS {
            let rows = checks.flows.iter().map(|(flow, sums)| {
                [flow.to_string(), sums.messages.to_string(), format!("{:032x}", sums.found)]
            });
            text.push_str(&table(["FLOW", "MESSAGES", "CHECKSUM"], rows));
        }
        let messages = checks.same;
        let mut line = |line: String| text.push_str(&format!("{line}\n"));
        let conversations = match checks.flows.len() {
            1 => "1 conversation".to_owned(),
            count => format!("{count} conversations"),
        };
        let (noun, verb) = if messages == 1 { ("message", "is") } else { ("messages", "are") };
        line(format!("{messages} {noun} in {conversations}, read back, {verb} as in the source"));
        for (count, one, many) in [
            (
                checks.changed,
                "message of an earlier import differs: changed since, here or at the source",
                "messages of earlier imports differ: changed since, here or at the source",
            ),
            (
                totals.merged,
                "user of the source is the same as a user here",
                "users of the source are the same as users here",
            ),
            (
                totals.left_out,
                "user was left out by a decision",
                "users were left out by decisions",
            ),
            (
                open,
                "user is in conflict with others, and waits for a decision",
                "users are in conflict with others, and wait for a decision",
            ),
            (
                importer.refusals.notes,
                "note on a record that comes along otherwise than it is",
                "notes on records that come along otherwise than they are",
            ),
        ] {
            match count {
                0 => {}
                1 => line(format!("1 {one}")),
                count => line(format!("{count} {many}")),
            }
        }
        match totals.skipped {
            0 => {}
            1 => line("resumed after 1 line of an earlier import".to_owned()),
            lines => line(format!("resumed after {lines} lines of an earlier import")),
        }
        if arguments.dry_run {
            line("dry run: nothing was imported".to_owned());
        }
        if refused > 0 && arguments.rejects.is_none() {
            return Err(RuntimeError::Refused { records: refused, text }.into());
        }
        Ok(text)
    }
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
