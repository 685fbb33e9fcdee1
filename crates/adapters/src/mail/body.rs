//! Bodies of mails.

use lettre::message::Body;
use lettre::message::header::ContentTransferEncoding;

/// The longest line of a body that is not encoded, without its end; RFC 5322 section 2.1.1.
const LONGEST_LINE: usize = 998;

/// A body as it is where mail allows that, so that links can be copied out of a mail file by hand;
/// otherwise encoded.
pub(super) fn plain_body(text: String) -> Body {
    if !text.is_ascii()
        || text.contains(['\0', '\r'])
        || text.lines().any(|line| line.len() > LONGEST_LINE)
    {
        return Body::new(text);
    }
    Body::dangerous_pre_encoded(
        text.replace('\n', "\r\n").into_bytes(),
        ContentTransferEncoding::SevenBit,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_encoded_only_where_it_has_to_be() {
        let link = format!("see\nhttps://example.org/recover?token={}\n", "0".repeat(64));
        for (text, plain) in
            [(link.clone(), true), (format!("é\n{link}"), false), ("x".repeat(999), false)]
        {
            let body = plain_body(text.clone());
            assert_eq!(body.encoding() == ContentTransferEncoding::SevenBit, plain, "{text:?}");
            assert_eq!(
                body.into_vec() == text.replace('\n', "\r\n").into_bytes(),
                plain,
                "{text:?}"
            );
        }
    }
}
