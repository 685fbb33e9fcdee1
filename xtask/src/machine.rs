//! The machine that a run measured on.

use crate::error::{TaskError, TaskResult};
use crate::files;
use std::fmt::{self, Display};
use std::path::Path;

/// The machine that a run measured on.
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    memory_gib: f64,
    kernel: String,
}

impl Machine {
    /// Reads `/proc`.
    pub(crate) fn read() -> TaskResult<Self> {
        let (processors, memory) =
            (files::read(Path::new("/proc/cpuinfo"))?, files::read(Path::new("/proc/meminfo"))?);
        let kibibytes = field(&memory, "MemTotal")
            .and_then(|text| text.strip_suffix(" kB")?.parse::<f64>().ok())
            .ok_or_else(|| TaskError::new("/proc/meminfo has no MemTotal in kB"))?;
        let cores = std::thread::available_parallelism();
        Ok(Self {
            cores: cores.map_err(|error| TaskError::caused_by("number of cores", error))?.get(),
            processor: field(&processors, "model name").unwrap_or("unknown processor").to_owned(),
            memory_gib: kibibytes / (1024.0 * 1024.0),
            kernel: files::read(Path::new("/proc/sys/kernel/osrelease"))?.trim().to_owned(),
        })
    }
}

impl Display for Machine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, processor, memory_gib, kernel } = self;
        write!(
            formatter,
            "Machine: {cores} cores ({processor}), {memory_gib:.0} GiB of memory, Linux {kernel}."
        )
    }
}

/// The first value of a name in a file with lines `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_the_first_value_of_its_name() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: other\nMemTotal: 1 kB\n";
        for (name, value) in
            [("model name", Some("AMD EPYC")), ("MemTotal", Some("1 kB")), ("model", None)]
        {
            assert_eq!(field(text, name), value, "{name}");
        }
    }
}
