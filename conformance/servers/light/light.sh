#!/bin/sh
# A server for runs that are about the launcher. $1 chooses what it does; but for `chatty` it writes JSON only:
#   answer         turns each request into its answer
#   echo           every byte back
#   late           answers everything only after the end of input
#   exit N, crash  after one line: ends with N, or by SIGKILL
#   twice          answers one request and ends with 5 at the next
#   stubborn       ignores signals and the end of input
#   args           its arguments in hex, then its variables' names
#   chatty         answers, and prints other things beside
#   tell SED       of each line: itself in hex; in hex what the file holds that it names, and by which path it was read;
#                  what sed makes of it. For a line with the method "look" what all files hold where it was started, and
#                  where that is; with "write" whether it can write there; with "before" whether late/late.txt is there
# Further arguments are only there to be seen.
set -u
mode=${1-}
answers() { sed -u 's/"method":"[^"]*"/"result":{}/'; }
# The path that a line names last, or none. A container that is replayed has no root of its own: there the working
# directory stands for the project.
named() {
	path=$(printf '%s\n' "$1" | sed -E -e 's#.*"((\\?/|\\u002f|~\\?/|file:)(\\.|[^"\\])*)".*#\1#' -e t -e 's#.*"path":"([^"\\]*)".*#\1#' -e t -e d)
	path=$(printf '%s\n' "$path" | sed -E 's#\\u002f#/#g;s#\\u0074#t#g;s#\\u00e4#ä#g;s#\\(["\\/])#\1#g;s#^file://##;s#%20# #g')
	case $path in \~/*) path=$HOME/${path#*/} ;; esac
	case $place:$path in
	*/project:* | *:[!/]*) ;;
	*:*/project/*) path=${path#*/project/} ;;
	*) path= ;;
	esac
}
hex() { od -An -v -tx1 | tr -d ' \n'; }
say() { printf '{"jsonrpc":"2.0","method":"notifications/%s","params":{"hex":"%s"}}\n' "$1" "$(hex)"; }
printf 'light ready\n' >&2
case $mode in
echo) cat ;;
late)
	all=$(cat; printf x)
	sleep 0.2
	printf '%s' "${all%x}" | answers
	;;
exit) read -r line && exit "$2" ;;
crash) read -r line && kill -9 $$ ;;
twice)
	read -r line && printf '%s\n' "$line" | answers
	read -r line && exit 5
	;;
stubborn)
	trap '' TERM INT HUP
	printf '{"jsonrpc":"2.0","method":"notifications/ready"}\n'
	while :; do sleep 1; done
	;;
args)
	shift
	printf '{"jsonrpc":"2.0","method":"notifications/args","params":{"args":['
	comma=
	for word; do
		printf '%s"%s"' "$comma" "$(printf %s "$word" | hex)"
		comma=,
	done
	printf '],"env":['
	comma=
	for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
		printf '%s"%s"' "$comma" "$name"
		comma=,
	done
	printf ']}}\n'
	cat > /dev/null
	;;
chatty)
	printf 'listening on nothing\n'
	while IFS= read -r line; do
		printf '  a line came\n'
		printf '%s\n' "$line" | answers
		printf 'done: [1]\n'
	done
	;;
tell)
	place=$(pwd -P)
	while IFS= read -r line; do
		printf '%s\n' "$line" | say saw
		named "$line"
		if [ -n "$path" ] && [ -f "$path" ]; then
			printf %s "$path" | say at
			head -c 1000 "$path" | say read
		fi
		case $line in
		*'"method":"look"'*)
			printf %s "$place" | say place
			find . -type f -size -100 -exec cat {} + | say shown
			;;
		*'"method":"before"'*) if [ -e late/late.txt ] || [ -e "$place/late" ]; then echo there; else echo absent; fi | say before ;;
		*'"method":"write"'*) { (echo lost > made.txt) 2>&1 || echo refused; } | say wrote ;;
		esac
		printf '%s\n' "$line" | sed -nE "$2"
	done
	;;
*) answers ;;
esac
printf 'light saw the end of input\n' >&2
