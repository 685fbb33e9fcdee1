//! The servers that tests start privately, from Debian's packages. None is left running as a
//! service.

use crate::error::{TaskError, TaskResult};
use crate::files::{entries, named};
use crate::process::{output, run};
use crate::project::Project;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A package, with a test that tells if its programs are there.
struct Package {
    name: &'static str,
    is_present: fn() -> bool,
}

const PACKAGES: [Package; 4] = [
    Package { name: "redis-server", is_present: || is_on_path("redis-server") },
    Package {
        name: "postgresql",
        is_present: || {
            is_one_level_below("/usr/lib/postgresql", "bin/postgres") || is_on_path("postgres")
        },
    },
    // For a page among the clients of one room.
    Package { name: "chromium", is_present: || is_on_path("chromium") },
    // For nodes whose clocks differ.
    Package {
        name: "libfaketime",
        is_present: || is_one_level_below("/usr/lib", "faketime/libfaketime.so.1"),
    },
];

/// Debian's hook before the start of a service; exit status 101 forbids it.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// The configuration that Debian's PostgreSQL reads while it is installed.
const CLUSTERS: &str = "/etc/postgresql-common/createcluster.conf";

/// Installs the missing packages, as root on Debian. Elsewhere the error names them.
pub(super) fn install(project: &Project) -> TaskResult<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !is_on_path("apt-get") {
        let message = format!("there is no apt-get; install Debian's {names} by other means");
        return Err(TaskError::new(message));
    }
    if output(project.command("id").arg("-u"))?.trim() != "0" {
        return Err(TaskError::new(format!("only root can run: apt-get install {names}")));
    }
    eprintln!("installing {names}");
    // Without it the package creates a cluster on the default port. An existing file stays.
    if missing.contains(&"postgresql") && !Path::new(CLUSTERS).exists() {
        write(Path::new(CLUSTERS), "create_main_cluster = false\n", 0o644)?;
    }
    let policy = ServicePolicy::forbid()?;
    run(project.command("apt-get").args(["-q", "update"]))?;
    let mut install = project.command("apt-get");
    install.args(["-q", "install", "--yes", "--no-install-recommends"]);
    install.args(["-o", "Dpkg::Options::=--force-confold"]).args(&missing);
    run(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
    drop(policy);
    let still_missing = self::missing();
    if still_missing.is_empty() {
        Ok(())
    } else {
        let names = still_missing.join(" ");
        Err(TaskError::new(format!("not found after the installation: {names}")))
    }
}

fn missing() -> Vec<&'static str> {
    let missing = PACKAGES.iter().filter(|package| !(package.is_present)());
    missing.map(|package| package.name).collect()
}

/// While it exists, no package starts its service.
struct ServicePolicy(Option<PathBuf>);

impl ServicePolicy {
    fn forbid() -> TaskResult<Self> {
        let file = PathBuf::from(POLICY);
        // An existing policy is the administrator's.
        if file.exists() {
            return Ok(Self(None));
        }
        write(&file, "#!/bin/sh\nexit 101\n", 0o755)?;
        Ok(Self(Some(file)))
    }
}

impl Drop for ServicePolicy {
    fn drop(&mut self) {
        if let Some(file) = self.0.take()
            && let Err(error) = std::fs::remove_file(&file)
        {
            eprintln!("{}: {error}; remove it: it forbids services to start", file.display());
        }
    }
}

fn write(file: &Path, text: &str, mode: u32) -> TaskResult<()> {
    let written = || -> io::Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, text)?;
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode))
    };
    written().map_err(|error| named(file, error))
}

fn is_on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|folders| {
        std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
    })
}

/// True if a folder right below `folder` has this file.
fn is_one_level_below(folder: &str, file: &str) -> bool {
    entries(Path::new(folder)).iter().any(|entry| entry.join(file).is_file())
}
