#!/bin/sh
# Without what npxc loads into Node; what that was stays known.
here=$(dirname "$(readlink -f "$0")")
ATTACK_NODE_OPTIONS=${NODE_OPTIONS-}
export ATTACK_NODE_OPTIONS
unset NODE_OPTIONS
exec node "$here/attacker.cjs" "$@"
