//! The rows about gateways that write to one PostgreSQL, whose flush takes 4 ms or which is 1 ms
//! away.

use crate::measure::{Aim, Cost, Measured, Meter, Row};
use crate::result::LargeResult;
use crate::senders::{SENDERS, load, seed};
use sea_orm::{ConnectionTrait, Database};
use std::time::Duration;
use tolmach_test_servers::{Durability, Postgres, Proxy};

/// The largest number of gateways.
const GATEWAYS: usize = 4;

/// The time that passes until what a proxy reads goes on: half of a round trip of 1 ms.
const WAY: Duration = Duration::from_micros(500);

/// Measures the rows, each load for this time.
pub(crate) async fn measure(length: Duration) -> LargeResult<Vec<Row>> {
    let server = Postgres::start(Durability::Full);
    let senders = seed(&server.url(), SENDERS * GATEWAYS).await?;
    let proxy = Proxy::to(&server.address());
    proxy.delay(WAY);
    let (far, near) = (server.url_at(&proxy.address()), server.url());
    let meter = Meter { server: Some(&server) };
    let lone = load(meter, &far, 1, &senders[..1], length).await?;
    let all = load(meter, &far, 1, &senders[..SENDERS], length).await?;
    slow_flushes(&server).await?;
    let one = load(meter, &near, 1, &senders, length).await?;
    let two = load(meter, &near, 2, &senders, length).await?;
    let four = load(meter, &near, 4, &senders, length).await?;
    let lone = Cost { time: lone.median, ..lone.each };
    let row = |name, cost, micros| {
        let aim = Aim::Time(Duration::from_micros(micros));
        Row { name, measured: Measured::Cost(cost), aim }
    };
    let ratio = |name, part: Duration, whole: Duration, aim| {
        let ratio = part.as_secs_f64() / whole.as_secs_f64();
        Row { name, measured: Measured::Ratio(ratio), aim: Aim::Ratio(aim) }
    };
    let (of_one, of_two, of_four) = (one.each.time, two.each.time, four.each.time);
    Ok(vec![
        row("writes: a lone send at 1 ms", lone, 3_500),
        row("writes: a message of 64 at 1 ms", all.each, 67),
        row("writes: a message, flush of 4 ms", one.each, 318),
        Row {
            name: "writes: a message of 4 gateways, flush of 4 ms",
            measured: Measured::Cost(four.each),
            aim: Aim::None,
        },
        ratio("writes: rate of 1 gateway in that of 2", of_two, of_one, 1.0 / 1.7),
        ratio("writes: rate of 1 gateway in that of 4", of_four, of_one, 1.0 / 2.8),
        ratio("writes: p50 of 4 gateways in that of 1", four.median, one.median, 1.5),
    ])
}

/// Makes every flush of the server take 4 ms longer, as on a slower disk. Commits that wait
/// meanwhile share it, as they do there.
async fn slow_flushes(server: &Postgres) -> LargeResult<()> {
    let url = format!("postgres://postgres@{}/tolmach", server.address());
    let administrator = Database::connect(url).await?;
    for setting in ["commit_delay = 4000", "commit_siblings = 0"] {
        let statement = format!("ALTER DATABASE tolmach SET {setting}");
        administrator.execute_unprepared(&statement).await?;
    }
    administrator.close().await?;
    Ok(())
}
