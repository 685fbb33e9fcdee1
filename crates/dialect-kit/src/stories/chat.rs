//! A chat and its messages.

use crate::fixtures::{
    self, ANN, BOB, CHAT, NO_FLOW, flow_id, message_id, rich_content, time, user,
};
use crate::stories::commands::{NEWEST, history, list_flows, log_in, send, sent};
use crate::stories::story::{Exchange, Story};
use tolmach_domain::{
    Answer, Command, Content, ContentType, EventKind, Fault, FlowId, FlowKindFilter, HistoryRange,
    MessagePage, NewMessage, UserRef, Version,
};

pub(crate) fn chat() -> Story {
    let open = |who| Command::OpenChat { with: who };
    let edit = |id: i64| Command::Edit {
        message: message_id(id),
        flow: Some(flow_id(CHAT)),
        text: "Better put".to_owned(),
    };
    let delete_those = |ids: &[i64], all_or_none| Command::Delete {
        messages: ids.iter().copied().map(message_id).collect(),
        flow: Some(flow_id(CHAT)),
        all_or_none,
    };
    let delete = |ids: &[i64]| delete_those(ids, false);
    let delete_all = |ids: &[i64]| delete_those(ids, true);
    let deleted = |ids: &[i64]| EventKind::Deleted {
        flow: flow_id(CHAT),
        by: ANN.user(),
        messages: ids
            .iter()
            .zip(5..)
            .map(|(id, version)| (message_id(*id), Version(version)))
            .collect(),
    };
    let typing = |active| Command::ShowTyping { flow: flow_id(CHAT), active };
    let types = |active| EventKind::Typing {
        flow: flow_id(CHAT),
        user: user(ANN.number).summary(),
        active,
    };
    let get_chat =
        || Command::GetFlow { flow: flow_id(CHAT), kinds: FlowKindFilter::Chat, members: true };
    let changes = |flow: Option<FlowId>| Command::GetChanges { since: time(0), flow, limit: 1000 };
    let keyed = || {
        Command::Send(Box::new(NewMessage {
            flow: flow_id(CHAT),
            kinds: FlowKindFilter::Any,
            content: Content::text("Said twice"),
            key: Some("7".to_owned()),
        }))
    };
    let repeated = Answer::Sent {
        message: Some(Box::new(fixtures::posted(&ANN, flow_id(CHAT), Content::text("Said twice")))),
        repeated: true,
    };
    let empty_page = || {
        Answer::History(Box::new(MessagePage {
            flow: flow_id(CHAT),
            messages: Vec::new(),
            version: Version(0),
        }))
    };
    let of_type =
        |content_type| Content { content_type, ..Content::text("https://example.org/picture.png") };
    Story {
        name: "chat",
        steps: vec![
            log_in(&ANN),
            log_in(&BOB),
            Exchange::refused(&ANN, open(UserRef::Login("nobody".to_owned())), Fault::NoSuchUser)
                .into(),
            Exchange::refused(
                &ANN,
                open(UserRef::Id(ANN.user())),
                Fault::invalid("user", "another user than oneself is expected"),
            )
            .into(),
            Exchange::granted(&ANN, "by login", open(UserRef::Login("bob".to_owned())))
                .with_event(EventKind::FlowCreated {
                    flow: fixtures::flow(CHAT),
                    members: vec![user(1).summary(), user(2).summary()],
                })
                .into(),
            Exchange::granted(&ANN, "by id", open(UserRef::Id(BOB.user()))).into(),
            Exchange::granted(&BOB, "", list_flows(None, 0, false)).into(),
            Exchange::granted(&ANN, "", list_flows(None, 0, false)).into(),
            Exchange::granted(&ANN, "a part", list_flows(Some(1), 1, false)).into(),
            Exchange::granted(&ANN, "with members", list_flows(None, 0, true)).into(),
            Exchange::granted(&ANN, "none", list_flows(None, 0, false))
                .answered_with(Answer::Flows(Vec::new()))
                .into(),
            Exchange::granted(&BOB, "", get_chat()).into(),
            Exchange::granted(&ANN, "", get_chat()).into(),
            Exchange::refused(
                &ANN,
                Command::GetFlow {
                    flow: flow_id(NO_FLOW),
                    kinds: FlowKindFilter::Chat,
                    members: true,
                },
                Fault::NoSuchFlow,
            )
            .into(),
            Exchange::granted(&BOB, "the newest", history(CHAT, FlowKindFilter::Chat, NEWEST))
                .into(),
            Exchange::granted(&ANN, "the newest", history(CHAT, FlowKindFilter::Chat, NEWEST))
                .into(),
            Exchange::granted(
                &ANN,
                "a part",
                history(CHAT, FlowKindFilter::Chat, HistoryRange::Newest { limit: 1, offset: 1 }),
            )
            .into(),
            Exchange::granted(&ANN, "all", history(CHAT, FlowKindFilter::Any, HistoryRange::All))
                .into(),
            Exchange::granted(
                &ANN,
                "the unread",
                history(CHAT, FlowKindFilter::Any, HistoryRange::Unread),
            )
            .into(),
            Exchange::granted(&ANN, "nothing newest", history(CHAT, FlowKindFilter::Chat, NEWEST))
                .answered_with(empty_page())
                .into(),
            Exchange::granted(
                &ANN,
                "nothing at all",
                history(CHAT, FlowKindFilter::Any, HistoryRange::All),
            )
            .answered_with(empty_page())
            .into(),
            Exchange::refused(
                &ANN,
                history(NO_FLOW, FlowKindFilter::Any, HistoryRange::All),
                Fault::NoSuchFlow,
            )
            .into(),
            Exchange::refused(
                &ANN,
                history(NO_FLOW, FlowKindFilter::Chat, NEWEST),
                Fault::NoSuchFlow,
            )
            .into(),
            sent(
                &ANN,
                "text",
                CHAT,
                FlowKindFilter::Any,
                Content::text("Hello, \"Bob\"!\nПривет 👋"),
            ),
            sent(&BOB, "back", CHAT, FlowKindFilter::Any, Content::text("Hello yourself")),
            sent(&ANN, "a picture", CHAT, FlowKindFilter::Any, of_type(ContentType::Image)),
            sent(&ANN, "a file", CHAT, FlowKindFilter::Any, of_type(ContentType::File)),
            sent(&ANN, "a sticker", CHAT, FlowKindFilter::Any, of_type(ContentType::Sticker)),
            sent(
                &ANN,
                "another type",
                CHAT,
                FlowKindFilter::Any,
                of_type(ContentType::Other("location".into())),
            ),
            sent(&ANN, "everything", CHAT, FlowKindFilter::Any, rich_content()),
            Exchange::granted(&ANN, "repeated", keyed()).answered_with(repeated).into(),
            Exchange::refused(
                &ANN,
                send(NO_FLOW, FlowKindFilter::Any, Content::text("Anybody?")),
                Fault::NoSuchFlow,
            )
            .into(),
            Exchange::granted(&ANN, "", edit(11))
                .with_event(EventKind::Edited(fixtures::edited(message_id(11), "Better put")))
                .into(),
            Exchange::refused(&ANN, edit(12), Fault::NotAuthor).into(),
            Exchange::refused(&ANN, edit(19), Fault::NoSuchMessage).into(),
            Exchange::granted(&ANN, "one", delete(&[11])).with_event(deleted(&[11])).into(),
            Exchange::granted(&ANN, "several", delete(&[13, 15]))
                .with_event(deleted(&[13, 15]))
                .into(),
            Exchange::granted(&ANN, "some are left", delete(&[13, 12]))
                .answered_with(Answer::Deleted {
                    deleted: vec![message_id(13)],
                    left: vec![message_id(12)],
                })
                .with_event(deleted(&[13]))
                .into(),
            Exchange::refused(&ANN, delete(&[12]), Fault::NoSuchMessage).into(),
            Exchange::granted(&ANN, "all or none", delete_all(&[13, 15]))
                .with_event(deleted(&[13, 15]))
                .into(),
            Exchange::refused(&ANN, delete_all(&[13, 12]), Fault::NotAuthor).into(),
            Exchange::granted(&ANN, "begins", typing(true)).with_event(types(true)).into(),
            Exchange::granted(&ANN, "stops", typing(false)).with_event(types(false)).into(),
            Exchange::refused(
                &ANN,
                Command::ShowTyping { flow: flow_id(NO_FLOW), active: true },
                Fault::NoSuchFlow,
            )
            .into(),
            Exchange::granted(&ANN, "everywhere", changes(None)).into(),
            Exchange::granted(&ANN, "in one flow", changes(Some(flow_id(CHAT)))).into(),
            Exchange::refused(&ANN, changes(Some(flow_id(NO_FLOW))), Fault::NoSuchFlow).into(),
            Exchange::granted(
                &ANN,
                "a chat",
                Command::DeleteFlow { flow: flow_id(CHAT), kinds: FlowKindFilter::Any },
            )
            .with_event(EventKind::FlowDeleted { flow: flow_id(CHAT), by: ANN.user() })
            .into(),
        ],
    }
}
