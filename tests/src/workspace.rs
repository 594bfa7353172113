//! The workspace's own sources, read as text: what the architecture test judges.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// All crates, with what they are made of.
pub struct Workspace {
    /// The folder that holds the workspace's manifest.
    pub root: PathBuf,
    /// The crates, and the package of tests.
    pub crates: Vec<Crate>,
}

/// One crate.
pub struct Crate {
    /// Its name without `homeward-`; the binary's is `homeward`.
    pub name: String,
    /// Its manifest.
    pub manifest: Source,
    /// Its Rust sources.
    pub rust: Vec<Source>,
    /// Its migrations.
    pub sql: Vec<Source>,
}

/// One file.
pub struct Source {
    /// Below the workspace's root.
    pub path: PathBuf,
    /// Its lines, in order.
    pub lines: Vec<Line>,
}

/// One line.
pub struct Line {
    /// From 1.
    pub number: usize,
    /// As it is written.
    pub text: String,
    /// Whether it only runs in tests.
    pub test: bool,
}

impl Workspace {
    /// Reads the workspace that this package belongs to.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read() -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the tests lie in the workspace's folder")?.to_owned();
        let mut folders = children(&root.join("crates"))?;
        folders.push(root.join("tests"));
        let crates = folders.iter().map(|folder| Crate::read(&root, folder)).collect::<anyhow::Result<_>>()?;
        Ok(Self { root, crates })
    }

    /// Another file of the workspace.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(&self, path: &str) -> anyhow::Result<Source> {
        Source::read(&self.root, &self.root.join(path))
    }
}

impl Crate {
    fn read(root: &Path, folder: &Path) -> anyhow::Result<Self> {
        let name = folder.file_name().and_then(|name| name.to_str()).context("a crate's folder has a name")?.to_owned();
        let manifest = Source::read(root, &folder.join("Cargo.toml"))?;
        let (mut rust, mut sql) = (Vec::new(), Vec::new());
        for path in files_below(folder)? {
            match path.extension().and_then(|end| end.to_str()) {
                Some("rs") => rust.push(Source::read(root, &path)?),
                Some("sql") => sql.push(Source::read(root, &path)?),
                _ => {}
            }
        }
        Ok(Self { name, manifest, rust, sql })
    }

    /// The workspace's crates that the manifest names in a table like `dependencies`, each with its line.
    ///
    /// # Errors
    /// When the manifest is not TOML.
    pub fn dependencies(&self, table: &str) -> anyhow::Result<Vec<(String, usize)>> {
        let text: String = self.manifest.lines.iter().flat_map(|line| [line.text.as_str(), "\n"]).collect();
        let manifest: toml::Table = text.parse().with_context(|| format!("reading {}", self.manifest.path.display()))?;
        let Some(named) = manifest.get(table).and_then(toml::Value::as_table) else { return Ok(Vec::new()) };
        let ours = named.keys().filter_map(|key| key.strip_prefix("homeward-").map(|name| (key, name)));
        Ok(ours.map(|(key, name)| (name.to_owned(), self.line_of(table, key))).collect())
    }

    fn line_of(&self, table: &str, key: &str) -> usize {
        let lines = self.manifest.lines.iter().skip_while(|line| line.text.trim() != format!("[{table}]"));
        lines.into_iter().find(|line| line.text.starts_with(key)).map_or(1, |line| line.number)
    }
}

impl Source {
    fn read(root: &Path, path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let path = path.strip_prefix(root)?.to_owned();
        let in_crate = path.strip_prefix("crates").unwrap_or(&path);
        let whole = in_crate.components().skip(1).any(|part| is_test_name(part.as_os_str().to_str().unwrap_or_default()));
        let mut lines: Vec<Line> =
            text.lines().zip(1..).map(|(text, number)| Line { number, text: text.to_owned(), test: whole }).collect();
        mark_test_modules(&mut lines);
        Ok(Self { path, lines })
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// The names of the folders that it lies in, from the root on.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.path.parent().into_iter().flat_map(Path::components).filter_map(|part| part.as_os_str().to_str())
    }

    /// The lines that run in production: neither tests nor comments.
    pub fn code(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !line.test && !line.text.trim_start().starts_with("//"))
    }

    /// The words of the production code, each with its line: letters, digits and underscores.
    pub fn words(&self) -> Vec<(&str, usize)> {
        self.code().flat_map(words_of).collect()
    }

    /// Where a line stands, as editors and terminals read it.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

fn words_of(line: &Line) -> impl Iterator<Item = (&str, usize)> {
    line.text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(|word| (word, line.number))
}

/// Names of folders and files that hold nothing but tests and measurements.
fn is_test_name(name: &str) -> bool {
    matches!(name, "tests" | "tests.rs" | "testing" | "testing.rs" | "examples" | "benches")
}

/// Marks `#[cfg(test)]` items; formatted code closes an item at the indentation at which it began.
fn mark_test_modules(lines: &mut [Line]) {
    let mut until: Option<String> = None;
    for line in lines {
        let indent = line.text.len() - line.text.trim_start().len();
        match &until {
            Some(end) => {
                line.test = true;
                let opens_nothing = line.text.len() > indent && indent + 1 == end.len() && line.text.ends_with(';');
                if line.text == *end || opens_nothing {
                    until = None;
                }
            }
            None if line.text.trim() == "#[cfg(test)]" => {
                line.test = true;
                until = Some(format!("{}}}", " ".repeat(indent)));
            }
            None => {}
        }
    }
}

fn children(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn files_below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in children(folder)? {
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
