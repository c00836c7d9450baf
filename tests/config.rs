//! The configuration as an administrator meets it: every shipped example is
//! good, every bad file is refused with exactly the message beside it, and the
//! generated files are those of the present table.
//!
//! `tests/config/good/*.toml` must load. `tests/config/bad/NAME.toml` must be
//! refused with the text of `NAME.expected`; with `UPDATE_EXPECTED=1` in the
//! environment that text is written instead of compared, to be read in the diff.
#![cfg(test)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use saslgate::config::{self, Config, Look};

const HOST: &str = "mx.example.test";

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == ending))
        .collect();
    files.sort();
    files
}

fn saslgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_saslgate")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn written(folder: &tempfile::TempDir, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join("saslgate.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn refusal(path: &Path) -> String {
    config::load(path, HOST).expect_err("must be refused").to_string()
}

#[test]
fn every_good_file_and_every_shipped_example_loads() {
    let mut good = files("tests/config/good", "toml");
    assert!(good.len() >= 7, "the walk found almost nothing");
    let examples = files("docs/examples", "toml");
    assert!(examples.len() >= 4, "the examples are missing");
    good.extend(examples);
    good.push(PathBuf::from("packaging/saslgate.toml"));
    for path in good {
        if let Err(problems) = config::load(&path, HOST) {
            panic!("{} must be good:\n{problems}", path.display());
        }
        let output = saslgate(&["check", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", path.display());
        assert!(stdout(&output).contains(&format!("{}: good\n", path.display())));
    }
}

#[test]
fn every_bad_file_is_refused_with_its_message() {
    let bad = files("tests/config/bad", "toml");
    assert!(bad.len() >= 30, "the walk found almost nothing");
    let is_update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut wrong = Vec::new();
    for path in bad {
        let text = refusal(&path);
        let beside = path.with_extension("expected");
        if is_update {
            fs::write(&beside, &text).unwrap();
        } else if fs::read_to_string(&beside).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", beside.display()));
        }
    }
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
}

#[test]
fn every_expected_message_has_its_file() {
    for path in files("tests/config/bad", "expected") {
        assert!(path.with_extension("toml").exists(), "{} is left over", path.display());
    }
}

#[test]
fn check_prints_the_same_message_and_exits_with_ex_config() {
    for path in files("tests/config/bad", "toml") {
        let output = saslgate(&["check", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(78), "{}", path.display());
        assert!(stdout(&output).starts_with(&refusal(&path)), "{}", path.display());
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn problems_as_json_name_line_column_and_key() {
    let output = saslgate(&["check", "--json", "tests/config/bad/tabs.toml"]);
    assert_eq!(output.status.code(), Some(78));
    let problems: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let first = &problems[0];
    assert_eq!(first["file"], "tests/config/bad/tabs.toml");
    assert_eq!((first["line"].as_u64(), first["column"].as_u64()), (Some(2), Some(10)));
    assert_eq!(first["key"], "authd.floor");
    assert_eq!(first["severity"], "error");
    assert_eq!(first["message"], "value of `authd.floor` is out of range");
    assert_eq!(first["detail"], "found \"9s\"; expected a duration from \"0s\" to \"5s\"");
    assert_eq!(problems.as_array().unwrap().len(), 2);

    let output = saslgate(&["check", "--json", "tests/config/good/empty.toml"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "[]\n"));
}

#[test]
fn position_counts_characters_as_the_rendered_arrow_does() {
    for path in files("tests/config/bad", "toml") {
        let problems = config::load(&path, HOST).unwrap_err();
        let text = problems.to_string();
        for problem in problems.iter() {
            let Some((line, column)) = problems.position(problem) else { continue };
            let arrow = format!("--> {}:{line}:{column}\n", path.display());
            assert!(text.contains(&arrow), "{arrow} is not in\n{text}");
        }
    }
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    for path in files("tests/config/bad", "toml") {
        let problems = config::load(&path, HOST).unwrap_err();
        let coloured = problems.render(Look::Coloured);
        assert!(coloured.contains("\u{1b}["));
        let stripped = without_escapes(&coloured);
        let lines = |text: &str| text.lines().map(|l| l.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&stripped), lines(&problems.to_string()), "{}", path.display());
    }
}

/// Drops the SGR sequences, `ESC [ ... m`.
fn without_escapes(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |kept, part| kept + part.split_once('m').unwrap().1)
}

#[test]
fn annotated_example_is_what_the_command_prints() {
    let printed = stdout(&saslgate(&["config"]));
    let shipped = fs::read_to_string("packaging/saslgate.toml").unwrap();
    assert!(printed == shipped, "run: saslgate config > packaging/saslgate.toml");
}

#[test]
fn manual_is_what_the_command_prints() {
    let printed = stdout(&saslgate(&["config", "--markdown"]));
    let shipped = fs::read_to_string("docs/configuration.md").unwrap();
    assert!(printed == shipped, "run: saslgate config --markdown > docs/configuration.md");
}

#[test]
fn annotated_example_means_the_defaults_with_and_without_its_marks() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = fs::read_to_string("packaging/saslgate.toml").unwrap();
    let defaults = Config::with_defaults(HOST);
    assert_eq!(config::load(&written(&folder, &shipped), HOST).unwrap(), defaults);

    let unmarked: String = shipped
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let path = written(&folder, &unmarked);
    match config::load(&path, HOST) {
        Ok(loaded) => assert_eq!(loaded, defaults),
        Err(problems) => panic!("{problems}"),
    }
    let settings = unmarked.lines().filter(|line| !line.starts_with('#') && line.contains(" = "));
    assert!(settings.count() > 60, "the marks were not taken off");
}

#[test]
fn an_empty_file_means_the_defaults() {
    let loaded = config::load(Path::new("tests/config/good/empty.toml"), HOST).unwrap();
    assert_eq!(loaded, Config::with_defaults(HOST));
}

#[test]
fn a_file_that_everybody_may_change_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, "[log]\nlevel = \"info\"\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o646)).unwrap();
    assert_eq!(
        refusal(&path),
        format!(
            "error: everybody may change this file (mode 0646)\n--> {}\n = help: chmod o-w, and \
             look whether it was changed: it decides who may log in\n",
            path.display()
        )
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    assert!(config::load(&path, HOST).is_ok());
}

#[test]
fn a_file_that_is_not_there_is_refused_when_it_was_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nothing.toml");
    let text = refusal(&path);
    assert!(text.starts_with("error: the configuration cannot be read: No such file"), "{text}");
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    let output = saslgate(&["check", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
}

#[test]
fn a_directory_and_a_pipe_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(folder.path()).starts_with("error: the configuration is a directory\n"));

    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR)
        .unwrap();
    assert!(refusal(&pipe).starts_with("error: the configuration is not a regular file\n"));
}

#[test]
fn a_file_beyond_a_mebibyte_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = "#".repeat((1 << 20) - 1);
    text.push('\n');
    assert!(config::load(&written(&folder, &text), HOST).is_ok());
    text.push('\n');
    let refused = refusal(&written(&folder, &text));
    assert!(refused.starts_with("error: the configuration is larger than 1MiB\n"), "{refused}");
}

#[test]
fn check_says_what_the_file_names_and_this_host_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    fs::write(&key, "x").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let path = written(
        &folder,
        format!(
            "[tls]\ncertificate = \"{0}/none.pem\"\nkey = \"{0}/key.pem\"\n[authd]\n\
             user = \"no-such-user-here\"\nsocket = \"{0}/a/b/mux\"\n\
             [cache]\nenabled = true\n[pam]\nwatched_files = [\"/etc/passwd\", \"{0}/none.db\"]\n",
            folder.path().display()
        ),
    );
    let output = saslgate(&["check", path.to_str().unwrap()]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    for expected in [
        "none.pem cannot be read: No such file or directory",
        "warning: the private key is open to others (mode 0644)",
        "saslgate.toml:3:7\n",
        "warning: there is no user \"no-such-user-here\" on this host",
        "a/b, cannot be made",
        "none.db cannot be watched: No such file or directory",
        "saslgate.toml: good\n",
        "authd: can start, unless a warning above stands in the way; asks pam",
        "gate: can start, unless a warning above stands in the way; listens",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
}

#[test]
fn check_does_not_promise_a_start_that_the_store_would_refuse() {
    let folder = tempfile::tempdir().unwrap();
    let check = |store: &str| {
        let text = format!(
            "[authd]\nbackends = [\"store\"]\nsocket = \"/run/saslauthd/mux\"\n\
             [store]\npath = \"{}/{store}\"\n",
            folder.path().display()
        );
        let path = written(&folder, text);
        stdout(&saslgate(&["check", path.to_str().unwrap()]))
    };
    let text = check("no/users.db");
    assert!(text.contains("users.db does not exist: create it first"), "{text}");
    assert!(text.contains("authd: can start, unless a warning above stands in the way"), "{text}");
    let store = folder.path().join("users.db");
    fs::write(&store, "").unwrap();
    fs::set_permissions(&store, fs::Permissions::from_mode(0o640)).unwrap();
    let text = check("users.db");
    assert!(text.contains("has mode 0640, so others can get at it"), "{text}");
    assert!(text.contains("authd: can start, unless a warning above stands in the way"), "{text}");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(check("users.db").contains("authd: can start; asks store"));
    assert!(check("new.db").contains("new.db does not exist yet"));
}

#[test]
fn check_reads_the_sasldb2_that_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/samples/sasldb");
    let check = |database: &str| {
        let text = format!(
            "[authd]\nbackends = [\"sasldb\"]\nsocket = \"/run/saslauthd/mux\"\n\
             [sasldb]\npath = \"{samples}/{database}\"\n"
        );
        let path = written(&folder, text);
        stdout(&saslgate(&["check", path.to_str().unwrap()]))
    };
    assert!(check("berkeley/one_user.db").contains("authd: can start; asks sasldb"));
    let text = check("corrupt/c_badptr.gdbm");
    assert!(text.contains("c_badptr.gdbm (GDBM) is damaged at byte "), "{text}");
    assert!(text.contains("its users would be unavailable"), "{text}");
    assert!(check("none").contains("none does not exist"));
}

#[test]
fn check_says_which_backends_a_login_is_asked_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(
        &folder,
        "[authd]\ndefault_realm = \"ex.org\"\n[[authd.route]]\nrealm = [\"*.ex.org\"]\n\
         service = [\"imap\"]\nbackends = [\"store\", \"pam\"]\n[[authd.listener]]\n\
         name = \"web\"\nsocket = \"/run/web/mux\"\nbackends = [\"store\"]\n",
    );
    let check = |words: &[&str]| {
        stdout(&saslgate(&[&["check", path.to_str().unwrap(), "--login"], words].concat()))
    };
    for (words, line) in [
        (&["alice"][..], "alice@ex.org for smtp: asks pam\n"),
        (&["a@m.ex.org", "--service", "imap"], "a@m.ex.org for imap: asks store, then pam\n"),
        (&["alice", "--listener", "web"], "alice@ex.org for smtp: asks store\n"),
        (&["alice", "--listener", "x"], "there is no [[authd.listener]] of that name\n"),
    ] {
        let text = check(words);
        assert!(text.ends_with(line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn check_says_why_the_gate_cannot_start() {
    let text = stdout(&saslgate(&["check", "tests/config/good/empty.toml"]));
    assert!(text.contains("authd: can start; asks pam"), "{text}");
    assert!(text.contains("gate: cannot start, no certificate is named"), "{text}");
}

#[test]
fn one_key_is_explained_with_what_is_in_force() {
    let explain =
        |key: &str| stdout(&saslgate(&["--config", "docs/examples/full.toml", "config", key]));
    let text = explain("gate.max_message");
    assert!(text.starts_with("gate.max_message\n"), "{text}");
    assert!(text.contains("  in force  docs/examples/full.toml:29: \"100MiB\"\n"), "{text}");
    assert!(text.contains("  default   \"50MiB\"\n"), "{text}");
    assert!(text.contains("a size from \"64KiB\" to \"16GiB\""), "{text}");
    assert!(explain("gate.max_errors").contains("  in force  the default\n"));
    assert_eq!(explain("gate.listener.kind").matches("  in force  ").count(), 4);
    assert!(explain("gate.backend").contains("  probe_interval = \"30s\"\n"));
}

#[test]
fn a_broken_file_does_not_hide_the_manual() {
    let output = saslgate(&["-C", "tests/config/bad/twice.toml", "config", "log.level"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("unknown: tests/config/bad/twice.toml has problems"), "{text}");
    assert!(text.contains("  default   \"info\"\n"), "{text}");
}

#[test]
fn an_unknown_key_is_answered_with_the_nearest() {
    for (asked, nearest) in [
        ("gate.max_mesage", "did you mean `gate.max_message`?"),
        ("max_message", "did you mean `gate.max_message`?"),
        ("gatte", "did you mean `gate`?"),
        ("colour", "`saslgate config` shows them all"),
    ] {
        let output = saslgate(&["config", asked]);
        assert_eq!(output.status.code(), Some(2), "{asked}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(nearest), "{asked}: {text}");
    }
}

#[test]
fn keys_as_json_carry_kind_default_and_value() {
    let output = saslgate(&["-C", "docs/examples/full.toml", "config", "--json"]);
    let keys: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let key = |name: &str| {
        keys.as_array().unwrap().iter().find(|key| key["key"] == name).unwrap().clone()
    };
    let message = key("gate.max_message");
    assert_eq!(message["kind"], "size");
    assert_eq!(message["default"], "\"50MiB\"");
    assert_eq!(message["values"], serde_json::json!(["\"100MiB\""]));
    assert_eq!(key("gate.listener.kind")["default"], serde_json::Value::Null);
    assert_eq!(key("gate.listener.kind")["values"].as_array().unwrap().len(), 4);
    assert_eq!(key("gate.max_errors")["values"], serde_json::Value::Null);
}

#[test]
fn check_explains_which_line_of_the_access_map_decides() {
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("access");
    fs::write(&map, "# x\nConnect:192.0.2\tREJECT\nFrom:a@b.test\tERROR:5.7.9:550 no\n bad\n")
        .unwrap();
    let text = format!("[policy.access]\nmap = \"{}\"\n", map.display());
    let path = written(&folder, text);
    let path = path.to_str().unwrap();
    let output = saslgate(&["check", path, "--access", "192.0.2.7"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let decided = format!("=> refused: 550 5.7.1 Access denied ({}:2)\n", map.display());
    assert!(text.contains(&decided), "{text}");
    assert!(text.contains("  Connect:192.0.2.7    -\n"), "{text}");
    assert!(text.contains("  Connect:192.0.2      line 2  REJECT\n"), "{text}");

    let output = saslgate(&["check", path, "--json", "--access", "From:A+x@b.test"]);
    let answers: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(answers[0]["line"], 3);
    assert_eq!(answers[0]["outcome"], "refused: 550 5.7.9 no");
    let keys: Vec<&str> = answers[0]["tried"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["key"].as_str().unwrap())
        .collect();
    assert_eq!(
        keys,
        ["From:a+x@b.test", "a+x@b.test", "From:a+*@b.test", "a+*@b.test", "From:a@b.test"]
    );

    let output = saslgate(&["check", path, "--access", "a b"]);
    assert_eq!(output.status.code(), Some(2));
    let output = saslgate(&["check", path]);
    assert!(
        stdout(&output).contains("access:4: begins with a blank, left out"),
        "{}",
        stdout(&output)
    );
    fs::remove_file(&map).unwrap();
    let output = saslgate(&["check", path, "--access", "192.0.2.7"]);
    assert_eq!(output.status.code(), Some(66));
}
