//! saslauthd as init scripts, units and people meet it: flags, messages, exit
//! codes, files, signals, syslog.
//!
//! The same cases for each subject: without `SUBJECT` ours under the name
//! saslauthd, with `SUBJECT=original` Cyrus saslauthd 2.1.28; what ours does
//! differently on purpose, the original must do as the case says. Each daemon
//! lives in a mount and pid namespace of its own, with private PAM services
//! and a private syslog, and is gone when its shell ends.
#![cfg(test)]

mod support;

use saslgate::sys::host::fqdn;
use support::face::{Lab, Who, without_pid};
use support::process;

/// Command lines that end at once: words, exit code, what is said before usage or instead of it,
/// whether usage follows.
const WORDS: &[(&str, i32, &str, bool)] = &[
    ("-h", 0, "", true),
    ("", 0, "saslauthd[PID] :no authentication mechanism specified\n", true),
    ("-x", 0, "saslauthd: invalid option -- 'x'\n", true),
    ("-a", 0, "saslauthd: option requires an argument -- 'a'\n", true),
    ("-m", 0, "saslauthd: option requires an argument -- 'm'\n", true),
    ("-a pam -T", 0, "saslauthd: invalid option -- 'T'\n", true),
    ("-a pam -H host", 0, "saslauthd: invalid option -- 'H'\n", true),
    ("--help", 0, "saslauthd: invalid option -- '-'\n", true),
    ("-x -v", 0, "saslauthd: invalid option -- 'x'\n", true),
    ("-a pam -a pam", 0, "", true),
    ("-a nosuch", 1, "saslauthd[PID] :unknown authentication mechanism: nosuch\n", false),
    ("-a pam -m rel", 1, "saslauthd[PID] :-m requires an absolute pathname\n", false),
    ("-a nosuch -m rel", 1, "saslauthd[PID] :-m requires an absolute pathname\n", false),
    ("-a pam -n -1", 1, "saslauthd[PID] :invalid number of worker processes defined\n", false),
    ("-n -1 -x", 1, "saslauthd[PID] :invalid number of worker processes defined\n", false),
    ("-a pam -s 0", 1, "saslauthd[PID] :cache size must be positive and non zero\n", false),
    ("-a pam -s abc", 1, "saslauthd[PID] :cache size must be positive and non zero\n", false),
    ("-a pam -t 0", 1, "saslauthd[PID] :cache timeout must be positive\n", false),
    ("-a pam -t abc", 1, "saslauthd[PID] :cache timeout must be positive\n", false),
];

const USAGE: &str = "usage: saslauthd [options]

option information:
  -a <authmech>  Selects the authentication mechanism to use.
  -c             Enable credential caching.
  -d             Debugging (don't detach from tty, implies -V)
  -r             Combine the realm with the login before passing to authentication mechanism
                 Ex. login: \"foo\" realm: \"bar\" will get passed as login: \"foo@bar\"
                 The realm name is passed untouched.
  -O <option>    Optional argument to pass to the authentication
                 mechanism.
  -l             Disable accept() locking. Increases performance, but
                 may not be compatible with some operating systems.
  -m <path>      Alternate path for the saslauthd working directory,
                 must be absolute.
  -n <procs>     Number of worker processes to create.
  -s <kilobytes> Size of the credential cache (in kilobytes)
  -t <seconds>   Timeout for items in the credential cache (in seconds)
  -v             Display version information and available mechs
  -V             Enable verbose logging
  -h             Display this message.

";

#[test]
fn wrong_and_odd_command_lines_are_told_in_the_words_of_the_original() {
    let lab = Lab::new();
    for (line, code, said, has_usage) in WORDS {
        let ended = process::run(lab.saslauthd().args(line.split_whitespace()), b"");
        let stderr = without_pid(&ended.stderr);
        let at = stderr.find(USAGE);
        let before = &stderr[..at.unwrap_or(stderr.len())];
        assert_eq!(
            (ended.code, &*ended.stdout, before, at.is_some()),
            (Some(*code), "", *said, *has_usage),
            "saslauthd {line}"
        );
        if let Some(at) = at {
            is_version(&stderr[at + USAGE.len()..]);
        }
    }
}

fn is_version(text: &str) {
    let lines: Vec<&str> = text.split('\n').collect();
    let [version, mechanisms, "", ""] = lines[..] else { panic!("{text:?}") };
    assert_eq!(version.split(' ').take(2).collect::<Vec<_>>(), ["saslauthd", "2.1.28"]);
    let names = mechanisms.strip_prefix("authentication mechanisms: ").unwrap();
    assert!(names.split(' ').any(|name| name == "pam"), "{names}");
}

#[test]
fn the_version_is_three_lines_on_standard_error() {
    let lab = Lab::new();
    for line in ["-v", "-v -x", "-a pam operand -v"] {
        let ended = process::run(lab.saslauthd().args(line.split_whitespace()), b"");
        assert_eq!((ended.code, &*ended.stdout), (Some(0), ""), "{line}");
        is_version(&ended.stderr);
    }
}

#[test]
fn a_run_directory_is_made_where_its_parent_is_there() {
    let lab = Lab::new();
    let said = lab.run(
        "umask 027; $SASLAUTHD -a pam -m $D/fresh; echo code=$?; up $D/fresh
         stat -c %A $D/fresh; $SASLAUTHD -a pam -m $D/no/fresh 2>$D/err; echo code=$?
         head -n 3 $D/err | sed \"s#$D#D#\"",
    );
    assert_eq!(
        without_pid(&said),
        "code=0\ndrwxr-x---\ncode=1\n\
         saslauthd[PID] :can not mkdir: D/no/fresh\n\
         saslauthd[PID] :Check to make sure the parent directory exists and is\n\
         saslauthd[PID] :writeable by the user this process runs as.\n"
    );
}

/// What `start-stop-daemon --exec --pidfile` and systemd's `PIDFile=` look at.
#[test]
fn becomes_a_daemon_that_init_systems_recognize() {
    let lab = Lab::new();
    let said = lab.run(
        "$SASLAUTHD -a PAM -m $R; echo code=$?; up $R; ask right
         stat -c '%n %A' $R/mux $R/saslauthd.pid | sed \"s#$R/##\"
         P=$(cat $R/saslauthd.pid); od -c -An $R/saslauthd.pid | grep -c '\\\\n$'
         [ $(readlink /proc/$P/cwd) = $R ] && echo is in the run directory
         grep Umask /proc/$P/status; cat /proc/$P/comm; readlink /proc/$P/fd/0 /proc/$P/fd/1 /proc/$P/fd/2
         [ $(ps -o sid= -p $P) -eq $P ] && echo has its session
         [ /proc/$P/exe -ef $(readlink -f $SASLAUTHD) ] && echo is the program
         ls $R | grep -c pid.lock",
    );
    assert_eq!(
        said,
        "code=0\nOK\nmux srwxrwxrwx\nsaslauthd.pid -rw-------\n1\nis in the run directory\n\
         Umask:\t0077\nsaslauthd\n/dev/null\n/dev/null\n/dev/null\nhas its session\n\
         is the program\n0\n"
    );
}

/// The original ends its start before it binds: who asks at once may find nobody.
#[test]
fn a_start_that_succeeded_is_one_that_answers() {
    let lab = Lab::new();
    if lab.who == Who::Original {
        // A race there; the case below shows where it ends in nothing.
        return;
    }
    for _ in 0..5 {
        let said = lab.run("$SASLAUTHD -a pam -m $R && ask right");
        assert_eq!(said, "OK\n");
    }
}

/// `make install` leaves a file with `authd.user`; sasldb2 and saslauthd.conf stay root's.
#[test]
fn files_of_root_are_read_whatever_account_our_file_names() {
    let lab = Lab::new();
    if lab.who == Who::Original || !nix::unistd::geteuid().is_root() {
        return;
    }
    let sasldb2 = lab.path("sasldb2");
    let ours = format!("[authd]\nuser = \"nobody\"\n[sasldb]\npath = {sasldb2:?}\n");
    std::fs::write(lab.path("saslgate.toml"), ours).unwrap();
    let said = lab.run(
        "echo $RIGHT | saslpasswd2 -f $D/sasldb2 -c -p -u $REALM $USER; chmod 600 $D/sasldb2
         $SASLAUTHD -a sasldb -m $R && testsaslauthd -u $USER -r $REALM -p $RIGHT -f $R/mux
         kill $(cat $R/saslauthd.pid); waits is_down
         echo 'ldap_servers: ldap://127.0.0.1:1/' >$D/conf; chmod 600 $D/conf
         $SASLAUTHD -a ldap -O $D/conf -m $R; echo code=$?",
    );
    assert_eq!(said, "0: OK \"Success.\"\ncode=0\n");
}

/// The original says 0, leaves a pid file, and nothing runs.
#[test]
fn a_start_that_failed_is_told() {
    let lab = Lab::new();
    let said = lab.run(
        "mkdir -p $R/mux; $SASLAUTHD -a pam -m $R 2>$D/err; echo code=$?
         LONG=$D/$(printf %0100d 0); mkdir $LONG; $SASLAUTHD -a pam -m $LONG 2>>$D/err; echo code=$?
         sed \"s#$D#D#\" $D/err",
    );
    match lab.who {
        Who::Original => assert_eq!(said, "code=0\ncode=0\n"),
        Who::Ours => {
            let lines: Vec<&str> = said.lines().collect();
            assert_eq!((lines[0], lines[1]), ("code=1", "code=1"));
            assert!(
                said.contains(" :D/run/mux exists and is not a socket: move it away"),
                "{said}"
            );
            assert!(said.contains("a Unix socket path has at most 107"), "{said}");
        }
    }
}

#[test]
fn a_second_instance_says_so_and_leaves_the_first_alone() {
    let lab = Lab::new();
    let said = lab.run(
        "$SASLAUTHD -a pam -m $R; up $R; cp $R/saslauthd.pid $D/before
         $SASLAUTHD -a pam -m $R 2>$D/err; echo code=$?; head -n 2 $D/err
         cmp $D/before $R/saslauthd.pid && ask right",
    );
    assert_eq!(
        without_pid(&said),
        "code=2\nsaslauthd[PID] :Cannot start saslauthd\n\
         saslauthd[PID] :Another instance of saslauthd is currently running\nOK\n"
    );
}

/// The original's debug run takes the socket of the daemon, and removes it at its end.
#[test]
fn a_debug_run_does_not_take_the_socket_of_the_daemon() {
    let lab = Lab::new();
    let said = lab.run(
        "$SASLAUTHD -a pam -m $R; up $R; I=$(stat -c %i $R/mux)
         setsid $SASLAUTHD -d -n 1 -a pam -m $R 2>$D/err & X=$!
         settled() { ! kill -0 $X 2>/dev/null || grep -q 'listening on' $D/err; }; waits settled
         if kill -0 $X 2>/dev/null; then kill $X; wait $X; echo code=$?; else wait $X; echo code=$?; fi
         [ \"$(stat -c %i $R/mux 2>/dev/null)\" = $I ] && ask right || echo unreachable",
    );
    match lab.who {
        Who::Original => assert_eq!(said, "code=0\nunreachable\n"),
        Who::Ours => assert_eq!(said, "code=2\nOK\n"),
    }
}

#[test]
fn debugging_stays_in_the_foreground_without_a_pid_file() {
    let lab = Lab::new();
    let said = lab.run(
        "setsid $SASLAUTHD -d -n 1 -a pam -m $R 2>$D/err & X=$!; up $R; ask right
         ls $R | grep -v '^mux' ; grep -c \"listening on socket: $R/mux\" $D/err
         kill $X; wait $X; echo code=$?; ls $R | grep -v '^mux.lock$'",
    );
    assert_eq!(said, "OK\nsaslauthd.pid.lock\n1\ncode=0\n");
}

#[test]
fn a_hangup_is_survived_and_a_term_takes_the_files_away() {
    let lab = Lab::new();
    let said = lab.run(
        "$SASLAUTHD -a pam -m $R; up $R; P=$(cat $R/saslauthd.pid)
         kill -HUP $P; ask right; kill -TERM $P
         waits is_gone $P
         cleared() { [ -z \"$(ls $R | grep -v '^mux.lock$')\" ]; }; waits cleared; ls $R | grep -v lock",
    );
    assert_eq!(said, "OK\n");
}

/// The original leaves its children behind, which go on to serve the old socket.
#[test]
fn a_killed_one_is_followed_by_the_next() {
    let lab = Lab::new();
    let said = lab.run(
        "$SASLAUTHD -a pam -n 1 -m $R; up $R; P=$(cat $R/saslauthd.pid)
         kill -KILL $P; waits is_gone $P
         $SASLAUTHD -a pam -n 1 -m $R; echo code=$?
         next() { [ \"$(cat $R/saslauthd.pid)\" != $P ]; }; waits next; answers() { ask right | grep -q OK; }; waits answers
         kill -0 $(cat $R/saslauthd.pid) && ask right",
    );
    assert_eq!(said, "code=0\nOK\n");
}

#[test]
fn its_lines_in_syslog_are_those_that_scripts_know() {
    let lab = Lab::new();
    let said =
        lab.run("$SASLAUTHD -a pam -m $R; up $R; ask wrong; ask right; cat $R/saslauthd.pid");
    let pid = said.lines().last().unwrap();
    let head = format!("saslauthd[{pid}]: ");
    let lines = lab.syslog("auth failure: [user=alice]");
    let text = |line: &str| line.split_once("]: ").map(|(_, text)| text.to_owned());
    let texts: Vec<String> = lines.iter().filter_map(|line| text(line)).collect();
    assert!(lines.iter().any(|line| line.contains(&head)), "{lines:?}");
    let blanks = " ".repeat(16);
    for wanted in [
        format!("{blanks}: master pid is: {pid}"),
        format!("{blanks}: listening on socket: {}/mux", lab.run_dir().display()),
    ] {
        assert!(texts.contains(&wanted), "{wanted} is not in {texts:?}");
    }
    // Ours names the realm that a login without one is of.
    let realm = if lab.who == Who::Ours { fqdn() } else { String::new() };
    let failure = format!(
        "{blanks}: auth failure: [user=alice] [service=smtp] [realm={realm}] [mech=pam] \
         [reason=PAM auth error]"
    );
    // Facility auth, severity info.
    let is_failure = |line: &&String| line.starts_with("<38>") && line.contains(&failure);
    assert_eq!(lines.iter().filter(is_failure).count(), 1, "{lines:?}");
}

#[test]
fn the_realm_is_joined_with_r_and_lost_without() {
    let lab = Lab::new();
    let said = lab.run(
        "$SASLAUTHD -a pam -m $R; up $R; ask joined; ask realm; down
         $SASLAUTHD -r -a pam -m $R; up $R; ask joined; ask realm; ask right",
    );
    // Without a realm nothing is joined.
    assert_eq!(said, "NO\nOK\nOK\nNO\nOK\n");
}

/// Debian's default. The account is gone from PAM's list; what was remembered still passes, and
/// ends with the process.
#[test]
fn a_login_is_remembered_with_c_and_forgotten_at_a_restart() {
    let lab = Lab::new();
    // Ours remembers nothing that rests on files which have just been written.
    let said = lab.run(
        "young() { find /etc/pam.d /etc/passwd /etc/shadow -maxdepth 0 -newerct '1 second ago'; }
         at_rest() { [ -z \"$(young)\" ]; }; waits at_rest
         $SASLAUTHD -c -s 64 -t 600 -a pam -m $R; up $R; ask right; : >$D/passdb; ask right
         ask wrong; down; $SASLAUTHD -c -a pam -m $R; waits test -S $R/mux
         answers() { [ \"$(ask right)\" = NO ]; }; waits answers; ask right; down
         ls $R | grep -v lock; $SASLAUTHD -a pam -m $R; waits answers; ask right",
    );
    assert_eq!(said, "OK\nOK\nNO\nNO\nNO\n");
}

#[test]
fn what_has_no_meaning_any_more_is_taken_and_said_once() {
    let lab = Lab::new();
    let said = lab.run(
        "$SASLAUTHD -l -n 0 -V -O x -a pam -m $R; echo code=$?; up $R
         kill -HUP $(cat $R/saslauthd.pid); ask right",
    );
    assert_eq!(said, "code=0\nOK\n");
    if lab.who == Who::Ours {
        let lines = lab.syslog("-O x: ");
        for said in ["-n 0: there is no fixed pool", "-l: there is no accept lock", "-O x: "] {
            let count = lines.iter().filter(|line| line.contains(said)).count();
            assert_eq!(count, 1, "{said}: {lines:?}");
        }
    }
}

/// glibc's syslog waits for a daemon that does not read, and so does every login of the original.
#[test]
fn a_stuck_syslog_daemon_holds_up_no_login() {
    let lab = Lab::new();
    let _stuck = std::os::unix::net::UnixDatagram::bind(lab.path("stuck")).unwrap();
    // What a socket of that kind holds is ten lines.
    let said = lab.run(
        "ln -sf $D/stuck /dev/log; $SASLAUTHD -a pam -n 1 -m $R; up $R
         for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
             timeout 10 testsaslauthd -u $USER -p $WRONG -s smtp -f $R/mux >$D/out
             [ $? -ne 124 ] || { echo stuck; exit; }
         done; echo answered",
    );
    match lab.who {
        Who::Original => assert_eq!(said, "stuck\n"),
        Who::Ours => assert_eq!(said, "answered\n"),
    }
}

/// Neither starts beside the other on one directory.
#[test]
fn ours_and_the_original_keep_each_other_out() {
    let lab = Lab::new();
    for (first, second) in [("$ORIGINAL", "$OURS"), ("$OURS", "$ORIGINAL")] {
        let said = lab.run(&format!(
            "{first} -a pam -m $R; up $R; {second} -a pam -m $R 2>$D/err; echo code=$?
             head -n 2 $D/err; ask right; down"
        ));
        assert_eq!(
            without_pid(&said),
            "code=2\nsaslauthd[PID] :Cannot start saslauthd\n\
             saslauthd[PID] :Another instance of saslauthd is currently running\nOK\n",
            "{first}, then {second}"
        );
    }
}

/// Debian's own script, with ours in the place of `/usr/sbin/saslauthd`.
#[test]
fn the_init_script_of_debian_starts_checks_reloads_and_stops_it() {
    if !std::path::Path::new("/etc/init.d/saslauthd").exists() {
        return;
    }
    let lab = Lab::new();
    let said = lab.run(
        "settings 'START=yes NAME=saslauthd DESC=sasl MECHANISMS=pam MECH_OPTIONS= THREADS=5' \\
             \"OPTIONS='-c -m $D/chroot'\"
         [ $SASLAUTHD = $ORIGINAL ] || in_place_of_the_original
         S=/etc/init.d/saslauthd; mkdir $D/chroot; R=$D/chroot
         verdict() { sh $S $1 >$D/out 2>&1; echo $1=$?; }
         verdict status; verdict start; up $R; ask right; verdict status; verdict start
         P=$(cat $R/saslauthd.pid); verdict reload; ask right
         [ $P = $(cat $R/saslauthd.pid) ] && echo the same
         verdict restart; up $R; [ $P != $(cat $R/saslauthd.pid) ] && echo another; ask right
         P=$(cat $R/saslauthd.pid); verdict stop
         waits is_gone $P; ls $R | grep -v lock; verdict status",
    );
    assert_eq!(
        said,
        "status=3\nstart=0\nOK\nstatus=0\nstart=0\nreload=0\nOK\nthe same\nrestart=0\nanother\nOK\n\
         stop=0\nstatus=3\n"
    );
}

/// `make swap-saslauthd` on a Debian whose changed directories are private copies.
#[test]
fn the_swap_changes_one_path_and_can_be_taken_back() {
    let lab = Lab::new();
    let is_root = nix::unistd::geteuid().is_root();
    let is_debian = std::path::Path::new("/usr/bin/dpkg-divert").exists();
    if lab.who == Who::Original || !is_root || !is_debian {
        return;
    }
    let said = lab.run(
        "mkdir $D/layers; mount -t tmpfs none $D/layers; mount -t tmpfs none /run/systemd 2>/dev/null
         over() {
             mkdir -p $D/layers/$1/up $D/layers/$1/work
             mount -t overlay -o lowerdir=$2,upperdir=$D/layers/$1/up,workdir=$D/layers/$1/work overlay $2
         }
         over 1 /usr/sbin; over 2 /var/lib/dpkg; over 3 /usr/local
         mkdir -p /usr/local/bin; ln -s $PROGRAMS/saslgate $PROGRAMS/saslgate-pam /usr/local/bin
         settings 'START=yes NAME=saslauthd DESC=sasl MECHANISMS=pam THREADS=5' \"OPTIONS='-c -m $R'\"
         service() { sh /etc/init.d/saslauthd $1 >$D/out 2>&1; echo $1=$?; }
         swap() { make -s -C $PROJECT $1 PREFIX=/usr/local >$D/out 2>&1; echo $1=$?; }
         runs() { [ /proc/$(cat $R/saslauthd.pid)/exe -ef $1 ] && echo $2; }
         original=$(readlink -f /usr/sbin/saslauthd)
         service start; up $R; runs /usr/sbin/saslauthd original
         swap swap-saslauthd; cmp -s /usr/sbin/saslauthd.cyrus /usr/sbin/saslauthd || echo swapped
         up $R; runs $PROGRAMS/saslgate ours; ask right
         service restart; up $R; runs $PROGRAMS/saslgate ours
         swap unswap-saslauthd; up $R; runs $original original; ask right; service stop; waits is_down
         swap swap-saslauthd; [ -e $R/saslauthd.pid ] || echo still; swap unswap-saslauthd",
    );
    assert_eq!(
        said,
        "start=0\noriginal\nswap-saslauthd=0\nswapped\nours\nOK\nrestart=0\nours\n\
         unswap-saslauthd=0\noriginal\nOK\nstop=0\n\
         swap-saslauthd=0\nstill\nunswap-saslauthd=0\n",
        "what runs is swapped with its path, and nothing else is started"
    );
}

/// The units of Fedora and Debian 13 wait for the command to end, and read the pid file then.
#[test]
fn it_is_a_forking_service_that_also_notifies() {
    let lab = Lab::new();
    if lab.who == Who::Original {
        return;
    }
    let socket = lab.notifications();
    let said =
        lab.run("NOTIFY_SOCKET=$D/notify $SASLAUTHD -a pam -m $R; up $R; cat $R/saslauthd.pid");
    let mut bytes = [0; 512];
    let mut all = String::new();
    while !all.contains("READY=1") {
        let length = socket.recv(&mut bytes).unwrap();
        all.push_str(&String::from_utf8_lossy(&bytes[..length]));
        all.push('\n');
    }
    assert!(all.contains(&format!("MAINPID={}", said.trim())), "{all}");
}
