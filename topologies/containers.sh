# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Containers of podman. Two run in namespaces that have names and ports already; the third is started without a
# network and then given a port by the number of its process, as it is done with Docker. Sourced by run.
#
#   web1: --network ns:PATH   web2: --network ns:PATH   web3: --network none
#        tap | 10.0.0.1           veth | 10.0.0.2          tap | 10.0.0.3, --netns pid:N
#   [ switch host-a: segment acme/web                                         ]
#
# Their files are busybox and nothing else: no registry is asked. Where podman cannot run, the same is done with
# namespaces, and a row says so.

# shellcheck source=tests/lib.sh
declare -F lab_begin >/dev/null || . tests/lib.sh

ENGINE=podman
FILE_SIZE=20000000
# Process 1 of a container: ends when it is told to, which a shell in that place does not do by itself.
BOX_COMMAND='trap "exit 0" TERM; httpd -h /srv; while sleep 3600 & wait; do :; done'

topology_make() {
	local name
	ns_add host-a web1 web2
	switch_start host-a host-a
	ctl host-a apply "$TOP/topologies/containers.host-a.yaml" || die "cannot apply containers.host-a.yaml"
	wait_until 10 switch_settled host-a || die "host-a did not settle: $(ctl host-a status)"
	# /run may be where nothing is executed from.
	mkdir "$LAB_DIR/rootfs"
	mount -t tmpfs -o mode=755 tmpfs "$LAB_DIR/rootfs" || die "cannot mount a tmpfs"
	for name in web1 web2 web3; do
		rootfs_make "$LAB_DIR/rootfs/$name"
	done
	head -c $FILE_SIZE /dev/urandom >"$LAB_DIR/rootfs/web1/srv/file"
	podman_configure
	if ! box_start web1 "ns:/run/netns/${LAB_PREFIX}web1" 2>"$LAB_DIR/podman.log"; then
		ENGINE=namespaces
		box_start web1 "ns:/run/netns/${LAB_PREFIX}web1"
	fi
	box_start web2 "ns:/run/netns/${LAB_PREFIX}web2" || die "cannot start a container"
}

# ---- containers ----

rootfs_make() {
	local applet
	mkdir -p "$1"/{bin,dev,etc,proc,run,srv,sys,tmp}
	cp /bin/busybox "$1/bin/"
	for applet in sh httpd ip ping sleep wget; do
		ln -s busybox "$1/bin/$applet"
	done
	mknod "$1/dev/null" c 1 3
}

# All that podman keeps is in the lab's directory. runc runs with any version of control groups, crun does not.
podman_configure() {
	mkdir "$LAB_DIR/podman"
	cat >"$LAB_DIR/podman/containers.conf" <<END
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "none"
[network]
network_config_dir = "$LAB_DIR/podman/networks"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
lock_type = "file"
tmp_dir = "$LAB_DIR/podman/tmp"
volume_path = "$LAB_DIR/podman/volumes"
END
	cat >"$LAB_DIR/podman/storage.conf" <<END
[storage]
driver = "vfs"
graphroot = "$LAB_DIR/podman/storage"
runroot = "$LAB_DIR/podman/run"
END
	export CONTAINERS_CONF=$LAB_DIR/podman/containers.conf CONTAINERS_STORAGE_CONF=$LAB_DIR/podman/storage.conf
}

# From the host's namespace, so that what watches over a container ends with the lab.
host_podman() {
	nsenter --net="/run/netns/${LAB_PREFIX}host-a" podman "$@"
}

# box_start NAME NETWORK: as podman's --network. Control groups only for the container itself, which go with it.
box_start() {
	case $ENGINE:$2 in
	podman:*)
		host_podman run --detach --rm --name "$1" --network "$2" --cap-add NET_RAW --cgroups no-conmon \
			--cgroup-parent / --rootfs "$LAB_DIR/rootfs/$1" sh -c "$BOX_COMMAND" >/dev/null
		;;
	namespaces:none) box_job "$1" unshare --net ;;
	namespaces:ns:*) box_job "$1" nsenter --net="${2#ns:}" ;;
	esac
}

box_job() {
	local name=$1
	shift
	# What it starts ends with it.
	"$@" unshare --pid --fork --kill-child chroot "$LAB_DIR/rootfs/$name" sh -c "$BOX_COMMAND" \
		</dev/null >"$LAB_DIR/$name.log" 2>&1 &
	LAB_JOBS+=("$!")
	echo "$!" >>"$LAB_DIR/pids"
	BOX_PID[$name]=$!
	# Until then it is the host's own namespace that the process stands for.
	wait_until 10 box_left_host "$name" || die "container $name did not start"
}

box_left_host() {
	[ "$(readlink "/proc/${BOX_PID[$1]}/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}
declare -gA BOX_PID=()

# box_pid NAME: its process 1, as the host numbers it.
box_pid() {
	case $ENGINE in
	podman) podman inspect --format '{{.State.Pid}}' "$1" ;;
	namespaces) echo "${BOX_PID[$1]}" ;;
	esac
}

# box_do NAME COMMAND...: in the container.
box_do() {
	local name=$1
	shift
	case $ENGINE in
	podman) podman exec "$name" "$@" ;;
	namespaces) nsenter --net --target "${BOX_PID[$name]}" chroot "$LAB_DIR/rootfs/$name" "$@" ;;
	esac
}

box_stop() {
	kill -KILL "$(box_pid "$1")"
	# The shell would tell of a child that was killed.
	{
		wait_until 10 box_gone "$1" || die "container $1 did not end"
		[ $ENGINE = podman ] || wait "${BOX_PID[$1]}"
	} 2>/dev/null
}

box_gone() {
	case $ENGINE in
	podman) ! podman container exists "$1" ;;
	namespaces) process_gone "${BOX_PID[$1]}" ;;
	esac
}

# ---- what is proved ----

topology_prove() {
	local sum process
	sum=$(sha256sum <"$LAB_DIR/rootfs/web1/srv/file" | cut -c 1-16)
	if [ $ENGINE = podman ]; then
		row "containers are run by" podman podman
	else
		row "podman cannot run here: containers are" namespaces namespaces
	fi
	row "web2's address, seen from inside" 10.0.0.2/24 "$(box_address web2)"
	row "web2 (veth) to web1 (tap): pings answered" 5 "$(box_answers web2 10.0.0.1)"
	row "web1 to web2: pings answered" 5 "$(box_answers web1 10.0.0.2)"
	row "20 MB from web1 to web2 by HTTP: SHA-256" "$sum" "$(box_fetch web2)"
	box_stop web2
	box_start web2 "ns:/run/netns/${LAB_PREFIX}web2" || die "cannot start a container"
	row "web2 replaced by a new container: its address" 10.0.0.2/24 "$(box_address web2)"
	row "web2 replaced: pings answered" 5 "$(box_answers web2 10.0.0.1)"
	box_start web3 none || die "cannot start a container"
	process=$(box_pid web3)
	ctl host-a port add acme/web3 --type tap --segment web --netns "pid:$process" --ifname eth0 --ip 10.0.0.3/24 ||
		die "cannot add acme/web3"
	row "web3, port added by process: its address" 10.0.0.3/24 "$(box_address web3)"
	row "web3 to web1: pings answered" 5 "$(box_answers web3 10.0.0.1)"
	row "20 MB from web1 to web3 by HTTP: SHA-256" "$sum" "$(box_fetch web3)"
	prove_end
}

# A container that was given its port by process takes the interface with it.
prove_end() {
	box_stop web3
	wait_until 10 port_is acme/web3 waiting
	row "web3 ended: port acme/web3" waiting "$(port_state acme/web3)"
	box_start web3 none || die "cannot start a container"
	ctl host-a port set acme/web3 --netns "pid:$(box_pid web3)" || die "cannot change acme/web3"
	row "web3 started again, port set: pings answered" 5 "$(box_answers web3 10.0.0.1)"
}

box_address() {
	box_do "$1" ip -4 -o addr show dev eth0 | awk '{ print $4 }'
}

box_answers() {
	box_do "$1" ping -c 5 -i 0.05 -w 3 "$2" | grep -c 'bytes from'
}

box_fetch() {
	box_do "$1" wget -q -O - http://10.0.0.1/file | sha256sum | cut -c 1-16
}

port_state() {
	ctl host-a --json port show "$1" | jq -r '.status.state'
}

port_is() {
	[ "$(port_state "$1")" = "$2" ]
}

topology_hints() {
	local ctl="${LAB_BUILD#"$TOP/"}/cli/vswitchctl --run-dir $LAB_DIR"
	cat <<END
Look around:
    $ctl/host-a port list
END
	[ $ENGINE = podman ] || return
	cat <<END
    export CONTAINERS_CONF=$CONTAINERS_CONF CONTAINERS_STORAGE_CONF=$CONTAINERS_STORAGE_CONF
    podman ps
    podman exec -it web2 ping 10.0.0.1
END
}
