//! A record of all frames that clients received, and the scan of it for secrets.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tolmach_client::{Direction, FrameObserver};
use tolmach_dialect::Frame;

/// The password of every account.
pub(crate) const PASSWORD: &str = "Tr0ub4dor-and-3-staples";

/// The beginning of every bcrypt hash.
const HASH: &str = "$2";

/// Every frame that a client received, and every token that was granted, each with the client's
/// name.
#[derive(Default)]
pub(crate) struct FrameRecord {
    frames: Mutex<Vec<(String, String)>>,
    tokens: Mutex<Vec<(String, String)>>,
}

/// The record of this run.
pub(crate) fn frame_record() -> &'static Arc<FrameRecord> {
    static RECORD: OnceLock<Arc<FrameRecord>> = OnceLock::new();
    RECORD.get_or_init(Arc::default)
}

impl FrameObserver for FrameRecord {
    fn frame(&self, name: &str, _dialect: &'static str, direction: Direction, frame: &Frame) {
        if direction == Direction::Received {
            let head = match frame {
                Frame::Response(response) => format!("{:?}\n", response.headers()),
                Frame::Text(_) | Frame::Binary(_) | Frame::Value(_) | Frame::Request(_) => {
                    String::new()
                }
            };
            lock(&self.frames)
                .push((name.to_owned(), head + &String::from_utf8_lossy(frame.payload())));
        }
    }
}

impl FrameRecord {
    /// Adds a token that was granted to the client with this name.
    pub(crate) fn add_token(&self, name: &str, token: &str) {
        lock(&self.tokens).push((name.to_owned(), token.to_owned()));
    }

    /// The frames with this text that the client with this name received, or the clients of this
    /// login over all dialects.
    pub(crate) fn received_by(&self, name: &str, text: &str) -> Vec<String> {
        let is_of = |receiver: &str| {
            receiver.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        let frames = lock(&self.frames);
        frames
            .iter()
            .filter(|(receiver, frame)| is_of(receiver) && frame.contains(text))
            .map(|(_, frame)| frame.clone())
            .collect()
    }

    /// The passwords, hashes and other clients' tokens in received frames.
    pub(crate) fn leaks(&self) -> BTreeSet<String> {
        let tokens = lock(&self.tokens);
        let mut leaks = BTreeSet::new();
        for (receiver, frame) in lock(&self.frames).iter() {
            for (kind, secret) in [("a password", PASSWORD), ("a hash", HASH)] {
                if frame.contains(secret) {
                    leaks.insert(format!("{receiver} received {kind}: {frame}"));
                }
            }
            for (owner, _) in
                tokens.iter().filter(|(owner, token)| owner != receiver && frame.contains(token))
            {
                leaks.insert(format!("{receiver} received a token of {owner}: {frame}"));
            }
        }
        leaks
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The scan finds each kind of secret, and only in received frames of other clients.
pub(crate) fn scan_finds_secrets() -> Result<(), String> {
    for (receiver, frame, leaks) in [
        ("ann", "harmless", 0),
        ("ann", "{\"token\":\"ann's\"}", 0),
        ("bob", "{\"token\":\"ann's\"}", 1),
        ("ann", "{\"password\":\"$2b$04$abc\"}", 1),
        ("ann", &format!("{{\"password\":{PASSWORD:?}}}"), 1),
    ] {
        let record = FrameRecord::default();
        record.add_token("ann", "ann's");
        record.frame(receiver, "any", Direction::Received, &Frame::text(frame.to_owned()));
        let sent = Frame::text(format!("{PASSWORD} {HASH}"));
        record.frame(receiver, "any", Direction::Sent, &sent);
        let found = record.leaks();
        if found.len() != leaks {
            return Err(format!("{receiver}, {frame}: expected {leaks} leaks, found {found:?}"));
        }
    }
    Ok(())
}
