//! Tests on a machine without a server: skipped, but failed in CI.

/// Reports that the current test is skipped, with the reason.
///
/// # Panics
/// If the environment sets `CI`: there every test runs.
pub fn skipped(reason: &str) {
    let ci = std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
    assert!(!ci, "{reason}, and CI is set: there, nothing is skipped");
    let thread = std::thread::current();
    let test = thread
        .name()
        .filter(|name| *name != "main")
        .map(str::to_owned)
        .or_else(|| std::env::var("NEXTEST_TEST_NAME").ok());
    eprintln!("skipped: {}: {reason}", test.as_deref().unwrap_or("a test"));
}
