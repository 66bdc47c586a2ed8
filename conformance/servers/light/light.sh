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
#   tell SED       of each line: itself in hex; in hex what the file holds that it names in a directory "project", looked
#                  for where the server was started; what sed makes of it. For a line with the method "look" what all
#                  files there hold; with "write" whether it can write there
# Further arguments are only there to be seen.
set -u
mode=${1-}
answers() { sed -u 's/"method":"[^"]*"/"result":{}/'; }
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
	while IFS= read -r line; do
		printf '%s\n' "$line" | say saw
		name=$(printf '%s\n' "$line" | sed -nE 's#\\/#/#g;s#\\u002f#/#g;s#\\u0074#t#g;s#%20# #g;s#.*"[^"]*/project/([^"\\]*)".*#\1#p')
		[ -z "$name" ] || [ ! -f "$name" ] || say read < "$name"
		case $line in
		*'"method":"look"'*) find . -type f -exec cat {} + | say shown ;;
		*'"method":"write"'*) { (echo lost > made.txt) 2>&1 || echo refused; } | say wrote ;;
		esac
		printf '%s\n' "$line" | sed -nE "$2"
	done
	;;
*) answers ;;
esac
printf 'light saw the end of input\n' >&2
