//! The server that a capture is played against.

use crate::error::UsageError;
use std::path::Path;
use tolmach_client::{Endpoint, Trust};

/// The scheme of raw TCP.
const TCP: &str = "tcp://";

/// The address of the server, and the certificates that it is trusted by.
pub(crate) fn target(url: &str, ca: Option<&Path>) -> Result<(Endpoint, Trust), UsageError> {
    // A raw TCP stream is opened like that of HTTP; its port has to be named.
    let endpoint = match url.strip_prefix(TCP) {
        Some(rest) => format!("http://{rest}").parse(),
        None => url.parse(),
    };
    let endpoint = endpoint.map_err(UsageError::ReplayTarget)?;
    Ok((endpoint, Trust::new(ca).map_err(UsageError::ReplayTrust)?))
}
