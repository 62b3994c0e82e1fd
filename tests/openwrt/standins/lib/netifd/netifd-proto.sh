# Stands in for OpenWrt's /lib/netifd/netifd-proto.sh: options come as variables, what netifd would be told is written down.
# shellcheck shell=dash disable=SC2154
call() { echo "$*" >>/calls; }
for name in proto_config_add_string proto_add_host_dependency proto_init_update proto_add_data proto_close_data proto_send_update json_add_string; do
	eval "$name() { call $name \"\$@\"; }"
done
proto_notify_error() {
	call proto_notify_error "$@"
	# netifd ends the handler at a teardown
	[ ! -e /give_up ] || exit 0
}
json_get_vars() {
	for name in "$@"; do eval "$name=\$given_$name"; done
}
init_proto() {
	command=$2
	interface=$3
}
add_protocol() { "proto_$1_$command" "$interface"; }
