//! What the documents promise is there: files they link to, commands and make targets they name.
#![cfg(test)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown file of the project, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for folder in [root().to_owned(), root().join("docs")] {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|ending| ending == "md") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(found.len() > 5, "almost no documents found");
    found
}

/// Targets of `[text](target)`, code blocks left out.
fn links(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        for tail in line.split("](").skip(1) {
            found.extend(tail.split_once(')').map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// Every piece of code: lines of fenced blocks, and `inline` spans.
fn code(text: &str) -> Vec<String> {
    let mut is_block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if is_block {
            found.push(line.to_owned());
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// Heading as the anchor that web views of Markdown give it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[test]
fn links_lead_to_files_and_headings_that_exist() {
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        for target in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, fragment) = target.split_once('#').unwrap_or((&target, ""));
            let file =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let is_there = file.exists()
                && (fragment.is_empty()
                    || fs::read_to_string(&file).is_ok_and(|text| {
                        text.lines().any(|line| line.starts_with('#') && anchor(line) == fragment)
                    }));
            if !is_there {
                wrong.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn help_of(words: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_saslgate")).args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "saslgate {words:?} --help failed");
    String::from_utf8(output.stdout).unwrap()
}

/// Names in the list of commands of a help text.
fn commands_in(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect()
}

/// Help texts, fetched once each, by command path.
struct Program {
    help: BTreeMap<Vec<String>, String>,
}

impl Program {
    fn read() -> Self {
        let mut help = BTreeMap::new();
        let mut places: Vec<Vec<String>> = vec![Vec::new()];
        while let Some(place) = places.pop() {
            let text = help_of(&place.iter().map(String::as_str).collect::<Vec<_>>());
            let inner = |name: String| [&place[..], &[name]].concat();
            places.extend(commands_in(&text).into_iter().map(inner));
            help.insert(place, text);
        }
        Self { help }
    }

    /// What is wrong with a command line of a document, its program name left out.
    fn complaint(&self, words: &[&str]) -> Option<String> {
        let mut place = Vec::new();
        for word in words.iter().filter(|word| !word.starts_with('-')) {
            place.push((*word).to_owned());
            if self.help.contains_key(&place) {
                continue;
            }
            place.pop();
            // A word in lower case where a command is due; PLACEHOLDERS may stand there.
            let is_due = !commands_in(&self.help[&place]).is_empty();
            if is_due && word.starts_with(char::is_lowercase) {
                return Some(format!("`saslgate {}` has no command {word}", place.join(" ")));
            }
            break;
        }
        let help = &self.help[&place];
        words
            .iter()
            .filter_map(|word| word.strip_prefix("--"))
            .map(|option| option.split('=').next().unwrap_or(option))
            .filter(|option| !option.is_empty() && !help.contains(&format!("--{option}")))
            .map(|option| format!("`saslgate {}` has no --{option}", place.join(" ")))
            .next()
    }
}

/// Command lines of `name` in a piece of code: words behind it, up to a comment, pipe or `;`.
fn invocations<'a>(code: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let words: Vec<&str> = code
        .split_whitespace()
        .take_while(|word| !matches!(*word, "#" | "|" | ";" | "&&"))
        .collect();
    // `sudo`, a prompt or a path may stand in front; nothing else may.
    let at = words.iter().position(|word| word.rsplit('/').next() == Some(name))?;
    let is_command = words[..at].iter().all(|word| matches!(*word, "sudo" | "$" | "#" | "exec"));
    is_command.then(|| {
        words[at + 1..]
            .iter()
            .map(|word| word.trim_matches(|c| matches!(c, '[' | ']' | ',')))
            .collect()
    })
}

#[test]
fn saslgate_commands_and_options_in_the_documents_exist() {
    let program = Program::read();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        for piece in code(&text) {
            let Some(words) = invocations(&piece, "saslgate") else { continue };
            seen += 1;
            if let Some(complaint) = program.complaint(&words) {
                wrong.push(format!("{}: `{piece}`: {complaint}", path.display()));
            }
        }
    }
    assert!(seen > 10, "only {seen} command lines found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn make_targets_in_the_documents_exist() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (path, text) in documents() {
        for piece in code(&text) {
            let Some(words) = invocations(&piece, "make") else { continue };
            // `make -C /etc/mail` is the mail server's, not ours.
            if words.first().is_some_and(|word| word.starts_with('-')) {
                continue;
            }
            for target in words.iter().filter(|word| !word.contains('=')) {
                seen += 1;
                if !makefile.lines().any(|line| line.starts_with(&format!("{target}:"))) {
                    wrong.push(format!("{}: make {target}", path.display()));
                }
            }
        }
    }
    assert!(seen > 5, "only {seen} make targets found");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The ```toml blocks of a document.
fn configurations(text: &str) -> Vec<String> {
    let mut block: Option<String> = None;
    let mut found = Vec::new();
    for line in text.lines() {
        match (&mut block, line.trim()) {
            (None, "```toml") => block = Some(String::new()),
            (None, _) => {}
            (Some(_), "```") => found.extend(block.take()),
            (Some(open), line) => {
                open.push_str(line);
                open.push('\n');
            }
        }
    }
    found
}

#[test]
fn configurations_in_documents_and_packaging_are_good() {
    let folder = tempfile::tempdir().unwrap();
    let host = fs::read_to_string(root().join("packaging/host.toml")).unwrap();
    // As it is, and with the suggestions in it taken up.
    let taken_up = host.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    });
    let mut all = vec![taken_up.collect(), host];
    all.extend(documents().iter().flat_map(|(_, text)| configurations(text)));
    assert!(all.len() > 3, "only {} configurations found", all.len());
    for (number, text) in all.iter().enumerate() {
        let path = folder.path().join(format!("{number}.toml"));
        fs::write(&path, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_saslgate"))
            .arg("--config")
            .arg(&path)
            .arg("check")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}\n{said}");
    }
}

#[test]
fn units_start_commands_that_exist() {
    let program = Program::read();
    let folder = root().join("systemd");
    // The drop-ins of saslauthd.service start it by that name: see tests/dropin.rs.
    for file in ["saslgate-authd.service", "saslgate-gate.service"] {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let start = text.lines().filter_map(|line| line.strip_prefix("ExecStart=")).next_back();
        let words = invocations(start.unwrap(), "saslgate").unwrap();
        assert_eq!(program.complaint(&words), None, "{file}: {start:?}");
    }
}

/// Names of all tests, by the names of their files and folders.
fn tests_below(folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            for part in path.with_extension("").iter().map(|part| part.to_string_lossy()) {
                found.entry(part.into_owned()).or_default().push_str(&text);
            }
        }
    }
}

/// `file::test` in the tables of behaviour is a test of that file, or one of the
/// cases that the file runs.
#[test]
fn tests_that_the_documents_name_exist() {
    let mut sources = BTreeMap::new();
    tests_below(&root().join("tests"), &mut sources);
    tests_below(&root().join("src"), &mut sources);
    let text = fs::read_to_string(root().join("docs/saslauthd-behaviour.md")).unwrap();
    let (mut seen, mut wrong) = (0, Vec::new());
    for span in code(&text) {
        let Some((file, test)) = span.split_once("::") else { continue };
        seen += 1;
        let is_there = |name: &str| {
            sources.get(name).is_some_and(|text| text.contains(&format!("fn {test}(")))
        };
        let file = if file == "saslauthd_protocol" { "cases" } else { file };
        if !is_there(file) {
            wrong.push(span);
        }
    }
    assert!(seen > 50, "only {seen} tests named");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_wrong_kind_of_command_is_seen() {
    let program = Program::read();
    assert_eq!(program.complaint(&["authd"]), None);
    assert_eq!(program.complaint(&["--version"]), None);
    assert!(program.complaint(&["frobnicate"]).is_some());
    assert!(program.complaint(&["user", "frobnicate", "alice"]).is_some());
    assert!(program.complaint(&["user", "app-password", "frobnicate"]).is_some());
    assert!(program.complaint(&["authd", "--frobnicate"]).is_some());
    assert_eq!(
        invocations("sudo saslgate authd --x # why", "saslgate"),
        Some(vec!["authd", "--x"])
    );
    assert_eq!(invocations("the saslgate project", "saslgate"), None);
    assert_eq!(links("a [b](c.md#d) `e`\n```\n[f](g)\n```\n"), ["c.md#d"]);
    assert_eq!(anchor("## Going back, at 3 a.m."), "going-back-at-3-am");
}
