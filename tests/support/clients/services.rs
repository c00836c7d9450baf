//! Servers that are no mail servers: slapd, memcached, svnserve, Apache; and testsaslauthd.

use super::{Client, Resident, Told, World, sasl_options};
use crate::support::saslauthd::{REALM, USER};

/// Pass-through authentication: the entry names who is to be asked for.
pub(crate) const SLAPD: Client = Client {
    name: "OpenLDAP slapd {SASL}",
    needs: &["/usr/sbin/slapd", "/usr/bin/ldapwhoami"],
    start: |sockets| {
        let conf = "include /etc/ldap/schema/core.schema\npidfile /run/slapd.pid\n\
             modulepath /usr/lib/ldap\nmoduleload back_mdb\ndatabase mdb\n\
             suffix dc=example,dc=org\nrootdn cn=root,dc=example,dc=org\ndirectory /var/slapd\n";
        let entries = format!(
            "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\n\
             dc: example\no: example\n\ndn: cn={USER},dc=example,dc=org\nobjectClass: person\n\
             cn: {USER}\nsn: {USER}\nuserPassword: {{SASL}}{USER}@{REALM}\n"
        );
        let files = [
            ("/etc/ldap/test.conf", conf.to_owned()),
            ("/etc/ldap/test.ldif", entries),
            ("/etc/ldap/sasl2/slapd.conf", sasl_options()),
            ("/etc/sasl2/slapd.conf", sasl_options()),
        ];
        let world = World::make(sockets, &files);
        let script = "mkdir /var/slapd\n\
             if [ -d /etc/openldap/schema ]; then\n\
             sed -i -e 's#/etc/ldap/schema#/etc/openldap/schema#' \
             -e 's#/usr/lib/ldap#/usr/lib64/openldap#' /etc/ldap/test.conf\nfi\n\
             slapadd -f /etc/ldap/test.conf -l /etc/ldap/test.ldif\n\
             exec slapd -f /etc/ldap/test.conf -h ldap://127.0.0.1/ -d 0";
        world.serve(script, 389);
        Box::new(Resident { world, log_in: bind })
    },
    told: Told { right: "bound", wrong: "49", stopped: "49", outage: "49" },
};

/// `bound`, or the LDAP result code.
fn bind(world: &World, password: &str) -> String {
    let dn = format!("cn={USER},dc=example,dc=org");
    let arguments = ["-x", "-H", "ldap://127.0.0.1/", "-D", &dn, "-w", password];
    let finished = world.run("ldapwhoami", &arguments, b"");
    if finished.stdout.contains(&format!("dn:{dn}")) {
        return "bound".to_owned();
    }
    let code = finished.stderr.rsplit_once('(').and_then(|(_, rest)| rest.split_once(')'));
    code.map_or(finished.stderr.clone(), |(code, _)| code.to_owned())
}

pub(crate) const MEMCACHED: Client = Client {
    name: "memcached -S",
    needs: &["/usr/bin/memcached"],
    start: |sockets| {
        let world = World::make(sockets, &[("/etc/sasl2/memcached.conf", sasl_options())]);
        let script = "export SASL_CONF_PATH=/etc/sasl2\n\
             user=memcache; getent passwd $user >/dev/null || user=memcached\n\
             exec memcached -S -u $user -l 127.0.0.1 -p 11211";
        world.serve(script, 11211);
        Box::new(Resident { world, log_in: sasl_auth })
    },
    told: Told {
        right: "status 0x00",
        wrong: "status 0x20",
        stopped: "status 0x20",
        outage: "status 0x20",
    },
};

/// A SASL authentication in its binary protocol: magic 0x80, opcode 0x21, the
/// mechanism as key; the status is in bytes 6 and 7 of the answer.
const SASL_AUTH: &str = r#"
use IO::Socket::INET;
my ($login, $password) = @ARGV;
my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:11211", Timeout => 50) or die "connect: $!";
my $body = "PLAIN" . "\0$login\0$password";
print $socket pack("CCnCCnNNNN", 0x80, 0x21, 5, 0, 0, 0, length $body, 0, 0, 0) . $body;
read($socket, my $head, 24) == 24 or die "no answer";
printf "status 0x%02x", unpack("x6n", $head);
"#;

fn sasl_auth(world: &World, password: &str) -> String {
    let login = format!("{USER}@{REALM}");
    let finished = world.run("perl", &["-e", SASL_AUTH, &login, password], b"");
    finished.stdout + &finished.stderr
}

pub(crate) const SVNSERVE: Client = Client {
    name: "svnserve",
    needs: &["/usr/bin/svnserve", "/usr/bin/svnadmin", "/usr/bin/svn"],
    start: |sockets| {
        let conf = format!(
            "[general]\nanon-access = none\nauth-access = write\nrealm = {REALM}\n\
             [sasl]\nuse-sasl = true\n"
        );
        let files = [("/etc/svnserve.test.conf", conf), ("/etc/sasl2/svn.conf", sasl_options())];
        let world = World::make(sockets, &files);
        let script = "svnadmin create /var/lib/repository\n\
             exec svnserve --daemon --foreground --root /var/lib --listen-host 127.0.0.1 \
             --config-file /etc/svnserve.test.conf";
        world.serve(script, 3690);
        Box::new(Resident { world, log_in: list })
    },
    told: Told { right: "listed", wrong: "E170001", stopped: "E170001", outage: "E170001" },
};

/// `listed`, or Subversion's last error code.
fn list(world: &World, password: &str) -> String {
    let arguments = [
        "list",
        "svn://127.0.0.1/repository",
        "--username",
        USER,
        "--password",
        password,
        "--non-interactive",
        "--no-auth-cache",
        "--config-dir",
        "/run/svn-client",
    ];
    let finished = world.run("svn", &arguments, b"");
    if finished.code == Some(0) {
        return "listed".to_owned();
    }
    let line = finished.stderr.lines().last().unwrap_or_default();
    line.trim_start_matches("svn: ").split(':').next().unwrap_or(line).to_owned()
}

/// Ignores the options of libsasl2: the socket must be at its default place.
pub(crate) const APACHE: Client = Client {
    name: "Apache mod_authn_sasl",
    needs: &["/usr/sbin/apache2|/usr/sbin/httpd", "/usr/lib/apache2/modules/mod_authn_sasl.so"],
    start: |sockets| {
        let modules: String =
            ["mpm_event", "authn_core", "authz_core", "authz_user", "auth_basic", "authn_sasl"]
                .iter()
                .map(|name| {
                    format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
                })
                .collect();
        let conf = format!(
            "{modules}ServerName localhost\nListen 127.0.0.1:80\nUser www-data\nGroup www-data\n\
             PidFile /run/apache.pid\nErrorLog /var/log/apache-error.log\n\
             DocumentRoot /etc/www\n<Location />\n  AuthType Basic\n  AuthName test\n  \
             AuthBasicProvider sasl\n  AuthSaslPwcheckMethod saslauthd\n  \
             AuthSaslServiceName smtp\n  AuthSaslRealm {REALM}\n  Require valid-user\n</Location>\n"
        );
        let files = [("/etc/apache-test.conf", conf), ("/etc/www/page", "page".to_owned())];
        let world = World::make(sockets, &files);
        world.serve("exec apache2 -f /etc/apache-test.conf -DFOREGROUND", 80);
        Box::new(Resident { world, log_in: fetch })
    },
    told: Told { right: "200", wrong: "401", stopped: "401", outage: "401" },
};

/// The HTTP status of a page behind the login.
fn fetch(world: &World, password: &str) -> String {
    let login = format!("{USER}:{password}");
    let url = "http://127.0.0.1/page";
    let arguments = [
        "--silent",
        "--max-time",
        "50",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-u",
        &login,
        url,
    ];
    let finished = world.run("curl", &arguments, b"");
    finished.stdout + &finished.stderr
}

pub(crate) const TESTSASLAUTHD: Client = Client {
    name: "testsaslauthd (Cyrus)",
    needs: &["/usr/sbin/testsaslauthd"],
    start: |sockets| {
        Box::new(Resident { world: World::make(sockets, &[]), log_in: test_saslauthd })
    },
    told: Told {
        right: "0: OK \"Success.\"",
        wrong: "0: NO \"authentication failed\"",
        stopped: "0: connect() : No such file or directory",
        outage: "0: size read failed",
    },
};

/// The last line it prints.
fn test_saslauthd(world: &World, password: &str) -> String {
    let arguments = ["-u", USER, "-p", password, "-r", REALM, "-s", "smtp"];
    let finished = world.run("testsaslauthd", &arguments, b"");
    (finished.stdout + &finished.stderr).trim().to_owned()
}
