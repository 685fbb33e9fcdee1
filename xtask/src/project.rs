//! The workspace that the tasks work on.

use crate::error::{TaskError, TaskResult};
use crate::process::run;
use cargo_metadata::{Metadata, MetadataCommand};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace.
pub(crate) struct Project {
    /// The output of `cargo metadata`.
    pub(crate) metadata: Metadata,
}

impl Project {
    /// Reads the workspace of the current checkout.
    pub(crate) fn find() -> TaskResult<Self> {
        // At run time, not at compile time: checkouts that share a target folder share this binary.
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let metadata = MetadataCommand::new()
            .manifest_path(Path::new(&package).join("../Cargo.toml"))
            .no_deps()
            .exec()
            .map_err(|error| TaskError::caused_by("cargo metadata", error))?;
        Ok(Self { metadata })
    }

    /// The root folder.
    pub(crate) fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// The target folder.
    pub(crate) fn target(&self) -> PathBuf {
        self.metadata.target_directory.clone().into_std_path_buf()
    }

    /// The ids of all dialects, in order.
    pub(crate) fn dialects(&self) -> Vec<String> {
        let packages = self.metadata.workspace_packages();
        let mut ids: Vec<String> = packages
            .iter()
            .filter_map(|package| dialect_id(&package.name).map(str::to_owned))
            .collect();
        ids.sort();
        ids
    }

    /// A command that runs in the root folder without input.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.root()).stdin(Stdio::null());
        command
    }

    /// The cargo that runs this program, without the variables that describe this package: build
    /// scripts that read one of them would run again, and all that depends on them be built again,
    /// whenever a developer's cargo and this one take turns.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(describes_package) {
                cargo.env_remove(name);
            }
        }
        cargo
    }

    /// Builds the gateway and the load generator with a profile, and returns the path of the load
    /// generator.
    pub(crate) fn build_load(&self, profile: &str) -> TaskResult<PathBuf> {
        let mut build = self.cargo();
        build.args(["build", "--profile", profile]);
        build.args(["--package", "tolmach-cli", "--package", "tolmach-bench"]);
        run(&mut build)?;
        Ok(self.target().join(profile_folder(profile)).join("load"))
    }
}

/// True for the environment variables by which `cargo run` describes the package that it runs.
fn describes_package(variable: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| variable.starts_with(prefix))
}

/// The folder of a profile's programs in the target folder.
fn profile_folder(profile: &str) -> &str {
    match profile {
        "dev" | "test" => "debug",
        "bench" => "release",
        profile => profile,
    }
}

/// The name of one of the workspace's packages without its prefix.
pub(crate) fn short_name(package: &str) -> &str {
    package.strip_prefix("tolmach-").unwrap_or(package)
}

/// The id of the dialect that a package implements: every `tolmach-dialect-<id>`
/// but the kit and the declared ones.
pub(crate) fn dialect_id(package: &str) -> Option<&str> {
    short_name(package).strip_prefix("dialect-").filter(|id| !matches!(*id, "kit" | "declared"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_of_a_dialect_has_its_id() {
        for (package, id) in [
            ("tolmach-dialect-sndmsg", Some("sndmsg")),
            ("dialect-sndmsg", Some("sndmsg")),
            ("tolmach-dialect-kit", None),
            ("tolmach-dialect-declared", None),
            ("tolmach-dialect", None),
            ("tolmach-engine", None),
        ] {
            assert_eq!(dialect_id(package), id, "{package}");
        }
    }
}
