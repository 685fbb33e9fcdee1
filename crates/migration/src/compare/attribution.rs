//! The requests that a server's frames answer, known by the frames alone.

use crate::fields::{any_leaf, name_places};
use crate::payload::Node;
use std::collections::VecDeque;
use tolmach_dialect::{FieldRole, FieldRule, Place};

/// The most requests of a connection that are remembered.
const MAX_REQUESTS: usize = 1_024;

/// The marks of a frame by which responses and requests are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The name that the wire gives the frame.
    pub(crate) name: Option<String>,
    /// The values of correlations, in the order of the rules.
    pub(crate) correlations: Vec<String>,
    /// True for a request or a response of HTTP.
    pub(crate) is_http: bool,
}

impl Marks {
    /// The marks of a frame with this body.
    pub(crate) fn new(rules: &'static [FieldRule], body: Option<&Node<'_>>, is_http: bool) -> Self {
        let Some(body) = body else { return Self { is_http, ..Self::default() } };
        let mut name = None;
        for place in name_places(rules) {
            any_leaf(body, place, &mut |text| {
                name = Some(text.to_owned());
                true
            });
            if name.is_some() {
                break;
            }
        }
        let mut correlations = Vec::new();
        for rule in rules {
            if let (FieldRole::Correlation, Place::Body(place)) = (rule.role, rule.place) {
                any_leaf(body, place, &mut |text| {
                    let is_new = !matches!(text, "null" | "None" | "")
                        && !correlations.iter().any(|known| known == text);
                    if is_new {
                        correlations.push(text.to_owned());
                    }
                    false
                });
            }
        }
        Self { name, correlations, is_http }
    }

    /// The part of the name that a request and its response share.
    fn stem(&self) -> Option<String> {
        let name = self.name.as_ref()?.to_ascii_lowercase();
        let stem = ["request_", "response_", "req_", "res_"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(&name);
        let stem = ["_request", "_response", "_req", "_res", "_reply"]
            .iter()
            .find_map(|suffix| stem.strip_suffix(suffix))
            .unwrap_or(stem);
        Some(stem.to_owned())
    }
}

/// A request of a connection.
#[derive(Debug)]
struct Known {
    number: u64,
    stem: Option<String>,
    correlations: Vec<String>,
    is_http: bool,
    is_answered: bool,
}

/// The requests of one connection, as far as they are remembered.
///
/// A frame answers, in this order: over HTTP the oldest request without a response; the request
/// with its correlation; the oldest request of its name without an answer; the request of its name
/// that the latest answer belongs to, where answers have several frames. Any other frame is an
/// event. It errs towards events where a wire gives events the names of answers.
#[derive(Debug, Default)]
pub(crate) struct Attribution {
    requests: VecDeque<Known>,
    /// The number of requests so far.
    count: u64,
    latest_answered: Option<u64>,
    /// The bytes that the requests take, about.
    bytes: usize,
}

impl Known {
    fn size(&self) -> usize {
        let of_texts = self.correlations.iter().map(|text| size_of::<String>() + text.len());
        let stem = self.stem.as_ref().map_or(0, String::len);
        size_of::<Self>() + stem + of_texts.sum::<usize>()
    }
}

impl Attribution {
    /// Notes a client's frame; gives its number, from 1.
    pub(crate) fn request(&mut self, marks: &Marks) -> u64 {
        self.count += 1;
        let known = Known {
            number: self.count,
            stem: marks.stem(),
            correlations: marks.correlations.clone(),
            is_http: marks.is_http,
            is_answered: false,
        };
        self.bytes += known.size();
        self.requests.push_back(known);
        if self.requests.len() > MAX_REQUESTS
            && let Some(oldest) = self.requests.pop_front()
        {
            self.bytes -= oldest.size();
        }
        self.count
    }

    /// The bytes that the requests take, about.
    pub(crate) fn size(&self) -> usize {
        self.bytes
    }

    /// Forgets the requests, but not how many there were.
    pub(crate) fn forget(&mut self) {
        (self.requests, self.bytes) = (VecDeque::new(), 0);
    }

    /// The number of the newest request; 0 before the first one.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The number of the request that a server's frame answers: 0 for the handshake, `None` for an
    /// event.
    pub(crate) fn answered(&mut self, marks: &Marks) -> Option<u64> {
        let stem = marks.stem();
        let index = if marks.is_http {
            self.requests.iter().position(|request| request.is_http && !request.is_answered)
        } else if !marks.correlations.is_empty() {
            let is_own = |request: &&Known| {
                request.correlations.iter().any(|own| marks.correlations.contains(own))
            };
            let unanswered = |request: &Known| is_own(&request) && !request.is_answered;
            let index = self.requests.iter().position(unanswered);
            index.or_else(|| self.requests.iter().rposition(|request| is_own(&request)))
        } else {
            let of_name = |request: &Known| stem.is_some() && request.stem == stem;
            let unanswered = |request: &Known| of_name(request) && !request.is_answered;
            let latest = self.latest_answered;
            let continued = |request: &Known| of_name(request) && Some(request.number) == latest;
            let index = self.requests.iter().position(unanswered);
            index.or_else(|| self.requests.iter().rposition(continued))
        };
        let Some(request) = index.and_then(|index| self.requests.get_mut(index)) else {
            return marks.is_http.then_some(0);
        };
        request.is_answered = true;
        self.latest_answered = Some(request.number);
        self.latest_answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Document;
    use tolmach_dialect::Condition;

    static RULES: [FieldRule; 2] = [
        FieldRule::body("request_id", FieldRole::Correlation),
        FieldRule::body("id", FieldRole::User).when(Condition::Value("do", &["x"])),
    ];

    fn marks(body: &str) -> Marks {
        let document = Document::new(body.as_bytes()).unwrap();
        Marks::new(&RULES, document.root().as_ref(), false)
    }

    #[test]
    fn frames_answer_by_correlation_name_and_order() {
        let mut connection = Attribution::default();
        for request in [
            r#"{"do":"REQUEST_LOGIN"}"#,
            r#"{"do":"read"}"#,
            r#"{"do":"read"}"#,
            r#"{"do":"send","request_id":7}"#,
            r#"{"do":"send","request_id":8}"#,
        ] {
            connection.request(&marks(request));
        }
        for (frame, answered) in [
            (r#"{"do":"RESPONSE_LOGIN"}"#, Some(1)),
            (r#"{"do":"send","request_id":8}"#, Some(5)),
            (r#"{"do":"read"}"#, Some(2)),
            (r#"{"do":"read"}"#, Some(3)),
            (r#"{"do":"read"}"#, Some(3)),
            (r#"{"do":"posted"}"#, None),
            (r#"{"do":"send","request_id":9}"#, None),
            (r#"{"do":"send","request_id":7}"#, Some(4)),
            (r#"{"do":"send","request_id":7}"#, Some(4)),
            (r#"{"do":"read"}"#, None),
            ("[]", None),
        ] {
            assert_eq!(connection.answered(&marks(frame)), answered, "{frame}");
        }
    }

    #[test]
    fn http_is_answered_in_order_and_a_handshake_by_its_rejection() {
        let http = Marks { is_http: true, ..Marks::default() };
        let mut connection = Attribution::default();
        assert_eq!(connection.answered(&http), Some(0));
        connection.request(&http);
        connection.request(&http);
        let answered = [(); 3].map(|()| connection.answered(&http));
        assert_eq!(answered, [Some(1), Some(2), Some(0)]);
    }

    #[test]
    fn only_the_newest_requests_are_remembered() {
        let mut connection = Attribution::default();
        connection.request(&marks(r#"{"do":"first"}"#));
        (0..MAX_REQUESTS).for_each(|_| {
            connection.request(&marks(r#"{"do":"other"}"#));
        });
        assert_eq!(connection.answered(&marks(r#"{"do":"first"}"#)), None);
        let full = connection.size();
        connection.request(&marks(r#"{"do":"other"}"#));
        assert_eq!(connection.size(), full);
        connection.forget();
        assert_eq!((connection.size(), connection.count()), (0, MAX_REQUESTS as u64 + 2));
        assert_eq!(connection.answered(&marks(r#"{"do":"other"}"#)), None);
    }
}
