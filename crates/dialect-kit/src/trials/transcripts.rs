//! Golden transcripts.

use crate::goldens::updates_goldens;
use crate::kit::Kit;
use crate::play::play_script;
use crate::problems::{Outcome, Problems};
use crate::project::UPDATE;
use crate::transcript::{difference, heading, transcripts, write_entries};
use std::collections::{BTreeMap, BTreeSet};

/// Stories and scripts play the transcripts in `protocols/<dialect>/transcripts`, and each
/// transcript there is of one of them.
pub fn transcripts_match(kit: &Kit) -> Outcome {
    if updates_goldens()? {
        return rewrite_transcripts(kit);
    }
    let folder = kit.project()?.transcripts(&kit.folder());
    let played = played(kit)?;
    let stored: BTreeSet<String> = std::fs::read_dir(&folder)
        .map(|entries| {
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
        })
        .unwrap_or_default();
    if stored.is_empty() && !played.is_empty() {
        return Err(Problems::one(format!(
            "{}: there are no transcripts; {UPDATE}=1 writes them",
            folder.display()
        )));
    }
    let mut problems = Vec::new();
    for (name, text) in &played {
        let path = folder.join(format!("{name}.txt"));
        match std::fs::read_to_string(&path) {
            Ok(expected) if expected == *text => {}
            Ok(expected) => problems.push(format!(
                "{name}.txt: {}; {UPDATE}=1 rewrites it",
                difference(&expected, text)
            )),
            Err(error) => {
                problems.push(format!("{}: {error}; {UPDATE}=1 writes it", path.display()));
            }
        }
    }
    let is_known =
        |file: &String| file.strip_suffix(".txt").is_some_and(|name| played.contains_key(name));
    for stray in stored.iter().filter(|file| !is_known(file)) {
        let path = folder.join(stray);
        problems.push(format!(
            "{}: no story and no script has this name; remove the file",
            path.display()
        ));
    }
    Problems::none_or(problems)
}

/// Writes the transcripts that [`transcripts_match`] compares with.
pub fn rewrite_transcripts(kit: &Kit) -> Outcome {
    let folder = kit.project()?.transcripts(&kit.folder());
    let played = played(kit)?;
    let write =
        |(name, text): (&String, &String)| std::fs::write(folder.join(format!("{name}.txt")), text);
    let written = std::fs::create_dir_all(&folder).and_then(|()| played.iter().try_for_each(write));
    written.map_err(|error| Problems::one(format!("{}: {error}", folder.display())))
}

/// Every transcript by its name.
fn played(kit: &Kit) -> Result<BTreeMap<String, String>, Problems> {
    let mut played: BTreeMap<String, String> = transcripts(&kit.title(), kit.record())
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text))
        .collect();
    for script in &kit.scripts {
        let mut text = heading("script", script.name, &kit.title());
        let script_played = play_script(kit.dialect.as_ref(), script).map_err(Problems::one)?;
        write_entries(&mut text, &script_played.entries);
        if played.insert(script.name.to_owned(), text).is_some() {
            return Err(Problems::one(format!(
                "a script has the name of another transcript: {}",
                script.name
            )));
        }
    }
    Ok(played)
}
