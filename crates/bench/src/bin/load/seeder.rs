//! Users, groups and messages that a run needs, written to the store before a gateway opens it.

use crate::clock::now;
use crate::concurrent::map_concurrently;
use crate::databases::sqlite_url;
use crate::result::BenchResult;
use crate::users::{BenchUser, LOWEST_COST, PASSWORD, TokenSigner, expires_at, opaque_token};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tolmach_bus::InProcess;
use tolmach_domain::{Content, FlowId, FlowKind, FlowKindFilter, UserSummary};
use tolmach_engine::ports::{
    CreateFlow, FlowLimits, FlowStore, MessageStore, NewSession, NewUser, PostMessage,
    SessionStore, Store, TokenHash, UserStore,
};
use tolmach_store::{Options, SqlStore};

/// Calls of the store at once.
const CONCURRENCY: usize = 256;
/// The longest that a call may wait: many are queued.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An open store that no gateway uses yet.
pub(crate) struct Seeder {
    store: Arc<SqlStore>,
    signer: Arc<TokenSigner>,
}

impl Seeder {
    /// Opens the store at `url` and creates its tables.
    pub(crate) async fn open(url: &str) -> BenchResult<Self> {
        let options = Options { timeout: TIMEOUT, ..Options::default() };
        let store = SqlStore::open(url, Arc::new(InProcess::default()), options).await?;
        Ok(Self { store, signer: Arc::new(TokenSigner::new()?) })
    }

    /// Creates `count` users, `name-0` and on, whose passwords are hashed at this bcrypt cost.
    pub(crate) async fn users(
        &self,
        name: &'static str,
        count: usize,
        cost: u32,
    ) -> BenchResult<Vec<BenchUser>> {
        self.users_with_avatar(name, count, cost, 0).await
    }

    /// Creates users as [`Self::users`] does, each with an avatar of this many bytes, none for 0.
    pub(crate) async fn users_with_avatar(
        &self,
        name: &'static str,
        count: usize,
        cost: u32,
        avatar_bytes: usize,
    ) -> BenchResult<Vec<BenchUser>> {
        let avatar = (avatar_bytes > 0).then(|| "A".repeat(avatar_bytes));
        let password_hash = Some(bcrypt::hash(PASSWORD, cost)?);
        let (store, signer) = (self.store.clone(), self.signer.clone());
        map_concurrently(count, CONCURRENCY, move |number| {
            let (avatar, password_hash) = (avatar.clone(), password_hash.clone());
            let named = NewUser::named(format!("{name}-{number}"));
            let user = NewUser { avatar, password_hash, ..named };
            register(store.clone(), signer.clone(), user)
        })
        .await
    }

    /// Creates a group of these users; the first one owns it.
    pub(crate) async fn group(&self, members: &[BenchUser]) -> BenchResult<FlowId> {
        let created =
            self.store.create_flow(group_of(members)?, FlowLimits::NONE, None, now()).await?;
        Ok(created.into_flow().id)
    }

    /// Creates `count` groups, each of the next `size` of these users, from the first again after
    /// the last.
    pub(crate) async fn groups(
        &self,
        users: &[BenchUser],
        count: usize,
        size: usize,
    ) -> BenchResult<Vec<FlowId>> {
        let (store, users) = (self.store.clone(), Arc::<[BenchUser]>::from(users));
        let create = move |number: usize| {
            let (store, users) = (store.clone(), users.clone());
            async move {
                let members: Vec<_> = (0..size)
                    .map(|index| users[(number * size + index) % users.len()].clone())
                    .collect();
                let created =
                    store.create_flow(group_of(&members)?, FlowLimits::NONE, None, now()).await?;
                Ok(created.into_flow().id)
            }
        };
        map_concurrently(count, CONCURRENCY, create).await
    }

    /// Posts `count` messages of this many bytes to a group.
    pub(crate) async fn post(
        &self,
        author: &BenchUser,
        flow: FlowId,
        count: usize,
        bytes: usize,
    ) -> BenchResult<()> {
        let rooms = [(author.summary(), flow)];
        self.post_in_turn(rooms.into(), count, bytes).await
    }

    /// Posts as many messages to each of these groups, by the user who owns it.
    pub(crate) async fn post_to_each(
        &self,
        owners: &[BenchUser],
        flows: &[FlowId],
        count: usize,
        bytes: usize,
    ) -> BenchResult<()> {
        let rooms = owners.iter().map(BenchUser::summary).zip(flows.iter().copied());
        self.post_in_turn(rooms.collect(), count * flows.len(), bytes).await
    }

    async fn post_in_turn(
        &self,
        rooms: Arc<[(UserSummary, FlowId)]>,
        count: usize,
        bytes: usize,
    ) -> BenchResult<()> {
        let store = self.store.clone();
        let post = move |number: usize| {
            let (author, flow) = rooms[number % rooms.len()].clone();
            let message = PostMessage {
                author,
                flow,
                kinds: FlowKindFilter::Any,
                content: Content::text("x".repeat(bytes)),
                key: None,
                administrator: false,
                origin: None,
            };
            let store = store.clone();
            async move { Ok(store.post(message, now()).await.map(drop)?) }
        };
        map_concurrently(count, CONCURRENCY, post).await.map(drop)
    }

    /// Closes the store.
    pub(crate) async fn close(self) {
        self.store.close().await;
    }
}

/// Creates users and one group of them in the database of a data folder.
pub(crate) async fn seed_group(
    data: &Path,
    members: usize,
) -> BenchResult<(Vec<BenchUser>, FlowId)> {
    let seeder = Seeder::open(&sqlite_url(data)).await?;
    let members = seeder.users("member", members, LOWEST_COST).await?;
    let flow = seeder.group(&members).await?;
    seeder.close().await;
    Ok((members, flow))
}

async fn register(
    store: Arc<SqlStore>,
    signer: Arc<TokenSigner>,
    user: NewUser,
) -> BenchResult<BenchUser> {
    let (now, login) = (now(), user.login.clone());
    let id = store.create_user(user, now).await?.id;
    let token = opaque_token(id);
    let hash = TokenHash(Sha256::digest(token.expose().as_bytes()).into());
    let session = NewSession {
        user: id,
        token: Some(hash),
        refresh: None,
        max_sessions: u32::MAX,
        now,
        expires_at: expires_at(now),
    };
    store.open_session(session).await?;
    Ok(BenchUser { id, login, access: signer.access_token(id, now)?, token })
}

fn group_of(members: &[BenchUser]) -> BenchResult<CreateFlow> {
    Ok(CreateFlow {
        kind: FlowKind::Group,
        title: "a group".into(),
        info: String::new(),
        owner: members.first().ok_or("a group needs an owner")?.id,
        photo: None,
        members: members.iter().map(|member| member.id).collect(),
        key: None,
    })
}
