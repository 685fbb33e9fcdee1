//! The lines of files and of other servers' databases.

use super::importer::Importer;
use super::refusals::Place;
use crate::error::{CliError, RuntimeError};
use crate::progress::Progress;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tolmach_world::{MAX_LINE_BYTES, Source};

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
        let (input, size): (Box<dyn Read>, u64) = if path == Path::new("-") {
            (Box::new(std::io::stdin()), 0)
        } else {
            let file = File::open(path).map_err(unreadable)?;
            let size = file.metadata().map_err(unreadable)?.len();
            (Box::new(file), size)
        };
        let mut input = BufReader::with_capacity(1 << 20, input);
        let (mut number, mut bytes) = (0, 0);
        loop {
            let mut line = Vec::new();
            let limit = MAX_LINE_BYTES as u64 + 1;
            let read = (&mut input).take(limit).read_until(b'\n', &mut line).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            (number, bytes) = (number + 1, bytes + read as u64);
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if line.len() > MAX_LINE_BYTES {
                let text = format!("{name}:{number}: a line has at most {MAX_LINE_BYTES} bytes");
                return Err(RuntimeError::World(text).into());
            }
            if number % REPORT_LINES == 0 && bytes < size {
                progress.report(&format!("bytes of {name}"), bytes, size);
            }
            if !line.trim_ascii().is_empty() {
                importer.line(Place { input: name.clone(), line: number }, line).await?;
            }
        }
        progress.report(&format!("bytes of {name}"), bytes, bytes);
    }
    Ok(())
}

/// Imports the database of another server.
pub(super) async fn database(
    importer: &mut Importer,
    source: Source,
    url: &str,
    progress: &mut Progress,
) -> Result<(), CliError> {
    let mut database = source.open(url).await.map_err(RuntimeError::WorldSource)?;
    let count = database.count().await.map_err(RuntimeError::WorldSource)?;
    let (input, mut number): (Arc<str>, u64) = (source.name().into(), 0);
    let step = format!("records of {input}");
    let read = database.read(async |record| {
        number += 1;
        if number % REPORT_LINES == 0 && number < count {
            progress.report(&step, number, count);
        }
        let line = record.to_line().map_err(|error| RuntimeError::World(error.to_string()))?;
        importer.line(Place { input: input.clone(), line: number }, line.into_bytes()).await
    });
    read.await.map_err(RuntimeError::WorldSource)??;
    progress.report(&step, number, number);
    database.close().await.map_err(RuntimeError::WorldSource)?;
    Ok(())
}
