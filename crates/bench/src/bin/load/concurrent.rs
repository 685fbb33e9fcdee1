//! Work that is done for many numbers at once.

use crate::result::BenchResult;
use std::future::Future;
use std::sync::Arc;
use tokio::task::JoinSet;

/// The results of `work` for each number below `count`, in order. At most `concurrency` calls run
/// at once; the first error ends all.
pub(crate) async fn map_concurrently<T, F>(
    count: usize,
    concurrency: usize,
    work: impl Fn(usize) -> F + Send + Sync + 'static,
) -> BenchResult<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = BenchResult<T>> + Send + 'static,
{
    let work = Arc::new(work);
    let workers = concurrency.clamp(1, count.max(1));
    let mut tasks = JoinSet::new();
    for first in 0..workers {
        let work = work.clone();
        tasks.spawn(async move {
            let mut results = Vec::new();
            for number in (first..count).step_by(workers) {
                results.push((number, work(number).await?));
            }
            BenchResult::Ok(results)
        });
    }
    let mut all = Vec::with_capacity(count);
    while let Some(results) = tasks.join_next().await {
        all.extend(results??);
    }
    all.sort_unstable_by_key(|(number, _)| *number);
    Ok(all.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn results_are_in_order_and_the_first_error_ends_all() {
        for (count, concurrency) in [(0, 4), (1, 4), (10, 3), (10, 100), (10, 0)] {
            let doubled = map_concurrently(count, concurrency, |number| async move {
                BenchResult::Ok(number * 2)
            });
            let expected: Vec<_> = (0..count).map(|number| number * 2).collect();
            assert_eq!(doubled.await.unwrap(), expected, "{count} by {concurrency}");
        }
        let failing = map_concurrently(10, 2, |number| async move {
            if number == 7 { Err("seven".into()) } else { Ok(()) }
        });
        assert_eq!(failing.await.unwrap_err().to_string(), "seven");
    }
}
