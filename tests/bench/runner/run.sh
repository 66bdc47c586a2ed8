#!/bin/sh
[ "$#" -gt 0 ] || exit 0
exec "$@"
