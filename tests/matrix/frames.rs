//! What went over all wires, and that nothing secret was heard by whom it does not belong to.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tolmach_client::{Way, Witness};
use tolmach_dialect::Frame;

/// The password of everybody here.
pub(crate) const PASSWORD: &str = "Tr0ub4dor-and-3-staples";

/// How every bcrypt hash begins.
const HASH: &str = "$2";

/// Every frame that was heard, and every token that was handed out, each with whose it is.
#[derive(Default)]
pub(crate) struct Record {
    heard: Mutex<Vec<(String, String)>>,
    tokens: Mutex<Vec<(String, String)>>,
}

/// The record of this run.
pub(crate) fn record() -> &'static Arc<Record> {
    static RECORD: OnceLock<Arc<Record>> = OnceLock::new();
    RECORD.get_or_init(Arc::default)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Witness for Record {
    fn frame(&self, who: &str, _dialect: &'static str, way: Way, frame: &Frame) {
        if way == Way::Received {
            let head = match frame {
                Frame::Response(response) => format!("{:?}\n", response.headers()),
                Frame::Text(_) | Frame::Binary(_) | Frame::Value(_) | Frame::Request(_) => {
                    String::new()
                }
            };
            lock(&self.heard)
                .push((who.to_owned(), head + &String::from_utf8_lossy(frame.payload())));
        }
    }
}

impl Record {
    /// A token was handed out to the client called `who`.
    pub(crate) fn token(&self, who: &str, token: &str) {
        lock(&self.tokens).push((who.to_owned(), token.to_owned()));
    }

    /// The frames that a client called so heard, or one of this login over whichever dialect, and
    /// that contain these words.
    pub(crate) fn heard_by(&self, who: &str, words: &str) -> Vec<String> {
        let is_of = |hearer: &str| {
            hearer.strip_prefix(who).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        let heard = lock(&self.heard);
        heard
            .iter()
            .filter(|(hearer, frame)| is_of(hearer) && frame.contains(words))
            .map(|(_, frame)| frame.clone())
            .collect()
    }

    /// Every secret in a frame that must not hold it.
    pub(crate) fn leaks(&self) -> BTreeSet<String> {
        let tokens = lock(&self.tokens);
        let mut leaks = BTreeSet::new();
        for (hearer, frame) in lock(&self.heard).iter() {
            for (what, secret) in [("a password", PASSWORD), ("a hash", HASH)] {
                if frame.contains(secret) {
                    leaks.insert(format!("{hearer} heard {what}: {frame}"));
                }
            }
            for (owner, _) in
                tokens.iter().filter(|(owner, token)| owner != hearer && frame.contains(token))
            {
                leaks.insert(format!("{hearer} heard a token of {owner}: {frame}"));
            }
        }
        leaks
    }
}

/// The scan of the whole run catches what it is there for.
pub(crate) fn scan_catches_secrets() -> Result<(), String> {
    for (hearer, frame, leaks) in [
        ("ann", "harmless", 0),
        ("ann", "{\"token\":\"ann's\"}", 0),
        ("bob", "{\"token\":\"ann's\"}", 1),
        ("ann", "{\"password\":\"$2b$04$abc\"}", 1),
        ("ann", &format!("{{\"password\":{PASSWORD:?}}}"), 1),
    ] {
        let record = Record::default();
        record.token("ann", "ann's");
        record.frame(hearer, "any", Way::Received, &Frame::text(frame.to_owned()));
        record.frame(hearer, "any", Way::Sent, &Frame::text(format!("{PASSWORD} {HASH}")));
        let found = record.leaks();
        if found.len() != leaks {
            return Err(format!("{hearer}, {frame}: {leaks} leaks are expected, found {found:?}"));
        }
    }
    Ok(())
}
