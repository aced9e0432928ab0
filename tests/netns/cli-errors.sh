#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Bad input gets one sentence on stderr that names the object, the exit code of the contract, and changes
# nothing; no daemon is 3; no datapath, or a namespace that is not there, is 4.
#
#     work: acme/p1 10.0.0.1 (tap)
#     [ switch s: acme/web VNI 5001, beta/db VNI 5002 ]
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
ns_add work
switch_new s

# refused STATUS NAMES ARGUMENT...: exits with STATUS; one line on stderr, with the word NAMES in it; nothing
# on stdout; and the configuration is what it was.
refused() {
	local status=$1 names=$2 seen lines text="vswitchctl ${*:3}"
	shift 2
	ctl s "$@" >"$LAB_DIR/out" 2>"$LAB_DIR/err" <"$LAB_DIR/in"
	seen=$?
	lines=$(wc -l <"$LAB_DIR/err")
	if [ ${#text} -gt 90 ]; then
		text="${text:0:87}..."
	fi
	if [ $seen != "$status" ]; then
		fail "$text: exit $status" "exit $seen: $(cat "$LAB_DIR/out" "$LAB_DIR/err")"
	elif [ "$lines" != 1 ] && [ "$status" != 2 ]; then
		fail "$text: one sentence" "$(cat "$LAB_DIR/err")"
	elif ! grep -qF -- "$names" "$LAB_DIR/err"; then
		fail "$text: names $names" "$(cat "$LAB_DIR/err")"
	elif [ -s "$LAB_DIR/out" ]; then
		fail "$text: nothing on stdout" "$(cat "$LAB_DIR/out")"
	elif [ "${CONFIG+set}" ] && [ "$CONFIG" != "$(ctl s export)" ]; then
		fail "$text: changes nothing" "$(ctl s export)"
	else
		pass "$text: $(head -n 1 "$LAB_DIR/err" | cut -c 1-160)"
	fi
}

# file_refused STATUS NAMES LINE...: the same for a topology file of these lines, from stdin.
file_refused() {
	local status=$1 names=$2
	shift 2
	printf '%s\n' "$@" >"$LAB_DIR/in"
	refused "$status" "$names" apply -
	: >"$LAB_DIR/in"
}

long=$(printf 'n%.0s' {1..64})
: >"$LAB_DIR/in"

# ---- no daemon ----
refused 3 "$LAB_DIR/s" status
refused 3 "$LAB_DIR/s" tenant add acme
refused 3 "$LAB_DIR/s" export

# ---- a control daemon that cannot start: one sentence, at once ----
# no_start STATUS NAMES ARGUMENT...
no_start() {
	local status=$1 names=$2 seen
	shift 2
	timeout 5 "${AS[@]}" "$LAB_BUILD/control/vswitch-control" "$@" >"$LAB_DIR/out" 2>"$LAB_DIR/err"
	seen=$?
	if [ $seen != "$status" ] || [ "$(wc -l <"$LAB_DIR/err")" != 1 ] ||
		! grep -qF -- "$names" "$LAB_DIR/err"; then
		fail "vswitch-control ${*:0:60}: exit $status, and names $names" "exit $seen: $(cat "$LAB_DIR/err")"
	else
		pass "vswitch-control: $(cut -c 1-160 "$LAB_DIR/err")"
	fi
}
AS=()
deep="$LAB_DIR/$(printf 'd%.0s' {1..90})"
no_start 1 "$deep" --run-dir "$deep"
check_not "and nothing is made there" test -e "$deep"
no_start 2 "--run-dir" --run-dir ""
no_start 2 "0.0.0.0:8080" --run-dir "$LAB_DIR/t" --http 0.0.0.0:8080
no_start 2 "8080" --run-dir "$LAB_DIR/t" --http 8080
AS=(setpriv --reuid 65534 --regid 65534 --clear-groups)
no_start 1 "needs root" --run-dir "$LAB_DIR/t"

daemon_start s control
daemon_start s datapath
wait_until 10 switch_connected s || die "the switch did not start"
ctl s vtep set --local 127.0.0.1
ctl s tenant add acme --send 1gbit
ctl s tenant add beta
ctl s segment add acme/web --vni 5001
ctl s segment add beta/db --vni 5002
check "port acme/p1" ctl s port add acme/p1 --type tap --segment web --ifname eth0 --netns "${LAB_PREFIX}work" \
	--ip 10.0.0.1/24
CONFIG=$(ctl s export)

# ---- usage ----
refused 2 nonsense nonsense
refused 2 nonsense tenant nonsense
refused 2 nonsense tenant add gamma --nonsense
refused 2 "" tenant add
refused 2 type port add acme/p2 --segment web
refused 2 --wait --wait soon status

# ---- what is not there ----
refused 1 gamma tenant show gamma
refused 1 gamma tenant set gamma --send 1mbit
refused 1 gamma tenant del gamma
refused 1 gamma segment add gamma/web
refused 1 acme/none segment show acme/none
refused 1 acme/none segment set acme/none --mtu 1400
refused 1 none port add acme/p2 --type tap --segment none
refused 1 gamma port add gamma/p2 --type tap --segment web
refused 1 acme/none port show acme/none
refused 1 acme/none port del acme/none
refused 1 acme/none port up acme/none
refused 1 db port add acme/p2 --type tap --segment beta/db
refused 1 02:00:00:00:00:99 fdb del --segment acme/web 02:00:00:00:00:99
refused 1 acme/none fdb add --segment acme/web --port acme/none 02:00:00:00:00:99
refused 1 192.0.2.1 segment peer del acme/web 192.0.2.1

# ---- what is there already ----
check "the same again is no error" ctl s tenant add acme --send 1gbit
check "nor is it for a segment" ctl s segment add acme/web --vni 5001
refused 1 acme tenant add acme --send 2gbit
refused 1 5001 segment add beta/web --vni 5001
refused 1 5002 segment set acme/web --vni 5002
refused 1 eth0 port add acme/p2 --type tap --segment web --ifname eth0 --netns "${LAB_PREFIX}work"
refused 1 lo port add acme/p2 --type veth --segment web --ifname lo --netns "${LAB_PREFIX}work"
refused 1 acme tenant del acme
refused 1 acme/web segment del acme/web

# ---- values; the CLI sees some itself and calls them usage ----
# bad NAMES ARGUMENT...: refused, with 1 or 2.
bad() {
	local names=$1 status
	shift
	ctl s "$@" >/dev/null 2>&1
	status=$?
	[ $status = 1 ] || status=2
	refused $status "$names" "$@"
}
bad 0 segment set acme/web --vni 0
bad 16777216 segment set acme/web --vni 16777216
bad 4095 segment set acme/web --vlan 4095
bad x segment set acme/web --vni x
bad 67 segment set acme/web --mtu 67
bad "" tenant add ""
bad "$long" tenant add "$long"
bad -x tenant add -- -x
bad 'a b' tenant add 'a b'
bad a/b/c segment add a/b/c
bad sixteen-letters_ port add acme/p2 --type tap --segment web --ifname sixteen-letters_
bad 'x%d' port add acme/p2 --type tap --segment web --ifname 'x%d'
bad carrier-pigeon port add acme/p2 --type carrier-pigeon --segment web
bad 10zbit tenant set acme --send 10zbit
bad -1mbit tenant set acme --send=-1mbit
bad 99999999999gbit tenant set acme --send 99999999999gbit
bad 0 tenant set acme --weight 0
bad 10001 tenant set acme --weight 10001
bad -1 tenant set acme --weight -1
bad heavy tenant set acme --weight heavy
bad -65 tenant set acme --overhead -65
bad 1025 tenant set acme --overhead 1025
bad 0 tenant set acme --send-burst 0
bad 4gb tenant set acme --receive-burst 4gb
bad 1kib tenant set acme --receive-burst 1kib
bad 7bit tenant set acme --receive-min 7bit
bad 10.0.0.1/33 port set acme/p1 --ip 10.0.0.1/33
bad 10.0.0.300/24 port set acme/p1 --ip 10.0.0.300/24
bad 02:00:00:00:00 port set acme/p1 --mac 02:00:00:00:00
bad 01:00:5e:00:00:01 port set acme/p1 --mac 01:00:5e:00:00:01
bad 1.2.3 vtep set --local 1.2.3
bad 224.0.0.1 segment peer add acme/web 224.0.0.1
bad 01:00:5e:00:00:01 fdb add --segment acme/web --port acme/p1 01:00:5e:00:00:01

# ---- guarantees: no more than the ceiling, and together no more than the host has ----
refused 1 "vswitchctl host set --send-capacity" tenant set acme --send-min 1mbit
refused 1 "vswitchctl host set --receive-capacity" tenant add gamma --receive-min 1mbit
ctl s host set --send-capacity 1gbit --receive-capacity 500mbit
ctl s tenant set acme --send-min 600mbit --receive-min 500mbit
CONFIG=$(ctl s export)
refused 1 1000000001bit tenant set acme --send-min 1000000001bit
refused 1 "ceiling of 599mbit" tenant set acme --send 599mbit
refused 1 "send-capacity is 1gbit" tenant set beta --send-min 401mbit
refused 1 "would come to 1001mbit" tenant add gamma --send-min 401mbit
refused 1 "receive-capacity is 500mbit" tenant set beta --receive-min 8bit
refused 1 600mbit host set --send-capacity 599mbit
refused 1 500mbit host set --receive-capacity none
file_refused 1 "would come to 1.2gbit" 'version: 1' 'tenants: { beta: { send-min: 600mbit } }'
check "the sum may be all that there is" ctl s tenant set beta --send-min 400mbit
printf 'version: 1\ntenants: { acme: { send-min: 400mbit }, beta: { send-min: 600mbit } }\n' >"$LAB_DIR/swap.yaml"
check "a file may let guarantees change places" ctl s apply "$LAB_DIR/swap.yaml"
printf 'version: 1\ntenants: { zeta: { send-min: 1gbit } }\nhost: { send-capacity: 2gbit }\n' >"$LAB_DIR/grow.yaml"
check "and bring the capacity that it needs" ctl s apply "$LAB_DIR/grow.yaml"
check "what is exported can be applied" eval 'ctl s export | ctl s apply --prune -'
check "guarantees go with their tenant" ctl s tenant del zeta
check "and with none" ctl s tenant set beta --send-min none
check "then less is enough" ctl s host set --send-capacity 400mbit
CONFIG=$(ctl s export)

bad all port add acme/p2 --type tap --segment web --ifname all
bad default port add acme/p2 --type veth --segment web --ifname default
bad /etc/passwd port add acme/p2 --type tap --segment web --netns /etc/passwd
bad eth0 port add acme/p2 --type tap --segment web --ifname eth0 --netns "/var/run/netns/${LAB_PREFIX}work"
for ip in 127.0.0.1/8 ::1/128 10.0.0.0/24 10.0.0.255/24 239.1.1.1/8; do
	bad "$ip" port set acme/p1 --ip "$ip"
done
refused 1 up0 port add up0 --type tap

# ---- --require: refused before anything is done, so that the port that there is goes on ----
index=$(ip -n "${LAB_PREFIX}work" -j link show eth0 | jq '.[0].ifindex')
generation=$(ctl s --json status | jq .generation)
refused 1 "no namespace nowhere" port add acme/p2 --type tap --segment web --netns nowhere --require
refused 1 "no namespace nowhere" port set acme/p1 --netns nowhere --require
refused 1 "lo is taken" port set acme/p1 --ifname lo --require
refused 1 vm-none port add acme/p2 --type netdev --segment web --ifname vm-none --require
check_is "nothing was committed" "$generation" "$(ctl s --json status | jq .generation)"
check_is "nor was the interface made anew" "$index" "$(ip -n "${LAB_PREFIX}work" -j link show eth0 | jq '.[0].ifindex')"
check "what is in effect is not refused" ctl s port set acme/p1 --ip 10.0.0.1/24 --require

# ---- files: the line is named, as in "<stdin>:3:" ----
file_refused 1 ":3:" 'version: 1' 'tenants:' '  acme: [ }'
file_refused 1 ":3:" 'version: 1' 'tenants:' '  acme: { colour: red }'
file_refused 1 ":4:" 'version: 1' 'tenants:' '  acme: { send: 1gbit }' '  acme: { send: 2gbit }'
file_refused 1 ":3:" 'version: 1' 'tenants:' '  acme: &a { send: 1gbit }' '  beta: *a'
file_refused 1 ":3:" 'version: 1' 'tenants:' '  acme: { send: fast }'
file_refused 1 "version" 'tenants:' '  acme: { send: 1gbit }'
file_refused 1 "version" 'version: 2'
file_refused 1 "vni" 'version: 1' 'tenants:' '  acme:' '    segments:' '      web: { vni: 16777216 }'
file_refused 1 5002 'version: 1' 'tenants:' '  acme:' '    segments:' '      new: { vni: 5002 }' \
	'  zeta: { send: 1gbit }'
refused 1 /nonexistent apply /nonexistent
head -c 20000000 /dev/zero | tr '\0' '#' >"$LAB_DIR/in"
refused 1 "" apply -
: >"$LAB_DIR/in"

# ---- requests that no vswitchctl sends ----
# request STATUS CODE METHOD PATH BODY
request() {
	local seen
	seen=$(curl -s --max-time 10 --unix-socket "$LAB_DIR/s/control.sock" -X "$3" -o "$LAB_DIR/body" \
		-w '%{http_code} %{content_type}' -H 'Content-Type: application/json' --data-binary "$5" \
		"http://vswitch$4")
	if [ "$seen" != "$1 application/problem+json" ]; then
		fail "$3 $4 ${5:0:40}: $1" "$seen $(cat "$LAB_DIR/body")"
	elif ! jq -e --arg code "$2" '(.code | test($code)) and (.detail | length > 0) and .status' \
		"$LAB_DIR/body" >/dev/null; then
		fail "$3 $4 ${5:0:40}: says why" "$(cat "$LAB_DIR/body")"
	elif [ "$CONFIG" != "$(ctl s export)" ]; then
		fail "$3 $4 ${5:0:40}: changes nothing" "$(ctl s export)"
	else
		pass "$3 $4 ${5:0:40}: $1 $(jq -r .detail "$LAB_DIR/body" | cut -c 1-100)"
	fi
}
request 400 . PUT /v1/tenants/gamma '{"send":'
request 400 . PUT /v1/tenants/gamma '[]'
request 400 . PUT /v1/tenants/gamma ''
request 400 unknown-key PUT /v1/tenants/gamma '{"colour":"red"}'
request 400 duplicate-key PUT /v1/tenants/gamma '{"send":"1gbit","send":"2gbit"}'
request 400 . PUT /v1/tenants/gamma '{"send":7}'
request 404 . GET /v1/tenants/gamma ''
request 404 . GET /v1/nonsense ''
request 404 . GET /nonsense ''
request 405 . POST /v1/tenants/acme '{}'
request 409 . PUT /v1/tenants/beta/segments/new '{"vni":5001}'
request 409 . DELETE /v1/tenants/acme ''
head -c 17000000 /dev/zero | tr '\0' ' ' >"$LAB_DIR/large"
request 413 . PUT /v1/tenants/gamma "@$LAB_DIR/large"
check_is "a stale If-Match is refused" 412 "$(curl -s --unix-socket "$LAB_DIR/s/control.sock" -X PATCH \
	-H 'If-Match: "1"' -d '{"send":"3gbit"}' -o /dev/null -w '%{http_code}' http://vswitch/v1/tenants/acme)"

# A request that ends in the middle, and octets that are no request at all, disturb nobody.
"$PYTHON" - "$LAB_DIR/s/control.sock" <<'END'
import socket, sys
for octets in (b"PUT /v1/tenants/gamma HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"send\"",
               b"\0\1\2\3" * 1000, b"GET " + b"x" * 100000, b"GET / HTTP/9.9\r\n\r\n", b""):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(sys.argv[1])
        try:
            connection.sendall(octets)
        except (BrokenPipeError, ConnectionResetError):
            pass
END
check_is "truncated requests change nothing" "$CONFIG" "$(ctl s export)"
check "everything is up" switch_settled s

# ---- export and apply ----
ctl s export >"$LAB_DIR/export.yaml"
generation=$(ctl s --json status | jq .generation)
check "apply what was exported" ctl s apply "$LAB_DIR/export.yaml"
check "apply --prune what was exported" ctl s apply --prune "$LAB_DIR/export.yaml"
check_is "changes nothing" "$CONFIG" "$(ctl s export)"
check_is "and is no new generation" "$generation" "$(ctl s --json status | jq .generation)"
printf 'version: 1\ntenants: { gamma: { send: 1gbit } }\n' >"$LAB_DIR/gamma.yaml"
check "apply --dry-run" eval 'ctl s apply --dry-run "$LAB_DIR/gamma.yaml" | grep -q gamma'
check_is "changes nothing" "$CONFIG" "$(ctl s export)"

# ---- what can be taken back ----
check "an access port becomes a trunk" ctl s port set acme/p1 --segment '' --trunk web=5
check_is "and nothing else" '[null,["web=5"]]' "$(ctl s --json port show acme/p1 | jq -c '[.native, .trunk]')"
check "a trunk becomes an access port" ctl s port set acme/p1 --segment web --trunk none
check_is "as before" "$CONFIG" "$(ctl s export)"

# ---- over TCP: for reading, by this host ----
in_ns work "$LAB_BUILD/control/vswitch-control" --run-dir "$LAB_DIR/t" --http 127.0.0.1:8080 >"$LAB_DIR/t.control.log" 2>&1 &
LAB_JOBS+=($!)
# over_tcp CURL_ARGUMENT...: prints the status.
over_tcp() { in_ns work curl -s --max-time 5 -o "$LAB_DIR/body" -w '%{http_code}' "$@"; }
check "a control daemon serves HTTP" wait_until 10 in_ns work curl -s http://127.0.0.1:8080/v1/status
check_is "GET" 200 "$(over_tcp http://127.0.0.1:8080/v1/status)"
check_is "a GET of what is not there" 404 "$(over_tcp http://localhost:8080/v1/tenants/acme)"
check_is "PUT" 403 "$(over_tcp -X PUT -d '{}' http://127.0.0.1:8080/v1/tenants/acme)"
check_is "under a name that leads here" 403 "$(over_tcp -H 'Host: evil.example' http://127.0.0.1:8080/v1/status)"
check_is "nothing was changed" 0 "$(ctl t --json tenant list | jq '.tenants | length')"
AS=(ip netns exec "${LAB_PREFIX}work")
no_start 1 "127.0.0.1:8080" --run-dir "$LAB_DIR/u" --http 127.0.0.1:8080

# ---- no datapath ----
daemon_kill s datapath KILL
refused 1 "no datapath" port set acme/p1 --ip 10.0.0.1/24 --require
unset CONFIG
ctl s --wait 0.3 tenant set acme --send 2gbit >/dev/null 2>"$LAB_DIR/err"
check_is "without a datapath: exit 4" 4 $?
check "and says why" grep -q datapath "$LAB_DIR/err"
check_is "but it is accepted" 2gbit "$(ctl s --json tenant show acme | jq -r .send)"
daemon_start s datapath
check "the datapath comes: in effect" wait_until 10 switch_settled s
lab_finish
