//! Values that a proxy makes up, because one of the two wires does not have them.

use tolmach_domain::{
    Answer, Changes, Command, Credentials, EventKind, Fault, Flow, FlowId, FlowKind, FlowSummary,
    Grant, GrantKind, Message, MessagePage, Secret, Timestamp, Tokens, User, UserId, Version,
};

/// The answer to a request that only one of the two wires makes: entering a room, say, or asking
/// for nothing in order to learn that everything before it has come. `None` for one that changes
/// something.
pub(super) fn stand_in_answer(
    command: &Command,
    user: UserId,
    summary: impl FnOnce(FlowId) -> FlowSummary,
) -> Option<Answer> {
    Some(match command {
        Command::GetFlow { flow, .. } => Answer::Flow(Box::new(summary(*flow))),
        Command::History { flow, .. } => {
            Answer::History(Box::new(MessagePage::new(*flow, Vec::new())))
        }
        Command::ListFlows { .. } => Answer::Flows(Vec::new()),
        Command::SearchUsers { .. } => Answer::Users(Vec::new()),
        Command::Login { .. } => {
            let user = Some(Box::new(User::named(user, "")));
            Answer::Granted(Box::new(Grant { user, tokens: Tokens::Connection }))
        }
        Command::GetUser { .. } => Answer::User(Box::new(User::named(user, ""))),
        Command::GetChanges { .. } => Answer::Changes(Box::new(Changes {
            messages: Vec::new(),
            flows: Vec::new(),
            user: None,
            until: Timestamp::default(),
            more: false,
        })),
        _ => return None,
    })
}

/// The summary of a flow of which nothing is known.
pub(super) fn unknown_flow(flow: FlowId) -> FlowSummary {
    FlowSummary::new(Flow::new(flow, FlowKind::Chat, ""))
}

/// A command in the forms in which the target may have it: with each kind of tokens, which a proxy
/// keeps to itself. The command as it is comes first.
pub(super) fn grant_forms(command: &Command) -> Vec<Command> {
    const KINDS: [GrantKind; 3] = [GrantKind::Pair, GrantKind::Token, GrantKind::Connection];
    let mut forms = vec![command.clone()];
    match command {
        Command::Login { identifier, password, grant } => {
            forms.extend(KINDS.into_iter().filter(|kind| kind != grant).map(|grant| {
                let (identifier, password) = (identifier.clone(), password.clone());
                Command::Login { identifier, password, grant }
            }));
        }
        Command::Register(registration) => {
            let others = KINDS.into_iter().filter(|kind| *kind != registration.grant);
            forms.extend(others.map(|grant| {
                let mut registration = registration.clone();
                registration.grant = grant;
                Command::Register(registration)
            }));
        }
        _ => {}
    }
    forms
}

/// Credentials in the forms in which the target may have them. Those of the request come first,
/// unless they are of a connection that never logged in as far as was captured.
pub(super) fn credential_forms(
    own: &Credentials,
    user: UserId,
    token: &Secret,
    logged_in: bool,
) -> Vec<Credentials> {
    let token = match own {
        Credentials::Nothing => return vec![Credentials::Nothing],
        Credentials::Connection => token,
        Credentials::Token(own) | Credentials::TokenOf(_, own) | Credentials::Bearer(own) => own,
    };
    let user = match own {
        Credentials::TokenOf(user, _) => *user,
        _ => user,
    };
    let mut forms = vec![
        Credentials::TokenOf(user, token.clone()),
        Credentials::Token(token.clone()),
        Credentials::Bearer(token.clone()),
        Credentials::Connection,
    ];
    if *own != Credentials::Connection || logged_in {
        forms.retain(|form| form != own);
        forms.insert(0, own.clone());
    }
    forms
}

/// A grant with tokens of the kind that the target's request asks for: those of the source, or else
/// the proxy's own.
pub(super) fn fit_tokens(command: &Command, own: &Secret, answer: &mut Answer) {
    let kind = match command {
        Command::Register(registration) => registration.grant,
        Command::Login { grant, .. } => *grant,
        Command::Refresh { .. } => GrantKind::Pair,
        _ => return,
    };
    let Answer::Granted(grant) = answer else { return };
    let access = token_of(grant).unwrap_or(own).clone();
    grant.tokens = match (kind, &grant.tokens) {
        (GrantKind::Nothing, _) => Tokens::Nothing,
        (GrantKind::Connection, _) => Tokens::Connection,
        (GrantKind::Token, _) => Tokens::Token(access),
        (GrantKind::Pair, Tokens::Pair { refresh, .. }) => {
            Tokens::Pair { access, refresh: refresh.clone() }
        }
        (GrantKind::Pair, _) => {
            let refresh = Secret::new(format!("{}-refresh", access.expose()));
            Tokens::Pair { access, refresh }
        }
    };
}

/// The token that requests carry after a grant.
pub(super) fn token_of(grant: &Grant) -> Option<&Secret> {
    match &grant.tokens {
        Tokens::Token(token) | Tokens::Pair { access: token, .. } => Some(token),
        Tokens::Nothing | Tokens::Connection => None,
    }
}

/// The event that a granted change causes, as far as its answer says what it was.
pub(super) fn event_of(command: &Command, answer: &Answer, user: UserId) -> Option<EventKind> {
    match (command, answer) {
        (Command::Send(_), Answer::Sent { message: Some(message), .. }) => {
            Some(EventKind::Posted(Message::clone(message)))
        }
        (Command::Edit { .. }, Answer::Edited(message)) => {
            Some(EventKind::Edited(Message::clone(message)))
        }
        (Command::Delete { flow: Some(flow), .. }, Answer::Deleted { deleted, .. }) => {
            let messages = deleted.iter().map(|message| (*message, Version::default()));
            Some(EventKind::Deleted { flow: *flow, by: user, messages: messages.collect() })
        }
        _ => None,
    }
}

/// The answer that an event implies for a request that its wire does not answer otherwise.
pub(super) fn implied_answer(command: &Command, event: &EventKind) -> Option<Answer> {
    match (command, event) {
        (Command::Send(new), EventKind::Posted(message))
            if new.flow == message.flow && new.content.text == message.content.text =>
        {
            Some(Answer::Sent { message: Some(Box::new(message.clone())), repeated: false })
        }
        (Command::Edit { message: edited, .. }, EventKind::Edited(message))
            if *edited == message.id =>
        {
            Some(Answer::Edited(Box::new(message.clone())))
        }
        (Command::Delete { messages, .. }, EventKind::Deleted { messages: deleted, .. })
            if deleted.iter().all(|(message, _)| messages.contains(message)) =>
        {
            let deleted = deleted.iter().map(|(message, _)| *message).collect();
            Some(Answer::Deleted { deleted, left: Vec::new() })
        }
        _ => None,
    }
}

/// True if an event is the one that an answered change caused.
pub(super) fn is_event_of(command: &Command, answer: &Answer, event: &EventKind) -> bool {
    match (answer, event) {
        (Answer::Sent { message: Some(message), .. }, EventKind::Posted(posted)) => {
            message.id == posted.id && message.content.text == posted.content.text
        }
        (Answer::Edited(message), EventKind::Edited(edited)) => {
            message.id == edited.id && message.content.text == edited.content.text
        }
        (Answer::Deleted { .. }, EventKind::Deleted { .. }) => {
            implied_answer(command, event).is_some()
        }
        _ => false,
    }
}

/// Gives the changes of an event the next versions, which no wire carries and a proxy counts.
pub(super) fn count_versions(event: &mut EventKind, newest: &mut i64) {
    let mut next = || {
        *newest += 1;
        Version(*newest)
    };
    match event {
        EventKind::Posted(message) | EventKind::Edited(message) => message.version = next(),
        EventKind::Deleted { messages, .. } => {
            messages.iter_mut().for_each(|(_, version)| *version = next());
        }
        _ => {}
    }
}

/// The user whom a grant names.
pub(super) fn granted_user(outcome: &Result<Answer, Fault>) -> Option<UserId> {
    match outcome {
        Ok(Answer::Granted(grant)) => grant.user.as_ref().map(|user| user.id),
        _ => None,
    }
}
