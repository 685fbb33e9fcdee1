//! Pseudonyms for what a capture must not tell.

use crate::line::Replaced;
use ring::hmac;
use tolmach_dialect::{FieldRole, FieldValue, Location, Sender};

/// The characters of a secret's pseudonym, where the secret itself is neither short nor long.
const SECRET_LENGTH: usize = 24;
/// Shorter and longer secrets keep their length, so that limits on passwords behave alike.
const USUAL_SECRET: std::ops::RangeInclusive<usize> = 8..=72;
/// The least characters of a name's pseudonym: shorter ones would soon be equal.
const MIN_NAME: usize = 10;
/// The longest text that is taken for a name, in characters.
const MAX_NAME: usize = 64;
/// The picture that stands for any other: a GIF of one pixel.
pub(crate) const PICTURE: &str = "GIF89a\x01\0\x01\0\0\0\0;";
/// The longest key, segment or word that is written as it is.
const MAX_PLAIN: usize = 64;
/// The longest unknown key of an object that is written as it is.
const MAX_KEY: usize = 32;

/// Headers whose values tell nothing about a user. All others are replaced.
const PLAIN_HEADERS: [&str; 31] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "access-control-request-headers",
    "access-control-request-method",
    "allow",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "content-type",
    "date",
    "deprecation",
    "host",
    "origin",
    "pragma",
    "retry-after",
    "sec-fetch-mode",
    "sec-websocket-accept",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-version",
    "server",
    "sunset",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "x-content-type-options",
];

/// Replaces secrets, and on request texts, by pseudonyms: the same value by the same pseudonym, as
/// long as the key is the same. Who does not have the key cannot find out if a guess is right.
#[derive(Debug, Clone)]
pub struct Replacer {
    key: hmac::Key,
    texts: bool,
}

impl Replacer {
    /// A replacer with this key. With `texts`, texts, names and contact data are replaced too.
    pub fn new(key: &[u8], texts: bool) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), texts }
    }

    /// The kinds of values that it replaces, for the header of a capture.
    pub fn replaced(&self) -> Vec<Replaced> {
        let texts = self.texts.then_some(Replaced::Texts);
        std::iter::once(Replaced::Secrets).chain(texts).collect()
    }

    /// True if it replaces texts.
    pub fn replaces_texts(&self) -> bool {
        self.texts
    }

    /// The pseudonym of a value; `None` if it may be written as it is.
    pub fn value(&self, sender: Sender, value: &FieldValue<'_>) -> Option<String> {
        let text = &*value.text;
        if text.is_empty() || matches!(text, "null" | "None" | "true" | "false" | "True" | "False")
        {
            return None;
        }
        match value.role {
            Some(FieldRole::Secret | FieldRole::Token) if value.is_text => Some(self.secret(text)),
            Some(FieldRole::Secret | FieldRole::Token) => Some(self.digits(text)),
            Some(FieldRole::Text | FieldRole::Name | FieldRole::Contact) => {
                let new = || if value.is_text { self.text(text) } else { self.digits(text) };
                self.texts.then(new)
            }
            // A client may put anything in the place of an id or of a word.
            Some(_) if value.is_text && sender == Sender::Client && !is_plain(text) => {
                Some(self.secret(text))
            }
            Some(_) => None,
            None => self.unknown(value),
        }
    }

    /// The pseudonym of a value that no rule is about.
    fn unknown(&self, value: &FieldValue<'_>) -> Option<String> {
        let text = &*value.text;
        let is_kept = match value.location {
            Location::Body if !value.is_text => return self.texts.then(|| self.digits(text)),
            Location::Body => false,
            Location::Key => {
                text.len() <= MAX_KEY && text.bytes().all(|byte| is_word(byte) || byte == b'-')
            }
            Location::Path => is_number(text) || is_path_word(text),
            Location::Query if is_number(text) => return Some(self.digits(text)),
            Location::Query => false,
            Location::Header => match &*value.key {
                "sec-websocket-protocol" => {
                    return Some(self.subprotocols(text)).filter(|new| new != text);
                }
                "authorization" => return Some(self.authorization(text)),
                name => PLAIN_HEADERS.contains(&name),
            },
        };
        (!is_kept).then(|| self.secret(text))
    }

    /// The offers of subprotocols without what may be a token.
    fn subprotocols(&self, offers: &str) -> String {
        let offer = |offer: &str| {
            let offer = offer.trim();
            let is_name = offer.len() <= MAX_KEY / 2
                && offer.bytes().all(|byte| byte.is_ascii_lowercase() || b"-.".contains(&byte));
            if is_name { offer.to_owned() } else { self.secret(offer) }
        };
        offers.split(',').map(offer).collect::<Vec<_>>().join(", ")
    }

    /// The scheme as it is, with the pseudonym of the credentials.
    fn authorization(&self, value: &str) -> String {
        match value.split_once(' ') {
            Some((scheme, credentials)) => format!("{scheme} {}", self.secret(credentials.trim())),
            None => self.secret(value),
        }
    }

    /// The pseudonym of a secret: letters and digits.
    pub fn secret(&self, secret: &str) -> String {
        let count = secret.chars().count();
        let length = if USUAL_SECRET.contains(&count) { SECRET_LENGTH } else { count };
        let mut stream = self.stream(b's', secret);
        (0..length).map(|_| stream.alphanumeric()).collect()
    }

    /// The pseudonym of a secret that is a number: as many digits.
    fn digits(&self, number: &str) -> String {
        let mut stream = self.stream(b's', number);
        let digit = |index: usize| char::from(b'1' + stream.below(if index == 0 { 9 } else { 8 }));
        (0..number.len()).map(digit).collect()
    }

    /// The pseudonym of a text. A name, an address and a telephone number become another one; the
    /// case of names does not count. Of any other text every letter becomes another one of the same
    /// length in UTF-8, so that limits behave alike.
    pub fn text(&self, text: &str) -> String {
        // The content of a file, which was no UTF-8.
        if text.contains(char::REPLACEMENT_CHARACTER) {
            return PICTURE.to_owned();
        }
        let is_one_word = !text.is_empty() && !text.contains(char::is_whitespace);
        if is_one_word && text.chars().count() <= MAX_NAME {
            let lower = text.to_lowercase();
            let mut stream = self.stream(b't', &lower);
            if let Some(digits) = text.strip_prefix('+')
                && digits.bytes().all(|byte| byte.is_ascii_digit())
            {
                let digits = digits.bytes().map(|_| char::from(b'1' + stream.below(9)));
                return std::iter::once('+').chain(digits).collect();
            }
            let is_address = text.split('@').count() == 2;
            let length = text.chars().count().max(MIN_NAME);
            let length = if is_address { MIN_NAME } else { length };
            let first = char::from(b'a' + stream.below(26));
            let rest = (1..length).map(|_| stream.alphanumeric());
            let name: String = std::iter::once(first).chain(rest).collect();
            return if is_address { name + "@example.org" } else { name };
        }
        let mut stream = self.stream(b't', text);
        text.chars().map(|char| stream.like(char)).collect()
    }

    /// A payload of another wire with another letter for each.
    pub(crate) fn opaque(&self, payload: &str) -> String {
        let mut stream = self.stream(b's', payload);
        payload.chars().map(|char| stream.like(char)).collect()
    }

    /// The random numbers that belong to a value.
    fn stream(&self, class: u8, value: &str) -> Stream {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&[class]);
        context.update(value.as_bytes());
        let tag = context.sign();
        let mut seed = [0; 8];
        seed.copy_from_slice(&tag.as_ref()[..8]);
        Stream(u64::from_le_bytes(seed))
    }
}

/// The generator SplitMix64.
struct Stream(u64);

impl Stream {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let number = self.0;
        let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    /// A number below a bound.
    fn below(&mut self, bound: u8) -> u8 {
        u8::try_from(self.next() % u64::from(bound)).unwrap_or_default()
    }

    fn alphanumeric(&mut self) -> char {
        match self.below(36) {
            digit @ 0..10 => char::from(b'0' + digit),
            letter => char::from(b'a' + letter - 10),
        }
    }

    /// A character of the same kind, which takes as many bytes in UTF-8.
    fn like(&mut self, char: char) -> char {
        let from = |first: u32, number: u8| char::from_u32(first + u32::from(number));
        let new = match char {
            '0'..='9' => Some(char::from(b'0' + self.below(10))),
            'A'..='Z' => Some(char::from(b'A' + self.below(26))),
            'a'..='z' => Some(char::from(b'a' + self.below(26))),
            _ if char.is_ascii() || char.is_whitespace() || char.is_control() => None,
            // Cyrillic letters, Chinese characters, faces.
            _ => match char.len_utf8() {
                2 => from(0x430, self.below(32)),
                3 => from(0x4E00, self.below(255)),
                _ => from(0x1F600, self.below(64)),
            },
        };
        new.unwrap_or(char)
    }
}

/// True for what an id, a time or a word of a wire is made of.
fn is_plain(text: &str) -> bool {
    text.len() <= MAX_PLAIN && text.bytes().all(|byte| is_word(byte) || b" -.:+/,".contains(&byte))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// True for a segment such as `chat-rooms` or `v1`: lower-case letters, and two digits at the end
/// at most. Random characters are not like that.
fn is_path_word(text: &str) -> bool {
    let letters = text.trim_end_matches(|char: char| char.is_ascii_digit());
    text.len() <= MAX_KEY
        && text.len() - letters.len() <= 2
        && letters.bytes().all(|byte| byte.is_ascii_lowercase() || b"-_.".contains(&byte))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderName, HeaderValue};
    use tolmach_dialect::FieldMap;

    fn replacer() -> Replacer {
        Replacer::new(b"a key of a trial", true)
    }

    #[test]
    fn one_value_has_one_pseudonym_and_another_key_gives_another() {
        let (one, other) = (replacer(), Replacer::new(b"another key", true));
        for value in ["correct horse", "ann", "Hello, Bob!", "ann@example.com", "+15550001"] {
            assert_eq!(one.secret(value), one.secret(value));
            assert_eq!(one.text(value), one.text(value));
            assert_ne!(one.secret(value), other.secret(value));
            assert_ne!(one.text(value), other.text(value));
            assert_ne!(one.text(value), value);
            assert_ne!(one.secret(value), one.text(value));
        }
        assert_eq!(one.text("Ann"), one.text("ann"), "logins are one in any case");
    }

    #[test]
    fn texts_keep_their_lengths() {
        for text in [
            "Hello, \"Bob\"!\nПривет 👋",
            "a b",
            "Zwölf Boxkämpfer jagen 你好",
            &"x".repeat(65_536),
        ] {
            let new = replacer().text(text);
            assert_eq!(new.len(), text.len());
            assert_eq!(new.chars().count(), text.chars().count());
        }
    }

    #[test]
    fn names_addresses_and_numbers_stay_such() {
        let replacer = replacer();
        assert_eq!(replacer.text("ann").len(), MIN_NAME);
        assert_eq!(replacer.text(&"n".repeat(MAX_NAME)).len(), MAX_NAME);
        assert!(replacer.text("ann@example.com").ends_with("@example.org"));
        let phone = replacer.text("+15550001");
        assert!(phone.starts_with('+') && phone.len() == 9, "{phone}");
        assert_eq!(replacer.text(""), "");
    }

    #[test]
    fn short_and_long_secrets_keep_their_lengths() {
        for (length, expected) in
            [(0, 0), (1, 1), (7, 7), (8, 24), (72, 24), (73, 73), (1025, 1025)]
        {
            assert_eq!(replacer().secret(&"p".repeat(length)).len(), expected, "{length}");
        }
    }

    #[test]
    fn headers_keep_what_is_no_secret() {
        let (replacer, map) = (replacer(), FieldMap::new(&[]));
        let show = |key: &'static str, text: &str| {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static(key),
                HeaderValue::from_str(text).unwrap(),
            )]);
            let mut edit = |value: &FieldValue<'_>| replacer.value(Sender::Client, value);
            let edited = map.edit_headers(Sender::Client, &headers, &mut edit);
            let edited = edited.unwrap_or(headers);
            edited[key].to_str().unwrap().to_owned()
        };
        assert_eq!(show("user-agent", "x/1"), "x/1");
        assert_eq!(show("sec-websocket-protocol", "chat"), "chat");
        let offers = show("sec-websocket-protocol", "chat, eyJhbGciOiJ9.x");
        assert!(offers.starts_with("chat, ") && !offers.contains("eyJ"), "{offers}");
        let authorization = show("authorization", "Basic YTpi");
        assert!(authorization.starts_with("Basic ") && !authorization.contains("YTpi"));
        for name in ["cookie", "set-cookie", "x-api-key", "proxy-authorization", "referer"] {
            assert!(!show(name, "sesame-sesame").contains("sesame"), "{name}");
        }
    }
}
