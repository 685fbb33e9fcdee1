//! Messages that permessage-deflate has compressed. RFC 7692.

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use tolmach_capture::GapReason;

/// The largest message, also once it is decompressed, in bytes.
pub(super) const MAX_MESSAGE: usize = 16 << 20;
/// The end of each message, which is not sent. RFC 7692 section 7.2.2.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// The least room that is made for content at a time, in bytes.
const ROOM: usize = 4 << 10;
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
    Open(Box<Decompress>),
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
            self.stream = Stream::Open(Box::new(Decompress::new(false)));
        }
        let Stream::Open(stream) = &mut self.stream else { return Err(GapReason::Compressed) };
        let mut content = Vec::new();
        let read = inflate_into(stream, message, &mut content)
            .and_then(|()| inflate_into(stream, &TAIL, &mut content));
        match read {
            Ok(()) if self.are_independent => stream.reset(false),
            Ok(()) => {}
            Err(_) => self.leave_out(),
        }
        read.map(|()| Bytes::from(content))
    }
}

/// Adds the content of a part of a message.
fn inflate_into(
    stream: &mut Decompress,
    mut part: &[u8],
    content: &mut Vec<u8>,
) -> Result<(), GapReason> {
    loop {
        if content.len() == content.capacity() {
            content.reserve(ROOM.max(content.len()).min(MAX_MESSAGE + 1));
        }
        let (read, written) = (stream.total_in(), content.len());
        let status = stream.decompress_vec(part, content, FlushDecompress::Sync);
        let status = status.map_err(|_| GapReason::Unreadable)?;
        let count = usize::try_from(stream.total_in() - read).unwrap_or(usize::MAX);
        part = part.get(count..).unwrap_or_default();
        if content.len() > MAX_MESSAGE {
            return Err(GapReason::TooLarge);
        }
        if status == Status::StreamEnd {
            // Further blocks of the message begin anew.
            stream.reset(false);
        } else if part.is_empty() && content.len() < content.capacity() {
            return Ok(());
        } else if count == 0 && content.len() == written && written < content.capacity() {
            return Err(GapReason::Unreadable);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};

    fn agreed(value: &'static str) -> Option<[Inflater; 2]> {
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_EXTENSIONS, value.parse().unwrap());
        Inflater::agreed(&headers)
    }

    /// A message as a side with this stream sends it.
    fn deflated(stream: &mut Compress, content: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(content.len() + 1024);
        stream.compress_vec(content, &mut message, FlushCompress::Sync).unwrap();
        assert!(message.ends_with(&TAIL));
        message.truncate(message.len() - TAIL.len());
        message
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
        let mut stream = Compress::new(Compression::default(), false);
        let large = "Привет ".repeat(100_000);
        for content in ["", "hello hello hello", "hello", &large, "hello", &large] {
            let message = deflated(&mut stream, content.as_bytes());
            assert_eq!(client.inflate(&message).unwrap(), content.as_bytes());
        }
        assert_eq!(client.kept(), STREAM_BYTES);
    }

    #[test]
    fn a_message_in_its_last_block_is_read_and_so_is_the_next_one() {
        // RFC 7692 section 7.2.3.5: the block has the bit of the last one set.
        let [mut client, _] = agreed("permessage-deflate").unwrap();
        for _ in 0..2 {
            let message = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
            assert_eq!(client.inflate(message).unwrap(), "Hello");
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
                let mut stream = Compress::new(Compression::default(), false);
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
