//! Writes the inputs that fuzzing begins with: `seeds <folder>` makes a folder of them,
//! `corpus/<target>`, and a file `dictionaries/<target>` with the words in them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

/// The longest word of a dictionary, in bytes.
const LONGEST_WORD: usize = 40;

fn main() -> Result<(), io::Error> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("usage: seeds <folder>"))?;
    let dictionaries = folder.join("dictionaries");
    fs::create_dir_all(&dictionaries)?;
    for target in tolmach_fuzz::targets() {
        let corpus = folder.join("corpus").join(target.name);
        fs::create_dir_all(&corpus)?;
        let seeds = (target.seeds)();
        for (number, seed) in seeds.iter().enumerate() {
            fs::write(corpus.join(format!("seed-{number:03}")), seed)?;
        }
        let words: BTreeSet<String> = seeds.iter().flat_map(|seed| words(seed)).collect();
        let lines: String = words.iter().map(|word| format!("\"{word}\"\n")).collect();
        fs::write(dictionaries.join(target.name), lines)?;
    }
    Ok(())
}

/// The JSON strings in an input, with their quotes, and its other words, in the form of a
/// dictionary of libFuzzer.
fn words(seed: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(seed);
    let strings = text.split('"').skip(1).step_by(2).map(|string| format!("\\\"{string}\\\""));
    let others = text
        .split(|character: char| !character.is_ascii_alphanumeric() && !"-_/".contains(character));
    strings
        .chain(others.map(str::to_owned))
        .filter(|word| word.len() > 1 && word.len() <= LONGEST_WORD)
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '))
        .filter(|word| !word.trim_matches(['\\', '"']).contains(['\\', '"']))
        .collect()
}
