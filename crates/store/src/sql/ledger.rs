//! Statements over the ledger.

use super::list_statement::{ListStatement, placeholders, placeholders_from, tuples};
use std::sync::LazyLock;

/// The approximate size of a row of the ledger with its entries in indexes, in bytes.
pub(crate) const LEDGER_ROW_BYTES: u64 = 200;

/// Clients by the hashes of their keys.
pub(crate) static LEDGER_CLIENTS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        let list = placeholders(length);
        format!("SELECT id, key_hash, last_day FROM ledger_client WHERE key_hash IN ({list})")
    })
});

/// The numbers of clients of these parties that are new since a time: the day of that time, the
/// time, parties.
pub(crate) static NEW_LEDGER_CLIENTS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        let list = placeholders_from(3, length);
        format!(
            "SELECT party, count(*) AS number FROM ledger_client \
             WHERE last_day >= $1 AND first_at >= $2 AND party IN ({list}) GROUP BY party"
        )
    })
});

/// Inserts clients: hash of the key, party, user, address, agent, dialect, revision, time of the
/// first request, last day of each.
pub(crate) static INSERT_LEDGER_CLIENTS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        format!(
            "INSERT INTO ledger_client (key_hash, party, user_id, address, agent, dialect, \
             revision, first_at, last_day) VALUES {} RETURNING id, key_hash",
            tuples(9, length)
        )
    })
});

/// Sets the last day of clients where it is an earlier one: the day, the day, clients.
pub(crate) static SET_LEDGER_DAYS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        let list = placeholders_from(3, length);
        format!("UPDATE ledger_client SET last_day = $1 WHERE last_day < $2 AND id IN ({list})")
    })
});

/// Adds requests: client, operation, day, number, first time, last time of each, no client with the
/// same operation and day twice.
pub(crate) static ADD_LEDGER_USES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        let rows = tuples(6, length);
        format!(
            "INSERT INTO ledger_use (client_id, operation, day, requests, first_at, last_at) \
             VALUES {rows} ON CONFLICT (client_id, operation, day) DO UPDATE SET \
             requests = ledger_use.requests + excluded.requests, \
             first_at = CASE WHEN excluded.first_at < ledger_use.first_at \
             THEN excluded.first_at ELSE ledger_use.first_at END, \
             last_at = CASE WHEN excluded.last_at > ledger_use.last_at \
             THEN excluded.last_at ELSE ledger_use.last_at END"
        )
    })
});

/// The revision after another one, in their order: dialect, revision.
pub(crate) const NEXT_LEDGER_REVISION: &str = "\
    SELECT dialect, revision FROM ledger_client WHERE (dialect, revision) > ($1, $2) \
    ORDER BY dialect, revision LIMIT 1";

/// Counts the clients of a revision since a day: dialect, revision, day.
pub(crate) const COUNT_LEDGER_CLIENTS: &str = "\
    SELECT count(*) AS number FROM ledger_client \
    WHERE dialect = $1 AND revision = $2 AND last_day >= $3";

/// The next clients of a revision: dialect, revision, last day and client before, limit.
pub(crate) static LEDGER_CLIENTS_OF_REVISION: LazyLock<String> =
    LazyLock::new(|| ledger_clients("c.dialect = $1 AND c.revision = $2", 3));

/// The next clients of a party: party, last day and client before, limit.
pub(crate) static LEDGER_CLIENTS_OF_PARTY: LazyLock<String> =
    LazyLock::new(|| ledger_clients("c.party = $1", 2));

fn ledger_clients(scope: &str, parameter: usize) -> String {
    let (day, client, limit) = (parameter, parameter + 1, parameter + 2);
    format!(
        "SELECT c.id, c.user_id, c.address, c.agent, c.dialect, c.revision, c.first_at, \
         c.last_day, (SELECT u.login FROM \"user\" u WHERE u.id = c.user_id) AS login \
         FROM ledger_client c WHERE {scope} AND (c.last_day, c.id) > (${day}, ${client}) \
         ORDER BY c.last_day, c.id LIMIT ${limit}"
    )
}

/// The requests of clients since a day: day, clients.
pub(crate) static LEDGER_USES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(|length| {
        let list = placeholders_from(2, length);
        format!(
            "SELECT client_id, operation, day, requests, first_at, last_at FROM ledger_use \
             WHERE day >= $1 AND client_id IN ({list})"
        )
    })
});

/// The first clients of a party: party, limit.
pub(crate) const SOME_LEDGER_CLIENTS: &str =
    "SELECT id FROM ledger_client WHERE party = $1 LIMIT $2";

/// Removes the first requests of a client: client, limit.
pub(crate) const REMOVE_LEDGER_USES_OF_CLIENT: &str = "\
    DELETE FROM ledger_use WHERE (client_id, operation, day) IN \
    (SELECT client_id, operation, day FROM ledger_use WHERE client_id = $1 LIMIT $2)";

/// Removes a client: client.
pub(crate) const REMOVE_LEDGER_CLIENT: &str = "DELETE FROM ledger_client WHERE id = $1";

/// Counts the requests of days before another one: the day.
pub(crate) const COUNT_OLD_LEDGER_USES: &str =
    "SELECT count(*) AS number FROM ledger_use WHERE day < $1";

/// Counts the clients whose last day is before another one: the day.
pub(crate) const COUNT_OLD_LEDGER_CLIENTS: &str =
    "SELECT count(*) AS number FROM ledger_client WHERE last_day < $1";

/// Removes the oldest requests of days before another one: the day, limit.
pub(crate) const REMOVE_OLD_LEDGER_USES: &str = "\
    DELETE FROM ledger_use WHERE (client_id, operation, day) IN \
    (SELECT client_id, operation, day FROM ledger_use WHERE day < $1 ORDER BY day LIMIT $2)";

/// Removes the oldest clients whose last day is before another one, and that have no requests left:
/// the day, limit.
pub(crate) const REMOVE_OLD_LEDGER_CLIENTS: &str = "\
    DELETE FROM ledger_client WHERE id IN (SELECT c.id FROM ledger_client c \
    WHERE c.last_day < $1 AND NOT EXISTS \
    (SELECT 1 FROM ledger_use u WHERE u.client_id = c.id) ORDER BY c.last_day LIMIT $2)";
