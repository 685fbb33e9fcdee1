//! The servers that tests start privately, from Debian's packages. None of them is left running as
//! a service.

use crate::process::{Project, output, run};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A package, and how it is seen that there is no need for it.
struct Package {
    name: &'static str,
    present: fn() -> bool,
}

const PACKAGES: [Package; 3] = [
    Package { name: "redis-server", present: || on_path("redis-server") },
    Package {
        name: "postgresql",
        present: || below("/usr/lib/postgresql", "bin/postgres") || on_path("postgres"),
    },
    // Lies to a process about the time: nodes with clocks apart.
    Package { name: "libfaketime", present: || below("/usr/lib", "faketime/libfaketime.so.1") },
];

/// Asked before a service is started; 101 forbids it.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Read by Debian's PostgreSQL as it is installed.
const CLUSTERS: &str = "/etc/postgresql-common/createcluster.conf";

/// Installs what is missing, as root on Debian. Elsewhere it says what to install.
pub(super) fn install(project: &Project) -> Result<(), String> {
    let missing: Vec<_> = PACKAGES
        .iter()
        .filter(|package| !(package.present)())
        .map(|package| package.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let words = missing.join(" ");
    if !on_path("apt-get") {
        return Err(format!("there is no apt-get here; install what Debian calls {words}"));
    }
    if output(project.command("id").arg("-u"))?.trim() != "0" {
        return Err(format!("only root can install them: apt-get install {words}"));
    }
    eprintln!("installing {words}");
    // Nobody asked for a PostgreSQL on the default port. What is there is somebody's choice.
    if missing.contains(&"postgresql") && !Path::new(CLUSTERS).exists() {
        write(Path::new(CLUSTERS), "create_main_cluster = false\n", 0o644)?;
    }
    let policy = Policy::forbid_services()?;
    run(project.command("apt-get").args(["-q", "update"]))?;
    let mut install = project.command("apt-get");
    install
        .args([
            "-q",
            "install",
            "--yes",
            "--no-install-recommends",
            "-o",
            "Dpkg::Options::=--force-confold",
        ])
        .args(&missing);
    run(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
    drop(policy);
    let still: Vec<_> = PACKAGES
        .iter()
        .filter(|package| !(package.present)())
        .map(|package| package.name)
        .collect();
    if still.is_empty() {
        Ok(())
    } else {
        Err(format!("installed, and yet not found: {}", still.join(" ")))
    }
}

/// While it lives no package starts its service.
struct Policy(Option<PathBuf>);

impl Policy {
    fn forbid_services() -> Result<Self, String> {
        let file = PathBuf::from(POLICY);
        // Who administers this machine has said what may start.
        if file.exists() {
            return Ok(Self(None));
        }
        write(&file, "#!/bin/sh\nexit 101\n", 0o755)?;
        Ok(Self(Some(file)))
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Some(file) = self.0.take()
            && let Err(error) = std::fs::remove_file(&file)
        {
            eprintln!("{}: {error}; remove it, it forbids services to start", file.display());
        }
    }
}

fn write(file: &Path, text: &str, mode: u32) -> Result<(), String> {
    let written = || -> io::Result<()> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, text)?;
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode))
    };
    written().map_err(|error| format!("{}: {error}", file.display()))
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|folders| {
        std::env::split_paths(&folders).any(|folder| folder.join(program).is_file())
    })
}

/// Whether one of the folders right below `folder` has this file.
fn below(folder: &str, file: &str) -> bool {
    std::fs::read_dir(folder)
        .is_ok_and(|entries| entries.flatten().any(|entry| entry.path().join(file).is_file()))
}
