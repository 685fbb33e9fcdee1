//! What a test does on a machine that lacks a server: in CI it fails, elsewhere it says so and
//! passes by.

/// Says that the test at hand is passed by, and why.
///
/// # Panics
/// When the environment says `CI`: there, everything runs.
pub fn skipped(why: &str) {
    let ci = std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
    assert!(!ci, "{why}, and CI is set: there, nothing is skipped");
    let thread = std::thread::current();
    let test = thread
        .name()
        .filter(|name| *name != "main")
        .map(str::to_owned)
        .or_else(|| std::env::var("NEXTEST_TEST_NAME").ok());
    eprintln!("skipped: {}: {why}", test.as_deref().unwrap_or("a test"));
}
