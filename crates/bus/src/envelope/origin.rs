//! The origin of an event.

use base64::DecodeError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use tolmach_domain as domain;
use tolmach_domain::ConnectionId;

#[derive(Serialize, Deserialize)]
pub(super) struct Origin<'a> {
    connection: u64,
    #[serde(borrow)]
    dialect: Cow<'a, str>,
    /// Base64: the tag of a request need not be text.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    tag: Option<Cow<'a, str>>,
}

impl<'a> From<&'a domain::Origin> for Origin<'a> {
    fn from(origin: &'a domain::Origin) -> Self {
        Self {
            connection: origin.connection.0,
            dialect: origin.dialect.into(),
            tag: origin.client_tag.as_ref().map(|tag| BASE64.encode(tag).into()),
        }
    }
}

impl Origin<'_> {
    /// The origin; `None` if it names another dialect than these.
    pub(super) fn into_domain(
        self,
        dialects: &[&'static str],
    ) -> Result<Option<domain::Origin>, DecodeError> {
        let Some(dialect) = dialects.iter().find(|dialect| **dialect == self.dialect) else {
            return Ok(None);
        };
        let tag = self.tag.map(|tag| BASE64.decode(tag.as_bytes())).transpose()?.map(Bytes::from);
        Ok(Some(domain::Origin {
            connection: ConnectionId(self.connection),
            dialect,
            client_tag: tag,
        }))
    }
}
