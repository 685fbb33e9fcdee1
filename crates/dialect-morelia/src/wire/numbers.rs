//! Numbers that the wire wants where the domain has none: ids of replies, and keys of messages.

use tolmach_domain::{ConnectionId, ID_LIMIT};

/// The number of the reply or message with this index on a connection: different for every index of
/// a connection, and in practice for every connection, because their ids are random.
pub(crate) fn number_on(connection: ConnectionId, index: u64) -> i64 {
    in_range(mix(connection.0).wrapping_add(index))
}

/// A number made of two others: always the same one, in practice different for every pair.
pub(crate) fn number_of_pair(first: i64, second: i64) -> i64 {
    in_range(mix(mix(first.unsigned_abs()).wrapping_add(second.unsigned_abs())))
}

/// A key as an integer: itself where it is one, otherwise a number made of its text.
pub(crate) fn number_of_key(key: &str) -> i64 {
    let number = key.parse().ok().filter(|number: &i64| {
        number.to_string() == key && number.unsigned_abs() < ID_LIMIT.unsigned_abs()
    });
    number.unwrap_or_else(|| {
        in_range(key.bytes().fold(key.len() as u64, |state, byte| mix(state ^ u64::from(byte))))
    })
}

/// Reduces a number to the range of ids, which JSON numbers hold exactly.
fn in_range(number: u64) -> i64 {
    const IDS: u64 = ID_LIMIT.unsigned_abs() - 1;
    i64::try_from(number % IDS + 1).unwrap_or(1)
}

/// Spreads neighbouring numbers over all of them, without loss: the finalizer of SplitMix64.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_on_connections_are_ids_and_differ() {
        let ids: BTreeSet<i64> = (0..50)
            .flat_map(|connection| {
                (0..200).map(move |index| number_on(ConnectionId(connection), index))
            })
            .collect();
        assert_eq!(ids.len(), 50 * 200);
        let limit = ID_LIMIT.unsigned_abs();
        let edges = [0, u64::MAX, limit - 1, limit].map(in_range);
        assert!(ids.into_iter().chain(edges).all(|id| (1..ID_LIMIT).contains(&id)));
    }
}
