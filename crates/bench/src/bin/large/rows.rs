//! The rows of the table: reading, and the members of large groups.

use crate::measure::{Aim, Cost, Measured, Meter, Row};
use crate::result::LargeResult;
use crate::world::World;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tolmach_domain::{FlowId, FlowKind, HistoryRange, Timestamp, UserId};
use tolmach_engine::ports::{
    CreateFlow, EventLog, FlowLimits, FlowStore, FlowSummaryQuery, HistoryQuery, MessageStore,
    UserStore,
};
use tolmach_store::SqlStore;

/// The size of an answer, as a gateway's default has it.
const ANSWER_BYTES: usize = 8 << 20;
/// The number of calls of which a row has the median time and the mean processor time.
const CALLS: usize = 15;
/// The number of times that all changes are read: the cost of a page is its median.
const PASSES: usize = 3;
/// The number of messages in a page of changes.
const PAGE: u32 = 1_000;
/// The number of messages in the history of a room that is opened.
const ROOM_PAGE: u32 = 50;
/// The most flows that a node names when it looks for missed events.
const MAX_NAMED_FLOWS: i64 = 4_096;
/// A limit of members, so that those of a group are counted.
const MEMBERS: FlowLimits = FlowLimits { max_members: 20_000, ..FlowLimits::NONE };

/// The beginnings of the names of rows.
const GROUPS: [&str; 6] = ["changes", "lists", "history", "search", "checks", "members"];

/// True if there is a row whose name contains `only`.
pub(crate) fn is_any_of(only: &str) -> bool {
    GROUPS.iter().any(|group| group.contains(only))
}

/// The store to measure, with its world.
pub(crate) struct Measuring<'a> {
    pub(crate) store: &'a SqlStore,
    pub(crate) world: &'a World,
    pub(crate) meter: Meter<'a>,
}

impl Measuring<'_> {
    /// Measures the rows whose name contains `only`.
    pub(crate) async fn measure(&self, only: &str) -> LargeResult<Vec<Row>> {
        let mut rows = Vec::new();
        for group in GROUPS.into_iter().filter(|group| group.contains(only)) {
            match group {
                "changes" => rows.extend(self.changes().await?),
                "lists" => rows.extend(self.lists().await?),
                "history" => rows.extend(self.history().await?),
                "search" => rows.extend(self.search().await?),
                "checks" => rows.extend(self.checks().await?),
                _ => rows.extend(self.members().await?),
            }
        }
        Ok(rows)
    }

    /// A user of many flows reads all changes from the beginning, several times: the first page of
    /// the first time is read by a connection that has nothing in memory.
    async fn changes(&self) -> LargeResult<[Row; 3]> {
        let (mut pages, mut first): (Vec<Vec<Cost>>, _) = (Vec::new(), Cost::default());
        let (all, mut messages) = (self.meter.begin(), 0);
        for _ in 0..PASSES {
            let costs = self.all_changes(&mut messages).await?;
            if pages.is_empty() {
                first = costs.first().copied().ok_or("there is one page or more")?;
                pages.resize(costs.len(), Vec::new());
            }
            pages.iter_mut().zip(costs).for_each(|(page, cost)| page.push(cost));
        }
        let each = self.meter.cost_of_each(&all, messages);
        let longest = pages.iter_mut().filter_map(|page| {
            page.sort_unstable_by_key(Cost::processor);
            page.get(page.len() / 2).copied()
        });
        let longest = longest.max_by_key(Cost::processor).unwrap_or_default();
        Ok([
            row("changes: a message of all", each, Aim::Processor(Duration::from_micros(40))),
            row("changes: the longest page", longest, processor(20)),
            row("changes: the first page, with nothing in memory", first, processor(20)),
        ])
    }

    /// Reads all changes once, and returns the cost of each page.
    async fn all_changes(&self, messages: &mut usize) -> LargeResult<Vec<Cost>> {
        let Self { store, world, meter } = self;
        let (mut since, mut costs) = (Timestamp::default(), Vec::new());
        loop {
            let page = meter.begin();
            let changes = store.changes(world.syncing, since, None, PAGE, ANSWER_BYTES).await?;
            costs.push(meter.cost_of_each(&page, 1));
            *messages += changes.messages.len();
            since = changes.until;
            if !changes.more {
                return Ok(costs);
            }
        }
    }

    /// The list of a user's flows with their members, and that of all flows for an administrator.
    async fn lists(&self) -> LargeResult<[Row; 2]> {
        let Self { store, world, meter } = self;
        let query = FlowSummaryQuery {
            viewer: world.listing,
            all: false,
            limit: None,
            offset: 0,
            members: true,
            max_bytes: ANSWER_BYTES,
            changed_after: None,
        };
        let list = async |query: FlowSummaryQuery| -> LargeResult<Cost> {
            let list = || async {
                let flows = store.flow_summaries(query.clone()).await?;
                let members = flows.iter().flat_map(|summary| &summary.members);
                let mut ids: Vec<UserId> = members.map(|member| member.id).collect();
                ids.sort_unstable();
                ids.dedup();
                store.acquaintances(query.viewer, &ids).await?;
                Ok(())
            };
            meter.median(CALLS, list).await
        };
        let of_user = list(query.clone()).await?;
        let all = FlowSummaryQuery { viewer: world.administrator, all: true, ..query };
        let of_all = list(all).await?;
        Ok([
            row("lists: of a user", of_user, time(500)),
            row("lists: of an administrator", of_all, time(500)),
        ])
    }

    /// The page that a room is opened with, and one at the beginning of a long history.
    async fn history(&self) -> LargeResult<[Row; 2]> {
        let Self { store, world, meter } = self;
        let oldest = u32::try_from(world.size.long_flow - world.size.long_flow / 1_000)?;
        let page = async |limit: u32, offset: u32| -> LargeResult<Cost> {
            let query = HistoryQuery {
                flow: world.long_flow,
                viewer: world.syncing,
                range: HistoryRange::Newest { limit, offset },
                limit,
                max_bytes: ANSWER_BYTES,
            };
            meter.median(CALLS, || async { Ok(store.history(query).await.map(drop)?) }).await
        };
        Ok([
            row("history: the newest 50", page(ROOM_PAGE, 0).await?, Aim::None),
            row("history: the oldest 100 by offset", page(100, oldest).await?, time(5)),
        ])
    }

    /// Searches with many results, with none, and for few characters.
    async fn search(&self) -> LargeResult<Vec<Row>> {
        let Self { store, meter, .. } = self;
        let mut rows = Vec::new();
        for (name, query) in [
            ("search: in every login", "user"),
            ("search: in some logins", "999"),
            ("search: in no login", "anna"),
            ("search: one character of all", "u"),
            ("search: one character of none", "z"),
        ] {
            let search = || async { Ok(store.search_users(query, 50).await.map(drop)?) };
            // The work for fewer than three characters is bounded, and has no other aim.
            let aim = if query.len() < 3 { Aim::None } else { processor(3) };
            rows.push(row(name, meter.median(CALLS, search).await?, aim));
        }
        Ok(rows)
    }

    /// A node looks for missed events in the flows of its clients, when all flows have changed.
    async fn checks(&self) -> LargeResult<Vec<Row>> {
        let Self { store, world, meter } = self;
        let mut rows = Vec::new();
        for (name, count, aim) in [
            ("checks: of 100 flows", 100, 1),
            ("checks: of the most flows that are named", MAX_NAMED_FLOWS, 20),
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
            rows.push(row(name, meter.median(CALLS, check).await?, time(aim)));
        }
        Ok(rows)
    }

    /// A member of a large group comes, and a group of a thousand is created.
    async fn members(&self) -> LargeResult<[Row; 2]> {
        let Self { store, world, meter } = self;
        let next = AtomicI64::new(world.size.large_group + 3);
        let (flow, by, now) = (world.large_group, world.syncing, Timestamp::default());
        let add = || async {
            let user = UserId::new(next.fetch_add(1, Ordering::Relaxed))?;
            Ok(store.add_members(flow, by, &[user], MEMBERS, None, now).await?)
        };
        let add = meter.median(CALLS, add).await?;
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
        let create =
            || async { Ok(store.create_flow(group.clone(), MEMBERS, None, now).await.map(drop)?) };
        let create = meter.median(CALLS, create).await?;
        Ok([
            row("members: one more of a large group", add, processor(2)),
            row("members: a group of 1,000", create, time(50)),
        ])
    }
}

fn row(name: &'static str, cost: Cost, aim: Aim) -> Row {
    Row { name, measured: Measured::Cost(cost), aim }
}

/// A time of this many milliseconds.
fn time(millis: u64) -> Aim {
    Aim::Time(Duration::from_millis(millis))
}

/// A processor time of this many milliseconds.
fn processor(millis: u64) -> Aim {
    Aim::Processor(Duration::from_millis(millis))
}
