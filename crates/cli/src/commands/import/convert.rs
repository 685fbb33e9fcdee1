//! Records of the form as the engine takes them.

use std::collections::HashMap;
use tolmach_domain::{
    Attachment, AttachmentKind, Content, ContentType, ExternalId, FlowKind, PhotoKey, Secret,
    Timestamp,
};
use tolmach_engine::ports::{ImportFlow, ImportMember, ImportMessage, ImportUser, NewUser};
use tolmach_world as world;

pub(super) fn user(
    user: world::User,
    now: Timestamp,
    passwords: &mut HashMap<ExternalId, Secret>,
) -> ImportUser {
    if let Some(password) = user.password {
        passwords.insert(user.id.0, Secret::new(password));
    }
    let local = user.login.split_once('@').map_or(&*user.login, |(local, _)| local);
    let username = user.username.unwrap_or_else(|| local.to_owned());
    let account = NewUser {
        id: None,
        name: user.name.unwrap_or_else(|| username.clone()),
        username,
        login: user.login,
        email: user.email,
        phone: user.phone,
        bio: user.bio,
        avatar: user.avatar,
        photo: user.photo.map(photo),
        bot: user.bot,
        admin: user.admin,
        business: user.business,
        profile: user.profile,
        password_hash: user.password_hash,
    };
    ImportUser {
        source_id: user.id.0,
        account,
        created_at: user.created_at.map_or(now, |time| time.0),
        deleted_at: user.deleted_at.map(|time| time.0),
    }
}

pub(super) fn flow(flow: world::Flow, now: Timestamp) -> ImportFlow {
    ImportFlow {
        source_id: flow.id.0,
        kind: match flow.kind {
            world::FlowKind::Chat => FlowKind::Chat,
            world::FlowKind::Group => FlowKind::Group,
            world::FlowKind::Channel => FlowKind::Channel,
        },
        title: flow.title,
        info: flow.info,
        owner: flow.owner.0,
        pair: flow.pair.map(|pair| pair.map(|user| user.0)),
        photo: flow.photo.map(photo),
        created_at: flow.created_at.map_or(now, |time| time.0),
    }
}

pub(super) fn message(message: world::Message) -> ImportMessage {
    let content = Content {
        text: message.text,
        content_type: message.content_type.map_or(ContentType::Text, |name| match &*name {
            "text" => ContentType::Text,
            "image" => ContentType::Image,
            "file" => ContentType::File,
            "sticker" => ContentType::Sticker,
            _ => ContentType::Other(name.into()),
        }),
        attachments: message.attachments.into_iter().map(attachment).collect(),
        emoji: message.emoji,
        reply_to: None,
    };
    ImportMessage {
        source_id: message.id.0,
        flow: message.flow.0,
        author: message.author.0,
        content,
        reply_to: message.reply_to.map(|id| id.0),
        posted_at: message.posted_at.0,
        edited_at: message.edited_at.map(|time| time.0),
        deleted_at: message.deleted_at.map(|time| time.0),
    }
}

pub(super) fn member(member: world::Member, awaits_read: bool) -> ImportMember {
    ImportMember {
        flow: member.flow.0,
        user: member.user.0,
        joined_at: member.joined_at.map(|time| time.0),
        read: member.read.map(|id| id.0),
        awaits_read,
    }
}

fn photo(photo: world::Photo) -> PhotoKey {
    PhotoKey { key: photo.key, media_type: photo.media_type }
}

fn attachment(file: world::Attachment) -> Attachment {
    let kind = match file.kind {
        world::AttachmentKind::Picture => AttachmentKind::Picture,
        world::AttachmentKind::Video => AttachmentKind::Video,
        world::AttachmentKind::Audio => AttachmentKind::Audio,
        world::AttachmentKind::Document => AttachmentKind::Document,
    };
    Attachment { kind, data: file.data }
}
