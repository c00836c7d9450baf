//! Keeps the import table of the architecture: reads `src/`, and fails on an
//! edge that the table does not allow, on clocks, sockets, async or logging in
//! the pure modules, on `unsafe` outside its two places, and on printing
//! outside `cli/`.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};

/// Module, and the modules it may import.
const ALLOWED: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("sys", &["base"]),
    ("wire", &["base"]),
    ("sasl", &["base", "wire"]),
    ("policy", &["base"]),
    ("ops", &["base", "sys", "wire", "sasl"]),
    ("tls", &["base", "sys", "wire", "sasl"]),
    ("auth", &["base", "sys", "wire", "sasl"]),
    ("backend", &["base", "sys", "wire", "sasl", "ops", "tls", "auth"]),
    ("listen", &["base", "sys", "wire", "sasl", "ops", "tls", "auth"]),
    ("server", &["base", "sys", "wire", "sasl", "ops", "tls", "auth", "listen"]),
    ("gate", &["base", "sys", "wire", "sasl", "policy", "ops", "tls", "auth", "listen"]),
    ("config", &["base", "policy", "ops", "tls", "auth", "backend", "listen", "server", "gate"]),
];

/// Everybody: the roots, which compose.
const ROOTS: &[&str] = &["cli", "daemon", "bin", "lib.rs"];

/// Sans-I/O: bytes, tables and `now` in, values out.
const PURE: &[&str] = &["base/", "wire/", "sasl/", "policy/", "gate/session"];

/// What pure code does not name, and why.
const IMPURE_WORDS: &[(&str, &str)] = &[
    ("Instant::now", "reads a clock"),
    ("SystemTime::now", "reads a clock"),
    ("tokio::", "is async"),
    ("async fn", "is async"),
    (".await", "is async"),
    ("TcpStream", "does I/O"),
    ("UnixStream", "does I/O"),
    ("std::fs", "does I/O"),
    ("std::io::", "does I/O"),
    ("tracing::", "logs"),
    ("getrandom", "draws random bytes"),
];

const UNSAFE_PLACES: &[&str] = &["sys/", "backend/pam/"];

struct Source {
    /// Path below `src/`, with `/`.
    path: String,
    /// Code without comments and without its test module.
    code: String,
}

impl Source {
    fn module(&self) -> &str {
        self.path.split('/').next().unwrap_or(&self.path).trim_end_matches(".rs")
    }

    fn imports(&self) -> Vec<String> {
        let mut found = Vec::new();
        for tail in self.code.split("crate::").skip(1) {
            if let Some(group) = tail.strip_prefix('{') {
                let names = group.split('}').next().unwrap_or("");
                found.extend(names.split(',').map(first_segment));
            } else {
                found.push(first_segment(tail));
            }
        }
        found.retain(|name| !name.is_empty());
        found
    }
}

fn first_segment(text: &str) -> String {
    text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 10, "the walk below src/ found almost nothing");
    files
        .into_iter()
        .map(|file| Source {
            path: file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/"),
            code: code_only(&fs::read_to_string(&file).unwrap()),
        })
        // A sibling tests.rs is test code, like an inline test module.
        .filter(|source| !source.path.ends_with("/tests.rs") && !source.path.contains("/tests/"))
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

/// Drops comments, and everything from the test module on (it stands last in a file).
fn code_only(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_test_module = line.trim() == "#[cfg(test)]"
            && lines.peek().is_some_and(|next| next.trim_start().starts_with("mod "));
        if is_test_module {
            break;
        }
        let trimmed = line.trim_start();
        if !trimmed.starts_with("//") {
            code.push_str(line.split(" // ").next().unwrap_or(line));
            code.push('\n');
        }
    }
    code
}

fn is_root(source: &Source) -> bool {
    ROOTS.iter().any(|root| source.path == *root || source.path.starts_with(&format!("{root}/")))
}

#[test]
fn imports_follow_the_table() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !is_root(source)) {
        let module = source.module();
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!("{}: module `{module}` is not in the table", source.path));
            continue;
        };
        for import in source.imports() {
            if import != module && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{}: `{module}` may not import `{import}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn pure_modules_do_no_io() {
    let mut wrong = Vec::new();
    for source in sources() {
        if !PURE.iter().any(|place| source.path.starts_with(place)) {
            continue;
        }
        for (word, why) in IMPURE_WORDS {
            if source.code.contains(word) {
                wrong.push(format!("{}: `{word}` {why}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn unsafe_stays_in_its_places() {
    let wrong: Vec<String> = sources()
        .into_iter()
        .filter(|source| !UNSAFE_PLACES.iter().any(|place| source.path.starts_with(place)))
        .filter(|source| {
            source
                .code
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|word| word == "unsafe")
        })
        .map(|source| source.path)
        .collect();
    assert!(wrong.is_empty(), "unsafe outside sys/ and backend/pam/: {wrong:?}");
}

#[test]
fn only_the_command_line_prints() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.path.starts_with("cli/")) {
        for word in ["println!", "print!", "eprintln!", "eprint!"] {
            if source.code.contains(word) {
                wrong.push(format!("{}: {word}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "printing outside cli/: {wrong:?}");
}

#[test]
fn the_table_sees_a_forbidden_edge() {
    let source = Source {
        path: "wire/x.rs".to_owned(),
        code: code_only("use crate::{base, gate::x};\nuse crate::auth::Verdict; // crate::cli\n"),
    };
    assert_eq!(source.imports(), ["base", "gate", "auth"]);
}
