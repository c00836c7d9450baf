//! What saslpasswd2 and sasldblistusers2 do, as a table that runs against ours
//! and against the original, so that "drop-in" is a fact.
//!
//! Every case works on a database of its own: `set_up` commands, then one
//! command whose exit code and texts count, then the listing.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use super::process::run;

/// One case. In arguments, `DB` stands for the path of the database.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) set_up: &'static [&'static str],
    pub(crate) program: &'static str,
    pub(crate) arguments: &'static [&'static str],
    pub(crate) input: &'static [u8],
    pub(crate) code: i32,
    pub(crate) stdout: &'static [&'static str],
    /// Lines of standard error that must be there, in this order, at the end.
    pub(crate) stderr: &'static [&'static str],
    /// Sorted lines of `sasldblistusers2` afterwards.
    pub(crate) listed: &'static [&'static str],
    /// Why the original does something else; then it must.
    pub(crate) differs: Option<&'static str>,
}

const BASE: Case = Case {
    name: "",
    set_up: &[],
    program: "saslpasswd2",
    arguments: &[],
    input: b"s3cret\n",
    code: 0,
    stdout: &[],
    stderr: &[],
    listed: &[],
    differs: None,
};

const ALICE: &[&str] = &["alice@example.org: userPassword"];

const SET_USAGE: &[&str] = &[
    "saslpasswd2: usage: saslpasswd2 [-v] [-c [-p] [-n]] [-d] [-a appname] [-f sasldb] [-u DOM] userid",
    "\t-p\tpipe mode -- no prompt, password read on stdin",
    "\t-c\tcreate -- ask mechs to create the account",
    "\t-d\tdisable -- ask mechs to disable/delete the account",
    "\t-n\tno userPassword -- don't set plaintext userPassword property",
    "\t  \t                   (only set mechanism-specific secrets)",
    "\t-f sasldb\tuse given file as sasldb",
    "\t-a appname\tuse appname as application name",
    "\t-u DOM\tuse DOM for user domain",
    "\t-v\tprint version numbers and exit",
];

const LIST_USAGE: &[&str] = &[
    "sasldblistusers2: usage: sasldblistusers2 [-v] [[-f] sasldb]",
    "\t-f sasldb\tuse given file as sasldb",
    "\t-v\tprint version numbers and exit",
];

const LIST_UNRECOGNIZED: &[&str] = &[
    "sasldblistusers2: usage: sasldblistusers2 [-v] [[-f] sasldb]",
    "\t-f sasldb\tuse given file as sasldb",
    "\t-v\tprint version numbers and exit",
    "Unrecognized command line option",
];

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "creates a user from a pipe",
        arguments: &["-p", "-c", "-f", "DB", "-u", "example.org", "alice"],
        listed: ALICE,
        ..BASE
    },
    Case {
        name: "takes clusters and joined values",
        arguments: &["-cpfDB", "-uexample.org", "alice"],
        listed: ALICE,
        ..BASE
    },
    Case {
        name: "leaves an equals sign to the value it begins",
        arguments: &["-cp", "-fDB", "-u=x", "alice"],
        listed: &["alice@=x: userPassword"],
        ..BASE
    },
    Case {
        name: "complains of every wrong letter",
        arguments: &["-x", "-y"],
        code: 1,
        stderr: SET_USAGE,
        ..BASE
    },
    Case {
        name: "takes options behind the user",
        arguments: &["alice", "-cp", "-f", "DB", "-u", "example.org"],
        listed: ALICE,
        ..BASE
    },
    Case {
        name: "takes a name with a dash behind two dashes",
        arguments: &["-cp", "-f", "DB", "-u", "example.org", "--", "-x"],
        listed: &["-x@example.org: userPassword"],
        ..BASE
    },
    Case {
        name: "needs no -p when standard input is no terminal",
        arguments: &["-c", "-f", "DB", "-u", "example.org", "alice"],
        listed: ALICE,
        ..BASE
    },
    Case {
        name: "creates without -c too",
        arguments: &["-p", "-f", "DB", "-u", "example.org", "alice"],
        listed: ALICE,
        ..BASE
    },
    Case {
        name: "an @ in the name wins over -u",
        arguments: &["-cp", "-f", "DB", "-u", "example.org", "erin@other.test"],
        listed: &["erin@other.test: userPassword"],
        ..BASE
    },
    Case {
        name: "changes an existing user",
        set_up: &["alice"],
        arguments: &["-p", "-f", "DB", "-u", "example.org", "alice"],
        listed: ALICE,
        ..BASE
    },
    Case {
        name: "-n alone makes no userPassword",
        arguments: &["-cpn", "-f", "DB", "-u", "example.org", "alice"],
        // The listing of the original fails, since there is no file; see the code of its own.
        listed: &[],
        ..BASE
    },
    Case {
        name: "-n leaves a password that is there",
        set_up: &["alice"],
        arguments: &["-cpn", "-f", "DB", "-u", "example.org", "alice"],
        listed: ALICE,
        ..BASE
    },
    Case {
        name: "deletes a user",
        set_up: &["alice", "bob"],
        arguments: &["-d", "-f", "DB", "-u", "example.org", "bob"],
        listed: ALICE,
        ..BASE
    },
    Case {
        name: "refuses to delete a user that is not there",
        set_up: &["alice"],
        arguments: &["-d", "-f", "DB", "-u", "example.org", "bob"],
        code: 20,
        stderr: &["saslpasswd2: user not found: bob@example.org"],
        listed: ALICE,
        differs: Some("a typing error must not look as if somebody had lost access"),
        ..BASE
    },
    Case {
        name: "refuses an empty password",
        set_up: &["alice"],
        arguments: &["-cp", "-f", "DB", "-u", "example.org", "bob"],
        input: b"\n",
        code: 7,
        stderr: &["saslpasswd2: invalid parameter supplied"],
        listed: ALICE,
        ..BASE
    },
    Case {
        name: "refuses an empty input",
        set_up: &["alice"],
        arguments: &["-cp", "-f", "DB", "-u", "example.org", "bob"],
        input: b"",
        code: 7,
        stderr: &["saslpasswd2: invalid parameter supplied"],
        listed: ALICE,
        ..BASE
    },
    Case {
        name: "refuses a password with a NUL",
        set_up: &["alice"],
        arguments: &["-cp", "-f", "DB", "-u", "example.org", "bob"],
        input: b"one\0two\n",
        code: 7,
        stderr: &["saslpasswd2: invalid parameter supplied: the password contains a NUL byte"],
        listed: ALICE,
        differs: Some("the original cuts it there"),
        ..BASE
    },
    Case {
        name: "refuses a password of several lines",
        set_up: &["alice"],
        arguments: &["-cp", "-f", "DB", "-u", "example.org", "bob"],
        input: b"one\ntwo\n",
        code: 7,
        stderr: &[
            "saslpasswd2: invalid parameter supplied: the password contains a line break: send one line",
        ],
        listed: ALICE,
        differs: Some("a file of several lines is a mistake, not a password"),
        ..BASE
    },
    Case {
        name: "refuses a name that nobody can log in with",
        set_up: &["alice"],
        arguments: &["-cp", "-f", "DB", "-u", "example.org", " bob"],
        code: 7,
        stderr: &[
            "saslpasswd2: invalid parameter supplied: the user name or realm contains a character \
             that is not allowed there",
        ],
        listed: ALICE,
        differs: Some("the original stores it, and its clients strip the blank before they ask"),
        ..BASE
    },
    Case {
        name: "says what failed when the database cannot be made",
        set_up: &["alice"],
        arguments: &["-cp", "-f", "/nonexistent/db", "bob"],
        code: 1,
        stderr: &[
            "saslpasswd2: generic failure: the directory of the password store /nonexistent/db \
             does not exist: create it first",
        ],
        listed: ALICE,
        differs: Some("the original says \"generic failure\" and the rest in syslog"),
        ..BASE
    },
    Case { name: "no user is wrong usage", code: 1, stderr: SET_USAGE, ..BASE },
    Case {
        name: "two users are wrong usage",
        arguments: &["-f", "DB", "alice", "bob"],
        code: 1,
        stderr: SET_USAGE,
        ..BASE
    },
    Case {
        name: "-c with -d is wrong usage",
        arguments: &["-c", "-d", "-f", "DB", "alice"],
        code: 1,
        stderr: SET_USAGE,
        ..BASE
    },
    Case { name: "-h shows the usage", arguments: &["-h"], code: 1, stderr: SET_USAGE, ..BASE },
    Case {
        name: "a slash in the application name is refused",
        arguments: &["-a", "a/b", "alice"],
        code: 1,
        stderr: &["appname must not contain /"],
        ..BASE
    },
    Case {
        name: "takes an application name",
        arguments: &["-a", "saslgate-test", "-cp", "-f", "DB", "-u", "example.org", "alice"],
        listed: ALICE,
        ..BASE
    },
    Case {
        name: "lists the database that -f names",
        set_up: &["alice"],
        program: "sasldblistusers2",
        arguments: &["-f", "DB"],
        stdout: ALICE,
        listed: ALICE,
        ..BASE
    },
    Case {
        name: "lists the database that the operand names",
        set_up: &["alice"],
        program: "sasldblistusers2",
        arguments: &["DB"],
        stdout: ALICE,
        listed: ALICE,
        ..BASE
    },
    Case {
        name: "lists no users for two operands",
        program: "sasldblistusers2",
        arguments: &["DB", "DB"],
        code: 1,
        stderr: LIST_USAGE,
        ..BASE
    },
    Case {
        name: "lists no users for an unknown option",
        program: "sasldblistusers2",
        arguments: &["-z"],
        code: 1,
        stderr: LIST_UNRECOGNIZED,
        ..BASE
    },
    Case {
        name: "lists no users for an option without its value",
        program: "sasldblistusers2",
        arguments: &["-f"],
        code: 1,
        stderr: LIST_UNRECOGNIZED,
        ..BASE
    },
    Case {
        name: "fails where there is no database",
        program: "sasldblistusers2",
        arguments: &["-f", "/nonexistent/db"],
        code: 1,
        stderr: &[
            "listusers failed: the password store /nonexistent/db does not exist: add a first user \
             with \"saslgate user add\", or restore it from a backup",
        ],
        differs: Some("the original ends with 0"),
        ..BASE
    },
];

/// How to start a program of the table.
pub(crate) type Start = fn(&str) -> Command;

/// What came out of a case that is not as the table says; empty if all is.
pub(crate) fn problems(case: &Case, start: Start) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    for user in case.set_up {
        let mut command = start("saslpasswd2");
        command.args(["-c", "-p", "-u", "example.org", "-f"]).arg(&database).arg(user);
        run(&mut command, b"other\n").expect_success();
    }
    let mut command = start(case.program);
    command.args(case.arguments.iter().map(|argument| with_path(argument, &database)));
    let output = run(&mut command, case.input);
    let mut problems = Vec::new();
    if output.code != Some(case.code) {
        problems.push(format!("exit code {:?}, not {}", output.code, case.code));
    }
    let stdout = lines(&output.stdout);
    if stdout != case.stdout {
        problems.push(format!("standard output {stdout:?}"));
    }
    let stderr = lines(&output.stderr);
    if !stderr.ends_with(&case.stderr.iter().map(ToString::to_string).collect::<Vec<_>>()) {
        problems.push(format!("standard error {stderr:?}"));
    }
    if case.stderr.is_empty() && !stderr.is_empty() {
        problems.push(format!("unexpected on standard error: {stderr:?}"));
    }
    let mut command = start("sasldblistusers2");
    let mut listed = lines(&run(command.arg("-f").arg(&database), b"").stdout);
    listed.sort();
    if listed != case.listed {
        problems.push(format!("listed {listed:?}"));
    }
    problems
}

fn with_path(argument: &str, database: &Path) -> OsString {
    argument.replace("DB", &database.to_string_lossy()).into()
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}
