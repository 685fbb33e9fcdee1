//! The rows of the table: reading, and the members of large groups.

use crate::measure::{Row, median, millis};
use crate::result::LargeResult;
use crate::world::World;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;
use tolmach_domain::{FlowId, FlowKind, HistoryRange, Timestamp, UserId};
use tolmach_engine::ports::{
    CreateFlow, EventLog, FlowLimits, FlowStore, FlowSummaryQuery, HistoryQuery, MessageStore,
    UserStore,
};
use tolmach_store::SqlStore;

/// The size of an answer, as a gateway's default has it.
const ANSWER_BYTES: usize = 8 << 20;
/// The number of calls of which a row has the median.
const CALLS: usize = 9;
/// The number of messages in a page of changes.
const PAGE: u32 = 1_000;
/// The most flows that a node names when it looks for missed events.
const MAX_NAMED_FLOWS: i64 = 4_096;

/// Measures the rows whose name contains `only`.
pub(crate) async fn measure(store: &SqlStore, world: &World, only: &str) -> LargeResult<Vec<Row>> {
    let mut rows = Vec::new();
    if "changes".contains(only) {
        rows.extend(changes(store, world).await?);
    }
    if "lists".contains(only) {
        rows.extend(lists(store, world).await?);
    }
    if "history".contains(only) {
        rows.extend(history(store, world).await?);
    }
    if "search".contains(only) {
        rows.extend(search(store).await?);
    }
    if "checks".contains(only) {
        rows.extend(checks(store, world).await?);
    }
    if "members".contains(only) {
        rows.extend(members(store, world).await?);
    }
    Ok(rows)
}

/// A user of many flows reads all changes from the beginning.
async fn changes(store: &SqlStore, world: &World) -> LargeResult<[Row; 2]> {
    let (mut since, mut messages, mut longest) = (Timestamp::default(), 0, 0.0_f64);
    let began = Instant::now();
    loop {
        let page = Instant::now();
        let changes = store.changes(world.syncing, since, None, PAGE, ANSWER_BYTES).await?;
        longest = longest.max(millis(page.elapsed()));
        messages += changes.messages.len();
        since = changes.until;
        if !changes.more {
            break;
        }
    }
    let each = 1e3 * millis(began.elapsed()) / messages as f64;
    Ok([
        Row { name: "changes: a message of all", value: each, unit: "µs", aim: 40.0 },
        Row { name: "changes: the longest page", value: longest, unit: "ms", aim: 20.0 },
    ])
}

/// The list of a user's flows with their members, and that of all flows for an administrator.
async fn lists(store: &SqlStore, world: &World) -> LargeResult<[Row; 2]> {
    let query = FlowSummaryQuery {
        viewer: world.listing,
        all: false,
        limit: None,
        offset: 0,
        members: true,
        max_bytes: ANSWER_BYTES,
        changed_after: None,
    };
    let list = async |query: FlowSummaryQuery| -> LargeResult<f64> {
        median(CALLS, || async {
            let flows = store.flow_summaries(query.clone()).await?;
            let members = flows.iter().flat_map(|summary| &summary.members);
            let mut ids: Vec<UserId> = members.map(|member| member.id).collect();
            ids.sort_unstable();
            ids.dedup();
            store.acquaintances(query.viewer, &ids).await?;
            Ok(())
        })
        .await
    };
    let of_user = list(query.clone()).await?;
    let all = FlowSummaryQuery { viewer: world.administrator, all: true, ..query };
    let of_all = list(all).await?;
    Ok([
        Row { name: "lists: of a user", value: of_user, unit: "ms", aim: 500.0 },
        Row { name: "lists: of an administrator", value: of_all, unit: "ms", aim: 500.0 },
    ])
}

/// A page at the beginning of a long history.
async fn history(store: &SqlStore, world: &World) -> LargeResult<[Row; 1]> {
    let offset = u32::try_from(world.size.long_flow - world.size.long_flow / 1_000)?;
    let query = HistoryQuery {
        flow: world.long_flow,
        viewer: world.syncing,
        range: HistoryRange::Newest { limit: 100, offset },
        limit: 100,
        max_bytes: ANSWER_BYTES,
    };
    let value = median(CALLS, || async { Ok(store.history(query).await.map(drop)?) }).await?;
    Ok([Row { name: "history: the oldest by offset", value, unit: "ms", aim: 5.0 }])
}

/// Searches with many results, with none, and for few characters.
async fn search(store: &SqlStore) -> LargeResult<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, query) in [
        ("search: in every login", "user"),
        ("search: in some logins", "999"),
        ("search: in no login", "anna"),
        ("search: one character", "z"),
    ] {
        let search = || async { Ok(store.search_users(query, 50).await.map(drop)?) };
        rows.push(Row { name, value: median(CALLS, search).await?, unit: "ms", aim: 3.0 });
    }
    Ok(rows)
}

/// A node looks for missed events in the flows of its clients, when all flows have changed.
async fn checks(store: &SqlStore, world: &World) -> LargeResult<Vec<Row>> {
    let mut rows = Vec::new();
    for (name, count, aim) in [
        ("checks: of 100 flows", 100, 1.0),
        ("checks: of the most flows that are named", MAX_NAMED_FLOWS, 20.0),
    ] {
        let flows: Result<Vec<FlowId>, _> =
            (1..=count.min(world.size.flows)).map(FlowId::new).collect();
        let flows = flows?;
        let check = || async {
            let changes = store.changes_after(Timestamp::default(), Some(&flows), PAGE).await?;
            if changes.flows.len() != flows.len() {
                return Err("a flow is missing".into());
            }
            Ok(())
        };
        rows.push(Row { name, value: median(CALLS, check).await?, unit: "ms", aim });
    }
    Ok(rows)
}

/// A member of a large group comes, and a group of a thousand is created.
async fn members(store: &SqlStore, world: &World) -> LargeResult<[Row; 2]> {
    let next = AtomicI64::new(world.size.large_group + 3);
    let (flow, by, limits) = (world.large_group, world.syncing, FlowLimits::NONE);
    let now = Timestamp::default();
    let add = median(CALLS, || async {
        let user = UserId::new(next.fetch_add(1, Ordering::Relaxed))?;
        Ok(store.add_members(flow, by, &[user], limits, None, now).await?)
    });
    let add = add.await?;
    let users: Result<Vec<UserId>, _> = (10..1_010).map(UserId::new).collect();
    let group = CreateFlow {
        kind: FlowKind::Group,
        title: "Group".into(),
        info: String::new(),
        owner: by,
        photo: None,
        members: users?,
        key: None,
    };
    let create = median(CALLS, || async {
        Ok(store.create_flow(group.clone(), limits, None, now).await.map(drop)?)
    });
    let create = create.await?;
    Ok([
        Row { name: "members: one more of a large group", value: add, unit: "ms", aim: 2.0 },
        Row { name: "members: a group of 1,000", value: create, unit: "ms", aim: 50.0 },
    ])
}
