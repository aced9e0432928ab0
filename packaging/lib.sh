# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# What packaging/install and packaging/uninstall share.
#
# shellcheck disable=SC2034 # they use what is set here
# PREFIX/share/vswitch/installed lists what an installation added: files, directories with a slash at
# the end, accounts as user:NAME and group:NAME, and config:SUM of the default configuration.

PREFIX=/usr/local DESTDIR=
CONFIG=/etc/default/vswitch STATE=/var/lib/vswitch RUN=/run/vswitch
MANIFEST=$PREFIX/share/vswitch/installed
# In the order in which they start: the control daemon finds a datapath.
SERVICES=(vswitch-datapath vswitch-control)

fail() {
	echo "${0##*/}: $1" >&2
	exit 1
}

# The comment on top of a script, from its first command line on.
usage() {
	sed -n '/^#   packaging/,/^[^#]/s/^# \{0,1\}//p' "$1"
}

# parse_place ARGUMENT...: takes --prefix and --destdir. TAKEN says how many arguments the caller's turn takes.
parse_place() {
	TAKEN=1
	case $1 in
	--prefix | --destdir)
		[[ ${2:-} = /* ]] || fail "$1 takes an absolute path"
		TAKEN=2
		;;&
	--prefix) PREFIX=${2%/} MANIFEST=${2%/}/share/vswitch/installed ;;
	--destdir) DESTDIR=${2%/} ;;
	*) return 1 ;;
	esac
}

config_sum() {
	sha256sum <"$1" | cut -c 1-64
}

is_packaged() {
	[ "$(dpkg-query -W -f='${db:Status-Status}' vswitch 2>/dev/null)" = installed ]
}

has_systemd() {
	[ -d /run/systemd/system ]
}

# What the configuration says, as systemd reads it, or the default: setting NAME DEFAULT
setting() {
	local value=
	[ ! -r "$CONFIG" ] || value=$(sed -n "s/^$1=//p" "$CONFIG" | tail -n 1)
	echo "${value:-$2}"
}

# start_process SERVICE: a daemon as a plain process, its messages in /var/log/vswitch.log.
start_process() {
	local arguments=()
	case $1 in
	vswitch-datapath) arguments=(--workers "$(setting VSWITCH_WORKERS 1)") ;;
	vswitch-control) read -ra arguments < <(setting VSWITCH_CONTROL_OPTIONS '') ;;
	esac
	install -d "$RUN"
	VSWITCH_RUN_DIR=$(setting VSWITCH_RUN_DIR "$RUN") VSWITCH_STATE_DIR=$(setting VSWITCH_STATE_DIR "$STATE") \
		start-stop-daemon --start --quiet --background --make-pidfile --pidfile "$RUN/$1.pid" \
		--output /var/log/vswitch.log --startas "$PREFIX/sbin/$1" -- "${arguments[@]}"
}

stop_process() {
	[ -f "$RUN/$1.pid" ] || return 0
	# By name, of which the kernel keeps 15 characters: the file may have been replaced.
	start-stop-daemon --stop --quiet --oknodo --retry TERM/5/KILL/5 --remove-pidfile \
		--pidfile "$RUN/$1.pid" --name "${1:0:15}"
}
