//! Files of the form `tolmach-world/1`, plain or compressed by zstd.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Cursor, Read, Write};
use std::path::Path;
use std::rc::Rc;
use tolmach_adapters::create_private_file;
use zstd::{Decoder, Encoder};

/// The bytes that a zstd frame begins with. RFC 8878 section 3.1.1.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The end of the name of a file that is compressed.
const EXTENSION: &str = "zst";

/// The size of buffers, in bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// A file that is read.
pub(super) struct WorldInput {
    /// The lines, decompressed.
    pub(super) lines: Box<dyn BufRead>,
    /// The size of the file in bytes; 0 if it is not known.
    pub(super) size: u64,
    done: Rc<Cell<u64>>,
}

impl WorldInput {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let (input, size): (Box<dyn Read>, u64) = if path == Path::new("-") {
            (Box::new(io::stdin()), 0)
        } else {
            let file = File::open(path)?;
            let size = file.metadata()?.len();
            (Box::new(file), size)
        };
        let done = Rc::new(Cell::new(0));
        let input = Counted { input, done: done.clone() };
        Ok(Self { lines: decompressed(input)?, size, done })
    }

    /// The bytes of the file that were read.
    pub(super) fn done(&self) -> u64 {
        self.done.get()
    }
}

/// The bytes of an input, decompressed if it begins like a zstd frame: no line does.
fn decompressed(mut input: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    let mut head = Vec::with_capacity(MAGIC.len());
    input.by_ref().take(MAGIC.len() as u64).read_to_end(&mut head)?;
    let is_compressed = head == MAGIC;
    let input = Cursor::new(head).chain(input);
    Ok(if is_compressed {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, Decoder::new(input)?))
    } else {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, input))
    })
}

/// Counts the bytes that are read.
struct Counted<R> {
    input: R,
    done: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.done.set(self.done.get() + read as u64);
        Ok(read)
    }
}

/// A file that is written.
pub(super) struct WorldOutput(BufWriter<Output>);

enum Output {
    Plain(Box<dyn Write>),
    Compressed(Encoder<'static, File>),
}

impl WorldOutput {
    /// Creates a file that only its owner can read, because it has the hashes of passwords. It is
    /// compressed if its name ends with `.zst`; without a path, it is standard output.
    pub(super) fn create(path: Option<&Path>) -> io::Result<Self> {
        let output = match path {
            None => Output::Plain(Box::new(io::stdout())),
            Some(path) if path.extension().is_some_and(|end| end == EXTENSION) => {
                let level = zstd::DEFAULT_COMPRESSION_LEVEL;
                Output::Compressed(Encoder::new(create_private_file(path)?, level)?)
            }
            Some(path) => Output::Plain(Box::new(create_private_file(path)?)),
        };
        Ok(Self(BufWriter::with_capacity(BUFFER_BYTES, output)))
    }

    /// Writes a line.
    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.0, "{line}")
    }

    /// Writes what is buffered, and the end of a frame.
    pub(super) fn finish(self) -> io::Result<()> {
        match self.0.into_inner().map_err(io::IntoInnerError::into_error)? {
            Output::Plain(mut output) => output.flush(),
            Output::Compressed(encoder) => encoder.finish()?.flush(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(output) => output.write(bytes),
            Self::Compressed(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(output) => output.flush(),
            Self::Compressed(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: Vec<u8>) -> io::Result<String> {
        let mut text = String::new();
        decompressed(Cursor::new(bytes))?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn a_file_is_read_as_it_was_written_compressed_or_not() {
        let folder = tempfile::tempdir().unwrap();
        for (name, is_compressed) in [("world.jsonl", false), ("world.jsonl.zst", true)] {
            let path = folder.path().join(name);
            let mut output = WorldOutput::create(Some(&path)).unwrap();
            output.line("one").unwrap();
            output.line("two").unwrap();
            output.finish().unwrap();
            assert_eq!(std::fs::read(&path).unwrap().starts_with(&MAGIC), is_compressed);
            let mut input = WorldInput::open(&path).unwrap();
            let mut text = String::new();
            input.lines.read_to_string(&mut text).unwrap();
            assert_eq!((&*text, input.done()), ("one\ntwo\n", input.size), "{name}");
        }
    }

    #[test]
    fn frames_in_sequence_are_one_file_and_a_frame_that_is_cut_off_is_an_error() {
        let frame = |text: &[u8]| zstd::encode_all(text, 0).unwrap();
        assert_eq!(read([frame(b"one\n"), frame(b"two\n")].concat()).unwrap(), "one\ntwo\n");
        let mut cut = frame(b"one\n");
        cut.pop();
        assert!(read(cut).is_err());
        for short in ["", "{", "\u{28}"] {
            assert_eq!(read(short.as_bytes().to_vec()).unwrap(), short);
        }
    }
}
