//! The users and groups that a run needs, made over the wire.

use crate::Outcome;
use crate::wire::{Peer, Rest, Wire};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;
use tolmach_dialect::{Ask, Echo};
use tolmach_domain::{Answer, Command, FlowId, FlowKind, GrantKind, NewFlow, Profile, Proof, Registration, Secret, Tokens, UserId, Who};

/// How many users are made at once.
const MAKERS: usize = 32;
/// The most members that one request names.
const MEMBERS_PER_REQUEST: usize = 1_000;

/// A user, logged in.
pub(crate) struct Member {
    pub(crate) id: UserId,
    /// The access token with which HTTP requests are made.
    pub(crate) access: Secret,
    /// The token of the wire that the user speaks: an opaque one for `mode`, the access token for `bearer`.
    pub(crate) token: Secret,
}

/// Does `work` for each number below `count`, some at a time, and returns the results in order. The first error ends all.
pub(crate) async fn many<T, F>(count: usize, at_once: usize, work: impl Fn(usize) -> F + Send + Sync + 'static) -> Outcome<Vec<T>>
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

/// Makes this many users and logs them in where `wire` needs it.
pub(crate) async fn members(server: SocketAddr, wire: Wire, count: usize) -> Outcome<Vec<Member>> {
    many(count, MAKERS, move |number| register(server, wire, number)).await
}

async fn register(server: SocketAddr, wire: Wire, number: usize) -> Outcome<Member> {
    let login = format!("member-{number}");
    let mut rest = Rest::connect(server).await?;
    let registration = Registration {
        login: Some(login.clone()),
        password: Secret::new("a password"),
        username: None,
        email: Some(format!("{login}@example.org")),
        phone: None,
        bot: false,
        bio: None,
        avatar: None,
        profile: false,
        grant: GrantKind::Pair,
    };
    let access = granted(rest.ask(Proof::Nothing, Command::Register(Box::new(registration))).await?)?;
    let proof = Proof::Bearer(access.clone());
    let profile = Profile { username: login.clone(), name: login.clone(), bio: String::new(), photo: None };
    rest.ask(proof.clone(), Command::CreateProfile(Box::new(profile))).await?;
    let Answer::User(user) = rest.ask(proof, Command::GetUser { who: Who::Me }).await? else {
        return Err("a user was expected".into());
    };
    let token = match wire {
        Wire::Bearer => access.clone(),
        Wire::Mode => {
            let login = Command::Login { identifier: login, password: Secret::new("a password"), grant: GrantKind::Token };
            granted(Peer::mode(server).await?.ask(Ask::new(Echo::NONE, Proof::Nothing, login)).await?)?
        }
    };
    Ok(Member { id: user.id, access, token })
}

/// Makes a group of these users; the first one owns it.
pub(crate) async fn group(server: SocketAddr, members: &[Member]) -> Outcome<FlowId> {
    let owner = members.first().ok_or("a group has an owner")?;
    let proof = Proof::Bearer(owner.access.clone());
    let mut rest = Rest::connect(server).await?;
    let group = NewFlow { kind: FlowKind::Group, title: "a room".into(), info: String::new(), members: Vec::new(), photo: None, key: None };
    let Answer::FlowCreated { flow, .. } = rest.ask(proof.clone(), Command::CreateFlow(Box::new(group))).await? else {
        return Err("a group was expected".into());
    };
    for members in members[1..].chunks(MEMBERS_PER_REQUEST) {
        let users = members.iter().map(|member| member.id).collect();
        rest.ask(proof.clone(), Command::AddMembers { flow, users }).await?;
    }
    Ok(flow)
}

fn granted(answer: Answer) -> Outcome<Secret> {
    match answer {
        Answer::Granted(grant) => match grant.tokens {
            Tokens::Token(token) | Tokens::Pair { access: token, .. } => Ok(token),
            Tokens::Connection | Tokens::Nothing => Err("a token was expected".into()),
        },
        _ => Err("a grant was expected".into()),
    }
}
