//! Trials of [`LedgerStore`](crate::ports::LedgerStore).

use super::fixture::Fixture;
use crate::ports::{
    LEDGER_CLIENTS_PER_DAY, LedgerClient, LedgerDay, LedgerEntry, LedgerPage, LedgerPosition,
    LedgerQuery, LedgerRecord, LedgerRevision, LedgerScope, LedgerUse, OTHER_CLIENTS, PruneStep,
    Retention,
};
use crate::suites::support::Task;
use std::time::Duration;
use tolmach_domain::{Timestamp, UserId};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn client(user: Option<UserId>, agent: &str) -> LedgerClient {
    LedgerClient {
        user,
        address: "192.0.2.1".into(),
        agent: agent.into(),
        dialect: "mode".into(),
        revision: "doc".into(),
    }
}

fn of_revision(revision: &str, client: LedgerClient) -> LedgerClient {
    LedgerClient { revision: revision.into(), ..client }
}

/// Requests that were all sent at one time.
fn entry(client: &LedgerClient, operation: &str, requests: u64, at: Timestamp) -> LedgerEntry {
    let used = LedgerUse {
        operation: operation.into(),
        day: LedgerDay::of(at),
        requests,
        first_at: at,
        last_at: at,
    };
    LedgerEntry { client: client.clone(), used }
}

fn scope(revision: &str) -> LedgerScope {
    LedgerScope::Revision(LedgerRevision { dialect: "mode".into(), revision: revision.into() })
}

async fn add(fixture: &Fixture, entries: &[LedgerEntry]) {
    assert_eq!(fixture.store.add_to_ledger(entries).await, Ok(()));
}

/// The clients of a scope, read in pages of two.
async fn read(fixture: &Fixture, scope: LedgerScope, since: LedgerDay) -> Vec<LedgerRecord> {
    let (mut records, mut after) = (Vec::new(), None);
    loop {
        let query = LedgerQuery { scope: scope.clone(), since, after, limit: 2 };
        let page = fixture.store.ledger_page(&query).await.expect("the store answers");
        let LedgerPage { records: found, next } = page;
        assert!(found.len() <= 2);
        records.extend(found);
        match next {
            Some(position) => after = Some(position),
            None => return records,
        }
    }
}

async fn read_all(fixture: &Fixture, scope: LedgerScope) -> Vec<LedgerRecord> {
    read(fixture, scope, LedgerDay(0)).await
}

/// The agents of records, each with the number of its requests.
fn agents(records: &[LedgerRecord]) -> Vec<(&str, u64)> {
    let requests =
        |record: &LedgerRecord| record.uses.iter().map(|used| used.requests).sum::<u64>();
    records.iter().map(|record| (&*record.client.agent, requests(record))).collect()
}

/// By client, operation and day, also within one call; the first and the last time stay.
pub async fn requests_of_clients_add_up(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let (first, second, third) = (fixture.tick(), fixture.tick(), fixture.tick());
    let tomorrow = third.after(DAY);
    let (one, nobody) = (client(Some(anna.id), "one"), client(None, "one"));
    let entries = [
        entry(&one, "send", 2, second),
        entry(&one, "send", 3, third),
        entry(&one, "login", 1, second),
        entry(&nobody, "login", 4, second),
    ];
    add(fixture, &entries).await;
    add(fixture, &[entry(&one, "send", 1, first), entry(&one, "send", 7, tomorrow)]).await;
    add(fixture, &[]).await;
    let records = read_all(fixture, scope("doc")).await;
    let [of_nobody, of_anna] = &records[..] else { panic!("{records:?}") };
    assert_eq!((&of_nobody.client, &of_nobody.login), (&nobody, &None));
    assert_eq!((&of_anna.client, of_anna.login.as_deref()), (&one, Some("anna")));
    assert_eq!(of_anna.first_at, second, "the client's first time is that of its first entry");
    let used = |operation: &str, requests, first_at, last_at| LedgerUse {
        operation: operation.into(),
        day: LedgerDay::of(first_at),
        requests,
        first_at,
        last_at,
    };
    assert_eq!(
        of_anna.uses,
        [
            used("login", 1, second, second),
            used("send", 6, first, third),
            used("send", 7, tomorrow, tomorrow)
        ]
    );
    assert_eq!(of_nobody.uses, [used("login", 4, second, second)]);
    let of_user = read_all(fixture, LedgerScope::User(anna.id)).await;
    assert_eq!(of_user, std::slice::from_ref(of_anna));
    let later = read(fixture, scope("doc"), LedgerDay::of(tomorrow)).await;
    assert_eq!(later.len(), 1);
    assert_eq!(later[0].uses, [used("send", 7, tomorrow, tomorrow)]);
}

/// Of two gateways, or of two batches of one.
pub async fn concurrent_additions_to_the_ledger_add_up(fixture: &mut Fixture) {
    let anna = fixture.user("anna").await;
    let now = fixture.tick();
    let tasks = (0..20).map(|number| {
        let (store, one) = (fixture.store.clone(), client(Some(anna.id), "one"));
        let own = client(Some(anna.id), &format!("agent {number}"));
        Box::pin(async move {
            let entries = [entry(&one, "send", 1, now), entry(&own, "send", 1, now)];
            assert_eq!(store.add_to_ledger(&entries).await, Ok(()));
        }) as Task
    });
    fixture.together(tasks.collect::<Vec<_>>()).await;
    let records = read_all(fixture, scope("doc")).await;
    assert_eq!(records.len(), 21);
    assert!(agents(&records).contains(&("one", 20)));
}

/// Those that stopped first come first. Every revision has its own pages and its own number.
pub async fn ledger_pages_are_ordered_by_the_last_day(fixture: &mut Fixture) {
    let begin = LedgerDay::of(fixture.tick()).start();
    let on = |day: u32| begin.after(DAY * day);
    for (agent, days) in [("a", &[0, 3][..]), ("b", &[0]), ("c", &[2]), ("d", &[0, 2]), ("e", &[1])]
    {
        for day in days {
            add(fixture, &[entry(&client(None, agent), "send", 1, on(*day))]).await;
        }
    }
    let other = of_revision("other", client(None, "f"));
    add(fixture, &[entry(&other, "send", 1, on(0))]).await;
    let mut order: Vec<String> = Vec::new();
    for record in read_all(fixture, scope("doc")).await {
        order.push(record.client.agent);
    }
    assert_eq!(order, ["b", "e", "c", "d", "a"]);
    let since = |day: u32| LedgerDay::of(on(day));
    let recent = read(fixture, scope("doc"), since(2)).await;
    assert_eq!(agents(&recent), [("c", 1), ("d", 1), ("a", 1)]);
    assert_eq!(read(fixture, scope("doc"), since(4)).await, []);
    assert_eq!(agents(&read_all(fixture, scope("other")).await), [("f", 1)]);
    let revision = |name: &str| LedgerRevision { dialect: "mode".into(), revision: name.into() };
    let both = vec![revision("doc"), revision("other")];
    assert_eq!(fixture.store.ledger_revisions().await, Ok(both));
    let counts = fixture.store.count_ledger_clients(since(1)).await;
    assert_eq!(counts, Ok(vec![(revision("doc"), 4), (revision("other"), 0)]));
    let end = LedgerPosition { day: since(4), id: recent[2].id };
    let query = LedgerQuery { scope: scope("doc"), since: since(0), after: Some(end), limit: 2 };
    assert_eq!(fixture.store.ledger_page(&query).await, Ok(LedgerPage::default()));
}

/// At the bound: the last one that has room is told apart, the next one is not. Other parties,
/// known clients and the next day are not affected.
pub async fn new_clients_of_a_party_are_bounded_by_day(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let now = fixture.tick();
    let tomorrow = LedgerDay(LedgerDay::of(now).0 + 1).start();
    let agent = |number: usize| format!("agent {number:02}");
    for (name, of_party, other_party) in [
        ("user", client(Some(anna.id), ""), client(Some(boris.id), "")),
        (
            "network",
            LedgerClient { dialect: "bearer".into(), ..client(None, "") },
            LedgerClient {
                dialect: "bearer".into(),
                address: "198.51.200.1".into(),
                ..client(None, "")
            },
        ),
    ] {
        let scope = LedgerScope::Revision(LedgerRevision {
            dialect: of_party.dialect.clone(),
            revision: of_party.revision.clone(),
        });
        let numbered = |number: usize, party: &LedgerClient| LedgerClient {
            // Users are told apart by all their addresses, strangers by their networks.
            address: party.address.replace(".1", &format!(".{}", number % 200)),
            agent: agent(number),
            ..party.clone()
        };
        let entries: Vec<LedgerEntry> = (0..LEDGER_CLIENTS_PER_DAY)
            .map(|number| entry(&numbered(number, &of_party), "send", 1, now))
            .collect();
        // In two calls, so that the bound counts what is there.
        add(fixture, &entries[..10]).await;
        add(fixture, &entries[10..]).await;
        let records = read_all(fixture, scope.clone()).await;
        assert_eq!(records.len(), LEDGER_CLIENTS_PER_DAY, "{name}");
        assert!(records.iter().all(|record| record.client.agent != OTHER_CLIENTS), "{name}");

        let further: Vec<LedgerEntry> =
            (100..103).map(|number| entry(&numbered(number, &of_party), "send", 1, now)).collect();
        add(fixture, &further).await;
        add(fixture, &further[..1]).await;
        add(fixture, &entries[..1]).await;
        add(fixture, &[entry(&numbered(0, &other_party), "send", 1, now)]).await;
        let records = read_all(fixture, scope.clone()).await;
        let found = agents(&records);
        assert_eq!(records.len(), LEDGER_CLIENTS_PER_DAY + 2, "{name}");
        assert!(found.contains(&(OTHER_CLIENTS, 4)), "{name}: {found:?}");
        assert_eq!(found.iter().filter(|(of, _)| *of == agent(0)).count(), 2, "{name}");
        assert!(found.contains(&(&agent(0), 2)), "{name}: {found:?}");

        add(fixture, &[entry(&numbered(100, &of_party), "send", 1, tomorrow)]).await;
        let later = read(fixture, scope, LedgerDay::of(tomorrow)).await;
        assert_eq!(agents(&later), [(&*agent(100), 1)], "{name}");
    }
}

/// Neither those from before nor those that a gateway writes later.
pub async fn a_deleted_user_has_no_entries_in_the_ledger(fixture: &mut Fixture) {
    let [anna, boris] = fixture.users(["anna", "boris"]).await;
    let now = fixture.tick();
    let both = |agent: &str| {
        let of = |user| entry(&client(Some(user), agent), "send", 1, now);
        [of(anna.id), of(boris.id)]
    };
    for number in 0..20 {
        add(fixture, &both(&number.to_string())).await;
    }
    while fixture.store.remove_from_ledger(boris.id).await.expect("the store answers") {}
    let left = read_all(fixture, scope("doc")).await;
    assert!(left.len() == 20 && left.iter().all(|record| record.client.user == Some(anna.id)));
    assert_eq!(fixture.store.delete_user(anna.id, now).await, Ok(()));
    assert_eq!(read_all(fixture, scope("doc")).await, []);
    add(fixture, &both("later")).await;
    let left = read_all(fixture, scope("doc")).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].client.user, Some(boris.id));
    assert_eq!(read_all(fixture, LedgerScope::User(anna.id)).await, []);
}

/// At the bound: a day that is exactly as old stays, the one before goes. A client goes with its
/// last day.
pub async fn old_days_of_the_ledger_are_pruned(fixture: &mut Fixture) {
    let begin = LedgerDay::of(fixture.tick()).start();
    let on = |day: u32| begin.after(DAY * day);
    for (agent, days) in [("a", &[0, 1][..]), ("b", &[0]), ("c", &[1, 2])] {
        for day in days {
            add(fixture, &[entry(&client(None, agent), "send", 1, on(*day))]).await;
        }
    }
    let retention = Retention { ledger: Some(DAY * 10), ..Retention::default() };
    for (now, rows, left) in [
        (on(10), 0, &[("b", 1), ("a", 2), ("c", 2)][..]),
        (on(11), 3, &[("a", 1), ("c", 2)]),
        (on(12), 3, &[("c", 1)]),
        (on(13), 2, &[]),
    ] {
        let counted = fixture.store.prunable(&retention, now).await.expect("the store answers");
        let PruneStep { removed, more, .. } =
            fixture.store.prune(&retention, None, now).await.expect("the store answers");
        assert!(!more);
        let of_ledger = |counts: &[crate::ports::PruneCount]| {
            let found = counts.iter().find(|count| count.kind == "ledger rows");
            found.map_or(0, |count| count.records)
        };
        assert_eq!((of_ledger(&counted), of_ledger(&removed)), (rows, rows), "{now:?}");
        assert_eq!(agents(&read_all(fixture, scope("doc")).await), left, "{now:?}");
    }
}
