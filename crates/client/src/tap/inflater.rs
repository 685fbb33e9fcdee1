//! Messages that permessage-deflate has compressed. RFC 7692.

use bytes::Bytes;
use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, TINFL_LZ_DICT_SIZE, decompress};
use std::fmt;
use tolmach_capture::GapReason;

/// The largest message, also once it is decompressed, in bytes.
pub(super) const MAX_MESSAGE: usize = 16 << 20;
/// The end of each message, which is not sent. RFC 7692 section 7.2.2.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// The memory of a stream: the last 32 KiB of content, and its tables.
const STREAM_BYTES: usize = 48 << 10;

/// The compressed messages of one side.
#[derive(Debug)]
pub(super) struct Inflater {
    stream: Stream,
    /// True if no message refers to those before it.
    are_independent: bool,
}

#[derive(Debug)]
enum Stream {
    /// No compressed message has come.
    New,
    Open(Box<Decoder>),
    /// A message is missing to which later ones refer.
    Lost,
}

impl Inflater {
    /// The inflaters of the client's and the server's messages, by the headers of the response that
    /// accepted the handshake. `None` without the extension, and for other extensions.
    pub(super) fn agreed(response: &HeaderMap) -> Option<[Self; 2]> {
        let mut values = response.get_all(SEC_WEBSOCKET_EXTENSIONS).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        let value = value.to_str().ok().filter(|value| !value.contains(','))?;
        let mut parts = value.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case("permessage-deflate") {
            return None;
        }
        let parameters: Vec<String> = parts.map(str::to_ascii_lowercase).collect();
        let side = |parameter: &str| Self {
            stream: Stream::New,
            are_independent: parameters.iter().any(|one| one == parameter),
        };
        Some([side("client_no_context_takeover"), side("server_no_context_takeover")])
    }

    /// The memory that it takes, in bytes.
    pub(super) fn kept(&self) -> usize {
        if matches!(self.stream, Stream::Open(_)) { STREAM_BYTES } else { 0 }
    }

    /// Leaves out a message.
    pub(super) fn leave_out(&mut self) {
        self.stream = if self.are_independent { Stream::New } else { Stream::Lost };
    }

    /// The content of a message.
    pub(super) fn inflate(&mut self, message: &[u8]) -> Result<Bytes, GapReason> {
        if matches!(self.stream, Stream::New) {
            self.stream = Stream::Open(Box::new(Decoder::new()));
        }
        let Stream::Open(decoder) = &mut self.stream else { return Err(GapReason::Compressed) };
        let mut content = Vec::new();
        let read = decoder
            .inflate(message, &mut content)
            .and_then(|()| decoder.inflate(&TAIL, &mut content));
        match read {
            Ok(()) if self.are_independent => decoder.begin(),
            Ok(()) => {}
            Err(_) => self.leave_out(),
        }
        read.map(|()| Bytes::from(content))
    }
}

/// A decoder of blocks, with the content that later ones may refer to. That stays when a block says
/// that it is the last one: RFC 7692 section 7.2.3.4 has more blocks follow.
struct Decoder {
    blocks: DecompressorOxide,
    /// The last content, in a ring.
    window: [u8; TINFL_LZ_DICT_SIZE],
    /// The end of the content in the ring.
    position: usize,
}

impl Decoder {
    fn new() -> Self {
        let blocks = DecompressorOxide::new();
        Self { blocks, window: [0; TINFL_LZ_DICT_SIZE], position: 0 }
    }

    /// Expects the beginning of a block next.
    fn begin(&mut self) {
        self.blocks.init();
    }

    /// Adds the content of a part of a message.
    fn inflate(&mut self, mut part: &[u8], content: &mut Vec<u8>) -> Result<(), GapReason> {
        loop {
            let Self { blocks, window, position } = self;
            let (status, read, written) =
                decompress(blocks, part, window, *position, TINFL_FLAG_HAS_MORE_INPUT);
            part = part.get(read..).unwrap_or_default();
            let end = *position + written;
            content.extend_from_slice(window.get(*position..end).unwrap_or_default());
            *position = end % window.len();
            if content.len() > MAX_MESSAGE {
                return Err(GapReason::TooLarge);
            }
            match status {
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput => return Ok(()),
                TINFLStatus::Done => {
                    self.begin();
                    if part.is_empty() {
                        return Ok(());
                    }
                }
                _ => return Err(GapReason::Unreadable),
            }
        }
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Decoder").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::deflate::CompressionLevel;
    use miniz_oxide::deflate::core::CompressorOxide;
    use miniz_oxide::deflate::stream::deflate;
    use miniz_oxide::{DataFormat, MZFlush, MZStatus};

    fn agreed(value: &'static str) -> Option<[Inflater; 2]> {
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, value.parse().unwrap());
        Inflater::agreed(&headers)
    }

    /// A message as a side with this stream sends it.
    fn deflated(stream: &mut CompressorOxide, content: &[u8]) -> Vec<u8> {
        let mut message = vec![0; content.len() + 1024];
        let done = deflate(stream, content, &mut message, MZFlush::Sync);
        assert_eq!((done.status, done.bytes_consumed), (Ok(MZStatus::Ok), content.len()));
        message.truncate(done.bytes_written);
        assert!(message.ends_with(&TAIL));
        message.truncate(message.len() - TAIL.len());
        message
    }

    fn compressor() -> CompressorOxide {
        CompressorOxide::with_format_and_level(DataFormat::Raw, CompressionLevel::DefaultLevel)
    }

    #[test]
    fn the_extension_alone_is_agreed_on() {
        assert!(agreed("Permessage-Deflate; client_max_window_bits=15").is_some());
        assert!(agreed("permessage-deflate, other").is_none());
        assert!(agreed("x-webkit-deflate-frame").is_none());
        assert!(Inflater::agreed(&HeaderMap::new()).is_none());
        let [client, server] = agreed("permessage-deflate;server_no_context_takeover").unwrap();
        assert_eq!((client.are_independent, server.are_independent), (false, true));
    }

    #[test]
    fn messages_that_refer_to_those_before_them_are_read() {
        let [mut client, _] = agreed("permessage-deflate").unwrap();
        let mut stream = compressor();
        let large = "Привет ".repeat(100_000);
        for content in ["", "hello hello hello", "hello", &large, "hello", &large] {
            let message = deflated(&mut stream, content.as_bytes());
            assert_eq!(client.inflate(&message).unwrap(), content.as_bytes());
        }
        assert_eq!(client.kept(), STREAM_BYTES);
    }

    #[test]
    fn a_message_in_its_last_block_is_read_and_so_is_the_next_one() {
        // RFC 7692 section 7.2.3.4: the block has the bit of the last one set.
        let [mut client, _] = agreed("permessage-deflate").unwrap();
        for _ in 0..2 {
            let message = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
            assert_eq!(client.inflate(message).unwrap(), "Hello");
        }
        // RFC 7692 section 7.2.3.2: the same message by reference to the one before.
        assert_eq!(client.inflate(b"\xf2\x00\x11\x00\x00").unwrap(), "Hello");
    }

    #[test]
    fn references_reach_back_over_a_last_block_as_far_as_the_window() {
        let [mut client, _] = agreed("permessage-deflate").unwrap();
        let mut stream = compressor();
        let hash = |number: u32| number.wrapping_mul(2_654_435_761).to_be_bytes()[0];
        let random: Vec<u8> = (0..40_000).map(hash).collect();
        for content in [&random[..20_000], &random[20_000..], &random[10_000..]] {
            let message = deflated(&mut stream, content);
            assert_eq!(client.inflate(&message).unwrap(), content);
            // An empty block between the messages, which says that it is the last one.
            assert_eq!(client.inflate(b"\x03\x00\x00").unwrap(), "");
        }
    }

    #[test]
    fn a_message_that_is_too_large_or_broken_takes_those_after_it_along() {
        let large = vec![0; MAX_MESSAGE];
        let larger = vec![0; MAX_MESSAGE + 1];
        for (extension, after) in [
            ("permessage-deflate", Err(GapReason::Compressed)),
            ("permessage-deflate; client_no_context_takeover", Ok(Bytes::from("hello"))),
        ] {
            for (broken, reason) in
                [(&larger[..], GapReason::TooLarge), (&[], GapReason::Unreadable)]
            {
                let [mut client, _] = agreed(extension).unwrap();
                let mut stream = compressor();
                let fits = deflated(&mut stream, &large);
                assert_eq!(client.inflate(&fits).unwrap().len(), MAX_MESSAGE);
                stream.reset();
                let message = match broken {
                    [] => vec![0xff; 3],
                    broken => deflated(&mut stream, broken),
                };
                assert_eq!(client.inflate(&message), Err(reason));
                stream.reset();
                assert_eq!(client.inflate(&deflated(&mut stream, b"hello")), after, "{extension}");
            }
        }
    }
}
