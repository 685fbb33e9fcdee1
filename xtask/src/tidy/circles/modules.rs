//! The files of a crate and their imports.

use super::lexer::{code_of, is_name, tokens};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The path of a module: the name of the root file, then the modules below it.
pub(super) type Module = Vec<String>;

/// The files of a crate by their modules.
#[derive(Default)]
pub(super) struct Files(BTreeMap<Module, File>);

struct File {
    path: PathBuf,
    /// The names of its items.
    items: BTreeSet<String>,
    /// The child modules that are files.
    children: BTreeSet<String>,
    /// The paths of its re-exports.
    exports: Vec<Reference>,
    /// All other paths.
    uses: Vec<Reference>,
    /// The words of its code outside `use` declarations.
    words: BTreeSet<String>,
}

/// A path in a file: the module that its `crate` or `super` names, and the segments after it. The
/// last segment is `*` for a glob.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Reference {
    base: Module,
    segments: Vec<String>,
}

impl Files {
    /// Reads a file and the files of its child modules.
    pub(super) fn add(&mut self, path: &Path, module: Module) {
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

    /// The path of a module's file.
    pub(super) fn path(&self, module: &Module) -> &Path {
        &self.0[module].path
    }

    /// The modules that each file imports.
    pub(super) fn imports(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let imports = |(module, file): (&Module, &File)| {
            let used = file.exports.iter().filter(|export| {
                export.segments.last().is_some_and(|name| file.words.contains(name))
            });
            let targets = file.uses.iter().chain(used).filter_map(|path| self.resolve(path, 0));
            (module.clone(), targets.filter(|target| target != module).collect())
        };
        self.0.iter().map(imports).collect()
    }

    /// The module whose file defines the item that a path names.
    fn resolve(&self, reference: &Reference, depth: usize) -> Option<Module> {
        // The longest chain of re-exports that is followed.
        const MAX_DEPTH: usize = 8;
        let mut module = reference.base.clone();
        let mut segments = reference.segments.iter();
        let mut file = self.0.get(&module)?;
        for segment in segments.by_ref() {
            let below = [module.clone(), vec![segment.clone()]].concat();
            match self.0.get(&below) {
                Some(child) => (module, file) = (below, child),
                None if segment == "*" || file.items.contains(segment) || depth == MAX_DEPTH => {
                    return Some(module);
                }
                None => return self.exported(file, segment, depth).or(Some(module)),
            }
        }
        Some(module)
    }

    /// The module whose file defines an item that `file` re-exports.
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

    /// Reads the paths of `use` declarations, and those between them.
    fn read_paths(&mut self, module: &Module, tokens: &[&str]) {
        let mut position = 0;
        while position < tokens.len() {
            if tokens[position] == "use" {
                let end = tokens[position..].iter().position(|token| *token == ";");
                let end = end.map_or(tokens.len(), |length| position + length);
                let public = position > 0 && matches!(tokens[position - 1], "pub" | ")");
                for path in use_tree(&tokens[position + 1..end]) {
                    if let Some(reference) = self.reference(module, &path) {
                        let list = if public { &mut self.exports } else { &mut self.uses };
                        list.push(reference);
                    }
                }
                position = end;
            } else {
                let mut path = vec![tokens[position].to_owned()];
                while tokens.get(position + 1) == Some(&"::")
                    && tokens.get(position + 2).is_some_and(|token| is_name(token))
                {
                    path.push(tokens[position + 2].to_owned());
                    position += 2;
                }
                if path.len() > 1 {
                    self.uses.extend(self.reference(module, &path));
                } else if is_name(&path[0]) {
                    self.words.insert(path.remove(0));
                }
            }
            position += 1;
        }
    }

    /// The path as a reference; `None` for a path to another crate.
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
