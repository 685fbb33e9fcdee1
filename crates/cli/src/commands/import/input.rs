//! The lines of files and of other servers' databases.

use super::importer::Importer;
use super::place::Place;
use crate::arguments::ImportArguments;
use crate::commands::world_file::WorldInput;
use crate::error::{CliError, RuntimeError};
use crate::progress::Progress;
use std::io::{BufRead, Read};
use std::path::PathBuf;
use std::sync::Arc;
use tolmach_domain::IdNamespace;
use tolmach_world::{Cursor, MAX_LINE_BYTES, OpenSource, Record, Scope, Source, SourceError};

/// Lines between two reports of progress.
const REPORT_LINES: u64 = 1_000;

/// Imports the lines of files; `-` is standard input.
pub(super) async fn files(
    importer: &mut Importer,
    files: &[PathBuf],
    progress: &mut Progress,
) -> Result<(), CliError> {
    for path in files {
        let name: Arc<str> = path.display().to_string().into();
        let unreadable = |source| RuntimeError::WorldFile { path: path.clone(), source };
        let mut input = WorldInput::open(path).map_err(unreadable)?;
        let mut number = 0;
        loop {
            let mut line = Vec::new();
            let limit = MAX_LINE_BYTES as u64 + 1;
            let lines = (&mut input.lines).take(limit).read_until(b'\n', &mut line);
            let read = lines.map_err(unreadable)?;
            if read == 0 {
                break;
            }
            number += 1;
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if line.len() > MAX_LINE_BYTES {
                let text = format!("{name}:{number}: a line has at most {MAX_LINE_BYTES} bytes");
                return Err(RuntimeError::World(text).into());
            }
            if number % REPORT_LINES == 0 && input.done() < input.size {
                progress.report(&format!("bytes of {name}"), input.done(), input.size);
            }
            if !line.trim_ascii().is_empty() {
                importer.line(Place { input: name.clone(), line: number }, line).await?;
            }
        }
        if !importer.has_source() {
            return Err(RuntimeError::NoWorldHeader(name.to_string()).into());
        }
        progress.report(&format!("bytes of {name}"), input.done(), input.done());
    }
    Ok(())
}

/// The name under which the ids of another server are remembered.
pub(super) fn namespace(source: Source, arguments: &ImportArguments) -> Arc<str> {
    arguments.source.as_ref().map_or(source.name(), IdNamespace::as_str).into()
}

/// Opens the databases of another server.
pub(super) async fn open(
    source: Source,
    arguments: &ImportArguments,
) -> Result<OpenSource, SourceError> {
    let urls = arguments.input.iter().map(|url| url.to_string_lossy().into_owned());
    let urls: Vec<String> = urls.collect();
    source.open(&urls, &arguments.names).await
}

/// Imports the databases of another server.
pub(super) async fn databases(
    importer: &mut Importer,
    source: Source,
    arguments: &ImportArguments,
    progress: &mut Progress,
) -> Result<(), CliError> {
    let mut database = open(source, arguments).await.map_err(RuntimeError::WorldSource)?;
    let count = database.count().await.map_err(RuntimeError::WorldSource)?;
    let (input, mut number): (Arc<str>, u64) = (namespace(source, arguments), 0);
    let step = format!("records of {input}");
    let place = |line| Place { input: input.clone(), line };
    importer.begin(&place(0), &input, source.numbers_groups_apart()).await?;
    let everything = Cursor::default();
    let read = database.read(&everything, Scope::Whole, async |mut record, row| {
        if let Record::World(header) = &mut record {
            header.source = input.to_string();
        }
        if importer.is_done_before(&record) {
            return Err(None);
        }
        number += 1;
        if number % REPORT_LINES == 0 && number < count {
            progress.report(&step, number, count);
        }
        let line = record.to_line().map_err(|error| RuntimeError::World(error.to_string()));
        let line = line.map_err(|error| Some(error.into()))?;
        importer.line(place(number), line.into_bytes()).await.map_err(Some)?;
        importer.reach(row);
        Ok(())
    });
    if let Err(Some(error)) = read.await.map_err(RuntimeError::WorldSource)? {
        return Err(error);
    }
    progress.report(&step, number, number);
    database.close().await.map_err(RuntimeError::WorldSource)?;
    Ok(())
}
