//! No two files of a crate import each other, directly or by way of others.
//!
//! Reads the sources as text: paths that begin with `crate`, `super`, `self` or a child module are
//! resolved to the file that defines the named item, also through re-exports. A re-export alone is
//! no import, so `lib.rs` and `mod.rs` may declare and re-export. Unit tests at the end of a file do
//! not count. Errs towards finding nothing: a path that it cannot resolve is passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Checks every crate below `root`; a line for each circle.
pub(super) fn check(root: &Path) -> Vec<String> {
    crate_folders(root).iter().flat_map(|folder| check_crate(root, folder)).collect()
}

fn crate_folders(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root.join("crates"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    folders.push(root.join("xtask"));
    folders.sort();
    folders
}

fn check_crate(root: &Path, folder: &Path) -> Vec<String> {
    let mut files = Files::default();
    for (entry, name) in [("src/lib.rs", "lib"), ("src/main.rs", "main")] {
        files.add(&folder.join(entry), vec![name.to_owned()]);
    }
    let shown = |module: &Module| {
        let file = &files.0[module].path;
        file.strip_prefix(root).unwrap_or(file).display().to_string()
    };
    let circles = circles(&files.imports());
    circles
        .iter()
        .map(|circle| {
            let mut names: Vec<String> = circle.iter().map(shown).collect();
            names.extend(names.first().cloned());
            format!("files import each other: {}", names.join(" -> "))
        })
        .collect()
}

/// A module by its path: the root's name, then the modules below it.
type Module = Vec<String>;

/// Every file of a crate, by the module that it is.
#[derive(Default)]
struct Files(BTreeMap<Module, File>);

struct File {
    path: PathBuf,
    /// The names of the items that it defines.
    items: BTreeSet<String>,
    /// The child modules that are files.
    children: BTreeSet<String>,
    /// Paths of its re-exports and of everything else.
    exports: Vec<Reference>,
    uses: Vec<Reference>,
    /// Words of its code outside of `use` declarations.
    words: BTreeSet<String>,
}

/// A path in a file, without `crate` or `super`: from which module, and the segments after it. The
/// last is `*` for a glob.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Reference {
    base: Module,
    segments: Vec<String>,
}

impl Files {
    /// Reads a file and the files of its modules.
    fn add(&mut self, path: &Path, module: Module) {
        let Ok(text) = std::fs::read_to_string(path) else { return };
        let code = code_of(&text);
        let file = File::read(path, &module, &code);
        let children = file.children.clone();
        self.0.insert(module.clone(), file);
        let is_folder = matches!(
            path.file_name().and_then(|name| name.to_str()),
            Some("lib.rs" | "main.rs" | "mod.rs")
        );
        let folder = if is_folder { path.with_file_name("") } else { path.with_extension("") };
        for child in children {
            let below = [module.clone(), vec![child.clone()]].concat();
            let flat = folder.join(format!("{child}.rs"));
            let nested = folder.join(&child).join("mod.rs");
            self.add(if flat.is_file() { &flat } else { &nested }, below);
        }
    }

    /// The files that each file imports.
    fn imports(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let imports = |(module, file): (&Module, &File)| {
            let used = file.exports.iter().filter(|export| {
                export.segments.last().is_some_and(|name| file.words.contains(name))
            });
            let targets = file.uses.iter().chain(used).filter_map(|path| self.resolve(path, 0));
            (module.clone(), targets.filter(|target| target != module).collect())
        };
        self.0.iter().map(imports).collect()
    }

    /// The file that a path leads to: that of the item that it names.
    fn resolve(&self, reference: &Reference, depth: usize) -> Option<Module> {
        // Re-exports of re-exports are followed so far.
        const DEEPEST: usize = 8;
        let mut module = reference.base.clone();
        let mut segments = reference.segments.iter();
        let mut file = self.0.get(&module)?;
        for segment in segments.by_ref() {
            let below = [module.clone(), vec![segment.clone()]].concat();
            match self.0.get(&below) {
                Some(child) => (module, file) = (below, child),
                None if segment == "*" || file.items.contains(segment) || depth == DEEPEST => {
                    return Some(module);
                }
                None => return self.exported(file, segment, depth).or(Some(module)),
            }
        }
        Some(module)
    }

    /// The file of an item that `file` re-exports.
    fn exported(&self, file: &File, name: &String, depth: usize) -> Option<Module> {
        for export in &file.exports {
            match export.segments.last() {
                Some(last) if last == name => return self.resolve(export, depth + 1),
                Some(last) if last == "*" => {
                    let source = self.resolve(export, depth + 1)?;
                    let source_file = self.0.get(&source)?;
                    if source_file.items.contains(name) {
                        return Some(source);
                    }
                    if let Some(found) = self.exported(source_file, name, depth + 1) {
                        return Some(found);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

impl File {
    fn read(path: &Path, module: &Module, code: &str) -> Self {
        let mut file = File {
            path: path.to_owned(),
            items: BTreeSet::new(),
            children: BTreeSet::new(),
            exports: Vec::new(),
            uses: Vec::new(),
            words: BTreeSet::new(),
        };
        let tokens = tokens(code);
        for pair in tokens.windows(3) {
            let [keyword, name, after] = pair else { continue };
            match *keyword {
                "mod" if *after == ";" => {
                    file.children.insert((*name).to_owned());
                }
                "fn" | "struct" | "enum" | "trait" | "type" | "const" | "static" | "union"
                | "mod" => {
                    file.items.insert((*name).to_owned());
                }
                "macro_rules" => {
                    file.items.insert((*after).to_owned());
                }
                _ => {}
            }
        }
        file.read_paths(module, &tokens);
        file
    }

    /// Reads `use` declarations and the paths in between.
    fn read_paths(&mut self, module: &Module, tokens: &[&str]) {
        let mut place = 0;
        while place < tokens.len() {
            if tokens[place] == "use" {
                let end = tokens[place..].iter().position(|token| *token == ";");
                let end = end.map_or(tokens.len(), |length| place + length);
                let public = place > 0 && matches!(tokens[place - 1], "pub" | ")");
                for path in use_tree(&tokens[place + 1..end]) {
                    if let Some(reference) = self.reference(module, &path) {
                        let list = if public { &mut self.exports } else { &mut self.uses };
                        list.push(reference);
                    }
                }
                place = end;
            } else {
                let mut path = vec![tokens[place].to_owned()];
                while tokens.get(place + 1) == Some(&"::")
                    && tokens.get(place + 2).is_some_and(|token| is_name(token))
                {
                    path.push(tokens[place + 2].to_owned());
                    place += 2;
                }
                if path.len() > 1 {
                    self.uses.extend(self.reference(module, &path));
                } else if is_name(&path[0]) {
                    self.words.insert(path.remove(0));
                }
            }
            place += 1;
        }
    }

    /// A path of this crate; `None` for one of another.
    fn reference(&self, module: &Module, path: &[String]) -> Option<Reference> {
        let mut base = module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.truncate(1);
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    if base.len() > 1 {
                        base.pop();
                    }
                    rest = &rest[1..];
                }
            }
            child if self.children.contains(child) => {}
            _ => return None,
        }
        Some(Reference { base, segments: rest.to_vec() })
    }
}

/// The paths of a `use` tree.
fn use_tree(tokens: &[&str]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut prefixes: Vec<Vec<String>> = vec![Vec::new()];
    let mut current: Vec<String> = Vec::new();
    let mut renamed = false;
    let finish = |prefix: &[String], current: &mut Vec<String>, paths: &mut Vec<Vec<String>>| {
        if !current.is_empty() {
            if current.last().is_some_and(|last| last == "self") {
                current.pop();
            }
            paths.push([prefix, current].concat());
            current.clear();
        }
    };
    for token in tokens {
        match *token {
            "::" => {}
            "as" => renamed = true,
            "{" => {
                let prefix = [prefixes.last().cloned().unwrap_or_default(), current].concat();
                prefixes.push(prefix);
                current = Vec::new();
            }
            "," | "}" => {
                let prefix = prefixes.last().cloned().unwrap_or_default();
                finish(&prefix, &mut current, &mut paths);
                renamed = false;
                if *token == "}" {
                    prefixes.pop();
                }
            }
            name if !renamed => current.push(name.to_owned()),
            _ => {}
        }
    }
    finish(&prefixes.last().cloned().unwrap_or_default(), &mut current, &mut paths);
    paths
}

/// The code of a file without comments, literals and its tests.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let tests = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    let mut rest = &text[..tests];
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        } else if let Some(length) = literal(rest) {
            code.push(' ');
            rest = &rest[length..];
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// The length of the string or character that `text` begins with.
fn literal(text: &str) -> Option<usize> {
    let raw = text.strip_prefix('r').map(|rest| rest.trim_start_matches('#'));
    if let Some(body) = raw.filter(|body| body.starts_with('"')) {
        let hashes = text.len() - 1 - body.len();
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(2 + hashes + body[1..].find(&end)? + end.len());
    }
    let quote = text.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return Some(index + quote.len_utf8()),
            // A lifetime is no character.
            _ if quote == '\'' && index > 4 => return None,
            _ => {}
        }
    }
    None
}

/// Names, `::` and single punctuation marks.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if is_word(first) {
            rest.find(|character| !is_word(character)).unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// The circles of a graph: of each set of files that import each other, one shortest circle.
fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Vec<Module>> {
    let mut found: Vec<Vec<Module>> = Vec::new();
    for start in imports.keys() {
        if found.iter().any(|circle| circle.contains(start)) {
            continue;
        }
        found.extend(shortest_circle(imports, start));
    }
    found
}

/// The shortest way from a file back to itself.
fn shortest_circle(
    imports: &BTreeMap<Module, BTreeSet<Module>>,
    start: &Module,
) -> Option<Vec<Module>> {
    let mut ways: Vec<Vec<Module>> = vec![vec![start.clone()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in imports.get(way.last()?).into_iter().flatten() {
                if next == start {
                    return Some(way);
                }
                if seen.insert(next.clone()) {
                    longer.push([way.clone(), vec![next.clone()]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join("crates/toy/src").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        check(root.path()).into_iter().map(|line| line.replace("crates/toy/src/", "")).collect()
    }

    #[test]
    fn files_that_import_each_other_are_found() {
        let lib = ("lib.rs", "mod a;\nmod b;\nmod c;\n");
        let a = |text| ("a.rs", text);
        for (name, files, found) in [
            ("directly", vec![lib, a("use crate::b::B;"), ("b.rs", "use crate::a::A;")], true),
            (
                "by a path",
                vec![lib, a("fn f() -> crate::b::B {}"), ("b.rs", "use super::a;")],
                true,
            ),
            (
                "round about",
                vec![
                    lib,
                    a("use crate::{b::B, c};"),
                    ("b.rs", "pub struct B;"),
                    ("c.rs", "use super::a::A;"),
                ],
                true,
            ),
            ("one way", vec![lib, a("use crate::b::B;"), ("b.rs", "pub struct B;")], false),
            (
                "a re-export leads to the file of its item",
                vec![
                    ("lib.rs", "mod a;\nmod b;\npub use a::A;\npub use b::*;"),
                    a("use crate::B;\npub struct A;"),
                    ("b.rs", "pub struct B;"),
                ],
                false,
            ),
            (
                "a circle through re-exports",
                vec![
                    ("lib.rs", "mod a;\nmod b;\npub use a::A;\npub use b::*;"),
                    a("use crate::B;\npub struct A;"),
                    ("b.rs", "use crate::A;\npub struct B;"),
                ],
                true,
            ),
            (
                "a parent that uses its child, which uses the parent",
                vec![("lib.rs", "mod a;\nuse a::A;\nstruct B;"), a("use super::B;\npub struct A;")],
                true,
            ),
            (
                "a parent that re-exports its child",
                vec![("lib.rs", "mod a;\npub use a::A;\nstruct B;"), a("use super::B;")],
                false,
            ),
            (
                "a parent that re-exports its child and uses it",
                vec![
                    ("lib.rs", "mod a;\npub use a::A;\nstruct B(A);"),
                    a("use super::B;\npub struct A;"),
                ],
                true,
            ),
            (
                "tests do not count",
                vec![
                    lib,
                    a("use crate::b::B;"),
                    ("b.rs", "#[cfg(test)]\nmod tests {\nuse crate::a;}"),
                ],
                false,
            ),
            (
                "comments and strings do not count",
                vec![
                    lib,
                    a("use crate::b::B;"),
                    (
                        "b.rs",
                        "// crate::a::A\nconst X: &str = \"crate::a::A\"; struct Y<'a>(&'a u8);",
                    ),
                ],
                false,
            ),
        ] {
            let circles = circles_of(&files);
            assert_eq!(!circles.is_empty(), found, "{name}: {circles:?}");
        }
    }

    #[test]
    fn a_circle_is_named_by_its_files() {
        let files = [
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod b;\nuse b::B;\npub struct A;"),
            ("a/b.rs", "use super::A;"),
        ];
        assert_eq!(circles_of(&files), ["files import each other: a/mod.rs -> a/b.rs -> a/mod.rs"]);
    }
}
