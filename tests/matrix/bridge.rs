//! Clients of each dialect before a server of each other one: `tolmach bridge` between the gateway
//! of the trials and its users.

use crate::cluster::{Node, lock, single_node};
use crate::dialects::{by_id, names_flows};
use crate::requests::{TargetFlow, join, may_read, messages_of, new_group, post, unique};
use crate::users::{Failure, TestUser, anonymous_client, failure, registrations};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tolmach_client::{Notification, Outcome};
use tolmach_domain::{Answer, Command, EventKind, Fault, GrantKind, Secret};

/// The upstreams that have no request for a registration or login: users log in over this one.
const ACCOUNTS: [(&str, &str); 1] = [("action", "bearer")];

/// The bridges of this run, by the upstream's dialect, started by their first users.
static BRIDGES: Mutex<BTreeMap<&'static str, Arc<RunningBridge>>> = Mutex::new(BTreeMap::new());

struct RunningBridge {
    node: Node,
    _folder: TempDir,
}

/// Ends every bridge of this run.
pub(crate) fn stop_all() {
    lock(&BRIDGES).clear();
}

/// The address of a bridge to a gateway by this dialect.
fn bridge_to(target: &'static str, upstream: SocketAddr) -> SocketAddr {
    let start = || {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let url = format!("http://{upstream}");
        let accounts = ACCOUNTS.iter().find(|(id, _)| *id == target);
        let mut arguments = vec!["bridge", "--upstream", &url, "--upstream-dialect", target];
        if let Some((_, dialect)) = accounts {
            arguments.extend(["--accounts", &url, "--accounts-dialect", dialect]);
        }
        let node = Node::start(folder.path(), &[], &arguments);
        Arc::new(RunningBridge { node, _folder: folder })
    };
    lock(&BRIDGES).entry(target).or_insert_with(start).node.address()
}

/// Ann's clients of `source` talk to a server of `target` by way of a bridge; Bob's are native.
pub(crate) fn converse(source: &'static str, target: &'static str) -> Result<(), Failure> {
    let cluster = single_node();
    let upstream = cluster.first();
    let bridge = bridge_to(target, upstream);
    cluster.block_on(async {
        let login = unique("bridged");
        register(&login, source, target, bridge, upstream).await?;
        let own = TestUser::existing(&login, upstream).await?;
        let mut ann = TestUser::existing(&login, bridge).await?;
        let mut bob = TestUser::register(&unique("native"), target, upstream).await?;
        let group = new_group(&mut bob, &unique("a bridged group "), &[own.id]).await?;
        let other = new_group(&mut bob, &unique("another group "), &[]).await?;
        join(ann.client(source).await?, group).await.map_err(|error| format!("join: {error}"))?;
        let sent = unique("from the bridge ");
        post(ann.client(source).await?, group, &sent).await?;
        let texts = read_natively(&mut bob, group).await?;
        if !texts.contains(&sent) {
            return Err(format!("{sent:?} was granted and is not in {texts:?}"));
        }
        let answered = unique("to the bridge ");
        post(bob.client(target).await?, group, &answered).await?;
        receive(&mut ann, source, target, group, &answered).await?;
        read(&mut ann, source, group, [&sent, &answered]).await?;
        if may_read(ann.client(source).await?, other).await? == Some(true) {
            return Err("ann reads a group that she is not in".to_owned());
        }
        refuse_wrong_password(&login, source, bridge).await
    })
}

/// Registers over the bridge where both wires have a form for it, and else at the server itself.
async fn register(
    login: &str,
    source: &'static str,
    target: &'static str,
    bridge: SocketAddr,
    upstream: SocketAddr,
) -> Result<(), Failure> {
    let mut client = anonymous_client(login, &by_id(source), bridge);
    match client.request_any(&registrations(login)).await.map_err(failure)? {
        Outcome::Answer(Answer::Granted(_)) => return Ok(()),
        Outcome::Unsupported => {}
        // `bearer` registers by an e-mail address, which `sndmsg` does not carry.
        Outcome::Refused(Fault::Invalid { .. } | Fault::Internal)
            if source == "sndmsg" && matches!(target, "bearer" | "action") => {}
        outcome => return Err(format!("{login} registers over {source}: {outcome:?}")),
    }
    TestUser::register(login, "mode", upstream).await.map(drop)
}

async fn read_natively(user: &mut TestUser, group: TargetFlow) -> Result<Vec<String>, Failure> {
    let messages = messages_of(&user.request_over_any(&group.history()).await?)?;
    Ok(messages.into_iter().map(|(_, text)| text).collect())
}

/// Ann is pushed the message, if both dialects push messages.
async fn receive(
    ann: &mut TestUser,
    source: &'static str,
    target: &'static str,
    group: TargetFlow,
    text: &str,
) -> Result<(), Failure> {
    let pushes = |id: &str| by_id(id).manifest().capabilities.pushes_posted;
    if !pushes(source) || !pushes(target) {
        return Ok(());
    }
    let is_it = |notification: &Notification| match notification {
        Notification::Event(event) => match &event.kind {
            EventKind::Posted(message) => (message.content.text == text
                && (message.flow == group.id || !names_flows(source)))
            .then_some(()),
            _ => None,
        },
        Notification::Closed(_) => None,
    };
    ann.client(source).await?.wait_for(text, is_it).await.map_err(failure)
}

/// Ann reads both messages in their order, if her dialect reads histories.
async fn read(
    ann: &mut TestUser,
    source: &'static str,
    group: TargetFlow,
    expected: [&str; 2],
) -> Result<(), Failure> {
    let Some(messages) = join(ann.client(source).await?, group).await? else { return Ok(()) };
    let texts: Vec<_> = messages.into_iter().map(|(_, text)| text).collect();
    if texts != expected {
        return Err(format!("{source} reads {texts:?} instead of {expected:?}"));
    }
    Ok(())
}

async fn refuse_wrong_password(
    login: &str,
    source: &'static str,
    bridge: SocketAddr,
) -> Result<(), Failure> {
    let mut client = anonymous_client(login, &by_id(source), bridge);
    let attempt = |grant| Command::Login {
        identifier: login.into(),
        password: Secret::new("another password"),
        grant,
    };
    let grants = [GrantKind::Pair, GrantKind::Token, GrantKind::Connection].map(attempt);
    match client.request_any(&grants).await.map_err(failure)? {
        Outcome::Unsupported | Outcome::Refused(Fault::WrongCredentials { .. }) => Ok(()),
        outcome => Err(format!("a wrong password is answered with {outcome:?}")),
    }
}
