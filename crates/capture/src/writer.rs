//! Writing captures.

use crate::line::{Header, Line};
use std::io::{self, Write};

/// Writes a capture, line by line.
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
    /// The bytes written so far.
    bytes: u64,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Begins a capture with its header.
    pub fn new(sink: W, header: Header) -> io::Result<Self> {
        let mut writer = Self { sink, bytes: 0, buffer: Vec::new() };
        writer.write(&Line::Capture(header))?;
        Ok(writer)
    }

    /// Writes a line.
    pub fn write(&mut self, line: &Line) -> io::Result<()> {
        self.buffer.clear();
        serde_json::to_writer(&mut self.buffer, line)?;
        self.buffer.push(b'\n');
        self.bytes += self.buffer.len() as u64;
        self.sink.write_all(&self.buffer)
    }

    /// The number of bytes written so far, with the header.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hands all lines on to the file.
    pub fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    /// Ends the capture, and gives back its sink.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush()?;
        Ok(self.sink)
    }
}
