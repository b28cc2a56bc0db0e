#!/bin/sh
# Gives the relay its renewed certificate without dropping anyone. A running relay keeps the certificate that it was
# started with, so a second one is started beside it, which shares its port (--reuse-port), and when that is ready the
# first is stopped and drains: pairs finish, whoever waits is told to come back and does so at the second.
#
# certbot runs it after each renewal:
#
#   certbot certonly … --deploy-hook /usr/local/lib/whisper-signaling/renew-hook.sh
#
# The two are instances of one unit, whisper-signaling@.service, that take turns. The name of an instance is the port
# of its --admin listener, which is how this script knows that it is ready. docs/OPERATIONS.md, "TLS", has the unit.
# Needs systemctl and curl, and root. Exit code 0: the new certificate is served. Otherwise the old relay still is.
set -eu

instances=${WHISPER_INSTANCES:-9001 9002}
# How often readiness is asked for, a second apart. A relay is ready in well under one.
tries=${WHISPER_TRIES:-30}

unit() {
  echo "whisper-signaling@$1.service"
}

say() {
  echo "renew-hook: $*" >&2
}

ready() {
  curl --silent --fail --max-time 2 --output /dev/null "http://127.0.0.1:$1/readyz"
}

# The first that runs is the old one; where none does, the first is to run.
old='' new=''
for instance in $instances; do
  if [ -z "$old" ] && systemctl is-active --quiet "$(unit "$instance")"; then
    old=$instance
  elif [ -z "$new" ]; then
    new=$instance
  fi
done
if [ -z "$new" ]; then
  say "WHISPER_INSTANCES names fewer than two instances"
  exit 1
fi

# It may still drain since the renewal before this one, or run since one that was cut short: this waits for its end.
systemctl stop "$(unit "$new")"

if ! systemctl start "$(unit "$new")"; then
  say "$(unit "$new") does not start; see journalctl -u $(unit "$new")"
  exit 1
fi
until ready "$new"; do
  tries=$((tries - 1))
  if [ "$tries" -le 0 ] || ! systemctl is-active --quiet "$(unit "$new")"; then
    systemctl stop "$(unit "$new")"
    say "$(unit "$new") did not get ready and is stopped again; see journalctl -u $(unit "$new")"
    exit 1
  fi
  sleep 1
done

# From here on the new one serves. After a reboot it is the one to start; the old one goes when its pairs have gone.
systemctl enable --quiet "$(unit "$new")"
if [ -n "$old" ]; then
  systemctl disable --quiet "$(unit "$old")"
  systemctl stop "$(unit "$old")"
fi
say "$(unit "$new") serves the renewed certificate"
