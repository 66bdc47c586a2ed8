#!/bin/sh
# A server for runs that are about the launcher. Everything it writes to stdout is JSON. $1 chooses what it does:
#   answer         turns each request into its answer
#   echo           every byte back
#   late           answers everything only after the end of input
#   exit N, crash  after one line: ends with N, or by SIGKILL
#   stubborn       ignores signals and the end of input
#   args           its arguments in hex, then its variables' names
# Further arguments are only there to be seen.
set -u
mode=${1-}
answers() { sed -u 's/"method":"[^"]*"/"result":{}/'; }
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
		printf '%s"%s"' "$comma" "$(printf %s "$word" | od -An -v -tx1 | tr -d ' \n')"
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
*) answers ;;
esac
printf 'light saw the end of input\n' >&2
