//! The capture of a replay.

use crate::error::RuntimeError;
use std::fs::{File, OpenOptions};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use tolmach_capture::{Header, Line, Recorder, Replaced, Writer};

/// The file that a replay writes. It has the tokens of the target, so it is its owner's alone.
pub(crate) struct Recording {
    path: PathBuf,
    writer: Writer<BufWriter<File>>,
}

impl Recording {
    /// Begins a file. One that is there stays as it is, and is an error: it may be the capture that
    /// is played.
    pub(crate) fn create(path: &Path) -> Result<Self, RuntimeError> {
        let failed = |source| RuntimeError::File { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(failed)?;
        let header = Header::new(Recorder::Replay, Vec::<Replaced>::new());
        let writer = Writer::new(BufWriter::new(file), header).map_err(failed)?;
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Writes a line.
    pub(crate) fn write(&mut self, line: &Line) -> Result<(), RuntimeError> {
        let path = &self.path;
        self.writer.write(line).map_err(|source| RuntimeError::File { path: path.clone(), source })
    }

    /// Ends the file.
    pub(crate) fn finish(self) -> Result<(), RuntimeError> {
        let failed = |source| RuntimeError::File { path: self.path.clone(), source };
        self.writer.finish().map(drop).map_err(failed)
    }
}
