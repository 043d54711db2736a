#!/bin/sh
# Connects a channel with curl and the API alone: asks for it, draws its QR code
# in the terminal whenever there is a new one, and waits until it is active.
#
#   examples/curl/connect.sh COMPANY [NAME]
#
# ENLACE_URL        where the API is; http://127.0.0.1:8080 if not set
# ENLACE_KEY_FILE   the file with the API key; data/admin.key if not set
# ENLACE_TYPE       the channel's type; WHATSAPP_WEB if not set
set -eu

company=${1:?usage: connect.sh COMPANY [NAME]}
name=${2:-default}
channels=${ENLACE_URL:-http://127.0.0.1:8080}/v1/companies/$company/channels
key_file=${ENLACE_KEY_FILE:-data/admin.key}
[ -r "$key_file" ] || { echo "no API key in $key_file: set ENLACE_KEY_FILE" >&2; exit 1; }

# The key goes to curl by a pipe: on a command line others could read it.
call() { printf 'header = "Authorization: Bearer %s"\n' "$(cat "$key_file")" | curl -sS --config - "$@"; }

# field NAME: the first string of that name in the JSON on standard input.
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" | head -n 1; }

body=$(printf '{"type":"%s","name":"%s"}' "${ENLACE_TYPE:-WHATSAPP_WEB}" "$name")
answer=$(call -H 'Content-Type: application/json' -d "$body" "$channels")
code=$(printf %s "$answer" | field code)
if [ "$code" = channel_active ]; then echo "the channel is active already"; exit 0; fi
id=$(printf %s "$answer" | sed -n 's/^{"id":"\([^"]*\)".*/\1/p')
if [ -z "$id" ]; then printf '%s\n' "$answer" >&2; exit 1; fi

version=0 drawn=
while :; do
	# Held until the channel changes, 25 seconds at most; then nothing comes back.
	channel=$(call -H "If-None-Match: \"$version\"" -H 'Prefer: wait=25' "$channels/$id")
	[ -n "$channel" ] || continue
	version=$(printf %s "$channel" | sed -n 's/.*"version":\([0-9]*\).*/\1/p')
	status=$(printf %s "$channel" | field status)
	case $status in
	connecting)
		attempt=$(printf %s "$channel" | sed -n 's/.*"attempt":\([0-9]*\),"of".*/\1/p')
		# It may have been scanned, or be the next one, by the time that it is fetched.
		if [ -n "$attempt" ] && [ "$attempt" != "$drawn" ] &&
			picture=$(call -f -H 'Accept: text/plain' "$channels/$id/qr" 2>/dev/null); then
			printf 'Scan with WhatsApp, Linked devices (code %s):\n%s\n' "$attempt" "$picture"
			drawn=$attempt
		fi
		;;
	active)
		echo "active: $(printf %s "$channel" | field phoneNumber)"
		exit 0
		;;
	*)
		printf '%s\n' "$channel" >&2
		exit 1
		;;
	esac
done
