//! The losses of clients of one dialect at another, computed by translating the stories.

use super::words;
use crate::translate_arguments::TranslationFormat;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tolmach_dialect::Dialect;
use tolmach_dialect_kit::stories::ADMINISTRATOR;
use tolmach_dialect_kit::{PlayedContent, PlayedStep, losses, played_stories};
use tolmach_domain::Timestamp;
use tolmach_migration::translate::{Loss, NoClientSide, Part, Translator};

/// An operation of which a client misses something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The name of the command or event; [`ADMINISTRATOR`] for all commands of an administrator.
    pub(crate) operation: &'static str,
    /// True for an event, false for a command.
    pub(crate) is_event: bool,
    /// True if nothing of it is left.
    pub(crate) is_whole: bool,
    /// True if the target has it in other forms than the client's alone: a page of the history in
    /// place of the whole, say.
    pub(crate) is_other_way: bool,
    /// The forms that are lost, such as `a file`, where others are left.
    pub(crate) forms: BTreeSet<String>,
    /// The fields that do not come through, by their paths.
    pub(crate) fields: BTreeSet<String>,
    /// The loss in one sentence.
    pub(crate) sentence: String,
}

/// The losses of a client of `source` at `target`, by operation: of those only that its own
/// dialect has. A client that made some operations only will miss the entries with their names.
///
/// It plays the stories of `source` through a translation, which takes a second or less.
///
/// Fails if one of the two has no client's side.
pub(crate) fn missing(
    source: &Arc<dyn Dialect>,
    target: &Arc<dyn Dialect>,
) -> Result<Vec<Missing>, NoClientSide> {
    let mut tallies: BTreeMap<(bool, &'static str), Tally> = BTreeMap::new();
    let mut translator = Translator::new(Arc::clone(source), Arc::clone(target))?;
    let mut story = "";
    for step in played_stories(&**source).iter().filter(|step| step.is_supported) {
        if step.story != story {
            // Each story has connections of its own.
            translator = Translator::new(Arc::clone(source), Arc::clone(target))?;
            story = step.story;
        }
        let lost = translate(&mut translator, step);
        let tally = tallies.entry((step.is_event, step.operation)).or_default();
        tally.add(step, lost);
    }
    let target = losses(&**target);
    let has_own = |operation: &str| target.as_ref().is_some_and(|losses| !losses.loses(operation));
    let has = |operation: &str| {
        has_own(operation) || words::other_ways(operation).iter().any(|other| has_own(other))
    };
    let missing = |(key, tally): ((bool, &'static str), Tally)| tally.missing(key, has(key.1));
    Ok(tallies.into_iter().filter_map(missing).collect())
}

/// The losses of a step.
fn translate(translator: &mut Translator, step: &PlayedStep) -> Vec<Loss> {
    let mut losses = Vec::new();
    for played in &step.wire {
        let (number, now) = (played.connection, Timestamp::default());
        let translated = match &played.content {
            PlayedContent::Opened(request) => {
                translator.open(number, now, Some(request.as_ref().clone()))
            }
            PlayedContent::Frame(sender, frame) => translator.frame(number, now, *sender, frame),
            PlayedContent::Closed(_) => translator.close(number, now),
        };
        losses.extend(translated.lost);
    }
    losses
}

/// The losses of one operation.
#[derive(Default)]
struct Tally {
    /// The number of steps, and of those that are lost.
    steps: usize,
    lost: usize,
    forms: BTreeSet<String>,
    fields: BTreeSet<String>,
}

impl Tally {
    fn add(&mut self, step: &PlayedStep, losses: Vec<Loss>) {
        self.steps += 1;
        let is_own =
            |loss: &&Loss| loss.operation == step.operation || step.operation == ADMINISTRATOR;
        let mut is_lost = false;
        for loss in losses.iter().filter(is_own) {
            match &loss.part {
                Part::Request | Part::Event => is_lost = true,
                Part::Answer => {
                    self.fields.insert("answer".to_owned());
                }
                part => self.fields.extend(part.field().map(str::to_owned)),
            }
        }
        if is_lost {
            self.lost += 1;
            if step.fault.is_none() {
                self.forms.insert(words::form(form(&step.title)).to_owned());
            }
        }
    }

    /// The loss, if there is one. `target_has`: the target has frames for the operation.
    fn missing(
        self,
        (is_event, operation): (bool, &'static str),
        target_has: bool,
    ) -> Option<Missing> {
        let is_all = self.lost == self.steps;
        let (is_whole, is_other_way) = (is_all && !target_has, is_all && target_has);
        if self.lost == 0 && self.fields.is_empty() {
            return None;
        }
        let mut missing = Missing {
            operation,
            is_event,
            is_whole,
            is_other_way,
            forms: if is_all { BTreeSet::new() } else { self.forms },
            fields: if is_all { BTreeSet::new() } else { self.fields },
            sentence: String::new(),
        };
        // The answer of a request that is lost is lost with it.
        if self.lost > 0 {
            missing.fields.remove("answer");
        }
        missing.sentence = sentence(&missing)?;
        Some(missing)
    }
}

/// The form of an operation that a title names in parentheses.
fn form(title: &str) -> &str {
    title.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or_default()
}

/// The loss in one sentence; `None` if nothing remains to be said.
fn sentence(missing: &Missing) -> Option<String> {
    let name = missing.operation;
    let fields: BTreeSet<String> = missing.fields.iter().map(|path| words::field(path)).collect();
    let fields = listed(&fields);
    if missing.is_event {
        let what = words::event(name).unwrap_or(name);
        return if missing.is_whole {
            Some(format!("A user is no longer told when {what}."))
        } else if missing.is_other_way {
            Some(format!("A user is told in other cases only when {what}."))
        } else {
            let fields = fields.unwrap_or_else(|| "some of the details".to_owned());
            Some(format!("A user is still told when {what}, but not: {fields}."))
        };
    }
    let what = words::command(name).unwrap_or(name);
    if missing.is_whole {
        return Some(format!("A client can no longer {what}."));
    }
    if missing.is_other_way {
        return Some(format!("A client has to {what} in another way."));
    }
    let forms: BTreeSet<String> =
        missing.forms.iter().filter(|form| !form.is_empty()).cloned().collect();
    let mut text = format!("A client can still {what}");
    match (listed(&forms), missing.forms.is_empty()) {
        (Some(forms), _) => text.push_str(&format!(", but not in these forms: {forms}")),
        (None, false) => text.push_str(", but not always"),
        (None, true) => {}
    }
    match fields {
        Some(fields) if missing.forms.is_empty() => text.push_str(&format!(", but not: {fields}")),
        Some(fields) => text.push_str(&format!("; without: {fields}")),
        None if missing.forms.is_empty() => return None,
        None => {}
    }
    text.push('.');
    Some(text)
}

fn listed(items: &BTreeSet<String>) -> Option<String> {
    let items: Vec<&str> = items.iter().map(String::as_str).collect();
    (!items.is_empty()).then(|| items.join(", "))
}

/// The part that is lost, in a word.
fn lost(row: &Missing) -> &'static str {
    match (row.is_whole, row.is_other_way) {
        (true, _) => "all",
        (false, true) => "form",
        (false, false) => "part",
    }
}

/// The table in a form of output.
pub(super) fn render(
    from: &str,
    to: &str,
    missing: &[Missing],
    format: TranslationFormat,
) -> String {
    match format {
        TranslationFormat::Json => {
            let rows = missing.iter().map(|row| {
                json!({
                    "operation": row.operation,
                    "kind": if row.is_event { "event" } else { "command" },
                    "lost": lost(row),
                    "forms": row.forms,
                    "fields": row.fields,
                    "sentence": row.sentence,
                })
            });
            let rows: Vec<_> = rows.collect();
            let mut text = json!({"from": from, "to": to, "missing": rows}).to_string();
            text.push('\n');
            text
        }
        TranslationFormat::Markdown => {
            let mut text = format!("| operation | what clients of {from} miss at {to} |\n");
            text.push_str("|---|---|\n");
            for row in missing {
                text.push_str(&format!("| `{}` | {} |\n", row.operation, row.sentence));
            }
            text
        }
        TranslationFormat::Text if missing.is_empty() => {
            format!("Clients of {from} miss nothing at {to}.\n")
        }
        TranslationFormat::Text => {
            let mut text = format!("What clients of {from} will miss at {to}\n");
            for (heading, is_event, part) in [
                ("No longer possible", false, "all"),
                ("Possible in another way", false, "form"),
                ("Possible, with less", false, "part"),
                ("No longer told", true, "all"),
                ("Told in other cases", true, "form"),
                ("Told, with less", true, "part"),
            ] {
                let is_row = |row: &&Missing| (row.is_event, lost(row)) == (is_event, part);
                let rows: Vec<&Missing> = missing.iter().filter(is_row).collect();
                if !rows.is_empty() {
                    text.push_str(&format!("\n{heading}\n"));
                }
                for row in rows {
                    text.push_str(&format!("- {}: {}\n", row.operation, row.sentence));
                }
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects;
    use tolmach_dialect::OptionTable;

    fn of(from: &str, to: &str) -> Vec<Missing> {
        let dialect = |name: &str| {
            let (id, revision) = name.split_once('/').unwrap_or((name, "doc"));
            dialects::at_revision(id, revision, OptionTable::new()).unwrap()
        };
        missing(&dialect(from), &dialect(to)).unwrap()
    }

    fn sentence_of(rows: &[Missing], operation: &str) -> String {
        let row = rows.iter().find(|row| row.operation == operation);
        row.map(|row| row.sentence.clone()).unwrap_or_default()
    }

    #[test]
    fn a_product_manager_reads_what_uchat_misses_at_bearer() {
        let rows = of("sndmsg/uchat", "bearer");
        for (operation, expected) in [
            ("delete", "A client can no longer delete a message."),
            ("edit", "A client can no longer edit a message."),
            ("search_users", "A client can no longer search for users."),
            ("edited", "A user is no longer told when a message is edited."),
            // It has pages of a history, which uchat does not ask for.
            ("history", "A client has to read earlier messages in another way."),
        ] {
            assert_eq!(sentence_of(&rows, operation), expected, "{rows:#?}");
        }
        // It has never been told of typing: nothing is missed.
        assert_eq!(sentence_of(&rows, "typing"), "");
    }

    #[test]
    fn a_dialect_misses_no_operation_at_itself() {
        for id in dialects::ids() {
            let rows = of(id, id);
            assert!(rows.iter().all(|row| !row.is_whole), "{id}: {rows:#?}");
        }
    }
}
