# Stands in for OpenWrt's /lib/functions.sh: reads UCI files of one option a line.
# shellcheck shell=dash disable=SC3043
config_load() {
	local file=${UCI_CONFIG_DIR:-/etc/config}/$1 word key value
	case "$1" in
	*[!A-Za-z0-9_]*) return 1 ;; # what the real one takes for a section
	esac
	sections='' section=''
	[ -e "$file" ] || return 1
	tr -d "'\"" <"$file" >/tmp/uci
	while read -r word key value; do
		value=${value%%#*}
		value=$(echo $value)
		case "$word" in
		'' | \#*) ;;
		config)
			section=${value:-cfg$((number = number + 1))}
			case " $sections " in
			*" $key:$section "*) ;;
			*)
				sections="$sections $key:$section"
				rm -rf "/tmp/uci.$section"
				mkdir "/tmp/uci.$section"
				;;
			esac
			;;
		option) echo "$value" >"/tmp/uci.$section/$key" ;;
		list) echo "$value" >>"/tmp/uci.$section/$key" ;;
		*) return 1 ;;
		esac
	done </tmp/uci
}
config_get() {
	local got
	# shellcheck disable=SC2034 # for eval
	got=$(cat "/tmp/uci.$2/$3" 2>/dev/null)
	eval "$1=\${got:-\$4}"
}
config_get_bool() {
	local bool
	config_get bool "$2" "$3" "$4"
	case "$bool" in
	1 | on | true | yes | enabled) eval "$1=1" ;;
	*) eval "$1=0" ;;
	esac
}
config_foreach() {
	local function=$1 type=$2 each
	shift 2
	for each in $sections; do
		[ "${each%%:*}" != "$type" ] || "$function" "${each#*:}" "$@"
	done
}
user_exists() { grep -qs "^$1:" /etc/passwd; }
group_exists() { grep -qs "^$1:" /etc/group; }
user_add() { echo "$1:x:$2:$3:$1:/var/run/$1:/bin/false" >>/etc/passwd; }
group_add() { echo "$1:x:$2:" >>/etc/group; }
