//! JSON values back to back on a raw stream.

use crate::endpoint::{Endpoint, Stream, Trust};
use crate::error::Cause;
use crate::value_buffer::ValueBuffer;
use crate::websocket::Received;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tolmach_dialect::Frame;

/// The bytes that are read at once.
const READ_BYTES: usize = 4 << 10;

/// An open raw stream to a server, whose frames are JSON objects. Anything between them is dropped.
#[derive(Debug)]
pub struct ValueSocket {
    stream: Stream,
    received: ValueBuffer,
    max_bytes: usize,
}

impl ValueSocket {
    /// Opens a stream whose values have at most `max_bytes`.
    pub async fn open(endpoint: &Endpoint, trust: &Trust, max_bytes: usize) -> Result<Self, Cause> {
        let stream = endpoint.connect(trust).await?;
        Ok(Self { stream, received: ValueBuffer::default(), max_bytes })
    }

    /// Sends frames, in one write.
    pub async fn send(&mut self, frames: &[Frame]) -> Result<(), Cause> {
        let payloads: Vec<u8> = frames.iter().flat_map(Frame::payload).copied().collect();
        self.stream.write_all(&payloads).await?;
        Ok(self.stream.flush().await?)
    }

    /// Polls for what comes next. Nothing is lost if the caller stops polling.
    pub fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Received, Cause>> {
        loop {
            while let Some(value) = self.received.next() {
                if value.starts_with(b"{") {
                    return Poll::Ready(Ok(Received::Frame(Frame::Value(value))));
                }
            }
            if self.received.len() > self.max_bytes {
                let error = io::Error::new(io::ErrorKind::InvalidData, "a value is too large");
                return Poll::Ready(Err(error.into()));
            }
            let mut bytes = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(Received::Closed(None)));
            }
            self.received.push(buffer.filled());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn values_come_whole_however_they_are_cut() {
        let values = [r#"{"a":[1,{"b":"}\"{\\"}]}"#, "{}", r#"{"text":"\u041f\\"}"#];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint: Endpoint =
            format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
        let trust = Trust::new(None).unwrap();
        let mut socket = ValueSocket::open(&endpoint, &trust, 64).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let sent = values.concat() + " TEST " + values[0];
        let writing = tokio::spawn(async move {
            for byte in sent.as_bytes() {
                server.write_all(&[*byte]).await.unwrap();
                server.flush().await.unwrap();
            }
            server.write_all(&[b'{'; 100]).await.unwrap();
            server
        });
        for expected in values.iter().chain(&values[..1]) {
            let received = poll_fn(|context| socket.poll_receive(context)).await.unwrap();
            let Received::Frame(frame) = received else { panic!("{received:?}") };
            assert_eq!(str::from_utf8(frame.payload()).unwrap(), *expected);
        }
        let too_large = poll_fn(|context| socket.poll_receive(context)).await;
        assert!(too_large.is_err(), "{too_large:?}");
        drop(writing.await.unwrap());
    }
}
