//! `tolmach diff`: what two servers have answered to the same clients.

use crate::arguments::Location;
use crate::commands::operator::load_config;
use crate::error::{CliError, RuntimeError, UsageError};
use crate::named_dialects::NamedDialects;
use crate::replay_arguments::{DiffArguments, ReportArguments, ReportFormat};
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write};
use std::path::Path;
use tolmach_capture::Reader;
use tolmach_dialect::DOC;
use tolmach_migration::compare::{Capture, Meanings, compare};
use tolmach_migration::report::{Report, html, json, text};

/// Compares two captures, and reports.
pub(crate) fn run(location: &Location, arguments: &DiffArguments) -> Result<String, CliError> {
    let config = load_config(location)?;
    let named = NamedDialects::load(&config).map_err(UsageError::from)?;
    let meanings = meanings(&named)?;
    let dialect = dialect(&named, arguments.dialect.as_deref())?;
    let report = compared(&arguments.a, &arguments.b, &meanings, dialect)?;
    finish(&report, &arguments.report)
}

/// The dialects of a configuration, by which frames are understood.
pub(crate) fn meanings(named: &NamedDialects<'_>) -> Result<Meanings, UsageError> {
    let names = named.names();
    let dialects = names.iter().map(|name| named.find(name).map_err(UsageError::NamedDialect));
    Ok(Meanings::new(dialects.collect::<Result<Vec<_>, _>>()?))
}

/// The id and the revision of a dialect that an argument names.
pub(crate) fn dialect(
    named: &NamedDialects<'_>,
    name: Option<&str>,
) -> Result<Option<(String, String)>, UsageError> {
    let Some(name) = name else { return Ok(None) };
    let found = named.find(name).map_err(UsageError::NamedDialect)?;
    let revision = found.manifest().revisions.first().copied().unwrap_or(DOC);
    Ok(Some((found.manifest().id.to_owned(), revision.to_owned())))
}

/// The comparison of two files.
pub(crate) fn compared(
    a: &Path,
    b: &Path,
    meanings: &Meanings,
    dialect: Option<(String, String)>,
) -> Result<Report, UsageError> {
    Ok(compare(capture(a)?, capture(b)?, meanings, dialect)?)
}

/// Opens a capture.
pub(crate) fn capture(path: &Path) -> Result<Capture<BufReader<File>>, UsageError> {
    let file =
        File::open(path).map_err(|source| UsageError::File { path: path.to_owned(), source })?;
    let name = path.display().to_string();
    Ok(Capture { reader: Reader::new(name.clone(), BufReader::new(file)), name })
}

/// Writes the report, and fails if there are differences.
pub(crate) fn finish(report: &Report, arguments: &ReportArguments) -> Result<String, CliError> {
    let rendered = match arguments.format {
        ReportFormat::Text => text(report),
        ReportFormat::Json => json(report),
        ReportFormat::Html => html(report),
    };
    let is_same = if arguments.by_meaning { report.is_same_by_meaning() } else { report.is_same() };
    let printed = match &arguments.report {
        Some(path) => {
            write_report(path, &rendered)
                .map_err(|source| RuntimeError::File { path: path.clone(), source })?;
            String::new()
        }
        None => rendered,
    };
    if is_same {
        return Ok(printed);
    }
    let differences = report.total.differences();
    Err(RuntimeError::Differences { report: printed, differences }.into())
}

/// Writes a report in place of one that is there. It has messages of people, so a new file is its
/// owner's alone.
fn write_report(path: &Path, report: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(report.as_bytes())
}
