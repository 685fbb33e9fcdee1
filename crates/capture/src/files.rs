//! The files of a recording: private, and bounded in number and size.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The beginning of the names of a recording's files.
const PREFIX: &str = "capture-";
/// Their end.
const SUFFIX: &str = ".jsonl";

/// The place that a recording is written to.
#[derive(Debug, Clone)]
pub enum Target {
    /// One new file of any size.
    File(PathBuf),
    /// Files in a folder, each with a header.
    Folder {
        /// The folder, which exists.
        path: PathBuf,
        /// The size after which a file is ended, in bytes.
        max_file_bytes: u64,
        /// The most files of recordings in the folder: the oldest are removed.
        max_files: usize,
    },
}

/// The files of one recording.
#[derive(Debug)]
pub(crate) struct Files {
    target: Target,
    /// The time at which the recording began, in seconds since the epoch, for names.
    began: u64,
    count: u32,
    kept: VecDeque<PathBuf>,
}

impl Files {
    /// Files at a target. Those of older recordings in a folder count towards its bound.
    pub(crate) fn new(target: Target) -> io::Result<Self> {
        let mut kept = Vec::new();
        if let Target::Folder { path, .. } = &target {
            for entry in fs::read_dir(path)? {
                let path = entry?.path();
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
                    kept.push(path);
                }
            }
        }
        kept.sort();
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Ok(Self { target, began, count: 0, kept: kept.into() })
    }

    /// Makes the next file.
    pub(crate) fn next(&mut self) -> io::Result<File> {
        match &self.target {
            Target::File(path) => create(path),
            Target::Folder { path, max_files, .. } => {
                let (file, created) = loop {
                    self.count += 1;
                    let name = format!("{PREFIX}{:010}-{:06}{SUFFIX}", self.began, self.count);
                    let path = path.join(name);
                    match create(&path) {
                        // Another process records into the folder.
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                        created => break (created?, path),
                    }
                };
                self.kept.push_back(created);
                while self.kept.len() > (*max_files).max(1) {
                    if let Some(oldest) = self.kept.pop_front() {
                        remove(&oldest)?;
                    }
                }
                Ok(file)
            }
        }
    }

    /// True if a file of this size is to be ended.
    pub(crate) fn is_full(&self, bytes: u64) -> bool {
        match self.target {
            Target::File(_) => false,
            Target::Folder { max_file_bytes, .. } => bytes >= max_file_bytes,
        }
    }
}

/// A new file that only its owner can read.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Removes a file, which may be gone.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
