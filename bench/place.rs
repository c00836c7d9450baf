//! What both daemons find: PAM services, accounts, a sasldb2, a store.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// The realm of everybody.
pub(crate) const REALM: &str = "bench.test";
/// Everybody's password.
pub(crate) const PASSWORD: &str = "s3cret-for-the-benchmark";
/// An account of the host, a user of the sasldb2 and of the PAM files.
pub(crate) const USER: &str = "alice";
/// As [`USER`]: the one whose password is wrong.
pub(crate) const OTHER: &str = "bob";
/// The services in `pam.d`.
pub(crate) const SERVICES: [&str; 4] = ["fast", "slow", "userdb", "unix"];

/// Copies of the host's PAM services, with ours; accounts; a sasldb2.
pub(crate) fn prepare(dir: &Path) {
    let pam = dir.join("pam.d");
    fs::create_dir(&pam).expect("pam.d");
    for file in fs::read_dir("/etc/pam.d").expect("/etc/pam.d").flatten() {
        fs::copy(file.path(), pam.join(file.file_name())).expect("a PAM service");
    }
    let slow = format!("{} sleep=200", module(dir));
    let userdb = format!("pam_userdb.so db={}/logins", dir.display());
    for (service, auth) in SERVICES.iter().zip(["pam_permit.so", &slow, &userdb, "pam_unix.so"]) {
        let account = if *service == "unix" { "pam_unix.so" } else { "pam_permit.so" };
        let stack = format!("auth required {auth}\naccount required {account}\n");
        fs::write(pam.join(service), stack).expect("a PAM service");
    }
    let load = format!("-T -t hash -f /dev/stdin {}/logins.db", dir.display());
    feed(
        Command::new("db_load").args(load.split(' ')),
        &format!("{USER}\n{PASSWORD}\n{OTHER}\n{PASSWORD}\n"),
    );
    accounts(dir);
    for user in [USER, OTHER] {
        let mut saslpasswd2 = Command::new("saslpasswd2");
        saslpasswd2.args(["-c", "-p", "-u", REALM, "-f"]).arg(dir.join("sasldb2")).arg(user);
        feed(&mut saslpasswd2, PASSWORD);
    }
}

/// A module that takes its time, made of the one that the tests have.
fn module(dir: &Path) -> String {
    let output = dir.join("pam_misbehave.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/pam/pam_misbehave.c");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O", "-o"])
        .args([output.as_os_str(), source.as_ref(), "-lpam".as_ref()])
        .status()
        .expect("cc");
    assert!(status.success(), "needs libpam0g-dev");
    output.display().to_string()
}

/// Copies of the host's accounts with two more, whose password yescrypt has hashed.
fn accounts(dir: &Path) {
    let hash = Command::new("perl")
        .args(["-e", r"print crypt($ARGV[0], q($y$j9T$abcdefghijklmnopqrstu/$))", PASSWORD])
        .output()
        .expect("perl");
    let hash = String::from_utf8(hash.stdout).expect("a hash");
    assert!(hash.starts_with("$y$"), "crypt(3) of this host knows no yescrypt");
    let extend = |file: &str, lines: [String; 2]| {
        let text = fs::read_to_string(Path::new("/etc").join(file)).expect(file);
        fs::write(dir.join(file), text + &lines.concat()).expect(file);
    };
    extend(
        "passwd",
        [(USER, 64_000), (OTHER, 64_001)]
            .map(|(user, uid)| format!("{user}:x:{uid}:{uid}::/:/bin/false\n")),
    );
    extend("shadow", [USER, OTHER].map(|user| format!("{user}:{hash}:20000:0:99999:7:::\n")));
}

/// A store with `count` users of the one password, hashed as cheaply as can be:
/// what is measured is the way past the hash.
pub(crate) fn store(dir: &Path, config: &str, count: u32) {
    let file = dir.join("saslgate.toml");
    fs::write(&file, config).expect("a configuration");
    let mut add = Command::new(env!("CARGO_BIN_EXE_saslgate"));
    add.arg("--config").arg(&file).args(["user", "add", "--stdin", "u0@bench.test"]);
    feed(&mut add, PASSWORD);
    let store = rusqlite::Connection::open(dir.join("users.db")).expect("the store");
    for table in ["users", "credentials"] {
        multiply(&store, table, count).expect("more users");
    }
}

/// Copies the row of `u0` to `u1`, `u2` and so on.
fn multiply(store: &rusqlite::Connection, table: &str, count: u32) -> rusqlite::Result<()> {
    let columns: Vec<String> = store
        .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let value = |name: &String| if name == "user" { "'u' || n.i".to_owned() } else { name.clone() };
    let values: Vec<String> = columns.iter().map(value).collect();
    store.execute_batch(&format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count} - 1)
         INSERT INTO {table} ({}) SELECT {} FROM {table}, n WHERE user = 'u0';",
        columns.join(", "),
        values.join(", "),
    ))
}

/// Runs `command` with `text` as its input.
fn feed(command: &mut Command, text: &str) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a program to make the user");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(text.as_bytes()).expect("writing the password");
    drop(stdin);
    assert!(child.wait().expect("its end").success(), "cannot make the user: {command:?}");
}

/// The request as libsasl2 writes it.
pub(crate) fn request(user: &str, password: &str, service: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in [user, password, service, REALM] {
        bytes.extend(u16::try_from(field.len()).expect("a short field").to_be_bytes());
        bytes.extend(field.as_bytes());
    }
    bytes
}
