//! HTTP requests over a connection that is kept.

use crate::endpoint::{Endpoint, Trust};
use crate::error::Cause;
use crate::net::BODY_LIMIT;
use bytes::Bytes;
use http::HeaderValue;
use http::header::HOST;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;

/// A connection for HTTP/1.1 requests, one at a time. It is opened by the first one, and again
/// after the server has closed it.
#[derive(Debug, Default)]
pub struct HttpConnection(Option<SendRequest<Full<Bytes>>>);

/// A request that got no response.
#[derive(Debug, thiserror::Error)]
#[error("no response came")]
pub struct ExchangeError {
    /// True if the server may have carried the request out.
    pub was_sent: bool,
    /// The cause.
    #[source]
    pub cause: Cause,
}

impl HttpConnection {
    /// Sends a request and reads the whole response.
    pub async fn exchange(
        &mut self,
        endpoint: &Endpoint,
        trust: &Trust,
        mut request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, ExchangeError> {
        let unsent = |cause| ExchangeError { was_sent: false, cause };
        let host = HeaderValue::try_from(endpoint.authority());
        let host = host.map_err(|error| unsent(http::Error::from(error).into()))?;
        request.headers_mut().insert(HOST, host);
        let mut kept = self.0.take();
        if let Some(sender) = &mut kept
            && sender.ready().await.is_err()
        {
            kept = None;
        }
        let mut sender = match kept {
            Some(sender) => sender,
            None => open(endpoint, trust).await.map_err(unsent)?,
        };
        let response = sender.send_request(request.map(Full::new)).await.map_err(|error| {
            ExchangeError { was_sent: !error.is_canceled(), cause: error.into() }
        })?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, BODY_LIMIT)
            .collect()
            .await
            .map_err(|error| ExchangeError { was_sent: true, cause: Cause::Body(error) })?;
        self.0 = Some(sender);
        Ok(http::Response::from_parts(parts, body.to_bytes()))
    }
}

async fn open(endpoint: &Endpoint, trust: &Trust) -> Result<SendRequest<Full<Bytes>>, Cause> {
    let stream = endpoint.connect(trust).await?;
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // It ends with its sender.
    tokio::spawn(connection);
    Ok(sender)
}
