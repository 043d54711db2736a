#!/bin/sh
# Sends a text with curl and the API alone, and follows it until it is delivered.
#
#   examples/curl/send.sh COMPANY CHANNEL_ID TO TEXT
#
# TO is a phone number with its country code, or the id of a user (…@lid).
#
# ENLACE_URL        where the API is; http://127.0.0.1:8080 if not set
# ENLACE_KEY_FILE   the file with the API key; data/admin.key if not set
set -eu

usage="usage: send.sh COMPANY CHANNEL_ID TO TEXT"
company=${1:?$usage} channel=${2:?$usage} to=${3:?$usage} text=${4:?$usage}
messages=${ENLACE_URL:-http://127.0.0.1:8080}/v1/companies/$company/channels/$channel/messages
key_file=${ENLACE_KEY_FILE:-data/admin.key}
[ -r "$key_file" ] || { echo "no API key in $key_file: set ENLACE_KEY_FILE" >&2; exit 1; }

# The key goes to curl by a pipe: on a command line others could read it.
call() { printf 'header = "Authorization: Bearer %s"\n' "$(cat "$key_file")" | curl -sS --config - "$@"; }

# field NAME: the first string of that name in the JSON on standard input.
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" | head -n 1; }

# quote TEXT: as the inside of a JSON string, in one line.
quote() { printf %s "$1" | sed 's/[\\"]/\\&/g; s/	/\\t/g' | awk 'NR > 1 { printf "\\n" } { printf "%s", $0 }'; }

# One key for this run: if the answer is lost, the same request sends nothing twice.
once="send-$$-$(date +%s)"
body=$(printf '{"to":"%s","type":"text","text":{"body":"%s"}}' "$(quote "$to")" "$(quote "$text")")
for try in 1 2 3; do
	answer=$(call -H 'Content-Type: application/json' -H "Idempotency-Key: $once" -d "$body" "$messages") && break
	[ "$try" -lt 3 ] || exit 1
	sleep 1
done
id=$(printf %s "$answer" | sed -n 's/^{"id":"\([^"]*\)".*/\1/p')
if [ -z "$id" ]; then printf '%s\n' "$answer" >&2; exit 1; fi

tag='"0"' shown=
while :; do
	# Held until the message moves on, 25 seconds at most; then nothing comes back.
	answer=$(call -D - -H "If-None-Match: $tag" -H 'Prefer: wait=25' "$messages/$id" | tr -d '\r')
	message=$(printf %s "$answer" | sed '1,/^$/d')
	[ -n "$message" ] || continue
	tag=$(printf '%s\n' "$answer" | sed -n 's/^[Ee][Tt][Aa][Gg]: //p')
	status=$(printf %s "$message" | sed -n 's/.*},"status":"\([a-z]*\)","statuses".*/\1/p')
	[ "$status" = "$shown" ] || echo "$status"
	shown=$status
	case $status in
	delivered | read | played) exit 0 ;;
	failed)
		printf '%s\n' "$message" >&2
		exit 1
		;;
	esac
done
