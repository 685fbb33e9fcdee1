//! Writes the inputs that fuzzing begins with: `seeds <folder>` makes a folder for each target.

use std::path::PathBuf;

fn main() -> Result<(), std::io::Error> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| std::io::Error::other("usage: seeds <folder>"))?;
    for target in tolmach_fuzz::targets() {
        let folder = folder.join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:03}")), seed)?;
        }
    }
    Ok(())
}
