#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every route of the API by curl: the same socket and the same answers that vswitchctl uses. And that every
# path of docs/api/openapi.yaml was called.
#
#     work: acme/p1 (tap)      switch s
set -u
# shellcheck source=tests/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

lab_begin "${1:-}"
ns_add work
switch_start s

# call STATUS METHOD PATH [BODY [HEADER]]: the answer is in $LAB_DIR/body, its headers in $LAB_DIR/headers.
call() {
	local seen text="$2 $3 ${4:-}"
	echo "$2 $3" >>"$LAB_DIR/called"
	local options=(-s --max-time 10 --unix-socket "$LAB_DIR/s/control.sock" -X "$2" -D "$LAB_DIR/headers"
		-o "$LAB_DIR/body" -w '%{http_code}')
	[ -z "${4:-}" ] || options+=(-H 'Content-Type: application/json' --data-binary "$4")
	[ -z "${5:-}" ] || options+=(-H "$5")
	seen=$(curl "${options[@]}" "http://vswitch$3")
	if [ "$seen" = "$1" ]; then
		pass "${text:0:100}: $1"
	else
		fail "${text:0:100}: $1" "$seen $(cat "$LAB_DIR/body")"
	fi
}
body() {
	jq -c "$1" "$LAB_DIR/body"
}
etag() {
	sed -n 's/^ETag: "\([0-9]*\)".*/\1/Ip' "$LAB_DIR/headers"
}

call 200 GET /v1/status
check_is "it says that the datapath is connected" '"connected"' "$(body .datapath.state)"

# Every kind: made, made again, read, merged, put back as read, deleted.
# object PATH BODY PATCH
object() {
	local generation
	call 201 PUT "$1" "$2"
	generation=$(etag)
	call 200 PUT "$1" "$2"
	check_is "$1: the same again is no new generation" "$generation" "$(etag)"
	call 200 PUT "$1" "$2" 'If-None-Match: *'
	call 200 GET "$1"
	check_is "$1: GET has the generation in its ETag" "$generation" "$(etag)"
	call 200 PUT "$1" "$(cat "$LAB_DIR/body")"
	check_is "$1: what was read, put back, changes nothing" "$generation" "$(etag)"
	call 200 PATCH "$1" "$3"
	check_is "$1: a change is the next generation" $((generation + 1)) "$(etag)"
	call 412 PATCH "$1" "$3" "If-Match: \"$generation\""
	call 200 PATCH "$1" "$3" "If-Match: \"$((generation + 1))\""
}
call 200 GET /v1/host
call 200 PUT /v1/host '{"send-capacity":"10gbit"}'
call 200 PATCH /v1/host '{"send-capacity":null}'
check_is "null is the default" '"none"' "$(body '."send-capacity" // "none"')"
object /v1/vtep '{"local":"127.0.0.1"}' '{"udp-port":14789}'
object /v1/tenants/acme '{"send":"1gbit"}' '{"receive":"2gbit"}'
object /v1/tenants/acme/segments/web '{"vni":5001,"mtu":1400}' '{"ageing":60}'
object /v1/tenants/acme/ports/p1 \
	"{\"type\":\"tap\",\"segment\":\"web\",\"netns\":\"${LAB_PREFIX}work\",\"ifname\":\"eth0\",\"mac\":\"02:00:00:00:00:01\"}" \
	'{"ip":["10.0.0.1/24"]}'
object /v1/uplinks/up0 '{"type":"tap","ifname":"'"vt$$"'","trunk":["acme/web=100"]}' '{"admin":"down"}'

call 200 GET /v1/tenants
check_is "tenants" '["acme"]' "$(body '[.tenants[].name]')"
for path in /v1/segments /v1/tenants/acme/segments; do
	call 200 GET "$path"
	check_is "segments" 1 "$(body '.segments | length')"
done
for path in /v1/ports /v1/tenants/acme/ports /v1/uplinks; do
	call 200 GET "$path"
done

call 201 PUT /v1/tenants/acme/segments/web/peers/192.0.2.7
call 200 PUT /v1/tenants/acme/segments/web/peers/192.0.2.7
call 200 GET /v1/tenants/acme/segments/web
check_is "the peer is there" '["192.0.2.7"]' "$(body .peers)"

call 201 PUT /v1/fdb/acme/web/02:00:00:00:00:77 '{"vtep":"192.0.2.7"}'
call 200 GET "/v1/fdb?segment=acme/web"
check_is "the static entry is there" '[["02:00:00:00:00:77","192.0.2.7",true]]' \
	"$(body '[.entries[] | select(.static) | [.mac, .vtep, .static]]')"
call 200 GET "/v1/fdb?vtep=192.0.2.7"
call 204 DELETE /v1/fdb/acme/web/02:00:00:00:00:77
call 404 DELETE /v1/fdb/acme/web/02:00:00:00:00:77
call 400 PUT /v1/fdb/acme/web/02:00:00:00:00:78 '{"port":"acme/none"}'
call 204 POST /v1/fdb/flush '{"all":true}'
call 204 DELETE /v1/tenants/acme/segments/web/peers/192.0.2.7
call 404 DELETE /v1/tenants/acme/segments/web/peers/192.0.2.7

call 200 GET /v1/stats
for path in tenants tenants/acme segments segments/acme/web ports ports/acme/p1 ports/up0; do
	call 200 GET "/v1/stats/$path"
done
call 200 GET /v1/drops

call 200 GET /v1/config
config=$(cat "$LAB_DIR/body")
call 200 POST /v1/apply "$config"
check_is "what was read, applied, changes nothing" '[]' "$(body .changes)"
call 200 POST "/v1/apply?prune=true&dry-run=true" '{"version":1}'
check_between "prune would remove everything" 4 "$(body '[.changes[] | select(.action == "remove")] | length')" 9
call 200 GET /v1/config
check_is "but dry-run did nothing" "$config" "$(cat "$LAB_DIR/body")"
call 200 POST "/v1/apply?prune=true&tenant=acme" '{"version":1,"tenants":{"acme":{"segments":{"web":{"vni":5001}}}}}'
call 404 GET /v1/tenants/acme/ports/p1
call 201 PUT /v1/tenants/acme/ports/p2 "{\"type\":\"veth\",\"segment\":\"web\",\"netns\":\"${LAB_PREFIX}work\",\"ifname\":\"eth0\"}"
call 204 DELETE /v1/tenants/acme/ports/p2
call 404 DELETE /v1/tenants/acme/ports/p2

call 405 DELETE /v1/status
check "405 says what is allowed" grep -qi '^Allow:.*GET' "$LAB_DIR/headers"
call 404 GET /v1/nothing
call 204 DELETE /v1/uplinks/up0
call 409 DELETE /v1/tenants/acme
call 204 DELETE /v1/tenants/acme/segments/web
call 204 DELETE /v1/tenants/acme
call 404 DELETE /v1/tenants/acme
call 204 DELETE /v1/vtep

# Many requests over one connection.
check_is "a connection serves many requests" "200 200 200 " "$(curl -s --unix-socket "$LAB_DIR/s/control.sock" \
	-o /dev/null -o /dev/null -o /dev/null -w '%{http_code} ' http://v/v1/status http://v/v1/tenants http://v/v1/ports)"

# ---- who may ----
# as UID GID GROUPS METHOD PATH BODY: the answer's status.
as() {
	setpriv --reuid "$1" --regid "$2" --groups "$3" curl -s --max-time 10 -o /dev/null -w '%{http_code}' \
		--unix-socket "$LAB_DIR/s/control.sock" -X "$4" ${6:+--data-binary "$6"} "http://vswitch$5"
}
chmod 711 "$LAB_DIR" "$LAB_DIR/s"
check_is "nobody may not read" 403 "$(as 65534 65534 65534 GET /v1/tenants)"
check_is "nobody may not change" 403 "$(as 65534 65534 65534 PUT /v1/tenants/gamma '{}')"

# ---- nothing that is described was left out ----
if [ -f "$TOP/docs/api/openapi.yaml" ]; then
	missing=$("$PYTHON" - "$TOP/docs/api/openapi.yaml" "$LAB_DIR/called" <<'END'
import re, sys, yaml
with open(sys.argv[1]) as file:
    paths = yaml.safe_load(file)["paths"]
with open(sys.argv[2]) as file:
    called = [line.split() for line in file]
for path, item in paths.items():
    pattern = re.compile(re.sub(r"\\{[^/]*?\\}", "[^/]+", re.escape(path if path.startswith("/v1") else "/v1" + path)))
    for method in item:
        if method in ("get", "put", "patch", "post", "delete") and not any(
                verb == method.upper() and pattern.fullmatch(target.split("?")[0]) for verb, target in called):
            print(method.upper(), path)
END
	)
	check_is "every method and path of docs/api/openapi.yaml was called" "" "$missing"
else
	fail "there is no docs/api/openapi.yaml"
fi
lab_finish
