//! `tolmach export`

use super::operator::with_backend;
use super::world_file::WorldOutput;
use crate::arguments::Location;
use crate::backend::Backend;
use crate::error::{CliError, RuntimeError};
use crate::progress::Progress;
use std::path::Path;
use tolmach_domain::{
    AttachmentKind, ContentType, FlowKind, IdNamespace, Message, PhotoKey, UserId,
};
use tolmach_engine::ports::{StoredFlow, StoredMember, StoredUser};
use tolmach_world::{self as world, Id, Record, Time};

/// Records read at once.
const PAGE: u32 = 1_000;

pub(crate) async fn run(
    location: &Location,
    file: Option<&Path>,
    source: &IdNamespace,
) -> Result<String, CliError> {
    with_backend(location, async |backend| {
        let output = WorldOutput::create(file).map_err(RuntimeError::Output)?;
        let mut export = Export { output, progress: Progress::new() };
        export.world(backend, source).await?;
        export.output.finish().map_err(RuntimeError::Output)?;
        Ok(String::new())
    })
    .await
}

struct Export {
    output: WorldOutput,
    progress: Progress,
}

impl Export {
    /// Writes everything that was there when the command began.
    async fn world(&mut self, backend: &Backend, source: &IdNamespace) -> Result<(), CliError> {
        let engine = &backend.engine;
        let last = engine.last_ids().await?;
        let header = world::Header::new(source.as_str());
        self.write(&Record::World(header))?;
        let (mut after, mut done) = (None, 0);
        loop {
            let page = engine.export_users(after, PAGE).await?;
            let Some(end) = page.last() else { break };
            after = Some(end.user.id);
            for found in page.into_iter().filter(|found| found.user.id.get() <= last.users) {
                self.write(&user(found))?;
                done += 1;
            }
            self.progress.report("users", done, done + 1);
        }
        self.progress.report("users", done, done);
        let (mut after, mut done) = (None, 0);
        loop {
            let page = engine.export_flows(after, PAGE).await?;
            let Some(end) = page.last() else { break };
            after = Some(end.flow.id);
            for found in page.into_iter().filter(|found| found.flow.id.get() <= last.flows) {
                self.write(&flow(found))?;
                done += 1;
            }
        }
        self.progress.report("conversations", done, done);
        let (mut after, mut done) = (None, 0);
        loop {
            let page = engine.export_messages(after, PAGE).await?;
            let Some(end) = page.last() else { break };
            after = Some((end.flow, end.posted));
            for found in page.into_iter().filter(|found| found.id.get() <= last.messages) {
                self.write(&message(found))?;
                done += 1;
            }
            self.progress.report("messages", done, done + 1);
        }
        self.progress.report("messages", done, done);
        let (mut after, mut done) = (None, 0);
        loop {
            let page = engine.export_members(after, PAGE).await?;
            let Some(end) = page.last() else { break };
            after = Some((end.flow, end.user));
            let old = page
                .into_iter()
                .filter(|found| found.user.get() <= last.users && found.flow.get() <= last.flows);
            for found in old {
                let read = found.read.filter(|read| read.get() <= last.messages);
                self.write(&member(StoredMember { read, ..found }))?;
                done += 1;
            }
        }
        self.progress.report("members", done, done);
        Ok(())
    }

    fn write(&mut self, record: &Record) -> Result<(), RuntimeError> {
        let line = record.to_line().map_err(|error| RuntimeError::World(error.to_string()))?;
        self.output.line(&line).map_err(RuntimeError::Output)
    }
}

pub(super) fn user(found: StoredUser) -> Record {
    let user = found.user;
    Record::User(Box::new(world::User {
        id: id(user.id.get()),
        login: user.login,
        username: Some(user.username),
        name: Some(user.name),
        email: user.email,
        phone: user.phone,
        bio: user.bio,
        avatar: user.avatar,
        photo: user.photo.map(photo),
        bot: user.bot,
        admin: user.admin,
        business: user.business,
        profile: user.profile,
        password: None,
        password_hash: found.password_hash,
        created_at: Some(Time(user.created_at)),
        deleted_at: user.deleted_at.map(Time),
    }))
}

pub(super) fn flow(found: StoredFlow) -> Record {
    let flow = found.flow;
    Record::Flow(world::Flow {
        id: id(flow.id.get()),
        kind: match flow.kind {
            FlowKind::Chat => world::FlowKind::Chat,
            FlowKind::Group => world::FlowKind::Group,
            FlowKind::Channel => world::FlowKind::Channel,
        },
        title: flow.title,
        info: flow.info,
        owner: id(flow.owner.map_or(0, UserId::get)),
        pair: found.pair.map(|pair| pair.map(|user| id(user.get()))),
        photo: flow.photo.map(photo),
        created_at: Some(Time(flow.created_at)),
    })
}

pub(super) fn message(found: Message) -> Record {
    let content = found.content;
    Record::Message(world::Message {
        id: id(found.id.get()),
        flow: id(found.flow.get()),
        author: id(found.author.id.get()),
        text: content.text,
        content_type: match content.content_type {
            ContentType::Text => None,
            ContentType::Image => Some("image".into()),
            ContentType::File => Some("file".into()),
            ContentType::Sticker => Some("sticker".into()),
            ContentType::Other(name) => Some(name.into()),
        },
        attachments: content
            .attachments
            .into_iter()
            .map(|file| world::Attachment {
                kind: match file.kind {
                    AttachmentKind::Picture => world::AttachmentKind::Picture,
                    AttachmentKind::Video => world::AttachmentKind::Video,
                    AttachmentKind::Audio => world::AttachmentKind::Audio,
                    AttachmentKind::Document => world::AttachmentKind::Document,
                },
                data: file.data,
            })
            .collect(),
        emoji: content.emoji,
        reply_to: content.reply_to.map(|reply| id(reply.get())),
        posted_at: Time(found.posted_at),
        edited_at: found.edited_at.map(Time),
        deleted_at: found.deleted_at.map(Time),
    })
}

pub(super) fn member(found: StoredMember) -> Record {
    Record::Member(world::Member {
        flow: id(found.flow.get()),
        user: id(found.user.get()),
        joined_at: Some(Time(found.joined_at)),
        read: found.read.map(|read| id(read.get())),
    })
}

fn photo(photo: PhotoKey) -> world::Photo {
    world::Photo { key: photo.key, media_type: photo.media_type }
}

/// The id of an object of the world, which is above 0.
fn id(number: i64) -> Id {
    Id(tolmach_domain::ExternalId(number.unsigned_abs().into()))
}
