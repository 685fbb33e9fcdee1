//! Progress of long commands, on standard error: a bar on a terminal, a line now and then
//! elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// The shortest time between two lines of one step.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

const BAR: &str = "{msg:24} {wide_bar} {human_pos}/{human_len} {eta:>5}";

/// Progress of a command in steps.
pub(crate) struct Progress {
    display: Display,
}

enum Display {
    Bar(ProgressBar),
    Lines { last: Option<Instant> },
}

impl Progress {
    /// Nothing is shown before the first step.
    pub(crate) fn new() -> Self {
        if !stderr().is_terminal() {
            return Self { display: Display::Lines { last: None } };
        }
        let bar = ProgressBar::new(0);
        // The template is a constant; were it wrong, the bar would have the default style.
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style);
        }
        Self { display: Display::Bar(bar) }
    }

    /// Shows that `done` of `total` units of a step are done. A line is written at the end of every
    /// step, and in between at intervals.
    pub(crate) fn report(&mut self, step: &str, done: u64, total: u64) {
        match &mut self.display {
            Display::Bar(bar) => {
                if bar.message() != step {
                    bar.reset();
                    bar.set_message(step.to_owned());
                }
                bar.set_length(total);
                bar.set_position(done);
                if done >= total {
                    bar.println(line(step, done, total));
                }
            }
            Display::Lines { last } => {
                if done < total && last.is_some_and(|last| last.elapsed() < LINE_INTERVAL) {
                    return;
                }
                *last = Some(Instant::now());
                // An error means that standard error is closed: the command goes on without.
                let _ = writeln!(stderr(), "{}", line(step, done, total));
            }
        }
    }
}

impl Drop for Progress {
    /// Removes the bar, so that output and errors stand on lines of their own.
    fn drop(&mut self) {
        if let Display::Bar(bar) = &self.display {
            bar.finish_and_clear();
        }
    }
}

fn line(step: &str, done: u64, total: u64) -> String {
    format!("{step}: {done} of {total}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_shows_the_step_and_how_far_it_is() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
        let bar = ProgressBar::hidden();
        let mut progress = Progress { display: Display::Bar(bar.clone()) };
        for (step, done, total) in
            [("copying user", 3, 3), ("copying message", 0, 70_000), ("copying message", 9, 70_000)]
        {
            progress.report(step, done, total);
            assert_eq!(
                (bar.message().as_str(), bar.position(), bar.length()),
                (step, done, Some(total))
            );
        }
        drop(progress);
        assert!(bar.is_finished());
    }

    #[test]
    fn a_line_names_the_step_and_its_units() {
        assert_eq!(line("copying user", 1, 3), "copying user: 1 of 3");
    }
}
