//! The users and groups that a run needs, put straight into the store before a server opens it.

use crate::Outcome;
use crate::wire::now;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tolmach_bus::InProcess;
use tolmach_domain::{
    Content, FlowId, FlowKind, FlowKindFilter, Secret, Timestamp, UserId, UserSummary,
};
use tolmach_engine::ports::{NewFlow, NewSession, NewUser, PostMessage, Store, TokenHash};
use tolmach_store::{Options, SqlStore};

/// How much is asked of the store at once.
const AT_ONCE: usize = 256;
/// How long tokens are good for: longer than any run.
const LIFETIME: i64 = 86_400;

/// Everybody's password.
pub(crate) const PASSWORD: &str = "a password";
/// What a server has to be told to sign access tokens with, so that it accepts ours.
pub(crate) const SIGNING_SECRET: &str = "a secret that is not one, for benches only";
/// The cheapest hash, where checking passwords is not what is measured.
pub(crate) const CHEAP: u32 = 4;

/// A user who can log in, and has logged in.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: UserId,
    pub(crate) login: String,
    /// An access token.
    pub(crate) access: Secret,
    /// An opaque token.
    pub(crate) token: Secret,
}

impl Member {
    pub(crate) fn person(&self) -> UserSummary {
        let name: Arc<str> = self.login.as_str().into();
        UserSummary { id: self.id, login: name.clone(), username: name.clone(), name }
    }
}

/// Does `work` for each number below `count`, some at a time, and returns the results in order. The
/// first error ends all.
pub(crate) async fn many<T, F>(
    count: usize,
    at_once: usize,
    work: impl Fn(usize) -> F + Send + Sync + 'static,
) -> Outcome<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = Outcome<T>> + Send + 'static,
{
    let work = Arc::new(work);
    let workers = at_once.clamp(1, count.max(1));
    let mut tasks = JoinSet::new();
    for first in 0..workers {
        let work = work.clone();
        tasks.spawn(async move {
            let mut done = Vec::new();
            for number in (first..count).step_by(workers) {
                done.push((number, work(number).await?));
            }
            Outcome::Ok(done)
        });
    }
    let mut all = Vec::with_capacity(count);
    while let Some(done) = tasks.join_next().await {
        all.extend(done??);
    }
    all.sort_unstable_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

/// The URL of the store that a server makes in its data folder.
pub(crate) fn sqlite(data: &Path) -> String {
    format!("sqlite://{}?mode=rwc", data.join("tolmach.sqlite").display())
}

/// A world in the making. No server has it open yet.
pub(crate) struct World {
    store: Arc<SqlStore>,
}

impl World {
    /// Opens the store at `url`, making what is missing.
    pub(crate) async fn open(url: &str) -> Outcome<Self> {
        let options = Options { timeout: Duration::from_secs(60), ..Options::default() };
        Ok(Self { store: SqlStore::open(url, Arc::new(InProcess::default()), options).await? })
    }

    /// Makes this many users whose passwords are hashed at this cost, `name-0` and on.
    pub(crate) async fn members(
        &self,
        name: &'static str,
        count: usize,
        cost: u32,
    ) -> Outcome<Vec<Member>> {
        let hash = bcrypt::hash(PASSWORD, cost)?;
        let store = self.store.clone();
        many(count, AT_ONCE, move |number| {
            register(store.clone(), format!("{name}-{number}"), hash.clone())
        })
        .await
    }

    /// Makes a group of these users; the first one owns it.
    pub(crate) async fn group(&self, members: &[Member]) -> Outcome<FlowId> {
        Ok(self.store.create_flow(group(members)?, None, now()).await?.0.id)
    }

    /// Makes this many groups, each of the next `size` users in a round.
    pub(crate) async fn groups(
        &self,
        members: &[Member],
        count: usize,
        size: usize,
    ) -> Outcome<Vec<FlowId>> {
        let (store, members) = (self.store.clone(), Arc::<[Member]>::from(members));
        let make = move |number: usize| {
            let (store, members) = (store.clone(), members.clone());
            async move {
                let those: Vec<_> = (0..size)
                    .map(|place| members[(number * size + place) % members.len()].clone())
                    .collect();
                Outcome::Ok(store.create_flow(group(&those)?, None, now()).await?.0.id)
            }
        };
        many(count, AT_ONCE, make).await
    }

    /// Posts this many messages of so many bytes in a group.
    pub(crate) async fn post(
        &self,
        author: &Member,
        flow: FlowId,
        count: usize,
        bytes: usize,
    ) -> Outcome<()> {
        let (store, author) = (self.store.clone(), author.summary());
        let post = move |_| {
            let (store, author, content) =
                (store.clone(), author.clone(), Content::text("x".repeat(bytes)));
            let message = PostMessage {
                author,
                flow,
                kinds: FlowKindFilter::Any,
                content,
                key: None,
                administrator: false,
                origin: None,
            };
            async move { Outcome::Ok(store.post(message, now()).await.map(drop)?) }
        };
        many(count, AT_ONCE, post).await.map(drop)
    }

    /// Leaves the world to a server.
    pub(crate) async fn close(self) {
        self.store.close().await;
    }
}

async fn register(store: Arc<SqlStore>, login: String, hash: String) -> Outcome<Member> {
    let now = now();
    let user = NewUser {
        id: None,
        username: login.clone(),
        name: login.clone(),
        login: login.clone(),
        email: None,
        phone: None,
        bio: String::new(),
        avatar: None,
        photo: None,
        bot: false,
        admin: false,
        business: false,
        profile: true,
        password_hash: Some(hash),
    };
    let id = store.create_user(user, now).await?.id;
    // As long as those that a server makes, of the same letters, and another for everybody.
    let token = format!("{:043}", id.get());
    let expires_at = Timestamp::from_micros(now.micros() + LIFETIME * 1_000_000);
    let hash = TokenHash(Sha256::digest(token.as_bytes()).into());
    store
        .open_session(NewSession { user: id, token: Some(hash), refresh: None, now, expires_at })
        .await?;
    Ok(Member { id, login, access: access(id, now)?, token: Secret::new(token) })
}

fn access(user: UserId, now: Timestamp) -> Outcome<Secret> {
    let (user, issued) = (user.get(), now.whole_seconds());
    let claims = json!({ "id": user, "sub": user.to_string(), "token_type": "access", "iat": issued, "exp": issued + LIFETIME });
    let key = EncodingKey::from_secret(SIGNING_SECRET.as_bytes());
    Ok(Secret::new(jsonwebtoken::encode(&Header::default(), &claims, &key)?))
}

fn group(members: &[Member]) -> Outcome<NewFlow> {
    Ok(NewFlow {
        kind: FlowKind::Group,
        title: "a room".into(),
        info: String::new(),
        owner: members.first().ok_or("a group has an owner")?.id,
        photo: None,
        members: members.iter().map(|member| member.id).collect(),
        key: None,
    })
}
