#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Ports on capture files: replay in the file's own time and at a rate, record what leaves, go on when a daemon dies,
# and touch no file outside their directory.
#
#     t1 10.0.0.1 (tap)     in: replays a file     out: records to a file
#              [ switch s: tenant acme, segment web ]
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
ns_add t1
switch_start s
FILES=$LAB_DIR/s/state/pcap
ctl s tenant add acme
ctl s segment add acme/web
check "port acme/t1" ctl s port add acme/t1 --type tap --segment web --ifname eth0 --netns "${LAB_PREFIX}t1" --ip 10.0.0.1/24

pcap() {
	"$PYTHON" -B "$TOP/tests/netns/pcap.py" "$@"
}

# dump_start FILE, dump_end: what arrives at t1.
dump_start() {
	rm -f "$LAB_DIR/dump.log"
	# Its buffer has places of the length that it keeps: short ones, so that there are many.
	job_in t1 dump.log tcpdump -i eth0 -Q in -s 1100 -B 16384 --immediate-mode -U -w "$LAB_DIR/$1" ether proto 0x88b5
	DUMP=$!
	wait_until 10 grep -q listening "$LAB_DIR/dump.log" || die "tcpdump does not listen"
}
dump_end() {
	end_process "$DUMP"
	grep -q "^0 packets dropped" "$LAB_DIR/dump.log" || fail "tcpdump lost packets" "$(cat "$LAB_DIR/dump.log")"
}

reason_is() {
	[ "$(ctl s --json port show "$1" | jq -r '.status.reason // ""')" = "$2" ]
}
state_of() {
	ctl s --json port show "$1" | jq -r .status.state
}
sum_is_exact() {
	ctl s --json stats port "$1" | jq -e '[.. | objects | select(has("rx_packets"))][0]
		| .rx_packets + .copies == .forwarded + ([.drops[]?] | add // 0) + (.queued // 0)'
}
received_at_least() {
	[ "$(port_counter s "$1" rx_packets)" -ge "$2" ]
}

# ---- own time, and what is recorded ----
check_is "the directory of captures is root's alone" 700 "$(stat -c %a "$FILES")"
pcap make "$FILES/own.pcap" 200 300 10000 pcap
dump_start own.dump
check "a port that records" ctl s port add acme/out --type pcap --segment web --write out.pcap
check_is "its file is root's alone" 600 "$(stat -c %a "$FILES/out.pcap")"
check "a port that replays" ctl s port add acme/in --type pcap --segment web --read own.pcap
check "the replay ends, and the port says so" wait_until 10 reason_is acme/in "replay finished"
check_is "the port is up all the same" up "$(state_of acme/in)"
dump_end
check_is "every frame arrived once, in order" "200 first 0 last 199 missing 0 repeated 0 reordered 0" \
	"$(pcap numbers "$LAB_DIR/own.dump")"
check_between "in the time of the file, 1.99 s" 1.950 "$(pcap seconds "$LAB_DIR/own.dump")" 2.030
check_is "the frames are the file's" "same 200" "$(pcap compare "$FILES/own.pcap" "$LAB_DIR/own.dump")"
check_is "the record is what tcpdump saw" "same 200" "$(pcap compare "$FILES/out.pcap" "$LAB_DIR/own.dump")"
check_between "with its times" 1.950 "$(pcap seconds "$FILES/out.pcap")" 2.030
check_is "it is counted" "200 200" "$(port_counter s acme/in rx_packets) $(port_counter s acme/out tx_packets)"
check "the sum of the replaying port is exact" sum_is_exact acme/in

# ---- a super-packet leaves a recording port as frames ----
ip -n "${LAB_PREFIX}t1" neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0
check "a burst of one super-packet" in_ns t1 "$PYTHON" -B "$TOP/tests/netns/pcap.py" burst 10.0.0.9 30000 1000
recorded_burst() {
	[ "$(pcap udp "$FILES/out.pcap")" = "datagrams 30 octets 30000 bad-checksums 0 longest 1042" ]
}
check "it is recorded as 30 frames with their checksums" wait_until 10 recorded_burst

# ---- a rate, of every form of file ----
for form in ns pcap swapped; do
	pcap make "$FILES/rate.pcap" 2000 1000 1000000 $form
	ctl s port del acme/in
	dump_start rate.dump
	check "$form: at 8 mbit" ctl s port add acme/in --type pcap --segment web --read rate.pcap --replay 8mbit
	check "$form: it ends" wait_until 10 reason_is acme/in "replay finished"
	dump_end
	check_is "$form: every frame arrived once, in order" \
		"2000 first 0 last 1999 missing 0 repeated 0 reordered 0" "$(pcap numbers "$LAB_DIR/rate.dump")"
	check_between "$form: 1.999 s within 2 %" 1.959 "$(pcap seconds "$LAB_DIR/rate.dump")" 2.039
done

# ---- a ceiling: the file waits, and nothing is dropped ----
pcap make "$FILES/waits.pcap" 4000 1000 0
ctl s port del acme/in
ctl s tenant set acme --send 50mbit
dump_start waits.dump
check "as fast as it goes, below ceilings" ctl s port add acme/in --type pcap --segment web --read waits.pcap \
	--replay max --send 40mbit
check "it ends" wait_until 10 reason_is acme/in "replay finished"
all_went_out() {
	[ "$(port_counter s acme/in rx_packets) $(port_counter s acme/in queued)" = "4000 0" ]
}
check "all of it arrives" wait_until 10 all_went_out
dump_end
check_is "every frame arrived once, in order" \
	"4000 first 0 last 3999 missing 0 repeated 0 reordered 0" "$(pcap numbers "$LAB_DIR/waits.dump")"
# What a busy machine keeps from a channel it makes up for as far as its burst goes, so it may take longer.
check_between "in the ceiling's time, 0.796 s" 0.780 "$(pcap seconds "$LAB_DIR/waits.dump")" 1.200
ctl s tenant set acme --send none

# ---- the rate is changed, and the port goes down, while it replays ----
pcap make "$FILES/long.pcap" 1000 1000 3600000000
ctl s port del acme/in
ctl s port del acme/out
dump_start change.dump
check "own time: an hour between frames" ctl s port add acme/in --type pcap --segment web --read long.pcap
check "the first is there at once" wait_until 10 received_at_least acme/in 1
check "faster, under way" ctl s port set acme/in --replay 1mbit
check "it goes on" wait_until 10 received_at_least acme/in 20
check "down" ctl s port down acme/in
stood=$(port_counter s acme/in rx_packets)
sleep 0.3
check_is "a replay stands still while the port is down" "$stood" "$(port_counter s acme/in rx_packets)"
check "up" ctl s port up acme/in
check "as fast as it goes" ctl s port set acme/in --replay max
check "it ends" wait_until 10 reason_is acme/in "replay finished"
dump_end
check_is "nothing was lost to the changes" "1000 first 0 last 999 missing 0 repeated 0 reordered 0" \
	"$(pcap numbers "$LAB_DIR/change.dump")"
check "the sum is exact" sum_is_exact acme/in

# ---- the daemons die while it replays ----
pcap make "$FILES/restart.pcap" 600 200 10000
ctl s port del acme/in
ctl s port add acme/out --type pcap --segment web --write restarts.pcap >/dev/null
dump_start restart.dump
ctl s port add acme/in --type pcap --segment web --read restart.pcap >/dev/null
wait_until 10 received_at_least acme/in 50
daemon_kill s control KILL
daemon_start s control
check "the control daemon is back" wait_until 10 switch_settled s
check "the replay goes on" wait_until 10 received_at_least acme/in 150
daemon_kill s datapath KILL
daemon_start s datapath
check "the datapath is back" wait_until 10 switch_settled s
check "the replay ends" wait_until 15 reason_is acme/in "replay finished"
dump_end
read -r count _ first _ last _ missing _ repeated _ reordered <<<"$(pcap numbers "$LAB_DIR/restart.dump")"
check_is "from the first frame to the last, none twice" "0 599 0 0" "$first $last $repeated $reordered"
check_between "and at most what a dying datapath had in its hands is lost" 0 "$missing" 2
check_between "the record is whole" "$((count - 2))" \
	"$(pcap numbers "$FILES/restarts.pcap" | cut -d' ' -f1)" 600
check_between "and in time, 5.99 s and a restart" 5.9 "$(pcap seconds "$LAB_DIR/restart.dump")" 7.0

daemon_kill s datapath KILL
daemon_kill s control KILL
before=$(pcap numbers "$FILES/restarts.pcap" | cut -d' ' -f1)
daemon_start s control
daemon_start s datapath
check "after the death of both the replay begins anew, and ends" \
	eval 'wait_until 10 switch_settled s && wait_until 15 reason_is acme/in "replay finished"'
check_is "and the recording goes on behind what there was" "$((before + 600))" \
	"$(pcap numbers "$FILES/restarts.pcap" | cut -d' ' -f1)"

# ---- a limit ----
pcap make "$FILES/limit.pcap" 2000 1000 0
ctl s port del acme/in
ctl s port del acme/out
ctl s port add acme/out --type pcap --segment web --write limit-out.pcap --write-limit 1 >/dev/null
ctl s port add acme/in --type pcap --segment web --read limit.pcap --replay max >/dev/null
check "a recording stops at its limit and says so" \
	wait_until 10 reason_is acme/out "recording has reached its limit"
wait_until 10 reason_is acme/in "replay finished"
whole=$(((1048576 - 24) / 1016))
check_is "it holds what fits" $((24 + whole * 1016)) "$(stat -c %s "$FILES/limit-out.pcap")"
check_is "in whole frames" "$whole first 0 last $((whole - 1)) missing 0 repeated 0 reordered 0" \
	"$(pcap numbers "$FILES/limit-out.pcap")"
check_is "the rest is dropped, and counted" $((2000 - whole)) "$(drop_counter s acme/in port-full)"
check "the sum is exact" sum_is_exact acme/in
check "a higher limit" ctl s port set acme/out --write-limit 2
check "is no limit for now" wait_until 10 reason_is acme/out ""

# ---- both in one port, and a file that was there ----
ctl s port del acme/in
ctl s port del acme/out
pcap make "$FILES/both.pcap" 10 60 0
cp "$FILES/both.pcap" "$FILES/there.pcap"
check "one port replays and records" ctl s port add acme/both --type pcap --segment web --read both.pcap --write there.pcap
wait_until 10 reason_is acme/both "replay finished"
check_is "what was in its file is replaced; its own frames do not come back" 24 "$(stat -c %s "$FILES/there.pcap")"
config=$(ctl s export)
check_is "export and apply changes nothing" "$config" \
	"$(ctl s export >"$LAB_DIR/config" && ctl s apply "$LAB_DIR/config" >/dev/null && ctl s export)"
check "an absolute path into the directory is a name" ctl s port set acme/both --read "$FILES/own.pcap"
check_is "and kept as such" own.pcap "$(ctl s --json port show acme/both | jq -r .read)"
ctl s port del acme/both

# ---- a file that is not there yet ----
check_is "a file that is not there is waited for, exit 4" 4 \
	"$(ctl s --wait 0.2 port add acme/late --type pcap --segment web --read late.pcap >/dev/null 2>&1; echo $?)"
check_is "and the port says so" "no file late.pcap in $FILES" \
	"$(ctl s --json port show acme/late | jq -r .status.reason)"
ctl s port del acme/late
check_is "--require refuses it, exit 1" "1, acme/late: no such port" \
	"$(ctl s port add acme/late --type pcap --segment web --read late.pcap --require >/dev/null 2>&1; echo $?), $(
		ctl s port show acme/late >/dev/null 2>&1 || echo "acme/late: no such port")"
ctl s --wait 0 port add acme/late --type pcap --segment web --read late.pcap >/dev/null 2>&1
pcap make "$LAB_DIR/late" 5 60 0
mv "$LAB_DIR/late" "$FILES/late.pcap"
check "it is replayed when it comes" wait_until 10 reason_is acme/late "replay finished"
check_is "all of it" 5 "$(port_counter s acme/late rx_packets)"
check_is "deleting the port keeps the file" yes "$(ctl s port del acme/late && [ -e "$FILES/late.pcap" ] && echo yes)"

pcap other "$FILES/cut.pcap" cut
ctl s port add acme/cut --type pcap --segment web --read cut.pcap --replay max >/dev/null
check "a file that is cut: its port says so" wait_until 10 reason_is acme/cut \
	"replay stopped: the rest of file cut.pcap is damaged"
check_is "what was whole is replayed" 2 "$(port_counter s acme/cut rx_packets)"
check "and the switch is well" switch_settled s
ctl s port del acme/cut

# ---- files that are refused ----
mkdir "$FILES/sub" "$LAB_DIR/outside"
pcap make "$LAB_DIR/outside/a.pcap" 3 60 0
ln -s "$LAB_DIR/outside/a.pcap" "$FILES/link.pcap"
ln -s "$LAB_DIR/outside" "$FILES/linked"
ln -s own.pcap "$FILES/inner.pcap"
mkfifo "$FILES/fifo"
pcap other "$FILES/ng.pcapng" pcapng
pcap other "$FILES/raw.pcap" raw
echo "no capture at all, but longer than a header" >"$FILES/text"
check "a file in a directory below" eval 'cp "$FILES/late.pcap" "$FILES/sub/" &&
	ctl s port add acme/sub --type pcap --segment web --read sub/late.pcap'
check "a port that writes kept.pcap" ctl s port add acme/kept --type pcap --segment web --write kept.pcap
before=$(ctl s export)
# refused EXIT WORDS ARGUMENT...
refused() {
	local exit=$1 words=$2 said
	shift 2
	said=$(ctl s --wait 0.2 port add acme/bad --type pcap --segment web "$@" 2>&1 >/dev/null)
	check_is "refused: $*" "$exit, one line, with \"$words\"" \
		"$?, $([ "$(wc -l <<<"$said")" = 1 ] && echo one line), $(
			grep -qF -- "$words" <<<"$said" && echo "with \"$words\"" || echo "$said")"
}
refused 1 "acme/bad neither reads nor writes a file"
refused 1 "is not below $FILES" --read "$LAB_DIR/outside/a.pcap"
refused 1 "is not below $FILES" --read /etc/passwd
refused 1 "is not below $FILES" --write "$LAB_DIR/s/state/state.db"
refused 1 "is not a capture file" --read ../state.db
refused 1 "is not a capture file" --write sub/../../x
refused 1 "is not a capture file" --read "$FILES/../state.db"
for direction in read write; do
	refused 1 "symbolic link" --$direction link.pcap
	refused 1 "symbolic link" --$direction inner.pcap
	refused 1 "symbolic link" --$direction linked/a.pcap
	refused 1 "no regular file" --$direction fifo
	refused 1 "no regular file" --$direction sub
done
refused 1 "pcapng" --read ng.pcapng
refused 1 "no Ethernet frames" --read raw.pcap
refused 1 "no pcap file" --read text
refused 1 "file kept.pcap of port acme/bad is written by port acme/kept" --write kept.pcap
refused 1 "same file" --read own.pcap --write own.pcap
refused 1 "has no interface" --read own.pcap --ifname eth7
refused 1 "is not a way to replay" --read own.pcap --replay fast
refused 1 "write-limit" --write x.pcap --write-limit 0
check_is "a tap has no files" 1 \
	"$(ctl s port add acme/bad --type tap --segment web --read own.pcap >/dev/null 2>&1; echo $?)"
check_is "past the command line: .. is refused" 400 "$(curl -s -o /dev/null -w '%{http_code}' \
	--unix-socket "$LAB_DIR/s/control.sock" -X PUT http://x/v1/tenants/acme/ports/bad \
	-d '{"type":"pcap","segment":"web","read":"../state.db"}')"
check_is "nothing was changed" "$before" "$(ctl s export)"
check_is "nor made" "" "$(find "$FILES" "$LAB_DIR/s/state" -name x -o -name x.pcap)"
check "what is outside is as it was" cmp "$LAB_DIR/outside/a.pcap" "$FILES/link.pcap"

# A link that comes where a file was, when the daemons open it again.
ctl s port del acme/sub
ctl s port add acme/moved --type pcap --segment web --read late.pcap >/dev/null
daemon_kill s datapath
daemon_kill s control
ln -sf "$LAB_DIR/outside/a.pcap" "$FILES/late.pcap"
daemon_start s control
daemon_start s datapath
wait_until 10 switch_connected s
check "a link in place of its file: the port waits, and says why" wait_until 10 reason_is acme/moved \
	"file late.pcap in $FILES is reached through a symbolic link: put the file itself there"
lab_finish
