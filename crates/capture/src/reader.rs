//! Reading captures, line by line.

use crate::frame::CapturedFrames;
use crate::line::{FORM, Line, MAX_LINE_BYTES, ParsedLine};
use std::io::{self, BufRead, Read};

/// Reads a capture, one line at a time. Memory is bounded by the longest line.
///
/// An iterator of lines, the first of which is the header. A line `frames` is as many frames, which
/// have its number. After an error it has ended.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    /// The name of the file, for errors.
    name: String,
    line: u64,
    buffer: Vec<u8>,
    /// The latest line `frames`, and how many of its frames were read.
    frames: Option<(CapturedFrames, usize)>,
    has_ended: bool,
}

/// The reason why a capture cannot be read: names the file, the line from 1, and the field.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file could not be read.
    #[error("{name}:{line}: cannot be read")]
    Read {
        /// The name of the file.
        name: String,
        /// The line.
        line: u64,
        /// The cause.
        #[source]
        error: io::Error,
    },
    /// A line is too long.
    #[error("{name}:{line}: longer than {MAX_LINE_BYTES} bytes")]
    TooLong {
        /// The name of the file.
        name: String,
        /// The line.
        line: u64,
    },
    /// A line is none of a capture.
    #[error("{name}:{line}: {field}")]
    Line {
        /// The name of the file.
        name: String,
        /// The line.
        line: u64,
        /// The path to the field, such as `request.headers[0]`, or `the line`.
        field: String,
        /// The cause.
        #[source]
        error: serde_json::Error,
    },
    /// The first line is no header of this form.
    #[error("{name}: a capture begins with a line of type capture and the form {FORM}")]
    NoHeader {
        /// The name of the file.
        name: String,
    },
    /// A header stands within the capture.
    #[error("{name}:{line}: a header stands in the first line only")]
    SecondHeader {
        /// The name of the file.
        name: String,
        /// The line.
        line: u64,
    },
}

impl<R: BufRead> Reader<R> {
    /// Reads from a source. `name` stands in errors.
    pub fn new(name: impl Into<String>, source: R) -> Self {
        let (name, buffer) = (name.into(), Vec::new());
        Self { source, name, line: 0, buffer, frames: None, has_ended: false }
    }

    /// The number of the latest line, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    fn read(&mut self) -> Result<Option<Line>, CaptureError> {
        loop {
            if let Some((frames, count)) = &mut self.frames {
                if let Some(connection) = frames.to.get(*count) {
                    *count += 1;
                    return Ok(Some(Line::Frame(Box::new(frames.to(*connection)))));
                }
                self.frames = None;
            }
            self.buffer.clear();
            self.line += 1;
            let name = || self.name.clone();
            let line = self.line;
            let limit = MAX_LINE_BYTES as u64 + 1;
            let read = self.source.by_ref().take(limit).read_until(b'\n', &mut self.buffer);
            let length = read.map_err(|error| CaptureError::Read { name: name(), line, error })?;
            if length == 0 {
                // An empty file is no capture either.
                return if line == 1 {
                    Err(CaptureError::NoHeader { name: name() })
                } else {
                    Ok(None)
                };
            }
            let text = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
            if text.len() > MAX_LINE_BYTES {
                return Err(CaptureError::TooLong { name: name(), line });
            }
            if text.trim_ascii().is_empty() && line > 1 {
                continue;
            }
            return match Line::parse(text) {
                Ok(ParsedLine::One(Line::Capture(header))) if line == 1 && header.form == FORM => {
                    Ok(Some(Line::Capture(header)))
                }
                Ok(ParsedLine::One(Line::Capture(_))) if line > 1 => {
                    Err(CaptureError::SecondHeader { name: name(), line })
                }
                Ok(ParsedLine::One(read)) if line > 1 => Ok(Some(read)),
                Ok(ParsedLine::Frames(frames)) if line > 1 => {
                    self.frames = Some((frames, 0));
                    continue;
                }
                Ok(_) => Err(CaptureError::NoHeader { name: name() }),
                Err(_) if line == 1 => Err(CaptureError::NoHeader { name: name() }),
                Err(error) => {
                    let field = match error.path().to_string() {
                        path if path == "." => "the line".to_owned(),
                        path => path,
                    };
                    let error = error.into_inner();
                    Err(CaptureError::Line { name: name(), line, field, error })
                }
            };
        }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Line, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let read = self.read().transpose();
        self.has_ended = !matches!(read, Some(Ok(_)));
        read
    }
}
