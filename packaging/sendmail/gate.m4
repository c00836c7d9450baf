divert(-1)dnl
dnl sendmail takes the user and the address of each client from the gate in front
dnl of it, message by message (identity = "rules" in [[gate.backend]]).
dnl
dnl In sendmail.mc, behind FEATURE(access_db) and without FEATURE(delay_checks):
dnl
dnl   DAEMON_OPTIONS(`Port=10587, Addr=127.0.0.1, Name=GATE, M=E, Listen=256')
dnl   include(`/usr/local/share/saslgate/sendmail/gate.m4')
dnl
dnl The gate says "MAIL FROM:<...> AUTH=[192.0.2.7]alice@example.org". From that
dnl come the macros auth_authen, auth_type (GATE), auth_ssf, auth_author,
dnl client_addr, client_name and _, so that access map, log, Received and milters
dnl see the client. They hold for one message, so one connection serves many users.
dnl A client who has logged in may relay (TRUST_AUTH_MECH); one who has not may do
dnl what its own address may.
dnl
dnl Whoever can connect to that port can be anybody: close it to all processes but
dnl the gate, for instance
dnl
dnl   nft add rule inet filter output oif lo tcp dport 10587 meta skuid != saslgate-gate reject
dnl
dnl Two settings, to be defined before the line with this file:
dnl   confGATE_DAEMON    Name= of the daemon that the gate connects to    GATE
dnl   confGATE_ADDRESS   from where the gate connects                     127.0.0.1
ifdef(`confGATE_DAEMON',, `define(`confGATE_DAEMON', `GATE')')
ifdef(`confGATE_ADDRESS',, `define(`confGATE_ADDRESS', `127.0.0.1')')
divert(0)dnl
TRUST_AUTH_MECH(`GATE')dnl
LOCAL_CONFIG
# saslgate: for the rules on the gate
Kgate macro
LOCAL_RULESETS
SLocal_check_mail
R$*	$: $&{daemon_name} $| $&{client_addr} $| $&{auth_author}
R`'confGATE_DAEMON $| confGATE_ADDRESS $| [ $+ ] $*	$: < $1 $| $2 >
R`'confGATE_DAEMON $| $*	$#error $@ 5.7.0 $: "550 mail for this port comes through the gate"
R$* $| $* $| $*	$@ ok
R< $+ $| $+ >	$: $(gate {auth_authen} $@ $2 $) $(gate {auth_author} $@ $2 $) $(gate {auth_type} $@ GATE $) $(gate {auth_ssf} $@ 0 $) < $1 >
R< $+ $| >	$: < $1 >
R< IPv6 : $+ >	$: $(gate {client_addr} $@ IPv6:$1 $) IPv6:$1
R< $+ >	$: $(gate {client_addr} $@ $1 $) $1
R$+	$: $(gate {client_name} $@ [$1] $) $(gate {client_resolve} $@ FAIL $) $(gate _ $@ [$1] $) $1
R$+	$: $>Basic_check_relay [ $1 ] $| $1
R$#error $*	$#error $1
R$#discard $*	$#discard $1
R$*	$@ ok
