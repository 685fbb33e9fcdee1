//! The name that a client gives its software.

use http::HeaderMap;
use http::header::USER_AGENT;
use std::sync::Arc;

/// The longest `User-Agent` header that is kept, in bytes; the rest of a longer one is cut off.
const MAX_BYTES: usize = 256;

/// The `User-Agent` header of a request, if it is visible ASCII.
pub(crate) fn user_agent(headers: &HeaderMap) -> Option<Arc<str>> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    // Every byte is a character.
    Some(text[..text.len().min(MAX_BYTES)].into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_user_agent_is_visible_ascii_and_bounded() {
        let found = |bytes: &[u8]| {
            let value = HeaderValue::from_bytes(bytes).unwrap();
            user_agent(&HeaderMap::from_iter([(USER_AGENT, value)])).map(|agent| agent.to_string())
        };
        assert_eq!(user_agent(&HeaderMap::new()), None);
        assert_eq!(found(b"Dash/1.2 (Android)").as_deref(), Some("Dash/1.2 (Android)"));
        assert_eq!(found("Даш".as_bytes()), None);
        assert_eq!(found(&[b'a'; MAX_BYTES]), Some("a".repeat(MAX_BYTES)));
        assert_eq!(found(&[b'a'; MAX_BYTES + 1]), Some("a".repeat(MAX_BYTES)));
    }
}
