//! The state of one client under the serving rules: the life cycle of its dialect and revision.

use crate::metrics;
use crate::state::ServerState;
use crate::submission::{Completed, Requester};
use http::header::LINK;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::{Duration, UNIX_EPOCH};
use tolmach_dialect::Revision;
use tolmach_domain::{Command, Fault, Timestamp};
use tolmach_engine::ports::Deprecation;
use tolmach_engine::{Lifecycle, Principal, RuledClient, RuledUser};

/// RFC 9745 section 2.
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// RFC 8594 section 3.
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// The state of one client, as it was last looked at. Nothing while there are no rules.
#[derive(Default)]
pub(crate) struct ClientLifecycle(Option<Box<Checked>>);

struct Checked {
    /// The rules, the user and the revision that the state is of.
    generation: u64,
    user: RuledUser,
    revision: Revision,
    lifecycle: Lifecycle,
    /// True if the log has the state.
    is_logged: bool,
    is_refused: bool,
}

impl ClientLifecycle {
    /// Looks at the rules for a request; an error is the fault that it is refused with.
    pub(crate) fn admit(
        &mut self,
        state: &ServerState,
        requester: &Requester,
        user: RuledUser,
    ) -> Result<(), Fault> {
        if state.rules.generation() == 0 {
            return Ok(());
        }
        let fault = self.refusal(state, requester, user);
        self.count(requester);
        fault.map_or(Ok(()), Err)
    }

    fn count(&self, requester: &Requester) {
        if let Some(checked) = self.0.as_deref().filter(|it| !it.lifecycle.is_permitted()) {
            let (dialect, name) = (requester.dialect.id(), checked.lifecycle.name());
            metrics::lifecycle_request(dialect, requester.revision, name);
        }
    }

    /// The fault that a client is refused with now, if it is.
    pub(crate) fn refusal(
        &mut self,
        state: &ServerState,
        requester: &Requester,
        user: RuledUser,
    ) -> Option<Fault> {
        let generation = state.rules.generation();
        if generation == 0 {
            self.0 = None;
            return None;
        }
        let now = state.engine.now();
        let checked = self.check(state, requester, user, generation, now);
        let refusal = checked.lifecycle.refusal?;
        if !checked.is_refused {
            checked.is_refused = true;
            state.rules.count_refused();
        }
        Some(refusal.fault(now))
    }

    /// Looks at the rules about the user that a login has proven. If they are refused, their new
    /// session ends, and the login becomes a refusal. Returns true if they are not. `elsewhere` is
    /// the user of a session that is not the engine's.
    pub(crate) async fn admit_login(
        &mut self,
        (state, requester): (&ServerState, &Requester),
        elsewhere: Option<RuledUser>,
        completed: &mut Completed,
    ) -> bool {
        let Some(principal) = completed.principal.filter(|_| completed.response.outcome.is_ok())
        else {
            return true;
        };
        let user = elsewhere.unwrap_or(RuledUser::Known(principal.identity.user));
        let Some(fault) = self.refusal(state, requester, user) else { return true };
        self.count(requester);
        if elsewhere.is_none() {
            state.engine.end_session(&principal).await;
        }
        completed.principal = None;
        completed.response.identity = None;
        completed.response.outcome = Err(fault);
        false
    }

    fn check(
        &mut self,
        state: &ServerState,
        requester: &Requester,
        user: RuledUser,
        generation: u64,
        now: Timestamp,
    ) -> &mut Checked {
        let Requester { dialect, revision, address, user_agent, .. } = requester;
        let is_current = |checked: &Checked| {
            checked.generation == generation
                && checked.user == user
                && checked.revision == *revision
                && checked.lifecycle.until.is_none_or(|until| now < until)
        };
        let is_logged = self.0.as_ref().is_some_and(|checked| checked.is_logged);
        let is_refused = self.0.as_ref().is_some_and(|checked| checked.is_refused);
        if !self.0.as_deref().is_some_and(is_current) {
            let client = RuledClient {
                dialect: dialect.id(),
                revision,
                user,
                address: *address,
                user_agent: user_agent.as_deref(),
            };
            let lifecycle = state.rules.current().lifecycle(&client, now);
            if !is_logged && !lifecycle.is_permitted() {
                let (dialect, state) = (dialect.id(), lifecycle.name());
                tracing::debug!(dialect, revision, ?user, state, "a client fits a serving rule");
            }
            let is_logged = is_logged || !lifecycle.is_permitted();
            let revision = *revision;
            let checked = Checked { generation, user, revision, lifecycle, is_logged, is_refused };
            self.0 = Some(Box::new(checked));
        }
        self.0.as_mut().expect("it was set above where it was missing")
    }

    /// Adds the headers that announce the end of the dialect or revision, if there is such an
    /// announcement for the client. One who has made no request yet counts as any user.
    pub(crate) fn announce(
        &mut self,
        state: &ServerState,
        requester: &Requester,
        headers: &mut HeaderMap,
    ) {
        let generation = state.rules.generation();
        if generation == 0 {
            return;
        }
        let user = self.0.as_ref().map_or(RuledUser::Pending, |checked| checked.user);
        let checked = self.check(state, requester, user, generation, state.engine.now());
        if let Some(deprecation) = &checked.lifecycle.deprecation {
            add_headers(deprecation, headers);
        }
    }
}

/// The user of a request, for the rules. `owner` is the user of its connection so far.
pub(crate) fn ruled_user(
    caller: Option<&Principal>,
    owner: Option<&Principal>,
    command: &Command,
) -> RuledUser {
    match caller.or(owner) {
        // A user who is refused may keep the session, for the time after a brownout.
        _ if is_login(command) || matches!(command, Command::Refresh { .. }) => RuledUser::Pending,
        Some(principal) => RuledUser::Known(principal.identity.user),
        None => RuledUser::Unknown,
    }
}

/// True if a command is a login, which proves a user by itself.
pub(crate) fn is_login(command: &Command) -> bool {
    matches!(command, Command::Login { .. })
}

fn add_headers(deprecation: &Deprecation, headers: &mut HeaderMap) {
    let Deprecation { since, sunset, link } = deprecation;
    let mut append = |name: HeaderName, text: String| {
        // A link that no header can carry is left out.
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.append(name, value);
        }
    };
    append(DEPRECATION, format!("@{}", since.whole_seconds()));
    if let Some(sunset) = sunset {
        let seconds = Duration::from_secs(sunset.whole_seconds().unsigned_abs());
        append(SUNSET, httpdate::fmt_http_date(UNIX_EPOCH + seconds));
    }
    if let Some(link) = link {
        append(LINK, format!("<{link}>; rel=\"deprecation\""));
        if sunset.is_some() {
            append(LINK, format!("<{link}>; rel=\"sunset\""));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(deprecation: &Deprecation) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        add_headers(deprecation, &mut headers);
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    #[test]
    fn an_announcement_has_the_forms_of_its_rfcs() {
        let time = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
        let mut deprecation =
            Deprecation { since: time("2023-06-30T23:59:59.9Z"), sunset: None, link: None };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let since = pair("deprecation", "@1688169599");
        assert_eq!(headers(&deprecation), std::slice::from_ref(&since));
        deprecation.sunset = Some(time("2018-12-31T23:59:59Z"));
        deprecation.link = Some("https://example.org/a?b=c".into());
        let expected = [
            since.clone(),
            pair("sunset", "Mon, 31 Dec 2018 23:59:59 GMT"),
            pair("link", "<https://example.org/a?b=c>; rel=\"deprecation\""),
            pair("link", "<https://example.org/a?b=c>; rel=\"sunset\""),
        ];
        assert_eq!(headers(&deprecation), expected);
        deprecation.sunset = None;
        assert_eq!(headers(&deprecation), [expected[0].clone(), expected[2].clone()]);
        deprecation.link = Some("a\nb".into());
        assert_eq!(headers(&deprecation), [since]);
    }
}
