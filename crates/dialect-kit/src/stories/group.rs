//! A group and a channel, and their members.

use crate::fixtures::{
    self, ANN, BOB, CAROL, CHANNEL, CHAT, GROUP, flow_id, message, photo, user, user_id,
};
use crate::stories::commands::{NEWEST, history, list_flows, log_in, send, sent};
use crate::stories::story::{Exchange, Step, Story};
use tolmach_domain::{
    Command, Content, EventKind, Fault, FlowKind, FlowKindFilter, NewFlow, PhotoOf, Version,
};

pub(crate) fn group() -> Story {
    let create_keyed = |kind, photo, key: Option<&str>| {
        let title = fixtures::flow(if kind == FlowKind::Group { GROUP } else { CHANNEL });
        Command::CreateFlow(Box::new(NewFlow {
            kind,
            title: title.title,
            info: title.info,
            members: vec![BOB.user(), CAROL.user()],
            photo,
            key: key.map(str::to_owned),
        }))
    };
    let create = |kind, photo| create_keyed(kind, photo, None);
    let create_with_key = || create_keyed(FlowKind::Group, None, Some(r#"8e03978e-"40d5""#));
    let created = |number| EventKind::FlowCreated {
        flow: fixtures::flow(number),
        members: fixtures::members(number).iter().map(tolmach_domain::User::summary).collect(),
    };
    let get =
        |members| Command::GetFlow { flow: flow_id(GROUP), kinds: FlowKindFilter::Shared, members };
    let add = |users: &[i64]| Command::AddMembers {
        flow: flow_id(GROUP),
        users: users.iter().copied().map(user_id).collect(),
    };
    let remove = |users: &[i64]| Command::RemoveMembers {
        flow: flow_id(GROUP),
        users: users.iter().copied().map(user_id).collect(),
    };
    let flow_photo = || Command::GetPhoto { of: PhotoOf::Flow(flow_id(GROUP)) };
    let delete = || Command::DeleteFlow { flow: flow_id(GROUP), kinds: FlowKindFilter::Shared };
    Story {
        name: "group",
        steps: vec![
            log_in(&ANN),
            log_in(&BOB),
            Exchange::granted(&BOB, "", list_flows(None, 0, false)).into(),
            Exchange::refused(&ANN, create(FlowKind::Group, None), Fault::NoSuchUser).into(),
            Exchange::granted(&ANN, "a group", create(FlowKind::Group, None))
                .with_event(created(GROUP))
                .into(),
            Exchange::granted(&ANN, "a group, with a key", create_with_key())
                .with_event(created(GROUP))
                .into(),
            Exchange::refused(&ANN, create_with_key(), Fault::KeyReused).into(),
            Exchange::granted(&ANN, "a group with a photo", create(FlowKind::Group, Some(photo())))
                .with_event(created(GROUP))
                .into(),
            Exchange::granted(&ANN, "a channel", create(FlowKind::Channel, None))
                .with_event(created(CHANNEL))
                .into(),
            Exchange::granted(&BOB, "with members", get(true)).into(),
            Exchange::granted(&ANN, "with members", get(true)).into(),
            Exchange::granted(&ANN, "without members", get(false)).into(),
            Exchange::refused(&ANN, get(false), Fault::NoSuchFlow).into(),
            Exchange::granted(&ANN, "of a group", flow_photo()).into(),
            Exchange::refused(&ANN, flow_photo(), Fault::NoPhoto).into(),
            Exchange::granted(
                &BOB,
                "the newest of a group",
                history(GROUP, FlowKindFilter::Shared, NEWEST),
            )
            .into(),
            Exchange::granted(
                &ANN,
                "the newest of a group",
                history(GROUP, FlowKindFilter::Shared, NEWEST),
            )
            .into(),
            sent(&ANN, "to a group", GROUP, FlowKindFilter::Shared, Content::text("Hello, all")),
            sent(&BOB, "to a group", GROUP, FlowKindFilter::Shared, Content::text("Hello, Ann")),
            Exchange::refused(
                &ANN,
                send(CHAT, FlowKindFilter::Shared, Content::text("Hello?")),
                Fault::WrongKind,
            )
            .into(),
            Step::Event(Box::new(EventKind::Posted(message(GROUP, 5)))),
            Exchange::granted(&ANN, "", add(&[4, 5]))
                .with_event(EventKind::MembersAdded {
                    flow: flow_id(GROUP),
                    users: vec![user(4).summary(), user(5).summary()],
                    version: Version(7),
                })
                .into(),
            Exchange::refused(&ANN, add(&[2]), Fault::AlreadyMember).into(),
            Exchange::refused(&BOB, add(&[6]), Fault::NotOwner).into(),
            Exchange::granted(&ANN, "", remove(&[3, 4]))
                .with_event(EventKind::MembersRemoved {
                    flow: flow_id(GROUP),
                    users: vec![user_id(3), user_id(4)],
                })
                .into(),
            Exchange::refused(&ANN, remove(&[6]), Fault::NotMember).into(),
            Exchange::refused(&BOB, remove(&[1]), Fault::NotOwner).into(),
            Step::Event(Box::new(EventKind::MembersRemoved {
                flow: flow_id(GROUP),
                users: vec![BOB.user()],
            })),
            Exchange::refused(&ANN, delete(), Fault::NotOwner).into(),
            Exchange::granted(&ANN, "a group", delete())
                .with_event(EventKind::FlowDeleted { flow: flow_id(GROUP), by: ANN.user() })
                .into(),
        ],
    }
}
