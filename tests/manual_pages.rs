//! The manual pages that the program writes about itself, read by the programs
//! that people read them with. Needs man (man-db) and groff.
#![cfg(test)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::process;

fn pages(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for section in ["man5", "man8"] {
        let Ok(folder) = fs::read_dir(directory.join(section)) else { continue };
        found.extend(folder.map(|entry| entry.unwrap().path()));
    }
    found.sort();
    found
}

fn written(options: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_saslgate"));
    process::run(command.arg("man").args(options).arg(dir.path()), b"").expect_success();
    let pages = pages(dir.path());
    (dir, pages)
}

fn names(pages: &[PathBuf]) -> Vec<String> {
    pages.iter().map(|page| page.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn man_shows_every_page_without_a_warning() {
    for options in [&[][..], &["--originals"][..]] {
        let (_dir, pages) = written(options);
        assert!(pages.len() >= 4, "{pages:?}");
        for page in pages {
            for width in ["60", "80", "200"] {
                let mut man = Command::new("man");
                man.args(["--warnings=w", "-E", "UTF-8", "-l", "-P", "cat"]).arg(&page);
                let shown = process::run(man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", width), b"");
                let shown = shown.expect_success();
                assert_eq!(shown.stderr, "", "{} at {width}", page.display());
                assert!(shown.stdout.contains("NAME"), "{}", page.display());
                let foot = shown.stdout.lines().last().unwrap();
                assert!(foot.contains("saslgate"), "{}: {foot}", page.display());
            }
        }
    }
}

#[test]
fn every_command_and_every_face_has_its_page() {
    let (_dir, own) = written(&[]);
    let own = names(&own);
    for name in ["saslgate.8", "saslgate-authd.8", "saslgate-user-add.8", "saslgate-pam.8"] {
        assert!(own.contains(&name.to_owned()), "{name} is not in {own:?}");
    }
    assert!(own.contains(&"saslgate.toml.5".to_owned()));
    let (_dir, faces) = written(&["--originals"]);
    let expected = ["saslauthd.8", "sasldblistusers2.8", "saslpasswd2.8", "testsaslauthd.8"];
    assert_eq!(names(&faces), expected);
}
