//! The extent of a run of the load generator.

/// The extent of a run of the load generator.
#[derive(Debug, clap::Args)]
pub(crate) struct Extent {
    /// Prove in seconds that it works: small loads, no verdicts; the report stays as it is
    #[arg(long)]
    pub(crate) short: bool,
    /// Run only what has this in its name; the report stays as it is
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Option<String>,
    /// The profile to build with
    #[arg(long, default_value = "dist")]
    pub(crate) profile: String,
}

impl Extent {
    /// A short run, built like the tests.
    pub(crate) fn for_ci() -> Self {
        Self { short: true, only: None, profile: "dev".to_owned() }
    }

    /// True if a name is among those to run.
    pub(crate) fn includes(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only))
    }

    /// True if the report in the repository is written.
    pub(crate) fn is_whole(&self) -> bool {
        !self.short && self.only.is_none()
    }
}
